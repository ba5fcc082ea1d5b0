/** Chains of endpoints: where a packet from or to one interface goes. */
import type { EndpointTier, ResolvedEndpoint } from "@calico/calc";
import { familyOf } from "@calico/model";
import type { Family, Rule, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent } from "./chain.ts";
import { CHAIN, MAP, PASS_MARK, PROTOCOL } from "./constants.ts";
import { fromEndpointChain, listChain, profileChain, tierChain, toEndpointChain, type Direction } from "./names.ts";
import { compileList, type ChainNode, type ListContext } from "./policy-list.ts";
import { denials } from "./policy-rules.ts";
import type { RenderSettings } from "./settings.ts";

const ESTABLISHED: Statement = { kind: "ct-state", states: ["established", "related"] };
const DROP: Statement = { kind: "verdict", verdict: "drop" };
const COUNTER: Statement = { kind: "counter" };
const NO_LIST = rule([COUNTER, DROP], "its policies are not there");

export type EndpointChains = {
  /** Its own two. */
  readonly chains: ReadonlyMap<string, ChainContent>;
  /** Where the maps of lists lead: shared with all endpoints that have the same policies and profiles. */
  readonly lists: Readonly<Record<Direction, ChainNode>>;
};

/** What compiling lists looks up, in each direction. */
export type ListContexts = Readonly<Record<Direction, ListContext>>;

/** An endpoint's own chains. Its policies are behind a map, so that a change of them touches an element for each endpoint and not its chains. */
export function renderOwnChains(endpoint: ResolvedEndpoint, settings: RenderSettings): ReadonlyMap<string, ChainContent> {
  const label = `${endpoint.namespace}/${endpoint.pod}`;
  const established = rule([ESTABLISHED, { kind: "verdict", verdict: "accept" }]);
  return new Map([
    [fromEndpointChain(endpoint.interfaceName), chainContent([...antiSpoofing(endpoint, settings, label), established, ...invalid(settings), ...encapsulation(settings), rule([{ kind: "interface-map", direction: "in", map: MAP.egress }], label), NO_LIST])],
    [toEndpointChain(endpoint.interfaceName), chainContent([established, ...invalid(settings), rule([{ kind: "interface-map", direction: "out", map: MAP.ingress }], label), NO_LIST])],
  ]);
}

/** The lists that the maps of lists lead to from an endpoint. */
export function renderLists(endpoint: ResolvedEndpoint, settings: RenderSettings, contexts: ListContexts): EndpointChains["lists"] {
  return { egress: renderList(endpoint, "egress", settings, contexts.egress), ingress: renderList(endpoint, "ingress", settings, contexts.ingress) };
}

/** A packet from a workload has one of its own addresses; neighbour discovery speaks from link-local ones. */
function antiSpoofing({ addresses }: ResolvedEndpoint, settings: RenderSettings, label: string): Rule[] {
  const rules: Rule[] = [];
  if (settings.ipv6Support) rules.push(rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.neighbourDiscovery }]));
  for (const family of [4, 6] as const satisfies readonly Family[]) {
    const own = family === 6 && !settings.ipv6Support ? [] : addresses.filter((address) => familyOf(address) === family);
    const foreign = own.map((address): Statement => ({ kind: "address", side: "source", cidr: `${address}/${family === 4 ? 32 : 128}`, not: true }));
    rules.push(rule([{ kind: "family", family }, ...foreign, COUNTER, DROP], `${label} foreign source address`));
  }
  return rules;
}

function invalid({ disableConntrackInvalidCheck }: RenderSettings): Rule[] {
  return disableConntrackInvalidCheck ? [] : [rule([{ kind: "ct-state", states: ["invalid"] }, COUNTER, DROP])];
}

/** Tunnels of workloads would carry packets around policy. */
function encapsulation({ vxlanPort, allowVXLANPacketsFromWorkloads, allowIPIPPacketsFromWorkloads }: RenderSettings): Rule[] {
  const rules: Rule[] = [];
  if (!allowVXLANPacketsFromWorkloads) {
    rules.push(rule([{ kind: "protocol", protocol: PROTOCOL.udp }, { kind: "port", side: "destination", first: vxlanPort, last: vxlanPort }, COUNTER, DROP], "VXLAN from a workload"));
  }
  if (!allowIPIPPacketsFromWorkloads) rules.push(rule([{ kind: "protocol", protocol: PROTOCOL.ipip }, COUNTER, DROP], "IPIP from a workload"));
  return rules;
}

/** Tiers in order, then profiles, then drop. */
function renderList({ tiers, profiles }: Pick<ResolvedEndpoint, "tiers" | "profiles">, direction: Direction, settings: RenderSettings, context: ListContext): ChainNode {
  const inDirection = tiers.filter((tier) => tier[direction].length > 0);
  const names = inDirection.map((tier) => tierChain(`${tier.name} ${tier.defaultAction}`, tier[direction], direction));
  const name = listChain(names, profiles, direction);
  return context.known(name) ?? compileEndpointList(name, inDirection.map((tier, i) => ({ tier, name: names[i] ?? "" })), profiles, direction, settings, context);
}

type NamedTier = { readonly name: string; readonly tier: EndpointTier };

function compileEndpointList(name: string, tiers: readonly NamedTier[], profiles: ResolvedEndpoint["profiles"], direction: Direction, settings: RenderSettings, context: ListContext): ChainNode {
  const rules: Rule[] = [];
  const children: ChainNode[] = [];
  for (const { tier, name: chain } of tiers) {
    children.push(context.known(chain) ?? compileTier(chain, tier, direction, settings, context));
    const clearMark = tier[direction].some((id) => context.policy(id).shape.hasPass) ? [rule([{ kind: "set-mark", mask: PASS_MARK, value: 0 }])] : [];
    rules.push(...clearMark, rule([{ kind: "jump", chain }], `tier ${tier.name}`), ...clearMark);
  }
  for (const profile of profiles) rules.push(rule([{ kind: "jump", chain: profileChain(profile, direction) }], `profile ${profile}`));
  rules.push(...denials(settings).map((denial) => rule([COUNTER, ...denial], "no policy and no profile allows")));
  return {
    name, content: chainContent(rules), maps: [], children, policies: children.flatMap(({ policies }) => policies), followsPorts: false,
    again: () => compileEndpointList(name, tiers, profiles, direction, settings, context),
  };
}

function compileTier(name: string, tier: EndpointTier, direction: Direction, settings: RenderSettings, context: ListContext): ChainNode {
  const { rules, ...body } = compileList(name, tier[direction], context);
  const endings = tier.defaultAction === "Deny" ? denials(settings).map((denial) => rule([COUNTER, ...denial], `end of tier ${tier.name}`)) : [];
  return { ...body, name, content: chainContent([...rules, ...endings]), policies: tier[direction], again: () => compileTier(name, tier, direction, settings, context) };
}
