/** All that an endpoint's policies and profiles say in one direction, as chains that endpoints share. */
import type { EndpointTier, ResolvedEndpoint } from "@calico/calc";
import type { Rule, Statement } from "@calico/kernel";
import { chainContent, rule } from "./chain.ts";
import { PASS_MARK } from "./constants.ts";
import { listChain, profileChain, tierChain, type Direction, type Stage } from "./names.ts";
import { compileList, type ChainNode, type ListContext } from "./policy-list.ts";
import { allowed, denials } from "./policy-rules.ts";
import type { RenderSettings } from "./settings.ts";

const COUNTER: Statement = { kind: "counter" };

export type ListedEndpoint = Pick<ResolvedEndpoint, "tiers" | "profiles">;
/** Where a list stands, and what compiling it looks up there. */
export type ListPlace = { readonly direction: Direction; readonly stage: Stage; readonly settings: RenderSettings; readonly context: ListContext };

/** Tiers in order, then profiles, then what is done when nobody decided. */
export function renderList({ tiers, profiles }: ListedEndpoint, place: ListPlace): ChainNode {
  const named = namedTiers(tiers, place.direction, place.stage);
  const name = listChain(named.map((tier) => tier.name), profiles, place.direction, place.stage);
  return place.context.known(name) ?? compileEndpointList(name, named, profiles, place);
}

/** Whether one of its policies or profiles is among these. */
export function asksFor({ tiers, profiles }: ListedEndpoint, ids: ReadonlySet<string>): boolean {
  return ids.size > 0 && (profiles.some((id) => ids.has(id)) || tiers.some(({ ingress, egress }) => [...ingress, ...egress].some((id) => ids.has(id))));
}

export type NamedTier = { /** Of its chain. */ readonly name: string; readonly tier: EndpointTier };

/** The tiers that have a policy in this direction. */
export function namedTiers(tiers: readonly EndpointTier[], direction: Direction, stage: Stage): NamedTier[] {
  return tiers.filter((tier) => tier[direction].length > 0).map((tier) => ({ tier, name: tierChain(`${tier.name} ${tier.defaultAction}`, tier[direction], direction, stage) }));
}

function compileEndpointList(name: string, tiers: readonly NamedTier[], profiles: ListedEndpoint["profiles"], place: ListPlace): ChainNode {
  const { direction, stage, context } = place;
  const rules: Rule[] = [];
  const children: ChainNode[] = [];
  for (const { tier, name: chain } of tiers) {
    children.push(context.known(chain) ?? compileTier(chain, tier, place));
    const clearMark = tier[direction].some((id) => context.policy(id).shape.hasPass) ? [rule([{ kind: "set-mark", mask: PASS_MARK, value: 0 }])] : [];
    rules.push(...clearMark, rule([{ kind: "jump", chain }], `tier ${tier.name}`), ...clearMark);
  }
  for (const profile of profiles) rules.push(rule([{ kind: "jump", chain: profileChain(profile, direction, stage) }], `profile ${profile}`));
  rules.push(...endOfList(place));
  return {
    name, content: chainContent(rules), maps: [], children, guards: [], asks: [], blocks: [], policies: children.flatMap(({ policies }) => policies), followsPorts: false,
    again: () => compileEndpointList(name, tiers, profiles, place),
  };
}

/** Workloads and the host itself are closed; what is forwarded goes on; before that the next place decides. */
function endOfList({ stage, settings }: ListPlace): Rule[] {
  if (isEarly(stage)) return [];
  if (stage === "forward") return [rule(allowed(stage))];
  return denials(settings, stage).map((denial) => rule([COUNTER, ...denial], "no policy and no profile allows"));
}

function compileTier(name: string, tier: EndpointTier, place: ListPlace): ChainNode {
  const { direction, stage, settings, context } = place;
  const { rules, ...body } = compileList(name, tier[direction], context);
  const endings = tier.defaultAction === "Pass" || isEarly(stage) ? [] : denials(settings, stage).map((denial) => rule([COUNTER, ...denial], `end of tier ${tier.name}`));
  return { ...body, name, content: chainContent([...rules, ...endings]), policies: tier[direction], again: () => compileTier(name, tier, place) };
}

const isEarly = (stage: Stage): boolean => stage === "pre-dnat" || stage === "untracked";
