/** In which order endpoints' policies are evaluated. */
import type { PolicyId, Tier } from "@calico/model";
import type { NodePolicy } from "../messages.ts";
import type { EndpointTier } from "../ports.ts";

type Ranked = { readonly policy: NodePolicy; rank: number };

/** Lists that are remembered so that equal ones are the same object. */
const MOST_LISTS = 4_096;

/**
 * The policies of a node in their order: known tiers first, then by order (null last), then by name. Inside a tier policies by
 * order (null last), then by "name/namespace/kind". A tier that is not known denies at its end.
 */
export class PolicyOrder {
  readonly #tiers = new Map<string, Tier>();
  readonly #ranked = new Map<PolicyId, Ranked>();
  #sorted: Ranked[] = [];
  /** Ranks from here on are to be numbered. */
  #numberedTo = 0;
  readonly #lists = new Map<string, (readonly PolicyId[])[]>();
  #listCount = 0;

  get tierNames(): Iterable<string> {
    return this.#tiers.keys();
  }

  /** null: it is gone. False when it was not there. */
  setTier(name: string, tier: Tier | null): boolean {
    const wasThere = this.#tiers.has(name);
    if (tier === null) this.#tiers.delete(name);
    else this.#tiers.set(name, tier);
    this.#sorted.sort((a, b) => this.#compare(a.policy, b.policy));
    this.#numberedTo = 0;
    return wasThere;
  }

  /** null: it is gone. */
  setPolicy(id: PolicyId, policy: NodePolicy | null): void {
    const before = this.#ranked.get(id);
    if (before !== undefined && policy !== null && this.#compare(before.policy, policy) === 0) {
      const after = { policy, rank: before.rank };
      this.#number();
      this.#sorted[before.rank] = after;
      after.rank = before.rank;
      this.#ranked.set(id, after);
      return;
    }
    if (before !== undefined) {
      this.#number();
      this.#sorted.splice(before.rank, 1);
      this.#ranked.delete(id);
      this.#numberedTo = Math.min(this.#numberedTo, before.rank);
    }
    if (policy === null) return;
    const entry = { policy, rank: 0 };
    const at = this.#placeFor(policy);
    this.#sorted.splice(at, 0, entry);
    this.#ranked.set(id, entry);
    this.#numberedTo = Math.min(this.#numberedTo, at);
  }

  /** The tiers of these policies, of those that are known and included. Equal lists are the same object, most of the time. */
  inTiers(policies: Iterable<PolicyId>, includes: (policy: NodePolicy) => boolean): EndpointTier[] {
    this.#number();
    const own: Ranked[] = [];
    for (const id of policies) {
      const entry = this.#ranked.get(id);
      if (entry !== undefined && includes(entry.policy)) own.push(entry);
    }
    own.sort((a, b) => a.rank - b.rank);
    const tiers: EndpointTier[] = [];
    for (let at = 0; at < own.length;) {
      const name = own[at]?.policy.tier ?? "";
      const ingress: PolicyId[] = [];
      const egress: PolicyId[] = [];
      for (; own[at]?.policy.tier === name; at += 1) {
        const policy = own[at]?.policy;
        if (policy?.ingress === true) ingress.push(policy.id);
        if (policy?.egress === true) egress.push(policy.id);
      }
      tiers.push({ name, defaultAction: this.#tiers.get(name)?.defaultAction ?? "Deny", ingress: this.#shared(ingress), egress: this.#shared(egress) });
    }
    return tiers;
  }

  #number(): void {
    for (; this.#numberedTo < this.#sorted.length; this.#numberedTo += 1) {
      const entry = this.#sorted[this.#numberedTo];
      if (entry !== undefined) entry.rank = this.#numberedTo;
    }
  }

  #placeFor(policy: NodePolicy): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#sorted[middle];
      if (other !== undefined && this.#compare(other.policy, policy) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #shared(list: readonly PolicyId[]): readonly PolicyId[] {
    const key = `${list.length} ${list[0] ?? ""} ${list.at(-1) ?? ""}`;
    const same = this.#lists.get(key)?.find((other) => other.every((id, i) => id === list[i]));
    if (same !== undefined) return same;
    if (this.#listCount >= MOST_LISTS) {
      this.#lists.clear();
      this.#listCount = 0;
    }
    this.#lists.set(key, [...(this.#lists.get(key) ?? []), list]);
    this.#listCount += 1;
    return list;
  }

  #compare(a: NodePolicy, b: NodePolicy): number {
    return (a.tier === b.tier ? 0 : this.#compareTiers(a.tier, b.tier)) || compareOrders(a.order, b.order) || compareTexts(`${a.name}/${a.namespace}/${a.kind}`, `${b.name}/${b.namespace}/${b.kind}`);
  }

  #compareTiers(a: string, b: string): number {
    const [left, right] = [this.#tiers.get(a), this.#tiers.get(b)];
    if ((left === undefined) !== (right === undefined)) return left === undefined ? 1 : -1;
    return compareOrders(left?.order ?? null, right?.order ?? null) || compareTexts(a, b);
  }
}

function compareOrders(a: number | null, b: number | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  return a - b;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
