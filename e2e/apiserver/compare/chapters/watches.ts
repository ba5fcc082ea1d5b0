import { CALICO, calico, chapter, CORE, core, get, namespaceSteps, patch, post, remove, watch } from "../script.ts";

const NAMESPACE = "watches";
const sets = `${CALICO}/namespaces/${NAMESPACE}/networksets`;
const maps = `${CORE}/namespaces/${NAMESPACE}/configmaps`;
const from = "resourceVersion={{start.metadata.resourceVersion}}";
const mapsFrom = "labelSelector=test&resourceVersion={{start of maps.metadata.resourceVersion}}";
const TABLE = { headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" } };
const METADATA = { headers: { accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json" } };

/** One bookmark of however many came. */
const onlyBookmark = (body: unknown): unknown => (body as { type: string }[]).findLast(({ type }) => type === "BOOKMARK");

export const watches = chapter("watches", [
  ...namespaceSteps(NAMESPACE),
  get("start", sets),
  get("start of maps", maps),
  post("a", sets, calico("NetworkSet", "a", { nets: [] }, { labels: { kind: "x" } })),
  post("b", sets, calico("NetworkSet", "b", { nets: [] })),
  patch("a changes", "merge", `${sets}/a`, { spec: { nets: ["10.0.0.0/8"] } }),
  patch("a loses its label", "merge", `${sets}/a`, { metadata: { labels: { kind: null } } }),
  patch("b gets it", "merge", `${sets}/b`, { metadata: { labels: { kind: "x" } } }),
  remove("b goes", `${sets}/b`),
  post("m", maps, core("ConfigMap", "m", {}, { labels: { test: "" } })),
  patch("m changes", "merge", `${maps}/m`, { data: { a: "b" } }),
  remove("m goes", `${maps}/m`),
  watch("everything since", sets, from),
  watch("since the first change", sets, "resourceVersion={{a.metadata.resourceVersion}}"),
  watch("in all namespaces", `${CALICO}/networksets`, from),
  watch("by label", sets, `${from}&labelSelector=kind%3Dx`),
  watch("by name", sets, `${from}&fieldSelector=metadata.name%3Db`),
  watch("one object", `${sets}/a`, from, { path: `${sets}?watch=1&timeoutSeconds=1&${from}&fieldSelector=metadata.name%3Da` }),
  watch("core kind", maps, mapsFrom),
  watch("as a table", sets, from, TABLE),
  watch("only metadata", sets, from, METADATA),
  watch("from any revision", sets, "resourceVersion=0"),
  patch("a write before", "merge", `${sets}/a`, { metadata: { labels: { n: "1" } } }),
  watch("from now", sets, ""),
  watch("from an old revision", sets, "resourceVersion=1"),
  watch("a core kind from an old revision", `${CORE}/namespaces`, "resourceVersion=1&fieldSelector=metadata.name%3Dwatches", { as: "status-only" }),
  watch("from no number", sets, "resourceVersion=x"),
  watch("from the future", sets, "resourceVersion=99999999"),
  watch("of a kind that is unknown", `${CALICO}/nothings`, ""),
  watch("wrong label", sets, "labelSelector=a%20b"),
  watch("wrong field", sets, "fieldSelector=spec.a%3Db"),
  patch("another write before", "merge", `${sets}/a`, { metadata: { labels: { n: "2" } } }),
  watch("with what is there", sets, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion="),
  watch("with what is there since", sets, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={{a.metadata.resourceVersion}}"),
  watch("with what is there of a core kind", maps, "labelSelector=test&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"),
  watch("with what is there as a table", sets, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", TABLE),
  watch("without what is there", sets, "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={{a.metadata.resourceVersion}}"),
  watch("with what is there without match", sets, "sendInitialEvents=true&allowWatchBookmarks=true"),
  watch("with what is there without bookmarks", sets, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
  watch("match without what is there", sets, "resourceVersionMatch=NotOlderThan&resourceVersion=0"),
  get("list with what is there", `${sets}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan`),
  watch("bookmark before the end", sets, "", { path: `${sets}?watch=true&allowWatchBookmarks=true&timeoutSeconds=6&resourceVersion={{a changes.metadata.resourceVersion}}`, view: onlyBookmark }),
]);
