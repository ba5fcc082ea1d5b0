/**
 * The verdict on a packet, straight from the objects of a cluster: obvious, and written without anything of the two
 * halves, so that it can judge them. Semantics as Calico's (policies, tiers, profiles). What is asked again is remembered.
 */
import {
  contains, familyOf, type EntityMatch, type HostEndpoint, type IpAddress, type Labels, type NetworkSet, type Node, type Policy, type PolicyId, type Profile, type ProfileId, type Rule, type Selector, type ServiceRef, type ServiceSlice, type Tier, type WorkloadEndpoint,
} from "@calico/model";
import { defaultFailsafes, isFailsafe, isFailsafeAnswer, type Failsafes } from "./failsafes.ts";
import { missesOf, type NearestMiss } from "./nearest-miss.ts";

export type Packet = {
  /** IP protocol number. */
  readonly protocol: number;
  readonly source: { readonly address: IpAddress; readonly port: number };
  readonly destination: { readonly address: IpAddress; readonly port: number };
  readonly icmp?: { readonly type: number; readonly code: number };
};

export type World = {
  readonly policies: readonly Policy[];
  readonly tiers: readonly Tier[];
  readonly profiles: readonly Profile[];
  readonly endpoints: readonly WorkloadEndpoint[];
  /** None without it. */
  readonly hostEndpoints?: readonly HostEndpoint[];
  /** Calico's defaults without it. */
  readonly failsafes?: Failsafes;
  readonly networkSets: readonly NetworkSet[];
  readonly serviceSlices: readonly ServiceSlice[];
  readonly nodes: readonly Pick<Node, "labels" | "addresses">[];
};

export type Direction = "ingress" | "egress";

/** How a packet passes a host endpoint: it ends or begins at the host itself, or the host forwards what came in, or goes out, there. */
export type HostPath = "to host" | "from host" | "forwarded in" | "forwarded out";

/** What becomes of packets from a pod to its own node that the pod's egress policy allows. Return: the host endpoint for all interfaces decides. */
export type EndpointToHostAction = "Drop" | "Accept" | "Return";

/** What decided. */
export type Decider =
  | { readonly kind: "policy"; readonly tier: string; readonly policy: PolicyId; /** As the user counts it, from zero. */ readonly rule: number }
  /** No rule of the tier's policies matched. */
  | { readonly kind: "end of tier"; readonly tier: string }
  | { readonly kind: "profile"; readonly profile: ProfileId; readonly rule: number }
  /** Everything passed, and no profile allows. */
  | { readonly kind: "no profile" }
  /** A profile has not been seen, so that nobody trusts the endpoint's labels. */
  | { readonly kind: "unknown profile" }
  /** A port of the host that is always open. */
  | { readonly kind: "failsafe" }
  /** What a host forwards, and no policy with applyOnForward decides about. */
  | { readonly kind: "forwarded" }
  /** From a pod to its own node, whose configuration decides. */
  | { readonly kind: "endpoint to host"; readonly action: EndpointToHostAction };

export type Verdict = { readonly allowed: boolean; readonly by: Decider };

/** A host endpoint on the way of a packet. */
export type HostStep = { readonly endpoint: HostEndpoint; readonly path: HostPath };

export interface Evaluator {
  /** The verdict of one endpoint's policies on the first packet of a connection. */
  verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict;
  /**
   * The verdict of a host endpoint on the first packet of a connection. `translated` is the packet as it is when its destination was translated:
   * what comes in meets untracked and preDNAT policies before that. What a host sends to its own pods meets no host endpoint.
   */
  hostVerdict(endpoint: HostEndpoint, path: HostPath, packet: Packet, translated?: Packet): Verdict;
  /** The verdict on a packet of a pod to its own node: the pod's egress policy, then the action; for Return, the host endpoint for all interfaces if there is one. */
  toOwnHost(pod: WorkloadEndpoint, action: EndpointToHostAction, host: HostEndpoint | null, packet: Packet): Verdict;
  /** Of the Allow rules of an endpoint's policies that a packet meets before its fate is decided, the one that misses it by least; the first of such. Null: there is none. */
  nearestMiss(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): NearestMiss | null;
  /** The same of a host endpoint. */
  hostNearestMiss(endpoint: HostEndpoint, path: HostPath, packet: Packet): NearestMiss | null;
  /** Endpoints that have an address. */
  endpointsAt(address: IpAddress): readonly WorkloadEndpoint[];
  /** True when the pods that have the packet's addresses let it out and in, and so do the host endpoints on its way. */
  passes(packet: Packet, hosts?: readonly HostStep[]): boolean;
}

/**
 * The host endpoint of an interface: of those that name it, or name none and expect one of its addresses, the one with the lowest id; else of
 * those for all interfaces the one with the lowest id. Null: there is none. Interfaces of pods have none.
 */
export function hostEndpointOf(hostEndpoints: readonly HostEndpoint[], node: string, { name, addresses }: { readonly name: string; readonly addresses: readonly IpAddress[] }): HostEndpoint | null {
  const ofNode = hostEndpoints.filter((endpoint) => endpoint.node === node).toSorted((a, b) => byText(a.id, b.id));
  const own = ofNode.find(({ interfaceName, expectedIps }) => (interfaceName === "" ? expectedIps.some((address) => addresses.includes(address)) : interfaceName === name));
  return own ?? ofNode.find(({ interfaceName }) => interfaceName === "*") ?? null;
}

type Labelled = { readonly labels: Labels; readonly profiles: readonly ProfileId[] };
type PolicyRule = { readonly policy: PolicyId; readonly rule: Rule };
type OrderedTier = { readonly name: string; readonly defaultAction: "Deny" | "Pass"; readonly policies: readonly Policy[] };

export function createEvaluator({ policies, tiers, profiles, endpoints, hostEndpoints = [], failsafes = defaultFailsafes, networkSets, serviceSlices, nodes }: World): Evaluator {
  const profileById = new Map<ProfileId, Profile>(profiles.map((profile) => [profile.id, profile]));
  const tierByName = new Map(tiers.map((tier) => [tier.name, tier]));
  const podsByAddress = byAddress(endpoints, ({ addresses }) => addresses);
  const hostsByAddress = byAddress(hostEndpoints, ({ expectedIps }) => expectedIps);
  const endpointsAt = (address: IpAddress): readonly WorkloadEndpoint[] => podsByAddress.get(address) ?? [];
  const hostsAt = (address: IpAddress): readonly HostEndpoint[] => hostsByAddress.get(address) ?? [];
  const podsAndHostsAt = (address: IpAddress): readonly (WorkloadEndpoint | HostEndpoint)[] => [...endpointsAt(address), ...hostsAt(address)];

  /** null while a profile is unknown: then nobody trusts the labels. */
  const labelsOf = remembered((item: Labelled): Labels | null => {
    const inherited = item.profiles.toReversed().map((id) => profileById.get(id)?.labels);
    return inherited.some((labels) => labels === undefined) ? null : Object.assign({}, ...inherited, item.labels) as Labels;
  });

  function matchingLabels(selector: Selector, item: Labelled): boolean {
    const labels = labelsOf(item);
    return labels !== null && selector.evaluate(labels);
  }

  const networkSetsAt = remembered((address: IpAddress) => networkSets.filter(({ nets }) => nets.some((net) => contains(net, address))));
  const addressesOf = remembered((selector: Selector) => remembered((address: IpAddress): boolean =>
    podsAndHostsAt(address).some((endpoint) => matchingLabels(selector, endpoint)) || networkSetsAt(address).some((set) => matchingLabels(selector, set))));
  const addressMatches = (selector: Selector, address: IpAddress): boolean => addressesOf(selector)(address);

  function hasNamedPort(name: string, selector: Selector | null, protocol: number, address: IpAddress, port: number): boolean {
    return podsAndHostsAt(address).some((endpoint) =>
      endpoint.ports.some((candidate) => candidate.name === name && candidate.protocol === protocol && candidate.port === port)
      && (selector === null ? labelsOf(endpoint) !== null : matchingLabels(selector, endpoint)));
  }

  const nodeAddressesOf = remembered((selector: Selector) => new Set(nodes.filter(({ labels }) => selector.evaluate(labels)).flatMap(({ addresses }) => addresses)));
  const isOfNode = (selector: Selector, address: IpAddress): boolean => nodeAddressesOf(selector).has(address);

  const slicesByService = Map.groupBy(serviceSlices, ({ service }) => serviceKey(service));
  /** As a destination a Service stands for its ports too. */
  function isBehind(service: ServiceRef, { address, port }: Packet["source"], protocol: number | null): boolean {
    return (slicesByService.get(serviceKey(service)) ?? []).some(({ addresses, ports }) => addresses.includes(address)
      && (protocol === null || ports.some((served) => served.protocol === protocol && served.port === port)));
  }

  function sideMatches(side: EntityMatch, which: "source" | "destination", place: Packet["source"], protocol: number): boolean {
    const { address, port } = place;
    if (side.service !== null && !isBehind(side.service, place, which === "destination" ? protocol : null)) return false;
    if (side.nodes !== null && !isOfNode(side.nodes, address)) return false;
    if (side.nets.length > 0 && !side.nets.some((net) => contains(net, address))) return false;
    if (side.notNets.some((net) => contains(net, address))) return false;
    if (side.selector !== null && !addressMatches(side.selector, address)) return false;
    if (side.notSelector !== null && addressMatches(side.notSelector, address)) return false;
    const inRange = (ranges: EntityMatch["ports"]): boolean => ranges.some(({ first, last }) => port >= first && port <= last);
    const named = (names: readonly string[]): boolean => names.some((name) => hasNamedPort(name, side.selector, protocol, address, port));
    if ((side.ports.length > 0 || side.namedPorts.length > 0) && !inRange(side.ports) && !named(side.namedPorts)) return false;
    return !inRange(side.notPorts) && !named(side.notNamedPorts);
  }

  function ruleMatches(rule: Rule, packet: Packet): boolean {
    const { protocol, source, destination, icmp } = packet;
    const family = familyOf(source.address);
    if (rule.ipVersion !== 0 && rule.ipVersion !== family) return false;
    if (rule.protocol !== null && rule.protocol !== protocol) return false;
    if (rule.notProtocol !== null && rule.notProtocol === protocol) return false;
    const icmpMatches = (match: Rule["icmp"]): boolean => match !== null && icmp !== undefined && match.type === icmp.type && (match.code === null || match.code === icmp.code);
    if (rule.icmp !== null && !icmpMatches(rule.icmp)) return false;
    if (rule.notIcmp !== null && icmpMatches(rule.notIcmp)) return false;
    return sideMatches(rule.source, "source", source, protocol) && sideMatches(rule.destination, "destination", destination, protocol);
  }

  /** The first rule that decides; a Log does not. */
  const firstMatch = (rules: readonly Rule[], packet: Packet): Rule | undefined => rules.find((rule) => rule.action !== "Log" && ruleMatches(rule, packet));

  /** Policies in the order of their tiers. */
  function inOrder(list: readonly Policy[]): readonly OrderedTier[] {
    return [...Map.groupBy(list, ({ tier }) => tier)]
      .toSorted(([a], [b]) => Number(!tierByName.has(a)) - Number(!tierByName.has(b)) || byOrder(tierByName.get(a)?.order ?? null, tierByName.get(b)?.order ?? null) || byText(a, b))
      .map(([name, members]) => ({ name, defaultAction: tierByName.get(name)?.defaultAction ?? "Deny", policies: members.toSorted((a, b) => byOrder(a.order, b.order) || byText(keyOf(a), keyOf(b))) }));
  }

  /** Tiers and policies of a pod, in order: those with doNotTrack or preDNAT are for hosts alone. */
  const tiersOf = remembered((endpoint: WorkloadEndpoint): readonly OrderedTier[] => {
    const labels = labelsOf(endpoint);
    return labels === null ? [] : inOrder(policies.filter((policy) => !isEarly(policy) && policy.selector.evaluate(labels)));
  });

  /** Those of a host endpoint, by the stage at which a packet meets them. Labels of a profile that is not known are missing. */
  const hostTiersOf = remembered((endpoint: HostEndpoint) => {
    const labels = Object.assign({}, ...endpoint.profiles.toReversed().map((id) => profileById.get(id)?.labels ?? {}), endpoint.labels) as Labels;
    const its = policies.filter(({ selector }) => selector.evaluate(labels));
    return {
      untracked: inOrder(its.filter(({ doNotTrack }) => doNotTrack)),
      preDnat: inOrder(its.filter(({ doNotTrack, preDnat }) => preDnat && !doNotTrack)),
      normal: inOrder(its.filter((policy) => !isEarly(policy))),
      forward: inOrder(its.filter((policy) => !isEarly(policy) && policy.applyOnForward)),
    };
  });

  /** What tiers say of a packet; null: they leave it open. Only where they end does a tier's default action count. */
  function judge(tiersInOrder: readonly OrderedTier[], direction: Direction, packet: Packet, ending: "with default action" | "open"): Verdict | null {
    for (const tier of tiersInOrder) {
      const applying = tier.policies.filter((policy) => policy[direction]);
      if (applying.length === 0) continue;
      let passed = ending === "open" || tier.defaultAction === "Pass";
      for (const policy of applying) {
        const rule = firstMatch(rulesOf(policy, direction), packet);
        if (rule === undefined) continue;
        if (rule.action !== "Pass") return { allowed: rule.action === "Allow", by: { kind: "policy", tier: tier.name, policy: policy.id, rule: rule.index } };
        passed = true;
        break;
      }
      if (!passed) return { allowed: false, by: { kind: "end of tier", tier: tier.name } };
    }
    return null;
  }

  /** What profiles say when tiers have not: one that is not known says nothing. */
  function judgeByProfiles(ids: readonly ProfileId[], direction: Direction, packet: Packet): Verdict {
    for (const id of ids) {
      const profile = profileById.get(id);
      const rule = profile === undefined ? undefined : firstMatch(rulesOf(profile, direction), packet);
      if (rule !== undefined) return { allowed: rule.action === "Allow", by: { kind: "profile", profile: id, rule: rule.index } };
    }
    return { allowed: false, by: { kind: "no profile" } };
  }

  function verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict {
    if (labelsOf(endpoint) === null) return { allowed: false, by: { kind: "unknown profile" } };
    return judge(tiersOf(endpoint), direction, packet, "with default action") ?? judgeByProfiles(endpoint.profiles, direction, packet);
  }

  /** The last stage of what ends or begins at a host: without a policy or profile that allows it, it is denied. */
  function normalVerdict(endpoint: HostEndpoint, direction: Direction, packet: Packet): Verdict {
    if (isFailsafe(packet, direction === "ingress" ? failsafes.inbound : failsafes.outbound, direction === "ingress")) return { allowed: true, by: { kind: "failsafe" } };
    return judge(hostTiersOf(endpoint).normal, direction, packet, "with default action") ?? judgeByProfiles(endpoint.profiles, direction, packet);
  }

  function hostVerdict(endpoint: HostEndpoint, path: HostPath, packet: Packet, translated: Packet = packet): Verdict {
    const { untracked, preDnat, forward } = hostTiersOf(endpoint);
    const comesIn = path === "to host" || path === "forwarded in";
    const direction = comesIn ? "ingress" : "egress";
    const [own, others] = comesIn ? [failsafes.inbound, failsafes.outbound] : [failsafes.outbound, failsafes.inbound];
    const open = isFailsafe(packet, own, comesIn);
    // What a host forwards is tracked by the time it goes out.
    const early = path === "forwarded out" || open || isFailsafeAnswer(packet, others, comesIn) ? null : judge(untracked, direction, packet, "open");
    const decided = early ?? (comesIn && !open ? judge(preDnat, direction, packet, "open") : null);
    if (decided !== null) return decided;
    if (path === "to host" || path === "from host") return normalVerdict(endpoint, direction, translated);
    return judge(forward, direction, translated, "with default action") ?? { allowed: true, by: { kind: "forwarded" } };
  }

  function toOwnHost(pod: WorkloadEndpoint, action: EndpointToHostAction, host: HostEndpoint | null, packet: Packet): Verdict {
    const egress = verdict(pod, "egress", packet);
    if (!egress.allowed) return egress;
    return action === "Return" && host !== null ? normalVerdict(host, "ingress", packet) : { allowed: action !== "Drop", by: { kind: "endpoint to host", action } };
  }

  /** The Allow rules that a packet meets, and that do not match, up to what decides about it; and whether something does. */
  function allowsInFront(tiersInOrder: readonly OrderedTier[], direction: Direction, packet: Packet, ending: "with default action" | "open"): { allows: PolicyRule[]; isDecided: boolean } {
    const allows: PolicyRule[] = [];
    for (const tier of tiersInOrder) {
      const applying = tier.policies.filter((policy) => policy[direction]);
      const rules = applying.flatMap((policy) => rulesOf(policy, direction).map((rule): PolicyRule => ({ policy: policy.id, rule })));
      const match = firstMatch(rules.map(({ rule }) => rule), packet);
      const inFront = match === undefined ? rules : rules.slice(0, rules.findIndex(({ rule }) => rule === match));
      allows.push(...inFront.filter(({ rule }) => rule.action === "Allow"));
      const isDecided = match === undefined ? applying.length > 0 && ending === "with default action" && tier.defaultAction === "Deny" : match.action !== "Pass";
      if (isDecided) return { allows, isDecided };
    }
    return { allows, isDecided: false };
  }

  function nearestOf(allows: readonly PolicyRule[], packet: Packet): NearestMiss | null {
    const misses = allows.map(({ policy, rule }): NearestMiss => ({ policy, rule: rule.index, misses: missesOf(rule, packet, { whoIsAt, hasNamedPort, isBehind, isOfNode }) }));
    return misses.filter((miss) => miss.misses.length > 0).reduce<NearestMiss | null>((best, miss) => (best === null || miss.misses.length < best.misses.length ? miss : best), null);
  }

  /** Through the stages of `hostVerdict`. */
  function hostNearestMiss(endpoint: HostEndpoint, path: HostPath, packet: Packet): NearestMiss | null {
    const { untracked, preDnat, normal, forward } = hostTiersOf(endpoint);
    const comesIn = path === "to host" || path === "forwarded in";
    const direction = comesIn ? "ingress" : "egress";
    const [own, others] = comesIn ? [failsafes.inbound, failsafes.outbound] : [failsafes.outbound, failsafes.inbound];
    const open = isFailsafe(packet, own, comesIn);
    const stages = [
      ...(path === "forwarded out" || open || isFailsafeAnswer(packet, others, comesIn) ? [] : [{ tiersInOrder: untracked, ending: "open" as const }]),
      ...(comesIn && !open ? [{ tiersInOrder: preDnat, ending: "open" as const }] : []),
      { tiersInOrder: path === "to host" || path === "from host" ? normal : forward, ending: "with default action" as const },
    ];
    const met: PolicyRule[] = [];
    for (const { tiersInOrder, ending } of stages) {
      const { allows, isDecided } = allowsInFront(tiersInOrder, direction, packet, ending);
      met.push(...allows);
      if (isDecided) break;
    }
    return nearestOf(met, packet);
  }

  function whoIsAt(address: IpAddress): { name: string; labels: Labels }[] {
    const items = [...endpointsAt(address).map((item) => ({ name: `${item.namespace}/${item.pod}`, item })), ...hostsAt(address).map((item) => ({ name: `host endpoint ${item.name}`, item })), ...networkSetsAt(address).map((item) => ({ name: `network set ${item.id.replace(/^\//, "")}`, item }))];
    return items.flatMap(({ name, item }) => {
      const labels = labelsOf(item);
      return labels === null ? [] : [{ name, labels }];
    });
  }

  return {
    verdict,
    hostVerdict,
    toOwnHost,
    nearestMiss: (endpoint, direction, packet) => nearestOf(allowsInFront(tiersOf(endpoint), direction, packet, "with default action").allows, packet),
    hostNearestMiss,
    endpointsAt,
    passes: (packet, hosts = []) =>
      endpointsAt(packet.source.address).every((endpoint) => verdict(endpoint, "egress", packet).allowed) && endpointsAt(packet.destination.address).every((endpoint) => verdict(endpoint, "ingress", packet).allowed)
      && hosts.every(({ endpoint, path }) => hostVerdict(endpoint, path, packet).allowed),
  };
}

/** Of hosts alone: before connections are tracked, or before destinations are translated. */
const isEarly = ({ doNotTrack, preDnat }: Policy): boolean => doNotTrack || preDnat;
const rulesOf = ({ inbound, outbound }: Policy | Profile, direction: Direction): readonly Rule[] => (direction === "ingress" ? inbound : outbound);

function byAddress<T>(items: readonly T[], addressesOf: (item: T) => readonly IpAddress[]): Map<IpAddress, T[]> {
  const found = new Map<IpAddress, T[]>();
  for (const item of items) for (const address of new Set(addressesOf(item))) found.set(address, [...(found.get(address) ?? []), item]);
  return found;
}

const serviceKey = ({ namespace, name }: ServiceRef): string => `${namespace}/${name}`;
const keyOf = ({ name, namespace, kind }: Policy): string => `${name}/${namespace}/${kind}`;
const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** null is last. */
function byOrder(a: number | null, b: number | null): number {
  const [one, other] = [a ?? Number.POSITIVE_INFINITY, b ?? Number.POSITIVE_INFINITY];
  return one === other ? 0 : one - other;
}

/** The function, answering each argument once. */
function remembered<A, R>(answer: (argument: A) => R): (argument: A) => R {
  const answers = new Map<A, R>();
  return (argument) => {
    if (!answers.has(argument)) answers.set(argument, answer(argument));
    return answers.get(argument) as R;
  };
}
