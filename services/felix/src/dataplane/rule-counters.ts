/** What the kernel counted, by the rules that people wrote. */
import type { EndpointTier, ResolvedEndpoint } from "@calico/calc";
import { listChain, policyChain, profileChain, tierChain, type Direction } from "../rules/names.ts";

/** `rule` of a policy or profile; `tier` of an endpoint: the one at whose end packets were denied, "" behind all. */
export type RuleCounter = { readonly direction: Direction; readonly rule: number | null; readonly tier: string | null; readonly packets: bigint };

/** Packets of each rule of a chain, in order; null for rules that do not count. Empty: there is no such chain. */
type CountersOf = (chain: string) => readonly (bigint | null)[];

const DIRECTIONS = ["ingress", "egress"] as const;

/** Counters of a policy or profile: `numbers` says of each rule of a chain which written rule it comes from. */
export function ruleCounters(id: string, numbers: (chain: string) => readonly number[] | undefined, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => [policyChain(id, direction), profileChain(id, direction)].flatMap((chain) => {
    const of = numbers(chain);
    if (of === undefined) return [];
    const counters = countersOf(chain);
    // Somebody else has been at the chain.
    if (counters.length !== of.length) return [];
    const sums = new Map<number, bigint>();
    for (const [i, number] of of.entries()) sums.set(number, (sums.get(number) ?? 0n) + (counters[i] ?? 0n));
    return [...sums].map(([rule, packets]): RuleCounter => ({ direction, rule, tier: null, packets }));
  }));
}

/** What was denied because nothing matched. Endpoints with the same policies share these counters. */
export function endingCounters({ tiers, profiles }: ResolvedEndpoint, denials: number, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => {
    const inDirection = tiers.filter((tier) => tier[direction].length > 0);
    const nameOf = (tier: EndpointTier): string => tierChain(`${tier.name} ${tier.defaultAction}`, tier[direction], direction);
    const last = (chain: string): bigint => countersOf(chain).slice(-denials).reduce<bigint>((sum, packets) => sum + (packets ?? 0n), 0n);
    return [
      ...inDirection.filter(({ defaultAction }) => defaultAction === "Deny").map((tier): RuleCounter => ({ direction, rule: null, tier: tier.name, packets: last(nameOf(tier)) })),
      { direction, rule: null, tier: "", packets: last(listChain(inDirection.map(nameOf), profiles, direction)) },
    ];
  });
}
