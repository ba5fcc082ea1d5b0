/** In which order an endpoint's policies are evaluated. */
import type { PolicyId, Tier } from "@calico/model";
import type { NodePolicy } from "../messages.ts";
import type { EndpointTier } from "../ports.ts";

/**
 * The tiers of the policies that are for one endpoint, in order: known tiers first, then by order (null last), then by name. Inside a tier policies by
 * order (null last), then by "name/namespace/kind". A tier that is not known denies at its end.
 */
export function inTiers(policies: Iterable<NodePolicy>, tiers: ReadonlyMap<string, Tier>): EndpointTier[] {
  const byTier = new Map<string, NodePolicy[]>();
  for (const policy of policies) {
    const list = byTier.get(policy.tier);
    if (list === undefined) byTier.set(policy.tier, [policy]);
    else list.push(policy);
  }
  return [...byTier].sort(([a], [b]) => compareTiers(a, b, tiers)).map(([name, list]) => {
    list.sort(comparePolicies);
    const of = (direction: "ingress" | "egress"): PolicyId[] => list.filter((policy) => policy[direction]).map(({ id }) => id);
    return { name, defaultAction: tiers.get(name)?.defaultAction ?? "Deny", ingress: of("ingress"), egress: of("egress") };
  });
}

function compareTiers(a: string, b: string, tiers: ReadonlyMap<string, Tier>): number {
  const [left, right] = [tiers.get(a), tiers.get(b)];
  if ((left === undefined) !== (right === undefined)) return left === undefined ? 1 : -1;
  return compareOrders(left?.order ?? null, right?.order ?? null) || compareTexts(a, b);
}

function comparePolicies(a: NodePolicy, b: NodePolicy): number {
  return compareOrders(a.order, b.order) || compareTexts(`${a.name}/${a.namespace}/${a.kind}`, `${b.name}/${b.namespace}/${b.kind}`);
}

function compareOrders(a: number | null, b: number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a - b;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
