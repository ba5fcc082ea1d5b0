/** Chains of endpoints: where a packet from or to one interface goes. */
import type { ResolvedEndpoint } from "@calico/calc";
import { familyOf } from "@calico/model";
import type { Rule, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent, type LiteralSet } from "./chain.ts";
import { CHAIN, PROTOCOL } from "./constants.ts";
import { fromEndpointChain, policiesChain, sourcesSet, toEndpointChain, type Direction } from "./names.ts";
import type { ChainNode } from "./policy-list.ts";
import { netsSet } from "./policy-rules.ts";
import type { RenderSettings } from "./settings.ts";

const FAMILIES = [4, 6] as const;
const ESTABLISHED: Statement = { kind: "ct-state", states: ["established", "related"] };
const DROP: Statement = { kind: "verdict", verdict: "drop" };
const COUNTER: Statement = { kind: "counter" };

export type EndpointChains = {
  readonly own: OwnChains;
  /** Where the chains to its policies lead: shared with all endpoints that have the same policies and profiles. */
  readonly lists: Readonly<Record<Direction, ChainNode>>;
};

export type OwnChains = {
  /** Two: what it sends, and what it gets. */
  readonly chains: ReadonlyMap<string, ChainContent>;
  readonly sets: readonly LiteralSet[];
};

/** An endpoint's own chains, but for the two that lead on to its policies: a change of those touches nothing else of it. */
export function renderOwnChains(endpoint: ResolvedEndpoint, settings: RenderSettings): OwnChains {
  const label = `${endpoint.namespace}/${endpoint.pod}`;
  const established = rule([ESTABLISHED, { kind: "verdict", verdict: "accept" }]);
  const sets = allowedSources(endpoint, settings);
  const chains = new Map([
    [fromEndpointChain(endpoint.interfaceName), chainContent([...antiSpoofing(endpoint, settings, label, sets), established, ...invalid(settings), ...encapsulation(settings), rule([{ kind: "goto", chain: policiesChain(endpoint.interfaceName, "egress") }], label)])],
    [toEndpointChain(endpoint.interfaceName), chainContent([established, ...invalid(settings), rule([{ kind: "goto", chain: policiesChain(endpoint.interfaceName, "ingress") }], label)])],
  ]);
  return { chains, sets };
}

/** What it may send from beside its own addresses; there may be thousands of these. */
function allowedSources({ interfaceName, allowedSourcePrefixes = [] }: ResolvedEndpoint, { workloadSourceSpoofing, ipv6Support }: RenderSettings): LiteralSet[] {
  if (workloadSourceSpoofing !== "Any") return [];
  return FAMILIES.filter((family) => family === 4 || ipv6Support).flatMap((family) => {
    const nets = allowedSourcePrefixes.filter((prefix) => familyOf(prefix) === family);
    return nets.length === 0 ? [] : [netsSet(sourcesSet(interfaceName, family), nets, family)];
  });
}

/** A packet from a workload has one of its own addresses, or one that it was allowed; neighbour discovery speaks from link-local ones. */
function antiSpoofing({ addresses, interfaceName }: ResolvedEndpoint, settings: RenderSettings, label: string, sets: readonly LiteralSet[]): Rule[] {
  const rules: Rule[] = [];
  if (settings.ipv6Support) rules.push(rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.neighbourDiscovery }]));
  for (const family of FAMILIES) {
    const own = family === 6 && !settings.ipv6Support ? [] : addresses.filter((address) => familyOf(address) === family);
    const foreign = own.map((address): Statement => ({ kind: "address", side: "source", cidr: `${address}/${family === 4 ? 32 : 128}`, not: true }));
    const set = sourcesSet(interfaceName, family);
    if (sets.some(({ spec }) => spec.name === set)) foreign.push({ kind: "address-set", side: "source", family, set, not: true });
    rules.push(rule([{ kind: "family", family }, ...foreign, COUNTER, DROP], `${label} foreign source address`));
  }
  return rules;
}

export function invalid({ disableConntrackInvalidCheck }: RenderSettings): Rule[] {
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
