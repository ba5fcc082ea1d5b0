/** Chains of endpoints: where a packet from or to one interface goes. */
import type { EndpointTier, PolicyId, ResolvedEndpoint } from "@calico/calc";
import { familyOf } from "@calico/model";
import type { Family, Rule, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent } from "./chain.ts";
import { CHAIN, PASS_MARK, PROTOCOL } from "./constants.ts";
import { fromEndpointChain, listChain, policyChain, profileChain, tierChain, toEndpointChain, type Direction, type Stage } from "./names.ts";
import { allowed, denials } from "./policy-rules.ts";
import type { RenderSettings } from "./settings.ts";

const ESTABLISHED: Statement = { kind: "ct-state", states: ["established", "related"] };
const DROP: Statement = { kind: "verdict", verdict: "drop" };
const COUNTER: Statement = { kind: "counter" };

export type EndpointChains = {
  /** Everything that this endpoint needs; shared chains have equal content wherever they come from. */
  readonly chains: ReadonlyMap<string, ChainContent>;
  readonly from: string;
  readonly to: string;
};

/** `hasPass` says of a policy whether it can pass to the next tier in that direction. */
export function renderEndpoint(endpoint: ResolvedEndpoint, settings: RenderSettings, hasPass: (id: PolicyId, direction: Direction) => boolean): EndpointChains {
  const chains = new Map<string, ChainContent>();
  const egress = renderList(endpoint, "egress", "workload", settings, hasPass, chains);
  const ingress = renderList(endpoint, "ingress", "workload", settings, hasPass, chains);
  const from = fromEndpointChain(endpoint.interfaceName);
  const to = toEndpointChain(endpoint.interfaceName);
  const label = `${endpoint.namespace}/${endpoint.pod}`;
  chains.set(from, chainContent([...antiSpoofing(endpoint, settings, label), rule([ESTABLISHED, { kind: "goto", chain: CHAIN.towards }]), ...invalid(settings), ...encapsulation(settings), rule([{ kind: "goto", chain: egress }], label)]));
  chains.set(to, chainContent([rule([ESTABLISHED, { kind: "verdict", verdict: "accept" }]), ...invalid(settings), rule([{ kind: "goto", chain: ingress }], label)]));
  return { chains, from, to };
}

/** A packet from a workload has one of its own addresses, or one that it was allowed; neighbour discovery speaks from link-local ones. */
function antiSpoofing({ addresses, allowedSourcePrefixes = [] }: ResolvedEndpoint, settings: RenderSettings, label: string): Rule[] {
  const rules: Rule[] = [];
  if (settings.ipv6Support) rules.push(rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.neighbourDiscovery }]));
  for (const family of [4, 6] as const satisfies readonly Family[]) {
    const own = family === 6 && !settings.ipv6Support ? [] : [...addresses, ...(settings.workloadSourceSpoofing === "Any" ? allowedSourcePrefixes : [])].filter((address) => familyOf(address) === family);
    const foreign = own.map((address): Statement => ({ kind: "address", side: "source", cidr: address.includes("/") ? address : `${address}/${family === 4 ? 32 : 128}`, not: true }));
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

/** Tiers in order, then profiles, then what is done when nobody decided. Returns the chain's name. */
export function renderList(
  { tiers, profiles }: Pick<ResolvedEndpoint, "tiers" | "profiles">, direction: Direction, stage: Stage, settings: RenderSettings, hasPass: (id: PolicyId, direction: Direction) => boolean, chains: Map<string, ChainContent>,
): string {
  const ofDirection = tiers.filter((tier) => tier[direction].length > 0);
  const rules: Rule[] = [];
  const tierNames: string[] = [];
  for (const tier of ofDirection) {
    const passing = tier[direction].some((id) => hasPass(id, direction));
    const name = tierChain(`${tier.name} ${tier.defaultAction}`, tier[direction], direction, stage);
    tierNames.push(name);
    chains.set(name, chainContent(tierRules(tier, direction, stage, settings, hasPass)));
    const clearMark = rule([{ kind: "set-mark", mask: PASS_MARK, value: 0 }]);
    if (passing) rules.push(clearMark);
    rules.push(rule([{ kind: "jump", chain: name }], `tier ${tier.name}`));
    if (passing) rules.push(clearMark);
  }
  for (const profile of profiles) rules.push(rule([{ kind: "jump", chain: profileChain(profile, direction, stage) }], `profile ${profile}`));
  rules.push(...endOfList(direction, stage, settings));
  const name = listChain(tierNames, profiles, direction, stage);
  chains.set(name, chainContent(rules));
  return name;
}

/** Workloads and the host itself are closed; what is forwarded goes on; before that the next place decides. */
function endOfList(direction: Direction, stage: Stage, settings: RenderSettings): Rule[] {
  if (stage === "pre-dnat" || stage === "untracked") return [];
  if (stage === "forward") return [rule(allowed(stage, direction))];
  return denials(settings, stage).map((denial) => rule([COUNTER, ...denial], "no policy and no profile allows"));
}

function tierRules(tier: EndpointTier, direction: Direction, stage: Stage, settings: RenderSettings, hasPass: (id: PolicyId, direction: Direction) => boolean): Rule[] {
  const rules: Rule[] = [];
  for (const id of tier[direction]) {
    rules.push(rule([{ kind: "jump", chain: policyChain(id, direction, stage) }]));
    if (hasPass(id, direction)) rules.push(rule([{ kind: "mark", mask: PASS_MARK, value: PASS_MARK }, { kind: "verdict", verdict: "return" }]));
  }
  if (tier.defaultAction === "Deny" && stage !== "pre-dnat" && stage !== "untracked") rules.push(...denials(settings, stage).map((denial) => rule([COUNTER, ...denial], `end of tier ${tier.name}`)));
  return rules;
}
