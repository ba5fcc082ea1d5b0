/**
 * The parsed model: what the calculation works on. Values here were validated at the border
 * (see `convert/`); everything that reads them may trust them.
 */
import type { Cidr, Family, IpAddress } from "./ip.ts";
import type { Labels } from "./labels.ts";
import type { Selector } from "./selector/selector.ts";

export type Action = "Allow" | "Deny" | "Log" | "Pass";

/** "<kind>/<namespace>/<name>", each part URI-encoded; the namespace is empty for global policies. */
export type PolicyId = string & { readonly brand: "PolicyId" };
/** "wep/<namespace>/<pod>/<uid>" or "hep/<name>", parts URI-encoded: a recreated pod of one name is another endpoint. */
export type EndpointId = string & { readonly brand: "EndpointId" };
/** "kns.<namespace>", "ksa.<namespace>.<service account>" or the name of a profile. */
export type ProfileId = string & { readonly brand: "ProfileId" };

export type PolicyKind = "NetworkPolicy" | "GlobalNetworkPolicy" | "KubernetesNetworkPolicy" | "KubernetesClusterNetworkPolicy";

/** Inclusive range of ports. */
export type PortRange = { readonly first: number; readonly last: number };

export type ServiceRef = { readonly namespace: string; readonly name: string };

/** One side of a rule. All criteria are ANDed, the members of a list are ORed, `not*` all must hold. */
export type EntityMatch = {
  readonly nets: readonly Cidr[];
  readonly notNets: readonly Cidr[];
  readonly ports: readonly PortRange[];
  readonly notPorts: readonly PortRange[];
  readonly namedPorts: readonly string[];
  readonly notNamedPorts: readonly string[];
  /** The complete positive selector (namespace, service account and not-selector folded in), or null: any address. */
  readonly selector: Selector | null;
  /** Set when only a not-selector was given: whoever it matches is excluded. */
  readonly notSelector: Selector | null;
  readonly service: ServiceRef | null;
  /** Only the addresses of the Nodes that it matches, by their labels; null: any address. */
  readonly nodes: Selector | null;
};

export type IcmpMatch = { readonly type: number; readonly code: number | null };

export type Rule = {
  readonly action: Action;
  /** 0: both families. */
  readonly ipVersion: 0 | 4 | 6;
  /** IP protocol number, or null: any. */
  readonly protocol: number | null;
  readonly notProtocol: number | null;
  readonly icmp: IcmpMatch | null;
  readonly notIcmp: IcmpMatch | null;
  readonly source: EntityMatch;
  readonly destination: EntityMatch;
  /** Position in the list the user wrote, counted from zero; several rules may share one. */
  readonly index: number;
};

export type Policy = {
  readonly id: PolicyId;
  readonly kind: PolicyKind;
  readonly namespace: string;
  readonly name: string;
  readonly tier: string;
  /** null: last. */
  readonly order: number | null;
  /** Complete selector: namespace, orchestrator and service account restrictions folded in. */
  readonly selector: Selector;
  readonly ingress: boolean;
  readonly egress: boolean;
  readonly inbound: readonly Rule[];
  readonly outbound: readonly Rule[];
  readonly doNotTrack: boolean;
  readonly preDnat: boolean;
  readonly applyOnForward: boolean;
  /** resourceVersion of the object this came from: what "in force" is reported for. */
  readonly revision: string;
};

export type Tier = {
  readonly name: string;
  /** null: last. */
  readonly order: number | null;
  readonly defaultAction: "Deny" | "Pass";
};

export type Profile = {
  readonly id: ProfileId;
  /** Labels that every endpoint with this profile inherits. */
  readonly labels: Labels;
  readonly inbound: readonly Rule[];
  readonly outbound: readonly Rule[];
};

export type NamedPort = { readonly name: string; readonly protocol: number; readonly port: number };

export type WorkloadEndpoint = {
  readonly id: EndpointId;
  readonly uid: string;
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  /** Host side of the veth pair: "cali" and 11 hex digits of sha1("<namespace>.<pod>"). */
  readonly interfaceName: string;
  /** Empty until the CNI plugin has run: announced to its node, member of no set. */
  readonly addresses: readonly IpAddress[];
  /** Own labels with projectcalico.org/{namespace,orchestrator,serviceaccount}; inherited ones are not included. */
  readonly labels: Labels;
  readonly profiles: readonly ProfileId[];
  readonly ports: readonly NamedPort[];
  /** Source addresses that it may have beside its own, where the node's configuration lets it; absent: none. */
  readonly allowedSourcePrefixes?: readonly Cidr[];
  readonly revision: string;
};

/** An interface of a node itself, or all of them, that policies can be for. */
export type HostEndpoint = {
  readonly id: EndpointId;
  readonly name: string;
  readonly node: string;
  /** "*": every interface of the host that is no workload's; "": the one that has one of the expected addresses. */
  readonly interfaceName: string;
  /** With an empty `interfaceName` these find the interface; in any case they are the addresses that selectors give for it. */
  readonly expectedIps: readonly IpAddress[];
  readonly labels: Labels;
  readonly profiles: readonly ProfileId[];
  readonly ports: readonly NamedPort[];
  readonly revision: string;
};

/** A NetworkSet or GlobalNetworkSet: CIDRs that selectors match by label. */
export type NetworkSet = {
  /** "<namespace>/<name>"; the namespace is empty for a GlobalNetworkSet. */
  readonly id: string;
  readonly labels: Labels;
  readonly profiles: readonly ProfileId[];
  readonly nets: readonly Cidr[];
};

/** One EndpointSlice of a Service: each of the addresses serves each of the ports. */
export type ServiceSlice = {
  /** "<namespace>/<name>" of the slice. */
  readonly id: string;
  readonly service: ServiceRef;
  readonly addresses: readonly IpAddress[];
  readonly ports: readonly { readonly protocol: number; readonly port: number }[];
};

export type Encapsulation = "Never" | "Always" | "CrossSubnet";

export type IpPool = {
  readonly name: string;
  readonly cidr: Cidr;
  readonly family: Family;
  readonly blockSize: number;
  readonly ipipMode: Encapsulation;
  readonly vxlanMode: Encapsulation;
  readonly natOutgoing: boolean;
  readonly disabled: boolean;
  readonly disableBgpExport: boolean;
  readonly nodeSelector: Selector;
  readonly namespaceSelector: Selector | null;
  readonly automatic: boolean;
  readonly allowedUses: readonly ("Workload" | "Tunnel" | "LoadBalancer")[];
};

/** What routing needs of an IPAMBlock. */
export type Block = {
  readonly cidr: Cidr;
  /** Node with a confirmed affinity, or null. */
  readonly node: string | null;
  /** Addresses that other nodes have from it, in order. */
  readonly borrowed: readonly { readonly address: IpAddress; readonly node: string }[];
};

/** A cluster node as Calico sees it (annotations of the Kubernetes Node). */
export type Node = {
  readonly name: string;
  readonly labels: Labels;
  /** Addresses with prefix length ("172.30.0.11/24"), or null. */
  readonly ipv4: Cidr | null;
  readonly ipv6: Cidr | null;
  /** All that it has, by its annotations and its status; each once. */
  readonly addresses: readonly IpAddress[];
  readonly asNumber: number | null;
  readonly routeReflectorClusterId: string | null;
  /** Its end of the VXLAN overlay, or null: it has none. */
  readonly vxlan: { readonly address: IpAddress; readonly mac: string } | null;
};
