/** The kinds this project reads and writes, and their places in the API. */
import type { ObjectKey, ResourceType } from "./object.ts";

const define = (group: string, version: string, kind: string, plural: string, namespaced: boolean): ResourceType =>
  Object.freeze({ group, version, kind, plural, namespaced });

/** Kinds that come with Kubernetes. */
export const coreTypes = {
  pods: define("", "v1", "Pod", "pods", true),
  namespaces: define("", "v1", "Namespace", "namespaces", false),
  nodes: define("", "v1", "Node", "nodes", false),
  serviceAccounts: define("", "v1", "ServiceAccount", "serviceaccounts", true),
  secrets: define("", "v1", "Secret", "secrets", true),
  configMaps: define("", "v1", "ConfigMap", "configmaps", true),
  services: define("", "v1", "Service", "services", true),
  endpoints: define("", "v1", "Endpoints", "endpoints", true),
  events: define("", "v1", "Event", "events", true),
  endpointSlices: define("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true),
  networkPolicies: define("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
  leases: define("coordination.k8s.io", "v1", "Lease", "leases", true),
  customResourceDefinitions: define("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
  clusterNetworkPolicies: define("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies", false),
} as const satisfies Record<string, ResourceType>;

const calico = (kind: string, plural: string, namespaced = false): ResourceType => define("projectcalico.org", "v3", kind, plural, namespaced);

/** Kinds of `projectcalico.org/v3`. */
export const calicoTypes = {
  ipPools: calico("IPPool", "ippools"),
  ipReservations: calico("IPReservation", "ipreservations"),
  ipamBlocks: calico("IPAMBlock", "ipamblocks"),
  blockAffinities: calico("BlockAffinity", "blockaffinities"),
  ipamHandles: calico("IPAMHandle", "ipamhandles"),
  ipamConfigurations: calico("IPAMConfiguration", "ipamconfigurations"),
  bgpConfigurations: calico("BGPConfiguration", "bgpconfigurations"),
  bgpPeers: calico("BGPPeer", "bgppeers"),
  bgpFilters: calico("BGPFilter", "bgpfilters"),
  felixConfigurations: calico("FelixConfiguration", "felixconfigurations"),
  kubeControllersConfigurations: calico("KubeControllersConfiguration", "kubecontrollersconfigurations"),
  clusterInformations: calico("ClusterInformation", "clusterinformations"),
  calicoNodeStatuses: calico("CalicoNodeStatus", "caliconodestatuses"),
  networkPolicies: calico("NetworkPolicy", "networkpolicies", true),
  globalNetworkPolicies: calico("GlobalNetworkPolicy", "globalnetworkpolicies"),
  stagedNetworkPolicies: calico("StagedNetworkPolicy", "stagednetworkpolicies", true),
  stagedGlobalNetworkPolicies: calico("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies"),
  stagedKubernetesNetworkPolicies: calico("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", true),
  networkSets: calico("NetworkSet", "networksets", true),
  globalNetworkSets: calico("GlobalNetworkSet", "globalnetworksets"),
  tiers: calico("Tier", "tiers"),
  hostEndpoints: calico("HostEndpoint", "hostendpoints"),
} as const satisfies Record<string, ResourceType>;

/**
 * The URL path of a collection, or with a key of one object, or with a subresource of that object.
 * A namespaced collection without a namespace is the one of all namespaces.
 */
export function resourcePath(type: ResourceType, at: Partial<ObjectKey> = {}, subresource?: string): string {
  const root = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const namespace = type.namespaced && at.namespace ? `/namespaces/${encodeURIComponent(at.namespace)}` : "";
  const name = at.name === undefined ? "" : `/${encodeURIComponent(at.name)}`;
  return `${root}${namespace}/${type.plural}${name}${subresource === undefined ? "" : `/${subresource}`}`;
}
