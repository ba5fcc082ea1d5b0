/**
 * The verdict on a packet, straight from the objects of a cluster: obvious, and written without anything of the two
 * halves, so that it can judge them. Semantics as Calico's (policies, tiers, profiles). What is asked again is remembered.
 */
import { contains, familyOf, type EntityMatch, type IpAddress, type Labels, type NetworkSet, type Node, type Policy, type PolicyId, type Profile, type ProfileId, type Rule, type Selector, type ServiceRef, type ServiceSlice, type Tier, type WorkloadEndpoint } from "@calico/model";
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
  readonly networkSets: readonly NetworkSet[];
  readonly serviceSlices: readonly ServiceSlice[];
  readonly nodes: readonly Pick<Node, "labels" | "addresses">[];
};

export type Direction = "ingress" | "egress";

/** What decided. */
export type Decider =
  | { readonly kind: "policy"; readonly tier: string; readonly policy: PolicyId; /** As the user counts it, from zero. */ readonly rule: number }
  /** No rule of the tier's policies matched. */
  | { readonly kind: "end of tier"; readonly tier: string }
  | { readonly kind: "profile"; readonly profile: ProfileId; readonly rule: number }
  /** Everything passed, and no profile allows. */
  | { readonly kind: "no profile" }
  /** A profile has not been seen, so that nobody trusts the endpoint's labels. */
  | { readonly kind: "unknown profile" };

export type Verdict = { readonly allowed: boolean; readonly by: Decider };

export interface Evaluator {
  /** The verdict of one endpoint's policies on the first packet of a connection. */
  verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict;
  /** Of the policies that an endpoint has in a direction, the Allow rule that misses a packet by least; the first of such. Null: there is none. */
  nearestMiss(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): NearestMiss | null;
  /** Endpoints that have an address. */
  endpointsAt(address: IpAddress): readonly WorkloadEndpoint[];
  /** True when the endpoints that have the packet's addresses let it out and in. */
  passes(packet: Packet): boolean;
}

type Labelled = { readonly labels: Labels; readonly profiles: readonly ProfileId[] };
type OrderedTier = { readonly name: string; readonly defaultAction: "Deny" | "Pass"; readonly policies: readonly Policy[] };

export function createEvaluator({ policies, tiers, profiles, endpoints, networkSets, serviceSlices, nodes }: World): Evaluator {
  const profileById = new Map<ProfileId, Profile>(profiles.map((profile) => [profile.id, profile]));
  const tierByName = new Map(tiers.map((tier) => [tier.name, tier]));
  const byAddress = new Map<IpAddress, WorkloadEndpoint[]>();
  for (const endpoint of endpoints) for (const address of new Set(endpoint.addresses)) byAddress.set(address, [...(byAddress.get(address) ?? []), endpoint]);
  const endpointsAt = (address: IpAddress): readonly WorkloadEndpoint[] => byAddress.get(address) ?? [];

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
    endpointsAt(address).some((endpoint) => matchingLabels(selector, endpoint)) || networkSetsAt(address).some((set) => matchingLabels(selector, set))));
  const addressMatches = (selector: Selector, address: IpAddress): boolean => addressesOf(selector)(address);

  function hasNamedPort(name: string, selector: Selector | null, protocol: number, address: IpAddress, port: number): boolean {
    return endpointsAt(address).some((endpoint) =>
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

  /** Tiers and policies of an endpoint, in order. */
  const tiersOf = remembered((endpoint: WorkloadEndpoint): readonly OrderedTier[] => {
    const labels = labelsOf(endpoint);
    if (labels === null) return [];
    const groups = Map.groupBy(policies.filter(({ selector }) => selector.evaluate(labels)), ({ tier }) => tier);
    return [...groups]
      .toSorted(([a], [b]) => Number(!tierByName.has(a)) - Number(!tierByName.has(b)) || byOrder(tierByName.get(a)?.order ?? null, tierByName.get(b)?.order ?? null) || byText(a, b))
      .map(([name, list]) => ({ name, defaultAction: tierByName.get(name)?.defaultAction ?? "Deny", policies: list.toSorted((a, b) => byOrder(a.order, b.order) || byText(keyOf(a), keyOf(b))) }));
  });

  function verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict {
    if (labelsOf(endpoint) === null) return { allowed: false, by: { kind: "unknown profile" } };
    const rulesOf = ({ inbound, outbound }: Policy | Profile): readonly Rule[] => (direction === "ingress" ? inbound : outbound);
    for (const tier of tiersOf(endpoint)) {
      const applying = tier.policies.filter((policy) => policy[direction]);
      if (applying.length === 0) continue;
      let passed = tier.defaultAction === "Pass";
      for (const policy of applying) {
        const rule = firstMatch(rulesOf(policy), packet);
        if (rule === undefined) continue;
        if (rule.action !== "Pass") return { allowed: rule.action === "Allow", by: { kind: "policy", tier: tier.name, policy: policy.id, rule: rule.index } };
        passed = true;
        break;
      }
      if (!passed) return { allowed: false, by: { kind: "end of tier", tier: tier.name } };
    }
    for (const id of endpoint.profiles) {
      const profile = profileById.get(id);
      const rule = profile === undefined ? undefined : firstMatch(rulesOf(profile), packet);
      if (rule !== undefined) return { allowed: rule.action === "Allow", by: { kind: "profile", profile: id, rule: rule.index } };
    }
    return { allowed: false, by: { kind: "no profile" } };
  }

  function nearestMiss(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): NearestMiss | null {
    const applying = tiersOf(endpoint).flatMap((tier) => tier.policies).filter((policy) => policy[direction]);
    const allowing = applying.flatMap((policy) => (direction === "ingress" ? policy.inbound : policy.outbound).filter(({ action }) => action === "Allow").map((rule) => ({ policy: policy.id, rule })));
    const misses = allowing.map(({ policy, rule }): NearestMiss => ({ policy, rule: rule.index, misses: missesOf(rule, packet, { whoIsAt, hasNamedPort, isBehind, isOfNode }) }));
    return misses.filter((miss) => miss.misses.length > 0).reduce<NearestMiss | null>((best, miss) => (best === null || miss.misses.length < best.misses.length ? miss : best), null);
  }

  function whoIsAt(address: IpAddress): { name: string; labels: Labels }[] {
    const items = [...endpointsAt(address).map((item) => ({ name: `${item.namespace}/${item.pod}`, item })), ...networkSetsAt(address).map((item) => ({ name: `network set ${item.id.replace(/^\//, "")}`, item }))];
    return items.flatMap(({ name, item }) => {
      const labels = labelsOf(item);
      return labels === null ? [] : [{ name, labels }];
    });
  }

  return {
    verdict,
    nearestMiss,
    endpointsAt,
    passes: (packet) =>
      endpointsAt(packet.source.address).every((endpoint) => verdict(endpoint, "egress", packet).allowed) && endpointsAt(packet.destination.address).every((endpoint) => verdict(endpoint, "ingress", packet).allowed),
  };
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
