/** The kinds that the server knows: those of Kubernetes that the lab needs, and custom ones. */
import { CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, ENDPOINT_SLICE, ENDPOINTS, EVENT, LEASE, NETWORK_POLICY, NODE, SECRET, SERVICE } from "./core/cluster.ts";
import { withMetadata } from "./core/metadata.ts";
import { NAMESPACE, POD, SERVICE_ACCOUNT } from "./core/pod.ts";
import { isObject, typeKey, valueAt, type ApiObject, type Column, type Json, type ResourceType } from "./object.ts";

/** Kinds with a status that is written apart, and kinds whose changes are counted. */
const WITH_STATUS = ["Pod", "Namespace", "Node", "Service", "CustomResourceDefinition"];
const WITH_GENERATION = ["Pod", "NetworkPolicy", "EndpointSlice", "CustomResourceDefinition"];
const CATEGORIES: Readonly<Record<string, readonly string[]>> = { Pod: ["all"], Service: ["all"], CustomResourceDefinition: ["api-extensions"] };

function core(group: string, version: string, kind: string, plural: string, namespaced: boolean, fields: Json, shortNames: readonly string[] = [], columns: readonly Column[] = []): ResourceType {
  return {
    group, version, kind, plural, singular: kind.toLowerCase(), shortNames, categories: CATEGORIES[kind] ?? [], namespaced, status: WITH_STATUS.includes(kind), generation: WITH_GENERATION.includes(kind), schema: null, fields, columns,
  };
}

const column = (name: string, path: string, type = "string"): Column => ({ name, type, path });

/** "pod/a", as kubectl names an object. */
function involvedObject(event: ApiObject): string {
  const { kind, name } = (event["involvedObject"] ?? {}) as { kind?: string; name?: string };
  return `${(kind ?? "").toLowerCase()}/${name ?? ""}`;
}

export const CORE_TYPES: readonly ResourceType[] = [
  core("", "v1", "Pod", "pods", true, POD, ["po"], [column("Status", ".status.phase"), column("IP", ".status.podIP"), column("Node", ".spec.nodeName")]),
  core("", "v1", "Namespace", "namespaces", false, NAMESPACE, ["ns"], [column("Status", ".status.phase")]),
  core("", "v1", "Node", "nodes", false, NODE, ["no"], [column("Version", ".status.nodeInfo.kubeletVersion"), column("Address", ".metadata.annotations.projectcalico\\.org/IPv4Address")]),
  core("", "v1", "ServiceAccount", "serviceaccounts", true, SERVICE_ACCOUNT, ["sa"]),
  core("", "v1", "Secret", "secrets", true, SECRET),
  core("", "v1", "ConfigMap", "configmaps", true, CONFIG_MAP, ["cm"]),
  core("", "v1", "Service", "services", true, SERVICE, ["svc"], [column("Cluster-IP", ".spec.clusterIP")]),
  { ...core("", "v1", "Endpoints", "endpoints", true, ENDPOINTS, ["ep"]), singular: "endpoints" },
  core("", "v1", "Event", "events", true, EVENT, ["ev"], [
    column("Last Seen", ".lastTimestamp", "date"), column("Type", ".type"), column("Reason", ".reason"), { ...column("Object", ".involvedObject"), read: involvedObject }, column("Message", ".message"),
    { ...column("Name", ".metadata.name"), priority: 1 },
  ]),
  core("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true, ENDPOINT_SLICE),
  core("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, NETWORK_POLICY, ["netpol"], [column("Pod-Selector", ".spec.podSelector.matchLabels")]),
  core("coordination.k8s.io", "v1", "Lease", "leases", true, LEASE, [], [column("Holder", ".spec.holderIdentity")]),
  core("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false, CUSTOM_RESOURCE_DEFINITION, ["crd", "crds"]),
];

export interface Registry {
  all(): readonly ResourceType[];
  find(group: string, version: string, plural: string): ResourceType | null;
  /** Adds or replaces the kind of a definition. Throws an Error that says what is wrong with it. */
  define(definition: Json): ResourceType;
  remove(definition: Json): void;
}

export function createRegistry(): Registry {
  const types = new Map(CORE_TYPES.map((type) => [typeKey(type), type]));
  return {
    all: () => [...types.values()],
    find(group, version, plural) {
      const type = types.get(typeKey({ group, plural }));
      return type?.version === version ? type : null;
    },
    define(definition) {
      const type = typeOfDefinition(definition);
      types.set(typeKey(type), type);
      return type;
    },
    remove(definition) {
      const plural = valueAt(definition, ["spec", "names", "plural"]);
      const group = valueAt(definition, ["spec", "group"]);
      if (typeof plural === "string" && typeof group === "string") types.delete(typeKey({ group, plural }));
    },
  };
}

function typeOfDefinition(definition: Json): ResourceType {
  const text = (...path: string[]): string => {
    const value = valueAt(definition, path);
    if (typeof value !== "string" || value === "") throw new Error(`${path.join(".")} is missing`);
    return value;
  };
  const versions = valueAt(definition, ["spec", "versions"]);
  const version = Array.isArray(versions) ? versions.filter(isObject).find(({ served, storage }) => served === true && storage === true) : undefined;
  if (version === undefined || typeof version["name"] !== "string") throw new Error("spec.versions has none that is served and stored");
  const kind = text("spec", "names", "kind");
  const names = (key: string): string[] => {
    const list = valueAt(definition, ["spec", "names", key]);
    return Array.isArray(list) ? list.filter((name) => typeof name === "string") : [];
  };
  const schema = valueAt(version, ["schema", "openAPIV3Schema"]);
  const columns = version["additionalPrinterColumns"];
  return {
    group: text("spec", "group"), version: version["name"], kind, plural: text("spec", "names", "plural"), singular: (valueAt(definition, ["spec", "names", "singular"]) as string | undefined) ?? kind.toLowerCase(),
    shortNames: names("shortNames"), categories: names("categories"), namespaced: text("spec", "scope") === "Namespaced",
    status: valueAt(version, ["subresources", "status"]) !== undefined, generation: true, schema: isObject(schema) ? schema : null, fields: withMetadata(isObject(schema) ? schema : {}),
    columns: Array.isArray(columns) ? columns.filter(isObject).filter(({ priority }) => priority === undefined || priority === 0).map(({ name, type, jsonPath }) => ({ name: String(name as string), type: String(type as string), path: String(jsonPath as string) })) : [],
  };
}
