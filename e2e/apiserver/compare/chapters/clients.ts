import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, patch, pod, post, put, watch } from "../script.ts";

const NAMESPACE = "clients";
const inside = `${CORE}/namespaces/${NAMESPACE}`;
const pool = `${CALICO}/ippools/clients-a`;
const node = `${CORE}/nodes/clients-n`;
const config = (spec: object): object => calico("IPPool", "clients-a", { cidr: "10.190.0.0/16", ...spec });
const STRICT = "fieldValidation=Strict";
const INITIAL = "allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true";
const TABLE = { headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" } };
const named = (name: string): string => `fieldSelector=metadata.name%3D${name}`;

/** Both servers hold objects of their own beside those of the script. */
const kindOnly = (body: unknown): unknown => {
  const { kind, apiVersion } = body as Record<string, unknown>;
  return { kind, apiVersion };
};
/** A ConfigMap "p" in protobuf, as kubectl sends what it makes itself: the four bytes of the magic number, type and object. */
const PROTOBUF = "k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01p";
const asProtobuf = { headers: { "content-type": "application/vnd.kubernetes.protobuf" }, as: "status-only" } as const;

/** The forms of requests that were recorded of clients and occur in no other chapter. */
export const clients = chapter("clients", [
  ...namespaceSteps(NAMESPACE),
  post("node strictly", `${CORE}/nodes?${STRICT}`, core("Node", "clients-n", { spec: { podCIDR: "10.8.0.0/24" } })),
  post("pod", `${inside}/pods`, pod("a", {}, { labels: { app: "a" } })),
  post("tried strictly", `${CALICO}/ippools?dryRun=All&${STRICT}`, config({})),
  post("pool strictly", `${CALICO}/ippools?${STRICT}`, config({})),
  post("set strictly", `${CALICO}/namespaces/${NAMESPACE}/networksets?${STRICT}`, calico("NetworkSet", "a", { nets: ["10.0.0.0/8"] })),
  put("put strictly", `${pool}?${STRICT}`, { ...config({ natOutgoing: true }), metadata: { name: "clients-a", resourceVersion: "{{pool strictly.metadata.resourceVersion}}" } }),
  patch("apply to a node", "apply", `${node}?fieldManager=kubectl&${STRICT}`, core("Node", "clients-n", {}, { labels: { a: "b" } })),
  patch("apply to a node by force", "apply", `${node}?fieldManager=kubectl&force=true&${STRICT}`, core("Node", "clients-n", {}, { labels: { a: "c" } })),
  patch("operations on a node", "json", `${node}?${STRICT}`, [{ op: "add", path: "/metadata/annotations", value: { a: "b" } }]),
  patch("cordon", "strategic", `${node}?${STRICT}`, { spec: { unschedulable: true } }),
  patch("apply to a pod", "apply", `${inside}/pods/a?fieldManager=kubectl&${STRICT}`, pod("a", {}, { labels: { app: "b" } })),
  patch("apply to a pod by force", "apply", `${inside}/pods/a?fieldManager=kubectl&force=true&${STRICT}`, pod("a", {}, { labels: { app: "b" } })),
  patch("operations on a pod", "json", `${inside}/pods/a?${STRICT}`, [{ op: "add", path: "/metadata/annotations", value: { a: "b" } }]),
  patch("apply to a pool tried", "apply", `${pool}?dryRun=All&fieldManager=kubectl&force=false`, config({ disabled: true })),
  patch("apply to a pool by force", "apply", `${pool}?fieldManager=kubectl&force=true&${STRICT}`, config({ natOutgoing: false })),
  patch("operations on a pool", "json", `${pool}?${STRICT}`, [{ op: "replace", path: "/spec/natOutgoing", value: true }]),
  patch("merge tried strictly", "merge", `${pool}?dryRun=All&${STRICT}`, { spec: { disabled: true } }),
  get("pods everywhere", `${CORE}/pods?limit=500`, { view: kindOnly }),
  get("table of pods everywhere", `${CORE}/pods?limit=500`, { ...TABLE, view: kindOnly }),
  get("one node", `${CORE}/nodes?${named("clients-n")}&limit=500`),
  get("one pod", `${inside}/pods?${named("a")}&limit=500`),
  get("one pod of any revision", `${inside}/pods?${named("a")}&limit=500&resourceVersion=0`),
  get("table of the pods", `${inside}/pods?limit=500`, { ...TABLE, view: kindOnly }),
  get("chosen pods", `${inside}/pods?${named("a")}&labelSelector=app%3Db&limit=500`, { ...TABLE, view: kindOnly }),
  get("pools", `${CALICO}/ippools?limit=500`, { view: kindOnly }),
  get("table of the pools", `${CALICO}/ippools?limit=500`, { ...TABLE, view: kindOnly }),
  get("one pool", `${CALICO}/ippools?${named("clients-a")}&limit=500`),
  get("one pool of any revision", `${CALICO}/ippools?${named("clients-a")}&limit=500&resourceVersion=0`),
  get("table of the sets", `${CALICO}/namespaces/${NAMESPACE}/networksets?limit=500`, TABLE),
  watch("one node since", `${CORE}/nodes`, `allowWatchBookmarks=true&${named("clients-n")}&resourceVersion={{node strictly.metadata.resourceVersion}}`),
  watch("nodes since", `${CORE}/nodes`, "allowWatchBookmarks=true&resourceVersion={{cordon.metadata.resourceVersion}}"),
  watch("one pod since", `${inside}/pods`, `allowWatchBookmarks=true&${named("a")}&resourceVersion={{pod.metadata.resourceVersion}}`),
  watch("one pod with what is there", `${inside}/pods`, `${INITIAL}&${named("a")}`),
  watch("table of the pods since", `${inside}/pods`, "resourceVersion={{operations on a pod.metadata.resourceVersion}}", TABLE),
  watch("one pool since", `${CALICO}/ippools`, `allowWatchBookmarks=true&${named("clients-a")}&resourceVersion={{pool strictly.metadata.resourceVersion}}`),
  watch("pools since", `${CALICO}/ippools`, "allowWatchBookmarks=true&resourceVersion={{pool strictly.metadata.resourceVersion}}"),
  watch("one pool with what is there", `${CALICO}/ippools`, `${INITIAL}&${named("clients-a")}`),
  watch("table of the pools since", `${CALICO}/ippools`, "resourceVersion={{operations on a pool.metadata.resourceVersion}}", TABLE),
  get("log", `${inside}/pods/a/log?container=c`, { as: "status-only" }),
  get("exec", `${inside}/pods/a/exec?command=ls&container=c&stderr=true&stdout=true`, { as: "status-only" }),
  post("exec by an older client", `${inside}/pods/a/exec?command=ls&container=c&stderr=true&stdout=true`, undefined, { headers: {}, as: "status-only" }),
  post("protobuf", `${inside}/configmaps?${STRICT}`, PROTOBUF, asProtobuf),
  post("protobuf without a namespace", `${CORE}/namespaces?${STRICT}`, PROTOBUF.replace("ConfigMap", "Namespace").replace("\x01p", "\x01q"), asProtobuf),
  post("protobuf of a review", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "", asProtobuf),
  post("protobuf of a question", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "", asProtobuf),
  post("protobuf for a token", `${inside}/serviceaccounts/default/token`, "", asProtobuf),
]);
