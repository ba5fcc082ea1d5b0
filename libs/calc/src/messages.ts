/**
 * What one node is told: the values that travel from the cluster half to a node half. They are keyed,
 * so that state can be coalesced, resumed and replaced.
 */
import type { Action, Cidr, EndpointId, HostEndpoint, IcmpMatch, IpAddress, Labels, NamedPort, Policy, PolicyId, PortRange, ProfileId, Tier } from "@calico/model";

/** "s:" selector, "n:" named port, "svc:" service with its ports, "svcnoport:" without them, "nodes:" Nodes; then a hash of what defines the members. */
export type IpSetId = string & { readonly brand: "IpSetId" };

/** Members of "net" sets are CIDRs ("10.65.0.2/32"), of "ip-port" sets "address,protocol,port" ("10.65.0.2,6,8080"). */
export type IpSetType = "net" | "ip-port";

export type NodeEntityMatch = {
  readonly nets: readonly Cidr[];
  readonly notNets: readonly Cidr[];
  /** ORed with `portSets`. */
  readonly ports: readonly PortRange[];
  readonly notPorts: readonly PortRange[];
  /** ANDed: the address is in all of them. */
  readonly ipSets: readonly IpSetId[];
  readonly notIpSets: readonly IpSetId[];
  readonly portSets: readonly IpSetId[];
  readonly notPortSets: readonly IpSetId[];
};

export type NodeRule = {
  readonly action: Action;
  readonly ipVersion: 0 | 4 | 6;
  readonly protocol: number | null;
  readonly notProtocol: number | null;
  readonly icmp: IcmpMatch | null;
  readonly notIcmp: IcmpMatch | null;
  readonly source: NodeEntityMatch;
  readonly destination: NodeEntityMatch;
  readonly index: number;
};

/** A policy with its rules bound to IP sets; the selector is canonical text. */
export type NodePolicy = Omit<Policy, "selector" | "inbound" | "outbound"> & {
  readonly selector: string;
  readonly inbound: readonly NodeRule[];
  readonly outbound: readonly NodeRule[];
};

export type NodeProfile = { readonly id: ProfileId; readonly inbound: readonly NodeRule[]; readonly outbound: readonly NodeRule[] };

/** A pod bound to the node. `labels` are effective: inherited ones are included. */
export type NodeEndpoint = {
  readonly id: EndpointId;
  readonly uid: string;
  readonly namespace: string;
  readonly pod: string;
  readonly interfaceName: string;
  readonly addresses: readonly IpAddress[];
  readonly labels: Labels;
  readonly profiles: readonly ProfileId[];
  readonly ports: readonly NamedPort[];
  readonly allowedSourcePrefixes?: readonly Cidr[];
  readonly revision: string;
};

/** A host endpoint of the node. `labels` are its own and those of the profiles that are known. */
export type NodeHostEndpoint = Omit<HostEndpoint, "node">;

export type NodePool = {
  readonly name: string;
  readonly cidr: Cidr;
  readonly ipipMode: string;
  readonly vxlanMode: string;
  readonly natOutgoing: boolean;
  readonly disableBgpExport: boolean;
  readonly disabled: boolean;
};

/** A range that an overlay carries to its node: across subnets only, or always. */
export type NodeRoute = { readonly destination: Cidr; readonly node: string; readonly encapsulation: "VXLAN" | "VXLANCrossSubnet" };

export type NodeBlock = { readonly cidr: Cidr; readonly node: string };

export type PeerNode = {
  readonly name: string;
  readonly ipv4: Cidr | null;
  readonly ipv6: Cidr | null;
  readonly asNumber: number | null;
  readonly routeReflectorClusterId: string | null;
  /** Its end of the VXLAN overlay, or null: it has none. */
  readonly vxlan: { readonly address: IpAddress; readonly mac: string } | null;
  readonly labels: Labels;
};

/** One object under its key. */
export type NodeUpdate =
  | { readonly kind: "IpSet"; readonly id: IpSetId; readonly type: IpSetType; readonly members: readonly string[] }
  | { readonly kind: "IpSetDelta"; readonly id: IpSetId; readonly added: readonly string[]; readonly removed: readonly string[] }
  | { readonly kind: "Policy"; readonly value: NodePolicy }
  | { readonly kind: "Profile"; readonly value: NodeProfile }
  | { readonly kind: "Tier"; readonly value: Tier }
  | { readonly kind: "WorkloadEndpoint"; readonly value: NodeEndpoint }
  | { readonly kind: "HostEndpoint"; readonly value: NodeHostEndpoint }
  | { readonly kind: "IpPool"; readonly value: NodePool }
  | { readonly kind: "Block"; readonly value: NodeBlock }
  | { readonly kind: "Node"; readonly value: PeerNode }
  | { readonly kind: "Route"; readonly value: NodeRoute }
  | { readonly kind: "FelixConfig"; readonly layers: readonly { readonly source: string; readonly values: Readonly<Record<string, string>> }[] }
  | { readonly kind: "BgpConfig"; readonly value: NodeBgpConfig }
  | { readonly kind: "BgpPeer"; readonly name: string; readonly specJson: string }
  | { readonly kind: "Remove"; readonly of: RemovableKind; readonly id: string };

/** A node's end of a BGP session, as far as BGPConfiguration says it. */
export type BgpSpeaker = { readonly asNumber: number; readonly listenPort: number };

/** Where a password is: the Secret itself is read by bird alone. */
export type SecretKeyRef = { readonly name: string; readonly key: string };

export type NodeBgpConfig = BgpSpeaker & {
  readonly nodeToNodeMesh: boolean;
  readonly logSeverity: string;
  /** The other nodes, except for those that have a BGPConfiguration of their own. */
  readonly otherNodes: BgpSpeaker;
  /** Nodes with a BGPConfiguration of their own, by name. */
  readonly nodes: Readonly<Record<string, BgpSpeaker>>;
  readonly meshPassword: SecretKeyRef | null;
  /** A duration as it is written, or "". */
  readonly meshMaxRestartTime: string;
};

export type RemovableKind = "IpSet" | "Policy" | "Profile" | "Tier" | "WorkloadEndpoint" | "HostEndpoint" | "IpPool" | "Block" | "Node" | "Route" | "BgpPeer";

/** Kind and id: "Policy:<PolicyId>", "IpSet:<IpSetId>", "Block:<cidr>", ... */
export type ObjectKey = `${RemovableKind}:${string}`;

export type { EndpointId, PolicyId };
