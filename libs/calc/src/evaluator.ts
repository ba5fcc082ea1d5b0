/**
 * The verdict on a packet, straight from the objects of a cluster: slow, obvious, and written without anything of the
 * two halves, so that it can judge them. Semantics as Calico's (policies, tiers, profiles).
 */
import { contains, familyOf, type EntityMatch, type IpAddress, type Labels, type NetworkSet, type Policy, type Profile, type ProfileId, type Rule, type Selector, type Tier, type WorkloadEndpoint } from "@calico/model";

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
};

export type Direction = "ingress" | "egress";
/** Who decided, in words. */
export type Verdict = { readonly allowed: boolean; readonly because: string };

export interface Evaluator {
  /** The verdict of one endpoint's policies on the first packet of a connection. */
  verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict;
  /** True when the endpoints that have the packet's addresses let it out and in. */
  passes(packet: Packet): boolean;
}

export function createEvaluator({ policies, tiers, profiles, endpoints, networkSets }: World): Evaluator {
  const profileById = new Map<ProfileId, Profile>(profiles.map((profile) => [profile.id, profile]));
  const tierByName = new Map(tiers.map((tier) => [tier.name, tier]));

  /** null while a profile is unknown: then nobody trusts the labels. */
  function labelsOf(item: { readonly labels: Labels; readonly profiles: readonly ProfileId[] }): Labels | null {
    const inherited = item.profiles.toReversed().map((id) => profileById.get(id)?.labels);
    return inherited.some((labels) => labels === undefined) ? null : Object.assign({}, ...inherited, item.labels) as Labels;
  }

  function matchingLabels(selector: Selector, item: { readonly labels: Labels; readonly profiles: readonly ProfileId[] }): boolean {
    const labels = labelsOf(item);
    return labels !== null && selector.evaluate(labels);
  }

  function addressMatches(selector: Selector, address: IpAddress): boolean {
    return endpoints.some((endpoint) => endpoint.addresses.includes(address) && matchingLabels(selector, endpoint))
      || networkSets.some((set) => set.nets.some((net) => contains(net, address)) && matchingLabels(selector, set));
  }

  function hasNamedPort(name: string, selector: Selector | null, protocol: number, address: IpAddress, port: number): boolean {
    return endpoints.some((endpoint) =>
      endpoint.addresses.includes(address) && endpoint.ports.some((candidate) => candidate.name === name && candidate.protocol === protocol && candidate.port === port)
      && (selector === null ? labelsOf(endpoint) !== null : matchingLabels(selector, endpoint)));
  }

  function sideMatches(side: EntityMatch, { address, port }: Packet["source"], protocol: number): boolean {
    if (side.service !== null) return false;
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
    return sideMatches(rule.source, source, protocol) && sideMatches(rule.destination, destination, protocol);
  }

  /** The first rule that decides; a Log does not. */
  function walk(rules: readonly Rule[], packet: Packet): "Allow" | "Deny" | "Pass" | null {
    const found = rules.find((rule) => rule.action !== "Log" && ruleMatches(rule, packet));
    return found === undefined || found.action === "Log" ? null : found.action;
  }

  function orderedTiers(own: readonly Policy[]): [string, Policy[]][] {
    const byOrder = (a: number | null, b: number | null): number => (a ?? Number.POSITIVE_INFINITY) === (b ?? Number.POSITIVE_INFINITY) ? 0 : (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY);
    const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
    const key = ({ name, namespace, kind }: Policy): string => `${name}/${namespace}/${kind}`;
    const groups = Map.groupBy(own, ({ tier }) => tier);
    return [...groups]
      .toSorted(([a], [b]) => Number(!tierByName.has(a)) - Number(!tierByName.has(b)) || byOrder(tierByName.get(a)?.order ?? null, tierByName.get(b)?.order ?? null) || byText(a, b))
      .map(([name, list]) => [name, list.toSorted((a, b) => byOrder(a.order, b.order) || byText(key(a), key(b)))]);
  }

  function verdict(endpoint: WorkloadEndpoint, direction: Direction, packet: Packet): Verdict {
    const labels = labelsOf(endpoint);
    if (labels === null) return { allowed: false, because: "a profile is unknown" };
    const own = policies.filter(({ selector }) => selector.evaluate(labels));
    for (const [name, inTier] of orderedTiers(own)) {
      const applying = inTier.filter((policy) => policy[direction]);
      if (applying.length === 0) continue;
      let passed = false;
      for (const policy of applying) {
        const action = walk(direction === "ingress" ? policy.inbound : policy.outbound, packet);
        if (action === "Pass") passed = true;
        if (action === "Allow" || action === "Deny") return { allowed: action === "Allow", because: policy.id };
        if (passed) break;
      }
      if (!passed && (tierByName.get(name)?.defaultAction ?? "Deny") === "Deny") return { allowed: false, because: `end of tier ${name}` };
    }
    for (const id of endpoint.profiles) {
      const profile = profileById.get(id);
      const action = walk(direction === "ingress" ? (profile?.inbound ?? []) : (profile?.outbound ?? []), packet);
      if (action !== null) return { allowed: action === "Allow", because: id };
    }
    return { allowed: false, because: "no policy and no profile allows" };
  }

  return {
    verdict,
    passes(packet) {
      const of = (address: IpAddress): WorkloadEndpoint[] => endpoints.filter(({ addresses }) => addresses.includes(address));
      return of(packet.source.address).every((endpoint) => verdict(endpoint, "egress", packet).allowed) && of(packet.destination.address).every((endpoint) => verdict(endpoint, "ingress", packet).allowed);
    },
  };
}
