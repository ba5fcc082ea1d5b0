import { CORE_TYPES } from "../../registry.ts";
import { isObject, type Json } from "../../object.ts";
import { CALICO, chapter, get } from "../script.ts";

const isOurs = (group: string): boolean => group === "projectcalico.org" || CORE_TYPES.some((type) => type.group === group);
const isKnownKind = (name: string): boolean => CORE_TYPES.some(({ plural, status }) => plural === name || (status && `${plural}/status` === name));
const objectsOf = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const byName = (list: readonly Json[], key: string): Json => Object.fromEntries(list.map((item) => [String(item[key] as string), item]));
const sorted = (value: unknown): string[] => (Array.isArray(value) ? value.map(String).toSorted() : []);
const withVerbs = (resource: Json): Json => ({ ...resource, verbs: sorted(resource["verbs"]) });

/** Groups that the product knows, in no order. */
const groups = (body: unknown): unknown => (isObject(body) ? { ...body, groups: byName(objectsOf(body["groups"]).filter(({ name }) => isOurs(String(name as string))), "name") } : body);
/** Kinds of a group in no order; of Kubernetes' own those that the product knows. */
const kinds = (body: unknown): unknown => (isObject(body) ? { ...body, resources: byName(objectsOf(body["resources"]).filter(({ name }) => String(body["groupVersion"] as string).startsWith("projectcalico.org/") || isKnownKind(String(name as string))).map(withVerbs), "name") } : body);

/** The same of the aggregated form, in which a kind that is built in names neither group nor version. */
function aggregated(body: unknown): unknown {
  const resource = ({ responseKind, subresources, ...rest }: Json): Json => ({
    ...withVerbs(rest), kind: isObject(responseKind) ? responseKind["kind"] : null,
    status: objectsOf(subresources).filter(({ subresource }) => subresource === "status").map(({ verbs }) => sorted(verbs)),
  });
  const version = ({ version: name, resources, freshness }: Json, group: string): Json => ({ version: name, freshness, resources: byName(objectsOf(resources).filter(({ resource: plural }) => group === "projectcalico.org" || isKnownKind(String(plural as string))).map(resource), "resource") });
  const nameOf = ({ metadata }: Json): string => (isObject(metadata) ? String((metadata["name"] as string | undefined) ?? "") : "");
  if (!isObject(body) || !Array.isArray(body["items"])) return body;
  return objectsOf(body["items"]).filter((group) => isOurs(nameOf(group))).map((group) => ({ name: nameOf(group), versions: objectsOf(group["versions"]).filter((item) => item["version"] === "v1" || item["version"] === "v3").map((item) => version(item, nameOf(group))) })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The documents that the product's kinds are in. */
const documents = (body: unknown): unknown => Object.keys(((typeof body === "string" ? (JSON.parse(body) as Json) : (body as Json))["paths"] ?? {}) as Json).filter((path) => path === "api/v1" || isOurs(path.split("/")[1] ?? "")).filter((path) => /\/(v1|v3)$/.test(path)).toSorted();
/** Which kinds a document describes, and what can be done to them. */
const described = (body: unknown): unknown => {
  const { paths = {}, components } = (isObject(body) ? body : {}) as { paths?: Record<string, Json>; components?: { schemas?: Json } };
  return {
    paths: Object.fromEntries(Object.entries(paths).filter(([path]) => /\{name\}$/.test(path)).map(([path, methods]) => [path, Object.keys(methods).filter((method) => method !== "parameters").toSorted()])),
    schemas: Object.keys(components?.schemas ?? {}).filter((name) => name.startsWith("org.projectcalico.v3.") && !name.endsWith("List")).toSorted(),
  };
};

const accept = (value: string): { headers: { accept: string } } => ({ headers: { accept: value } });
const AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/** What clients ask before they do anything. */
export const discovery = chapter("discovery", [
  get("version", "/version", { view: (body) => (isObject(body) ? { major: body["major"], minor: body["minor"] } : body) }),
  get("healthz", "/healthz", { until: 200 }),
  get("livez", "/livez", { until: 200 }),
  get("readyz", "/readyz", { until: 200 }),
  get("core versions", "/api", { view: (body) => (isObject(body) ? { ...body, serverAddressByClientCIDRs: "(addresses)" } : body) }),
  get("groups", "/apis", { view: groups }),
  get("one group", "/apis/projectcalico.org"),
  get("unknown group", "/apis/nothing.example.org"),
  get("core kinds", "/api/v1", { view: kinds }),
  get("own kinds", CALICO, { view: kinds }),
  get("policy kinds", "/apis/networking.k8s.io/v1", { view: kinds }),
  get("lease kinds", "/apis/coordination.k8s.io/v1", { view: kinds }),
  get("slice kinds", "/apis/discovery.k8s.io/v1", { view: kinds }),
  get("definition kinds", "/apis/apiextensions.k8s.io/v1", { view: kinds }),
  get("unknown version", "/apis/projectcalico.org/v9"),
  get("aggregated core", "/api", { ...accept(AGGREGATED), view: aggregated }),
  get("aggregated groups", "/apis", { ...accept(AGGREGATED), view: aggregated }),
  get("aggregated as older programs ask", "/apis", accept("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json")),
  get("unknown path", "/nothing"),
  get("unknown kind", `${CALICO}/nothings`),
  get("unknown core kind", "/api/v1/nothings"),
  get("unknown kind of a namespace", "/api/v1/namespaces/default/nothings/x"),
  get("documents", "/openapi/v3", { view: documents }),
  get("document of own kinds", `/openapi/v3${CALICO}`, { view: described }),
  get("document of nothing", "/openapi/v3/apis/nothing/v1"),
  get("second version", "/openapi/v2", { as: "status-only" }),
  { id: "no token", method: "GET", path: "/api/v1/namespaces", headers: { authorization: "" } },
  { id: "wrong token", method: "GET", path: "/api/v1/namespaces", headers: { authorization: "Bearer nobody" } },
]);
