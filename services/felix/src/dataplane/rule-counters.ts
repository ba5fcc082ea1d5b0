/** What the kernel counted, by the rules that people wrote. */
import type { ResolvedEndpoint } from "@calico/calc";
import { namedTiers } from "../rules/endpoint-list.ts";
import { listChain, policyChain, profileChain, STAGES, type Direction } from "../rules/names.ts";
import type { NftTable } from "./nft-table.ts";

/** `rule` of a policy or profile; `tier` of an endpoint: the one at whose end packets were denied, "" behind all. */
export type RuleCounter = { readonly direction: Direction; readonly rule: number | null; readonly tier: string | null; readonly packets: bigint };

/** The rules of a chain, in order. Empty: there is no such chain. */
type CountersOf = NftTable["counters"];

const DIRECTIONS = ["ingress", "egress"] as const;

/** By the hashes of rules, which written rule they come from; and in which chains they are. */
export type WrittenRules = { readonly numbers: ReadonlyMap<string, number>; readonly places: readonly string[] };

/** Counters of a policy or profile, wherever it is asked. */
export function ruleCounters(id: string, rulesOf: (chain: string) => WrittenRules | undefined, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => {
    const sums = new Map<number, bigint>();
    for (const chain of STAGES.flatMap((stage) => [policyChain(id, direction, stage), profileChain(id, direction, stage)])) {
      const written = rulesOf(chain);
      if (written === undefined) continue;
      for (const number of written.numbers.values()) sums.set(number, sums.get(number) ?? 0n);
      for (const { hash, packets } of written.places.flatMap((place) => countersOf(place))) {
        // A rule that is not what should be there counted for something else.
        const number = written.numbers.get(hash);
        if (number !== undefined) sums.set(number, (sums.get(number) ?? 0n) + (packets ?? 0n));
      }
    }
    return [...sums].map(([rule, packets]): RuleCounter => ({ direction, rule, tier: null, packets }));
  });
}

/** What was denied because nothing matched. Endpoints with the same policies share these counters. */
export function endingCounters({ tiers, profiles }: ResolvedEndpoint, denials: number, countersOf: CountersOf): RuleCounter[] {
  return DIRECTIONS.flatMap((direction) => {
    const named = namedTiers(tiers, direction, "workload");
    const last = (chain: string): bigint => countersOf(chain).slice(-denials).reduce<bigint>((sum, { packets }) => sum + (packets ?? 0n), 0n);
    return [
      ...named.filter(({ tier }) => tier.defaultAction === "Deny").map(({ name, tier }): RuleCounter => ({ direction, rule: null, tier: tier.name, packets: last(name) })),
      { direction, rule: null, tier: "", packets: last(listChain(named.map(({ name }) => name), profiles, direction)) },
    ];
  });
}
