import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, pod, post, remove } from "../script.ts";

const NAMESPACE = "lists";
const maps = `${CORE}/namespaces/${NAMESPACE}/configmaps`;
const pods = `${CORE}/namespaces/${NAMESPACE}/pods`;
const sets = `${CALICO}/namespaces/${NAMESPACE}/networksets`;
const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const labels = (selector: string): string => `labelSelector=${encodeURIComponent(selector)}`;
const fields = (selector: string): string => `fieldSelector=${encodeURIComponent(selector)}`;
const mine = labels("test=lists");

export const lists = chapter("lists", [
  ...namespaceSteps(NAMESPACE),
  get("root certificate", `${CORE}/namespaces/${NAMESPACE}/configmaps?${mine}`),
  ...[0, 1, 2, 3, 4].map((i) => post(`map ${i}`, maps, core("ConfigMap", `m${i}`, {}, { labels: { test: "lists", even: String(i % 2 === 0), ...(i === 3 ? { odd: "" } : {}) } }))),
  ...["a", "b"].map((name) => post(`set ${name}`, sets, calico("NetworkSet", name, { nets: [] }, { labels: { name } }))),
  post("pod a", pods, pod("a", { nodeName: "n" })),
  post("pod b", pods, pod("b")),
  get("all", `${maps}?${mine}`),
  get("first page", `${maps}?${mine}&limit=2`),
  get("second page", `${maps}?${mine}&limit=2&continue={{first page.metadata.continue}}`),
  get("last page", `${maps}?${mine}&limit=2&continue={{second page.metadata.continue}}`),
  get("one page for all", `${maps}?${mine}&limit=5`),
  get("page of an own kind", `${sets}?limit=1`),
  get("rest of an own kind", `${sets}?limit=1&continue={{page of an own kind.metadata.continue}}`),
  get("empty list", `${CALICO}/namespaces/${NAMESPACE}/networkpolicies`),
  get("empty list of a missing namespace", `${CORE}/namespaces/none/configmaps`),
  get("own kinds everywhere", `${CALICO}/networksets`),
  get("wrong token", `${maps}?limit=2&continue=nonsense`),
  get("token and revision", `${maps}?limit=2&continue={{first page.metadata.continue}}&resourceVersion=5`),
  get("negative limit", `${maps}?limit=-1`),
  get("limit is no number", `${maps}?limit=two`),
  get("at any revision", `${maps}?${mine}&resourceVersion=0`),
  get("not older than", `${maps}?${mine}&resourceVersion={{map 4.metadata.resourceVersion}}&resourceVersionMatch=NotOlderThan`),
  get("not older than, in pages", `${maps}?${mine}&limit=2&resourceVersion={{map 4.metadata.resourceVersion}}&resourceVersionMatch=NotOlderThan`),
  get("exactly", `${maps}?${mine}&resourceVersion={{map 2.metadata.resourceVersion}}&resourceVersionMatch=Exact`),
  get("match without a revision", `${maps}?resourceVersionMatch=Exact`),
  get("exactly at any", `${maps}?resourceVersion=0&resourceVersionMatch=Exact`),
  get("unknown match", `${maps}?resourceVersion=1&resourceVersionMatch=Perhaps`),
  get("revision is no number", `${maps}?resourceVersion=x`),
  get("from the future", `${maps}?resourceVersion=99999999`),
  get("object from the future", `${maps}/m0?resourceVersion=99999999`),
  get("object at any revision", `${maps}/m0?resourceVersion=0`),
  ...["even=true", "even==true", "even!=true", "even in (true,false)", "even notin (true)", "odd", "!odd", "even=true,odd", "odd=", "even in ()", "even=true,test in (lists)"].map((selector) => get(`labels ${selector}`, `${maps}?${mine},${encodeURIComponent(selector)}`)),
  ...["a b", "a=b=c", "in (a)", "a in b", "=x", "a=b c", "a>x", "a,,b", "!", "a in (b", "x/y/z=1"].map((selector) => get(`wrong labels ${selector}`, `${maps}?${labels(selector)}`)),
  ...["metadata.name=m1", "metadata.name!=m1", "metadata.name==m1,metadata.namespace=lists", "metadata.namespace=other"].map((selector) => get(`fields ${selector}`, `${maps}?${mine}&${fields(selector)}`)),
  ...["metadata.uid=1", "data.a=b", "nonsense", "metadata.name"].map((selector) => get(`wrong fields ${selector}`, `${maps}?${fields(selector)}`)),
  ...["spec.nodeName=n", "spec.nodeName=", "status.phase=Pending", "status.phase!=Pending", "spec.restartPolicy=Always", "spec.nodeName!=n,status.phase!=Failed"].map((selector) => get(`pod fields ${selector}`, `${pods}?${fields(selector)}`)),
  get("wrong pod fields", `${pods}?${fields("spec.hostname=x")}`),
  get("field of an own kind", `${sets}?${fields("metadata.name=a")}`),
  get("wrong field of an own kind", `${sets}?${fields("spec.nets=a")}`),
  get("events by object", `${CORE}/namespaces/${NAMESPACE}/events?${fields("involvedObject.name=a,involvedObject.namespace=lists,involvedObject.kind=Pod,involvedObject.uid=x")}`),
  get("unknown field of events", `${CORE}/events?${fields("message=x")}`),
  get("table", `${sets}`, { headers: { accept: TABLE } }),
  get("table of pods", pods, { headers: { accept: TABLE } }),
  get("table of nothing", `${CALICO}/namespaces/${NAMESPACE}/networkpolicies`, { headers: { accept: TABLE } }),
  get("table with objects", `${sets}?includeObject=Object`, { headers: { accept: TABLE } }),
  get("table without objects", `${sets}?includeObject=None`, { headers: { accept: TABLE } }),
  get("only metadata", sets, { headers: { accept: METADATA } }),
  get("only metadata of one", `${sets}/a`, { headers: { accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json" } }),
  remove("some", `${maps}?${mine},even=true`),
  get("without some", `${maps}?${mine}`),
  remove("collection of an own kind", sets),
  get("without own kinds", sets),
]);
