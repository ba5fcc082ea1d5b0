/**
 * Updates of the sync stream: between the values of the calculation and bytes. An update is encoded once, as one
 * length-delimited entry of SyncResponse.updates, and shared by all streams: a message is its header and entries, concatenated.
 */
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { IpAddress } from "@calico/model";
import type { NodeEntityMatch, NodeEndpoint, NodeHostEndpoint, NodePolicy, NodeRule, NodeUpdate, RemovableKind } from "@calico/calc";
import { Action, Encapsulation, IpSetType, SyncResponse, Update, type EntityMatch, type HostEndpoint, type Policy, type Remove, type Route, type Rule, type WorkloadEndpoint } from "./gen/calico/sync/v1/sync.ts";

/** Field 6 of SyncResponse, length-delimited. */
const UPDATES_TAG = (6 << 3) | 2;

/** Header of a message: everything but its updates. */
export type SyncHeader = {
  readonly epoch: string;
  readonly sequence: bigint;
  readonly snapshotStart: boolean;
  readonly inSync: boolean;
  readonly flush: boolean;
  readonly revisions: Readonly<Record<string, string>>;
};

/** The version of the protocol that this program speaks; a peer may be one version older. */
export const PROTOCOL_VERSION = 1;

/** One entry of SyncResponse.updates with its tag and length. */
export function encodeUpdate(update: NodeUpdate, traceparent = ""): Uint8Array {
  const writer = new BinaryWriter().uint32(UPDATES_TAG).fork();
  return Update.encode({ value: toWire(update), traceparent }, writer).join().finish();
}

/** A complete SyncResponse: the header and entries made by encodeUpdate. */
export function encodeMessage(header: SyncHeader, entries: readonly Uint8Array[]): Buffer {
  const head = SyncResponse.encode({ ...header, revisions: { ...header.revisions }, updates: [], protocolVersion: PROTOCOL_VERSION }).finish();
  return Buffer.concat([head, ...entries]);
}

/** The value of a decoded update, or null when a newer peer sent a kind that this program does not know. */
export function fromWireUpdate(update: Update): NodeUpdate | null {
  const { value } = update;
  switch (value?.$case) {
    case "ipSet": return { kind: "IpSet", id: brand(value.value.id), type: value.value.type === IpSetType.IP_SET_TYPE_IP_PORT ? "ip-port" : "net", members: value.value.members };
    case "ipSetDelta": return { kind: "IpSetDelta", id: brand(value.value.id), added: value.value.added, removed: value.value.removed };
    case "policy": return { kind: "Policy", value: fromWirePolicy(value.value) };
    case "profile": return { kind: "Profile", value: { id: brand(value.value.id), inbound: value.value.inbound.map(fromWireRule), outbound: value.value.outbound.map(fromWireRule) } };
    case "tier": return { kind: "Tier", value: { name: value.value.name, order: value.value.order ?? null, defaultAction: value.value.defaultAction === "Pass" ? "Pass" : "Deny" } };
    case "workloadEndpoint": return { kind: "WorkloadEndpoint", value: fromWireEndpoint(value.value) };
    case "hostEndpoint": return { kind: "HostEndpoint", value: fromWireHostEndpoint(value.value) };
    case "ipPool": return { kind: "IpPool", value: { ...value.value, cidr: brand(value.value.cidr) } };
    case "block": return { kind: "Block", value: { cidr: brand(value.value.cidr), node: value.value.node } };
    case "node": {
      const { name, ipv4, ipv6, asNumber, routeReflectorClusterId, vxlanAddress, vxlanMac, labels } = value.value;
      const vxlan = vxlanAddress === "" ? null : { address: brand<IpAddress>(vxlanAddress), mac: vxlanMac };
      return { kind: "Node", value: { name, labels, ipv4: orNull(ipv4), ipv6: orNull(ipv6), asNumber: asNumber === 0 ? null : asNumber, routeReflectorClusterId: orNull(routeReflectorClusterId), vxlan } };
    }
    case "route": return fromWireRoute(value.value);
    case "felixConfig": return { kind: "FelixConfig", layers: value.value.layers };
    case "bgpConfig": {
      const { otherNodes, meshPassword, ...config } = value.value;
      return { kind: "BgpConfig", value: { ...config, otherNodes: otherNodes ?? { asNumber: config.asNumber, listenPort: config.listenPort }, meshPassword: meshPassword ?? null } };
    }
    case "bgpPeer": return { kind: "BgpPeer", name: value.value.name, specJson: value.value.specJson };
    case "remove": return fromWireRemove(value.value);
    default: return null;
  }
}

function toWire(update: NodeUpdate): NonNullable<Update["value"]> {
  switch (update.kind) {
    case "IpSet": {
      const type = update.type === "ip-port" ? IpSetType.IP_SET_TYPE_IP_PORT : IpSetType.IP_SET_TYPE_NET;
      return { $case: "ipSet", value: { id: update.id, type, members: [...update.members] } };
    }
    case "IpSetDelta": return { $case: "ipSetDelta", value: { id: update.id, added: [...update.added], removed: [...update.removed] } };
    case "Policy": return { $case: "policy", value: toWirePolicy(update.value) };
    case "Profile": return { $case: "profile", value: { id: update.value.id, inbound: update.value.inbound.map(toWireRule), outbound: update.value.outbound.map(toWireRule) } };
    case "Tier": return { $case: "tier", value: { ...update.value, order: update.value.order ?? undefined } };
    case "WorkloadEndpoint": return { $case: "workloadEndpoint", value: toWireEndpoint(update.value) };
    case "HostEndpoint": return { $case: "hostEndpoint", value: toWireHostEndpoint(update.value) };
    case "IpPool": return { $case: "ipPool", value: { ...update.value } };
    case "Block": return { $case: "block", value: { ...update.value } };
    case "Node": {
      const { name, labels, ipv4, ipv6, asNumber, routeReflectorClusterId, vxlan } = update.value;
      return { $case: "node", value: {
        name, labels: { ...labels }, ipv4: ipv4 ?? "", ipv6: ipv6 ?? "", asNumber: asNumber ?? 0, routeReflectorClusterId: routeReflectorClusterId ?? "", vxlanAddress: vxlan?.address ?? "", vxlanMac: vxlan?.mac ?? "",
      } };
    }
    case "Route": return { $case: "route", value: { ...update.value, encapsulation: ENCAPSULATION_TO_WIRE[update.value.encapsulation] } };
    case "FelixConfig": return { $case: "felixConfig", value: { layers: update.layers.map(({ source, values }) => ({ source, values: { ...values } })) } };
    case "BgpConfig": return { $case: "bgpConfig", value: { ...update.value, nodes: { ...update.value.nodes }, meshPassword: update.value.meshPassword ?? undefined } };
    case "BgpPeer": return { $case: "bgpPeer", value: { name: update.name, specJson: update.specJson } };
    case "Remove": return { $case: "remove", value: { key: { $case: REMOVE_CASE[update.of], value: update.id } as NonNullable<Remove["key"]> } };
  }
}

const REMOVE_CASE: Record<RemovableKind, NonNullable<Remove["key"]>["$case"]> = {
  IpSet: "ipSet", Policy: "policy", Profile: "profile", Tier: "tier", WorkloadEndpoint: "workloadEndpoint", HostEndpoint: "hostEndpoint", IpPool: "ipPool", Block: "block", Node: "node", Route: "route", BgpPeer: "bgpPeer",
};
const REMOVE_KIND = Object.fromEntries(Object.entries(REMOVE_CASE).map(([kind, name]) => [name, kind])) as Record<string, RemovableKind>;

function fromWireRemove({ key }: Remove): NodeUpdate | null {
  const of = key === undefined ? undefined : REMOVE_KIND[key.$case];
  return of === undefined || key === undefined ? null : { kind: "Remove", of, id: key.value };
}

const ENCAPSULATION_TO_WIRE = { VXLAN: Encapsulation.ENCAPSULATION_VXLAN, VXLANCrossSubnet: Encapsulation.ENCAPSULATION_VXLAN_CROSS_SUBNET } as const;

/** A route of an encapsulation that this program does not know is none. */
function fromWireRoute({ destination, node, encapsulation }: Route): NodeUpdate {
  switch (encapsulation) {
    case Encapsulation.ENCAPSULATION_VXLAN: return { kind: "Route", value: { destination: brand(destination), node, encapsulation: "VXLAN" } };
    case Encapsulation.ENCAPSULATION_VXLAN_CROSS_SUBNET: return { kind: "Route", value: { destination: brand(destination), node, encapsulation: "VXLANCrossSubnet" } };
    default: return { kind: "Remove", of: "Route", id: destination };
  }
}

const ACTION_TO_WIRE = { Allow: Action.ACTION_ALLOW, Deny: Action.ACTION_DENY, Log: Action.ACTION_LOG, Pass: Action.ACTION_PASS } as const;

/** An action that this program does not know denies: it must not open anything. */
function actionFromWire(action: Action): NodeRule["action"] {
  switch (action) {
    case Action.ACTION_ALLOW: return "Allow";
    case Action.ACTION_LOG: return "Log";
    case Action.ACTION_PASS: return "Pass";
    default: return "Deny";
  }
}

function toWirePolicy(policy: NodePolicy): Policy {
  const { doNotTrack, preDnat, applyOnForward, ...rest } = policy;
  return { ...rest, order: policy.order ?? undefined, inbound: policy.inbound.map(toWireRule), outbound: policy.outbound.map(toWireRule), doNotTrack, preDnat, applyOnForward };
}

function fromWirePolicy(policy: Policy): NodePolicy {
  return { ...policy, id: brand(policy.id), kind: policy.kind as NodePolicy["kind"], order: policy.order ?? null, inbound: policy.inbound.map(fromWireRule), outbound: policy.outbound.map(fromWireRule) };
}

function toWireRule(rule: NodeRule): Rule {
  return {
    action: ACTION_TO_WIRE[rule.action], ipVersion: rule.ipVersion, protocol: rule.protocol ?? undefined, notProtocol: rule.notProtocol ?? undefined,
    icmp: rule.icmp === null ? undefined : { type: rule.icmp.type, code: rule.icmp.code ?? undefined },
    notIcmp: rule.notIcmp === null ? undefined : { type: rule.notIcmp.type, code: rule.notIcmp.code ?? undefined },
    source: toWireEntity(rule.source), destination: toWireEntity(rule.destination), index: rule.index,
  };
}

function fromWireRule(rule: Rule): NodeRule {
  const icmp = (match: Rule["icmp"]): NodeRule["icmp"] => (match === undefined ? null : { type: match.type, code: match.code ?? null });
  return {
    action: actionFromWire(rule.action), ipVersion: rule.ipVersion === 4 || rule.ipVersion === 6 ? rule.ipVersion : 0, protocol: rule.protocol ?? null,
    notProtocol: rule.notProtocol ?? null, icmp: icmp(rule.icmp), notIcmp: icmp(rule.notIcmp), source: fromWireEntity(rule.source), destination: fromWireEntity(rule.destination), index: rule.index,
  };
}

function toWireEntity(match: NodeEntityMatch): EntityMatch | undefined {
  if (Object.values(match).every((list) => list.length === 0)) return undefined;
  return {
    nets: [...match.nets], notNets: [...match.notNets], ports: [...match.ports], notPorts: [...match.notPorts],
    ipSets: [...match.ipSets], notIpSets: [...match.notIpSets], portSets: [...match.portSets], notPortSets: [...match.notPortSets],
  };
}

const NO_MATCH: NodeEntityMatch = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };

function fromWireEntity(match: EntityMatch | undefined): NodeEntityMatch {
  return match === undefined ? NO_MATCH : (match as unknown as NodeEntityMatch);
}

function toWireEndpoint(endpoint: NodeEndpoint): WorkloadEndpoint {
  return { ...endpoint, addresses: [...endpoint.addresses], labels: { ...endpoint.labels }, profiles: [...endpoint.profiles], ports: [...endpoint.ports], allowedSourcePrefixes: [...(endpoint.allowedSourcePrefixes ?? [])] };
}

function fromWireEndpoint({ allowedSourcePrefixes, ...endpoint }: WorkloadEndpoint): NodeEndpoint {
  const prefixes = allowedSourcePrefixes.length === 0 ? {} : { allowedSourcePrefixes: allowedSourcePrefixes as unknown as NonNullable<NodeEndpoint["allowedSourcePrefixes"]> };
  return { ...endpoint, ...prefixes, id: brand(endpoint.id), addresses: endpoint.addresses as unknown as NodeEndpoint["addresses"], profiles: endpoint.profiles as unknown as NodeEndpoint["profiles"] };
}

function toWireHostEndpoint(endpoint: NodeHostEndpoint): HostEndpoint {
  return { ...endpoint, expectedIps: [...endpoint.expectedIps], labels: { ...endpoint.labels }, profiles: [...endpoint.profiles], ports: [...endpoint.ports] };
}

function fromWireHostEndpoint(endpoint: HostEndpoint): NodeHostEndpoint {
  return { ...endpoint, id: brand(endpoint.id), expectedIps: endpoint.expectedIps as unknown as NodeHostEndpoint["expectedIps"], profiles: endpoint.profiles as unknown as NodeHostEndpoint["profiles"] };
}

function orNull<T extends string>(text: string): T | null {
  return text === "" ? null : (text as T);
}

/** The peer is authenticated and sends canonical ids and addresses. */
function brand<T extends string>(text: string): T {
  return text as T;
}
