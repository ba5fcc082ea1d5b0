/** The ports of both halves of the calculation. */
import type {
  Block, Cidr, EndpointId, HostEndpoint, IpAddress, IpPool, NetworkSet, Node, Policy, PolicyId, Profile, ProfileId, ServiceSlice, Tier, WorkloadEndpoint,
} from "@calico/model";
import type {
  IpSetId, IpSetType, NodeBlock, NodeEndpoint, NodePolicy, NodePool, NodeProfile, NodeUpdate, ObjectKey,
} from "./messages.ts";

/** A change of one parsed object of the cluster; null: it is gone. */
export type ClusterUpdate =
  | { readonly kind: "Policy"; readonly id: PolicyId; readonly value: Policy | null }
  | { readonly kind: "Tier"; readonly id: string; readonly value: Tier | null }
  | { readonly kind: "Profile"; readonly id: ProfileId; readonly value: Profile | null }
  | { readonly kind: "WorkloadEndpoint"; readonly id: EndpointId; readonly value: WorkloadEndpoint | null }
  | { readonly kind: "HostEndpoint"; readonly id: EndpointId; readonly value: HostEndpoint | null }
  | { readonly kind: "NetworkSet"; readonly id: string; readonly value: NetworkSet | null }
  | { readonly kind: "ServiceSlice"; readonly id: string; readonly value: ServiceSlice | null }
  | { readonly kind: "IpPool"; readonly id: string; readonly value: IpPool | null }
  | { readonly kind: "Block"; readonly id: string; readonly value: Block | null }
  | { readonly kind: "Node"; readonly id: string; readonly value: Node | null };

/** Every node needs the object (tiers, pools, nodes, routes). No node can be named so. */
export const ALL_NODES = "*";

/**
 * Derives, from all objects of a cluster, the shared objects (policies bound to sets, sets, profiles,
 * endpoints) and which node needs which. Synchronous; its output depends on the present objects alone.
 */
export interface ClusterHalf {
  onUpdate(update: ClusterUpdate): void;
  /** The present value of a shared object, or undefined; for an IP set with all its members. */
  valueOf(key: ObjectKey): NodeUpdate | undefined;
  /** Keys that a node needs now, those of ALL_NODES included. */
  interestOf(node: string): Iterable<ObjectKey>;
}

/** Where the cluster half reports. Calls come in the order of the changes; a value precedes the interest in it. */
export interface ClusterSink {
  /** A shared object appeared or changed; who is interested gets the new value. Members of a set come by onIpSetDelta. */
  onValueChange(key: ObjectKey): void;
  /** Members of a set that somebody is interested in. Disjoint, each member once. */
  onIpSetDelta(id: IpSetId, added: readonly string[], removed: readonly string[]): void;
  onInterestStart(node: string, key: ObjectKey): void;
  onInterestStop(node: string, key: ObjectKey): void;
}

/** What the CNI plugin handed over: an interface that exists in the kernel. */
export type Attachment = {
  readonly uid: string;
  readonly namespace: string;
  readonly pod: string;
  readonly containerId: string;
  readonly interfaceName: string;
  readonly interfaceIndex: number;
  readonly addresses: readonly IpAddress[];
};

export type EndpointTier = {
  readonly name: string;
  readonly defaultAction: "Deny" | "Pass";
  /** Policies in order; empty: the tier is skipped in that direction. */
  readonly ingress: readonly PolicyId[];
  readonly egress: readonly PolicyId[];
};

/** An endpoint with all that its chains need. */
export type ResolvedEndpoint = {
  readonly id: EndpointId;
  readonly uid: string;
  readonly namespace: string;
  readonly pod: string;
  readonly interfaceName: string;
  readonly addresses: readonly IpAddress[];
  /** Source addresses that it may have beside its own, where the node's configuration lets it; absent: none. */
  readonly allowedSourcePrefixes?: readonly Cidr[];
  /** In order of evaluation; only tiers that have a policy for this endpoint. */
  readonly tiers: readonly EndpointTier[];
  readonly profiles: readonly ProfileId[];
};

/**
 * A host endpoint of this node with the policies of each place where a packet meets it. A profile that is not known is left out: it opens
 * nothing. The policies are those that the known labels select, so that a host is not without them while a profile is missing.
 */
export type ResolvedHostEndpoint = {
  readonly id: EndpointId;
  readonly name: string;
  /** "*": every interface of the host that is no workload's; "": the one that has one of the expected addresses. */
  readonly interfaceName: string;
  readonly expectedIps: readonly IpAddress[];
  /** For what this host itself sends and receives: all policies with neither doNotTrack nor preDNAT. */
  readonly tiers: readonly EndpointTier[];
  /** Those with doNotTrack: before connection tracking, in both directions. */
  readonly untracked: readonly EndpointTier[];
  /** Those with preDNAT: before the destination is translated, ingress only. */
  readonly preDnat: readonly EndpointTier[];
  /** Those of `tiers` with applyOnForward: for what this host forwards. */
  readonly forward: readonly EndpointTier[];
  readonly profiles: readonly ProfileId[];
};

/** What the node half reports of host endpoints: after the policies and profiles that they refer to, removals before those'. */
export interface HostEndpointSink {
  onHostEndpointUpdate(endpoint: ResolvedHostEndpoint): void;
  onHostEndpointRemove(id: EndpointId): void;
}

/** This node as the overlay sees it. */
export type LocalNode = {
  /** IPv4, with the prefix length of its subnet. */
  readonly address: Cidr;
  /** Its end of the overlay, or null: it has none (yet). */
  readonly vxlan: { readonly address: IpAddress; readonly mac: string } | null;
};

/** Another node's end of the overlay. */
export type Vtep = { readonly node: string; readonly nodeAddress: IpAddress; readonly tunnelAddress: IpAddress; readonly mac: string };

/** Where packets for a range of another node go: into the tunnel, or without it to the node, which is in the same subnet. */
export type RemoteRoute = { readonly destination: Cidr; readonly node: string; readonly through: "tunnel" | "subnet"; readonly gateway: IpAddress };

/** What the overlay's part of the node half reports: ends come before routes to them and go after them. */
export interface OverlaySink {
  /** null: this node has no IPv4 address. */
  onLocalNodeUpdate(local: LocalNode | null): void;
  onVtepUpdate(vtep: Vtep): void;
  onVtepRemove(node: string): void;
  onRemoteRouteUpdate(route: RemoteRoute): void;
  onRemoteRouteRemove(destination: string): void;
}

/** Where the node half reports what the dataplane shall hold. Objects come before those that refer to them, removals after. */
export interface DataplaneSink extends OverlaySink, HostEndpointSink {
  onIpSetUpdate(id: IpSetId, type: IpSetType, members: readonly string[]): void;
  onIpSetDelta(id: IpSetId, added: readonly string[], removed: readonly string[]): void;
  onIpSetRemove(id: IpSetId): void;
  onPolicyUpdate(policy: NodePolicy): void;
  onPolicyRemove(id: PolicyId): void;
  onProfileUpdate(profile: NodeProfile): void;
  onProfileRemove(id: ProfileId): void;
  onEndpointUpdate(endpoint: ResolvedEndpoint): void;
  onEndpointRemove(id: EndpointId): void;
  onPoolUpdate(pool: NodePool): void;
  onPoolRemove(name: string): void;
  onBlockUpdate(block: NodeBlock): void;
  onBlockRemove(cidr: string): void;
}

/**
 * Holds what one node was told and joins it with the interfaces that exist: an endpoint reaches the
 * dataplane when its pod was announced and its addresses are known (from the CNI plugin or the pod).
 */
export interface NodeHalf {
  onUpdate(update: NodeUpdate): void;
  /** What is not repeated between these two calls is gone. Nothing is reported before the first in-sync. */
  onSnapshotStart(): void;
  onInSync(): void;
  onAttach(attachment: Attachment): void;
  onDetach(uid: string, containerId: string): void;
  /** Reports all pending changes to the sink, dependencies first, removals last. */
  flush(): void;
  /** Why the pod of this uid is not in the dataplane yet, in words; null: it was reported. */
  waitingFor(uid: string): string | null;
  /** Endpoints that were announced and are not in the dataplane, with what is missing. */
  unresolved(): readonly { readonly endpoint: NodeEndpoint; readonly reason: string }[];
}
