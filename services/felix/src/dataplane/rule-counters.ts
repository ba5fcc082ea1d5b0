/** What the kernel counted, by the rules that people wrote. */
import type { ResolvedEndpoint } from "@calico/calc";
import { namedTiers } from "../rules/endpoint-list.ts";
import type { LeafPlace } from "./policy-leaves.ts";
import { listChain, policyChain, profileChain, STAGES, type Direction } from "../rules/names.ts";

/** `rule` of a policy or profile; `tier` of an endpoint: the one at whose end packets were denied, "" behind all. */
export type RuleCounter = { readonly direction: Direction; readonly rule: number | null; readonly tier: string | null; readonly packets: bigint };

/** Packets of each rule of a chain, in order; null for rules that do not count. Empty: there is no such chain. */
type CountersOf = (chain: string) => readonly (bigint | null)[];

const DIRECTIONS = ["ingress", "egress"] as const;

/** Of each rule, which written rule it comes from; and where these rules are. */
export type WrittenRules = { readonly numbers: readonly number[]; readonly places: readonly LeafPlace[] };

/** Counters of a policy or profile, wherever it is asked. */
export function ruleCounters(id: string, rulesOf: (chain: string) => WrittenRules | undefined, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => {
    const sums = new Map<number, bigint>();
    for (const chain of STAGES.flatMap((stage) => [policyChain(id, direction, stage), profileChain(id, direction, stage)])) {
      const { numbers, places } = rulesOf(chain) ?? { numbers: [], places: [] };
      for (const { chain: there, offset } of numbers.length === 0 ? [] : places) {
        const counters = countersOf(there).slice(offset, offset + numbers.length);
        // Somebody else has been at the chain.
        if (counters.length !== numbers.length) continue;
        for (const [i, number] of numbers.entries()) sums.set(number, (sums.get(number) ?? 0n) + (counters[i] ?? 0n));
      }
    }
    return [...sums].map(([rule, packets]): RuleCounter => ({ direction, rule, tier: null, packets }));
  });
}

/** What was denied because nothing matched. Endpoints with the same policies share these counters. */
export function endingCounters({ tiers, profiles }: ResolvedEndpoint, denials: number, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => {
    const named = namedTiers(tiers, direction, "workload");
    const last = (chain: string): bigint => countersOf(chain).slice(-denials).reduce<bigint>((sum, packets) => sum + (packets ?? 0n), 0n);
    return [
      ...named.filter(({ tier }) => tier.defaultAction === "Deny").map(({ name, tier }): RuleCounter => ({ direction, rule: null, tier: tier.name, packets: last(name) })),
      { direction, rule: null, tier: "", packets: last(listChain(named.map(({ name }) => name), profiles, direction)) },
    ];
  });
}
