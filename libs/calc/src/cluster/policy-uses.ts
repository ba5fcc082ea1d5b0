/** Which nodes use a policy: those with an endpoint that its selector matches, counted once for all policies of one selector. */
import type { SelectorId } from "@calico/model";
import type { ObjectKey } from "../messages.ts";
import type { Demand } from "./demand.ts";
import { NodeCounts } from "./node-counts.ts";

type Use = { readonly policies: Set<ObjectKey>; /** Endpoints that match. */ readonly counts: NodeCounts };

/** Turns matches into demand: a policy is demanded for a node from the first endpoint to the last. */
export class PolicyUses {
  readonly #demand: Demand;
  readonly #useBySelector = new Map<SelectorId, Use>();
  #queued: { readonly selector: SelectorId; readonly node: string; readonly by: 1 | -1 }[] = [];

  constructor(demand: Demand) {
    this.#demand = demand;
  }

  /** A policy comes into being. `nodesOf` gives the node of each endpoint that its selector matches, as often as it has such endpoints. */
  add(selector: SelectorId, policy: ObjectKey, nodesOf: () => Iterable<string>): void {
    let use = this.#useBySelector.get(selector);
    if (use === undefined) {
      this.#useBySelector.set(selector, (use = { policies: new Set(), counts: new NodeCounts() }));
      for (const node of nodesOf()) use.counts.add(node, 1);
    }
    use.policies.add(policy);
    for (const node of use.counts.nodes()) this.#demand.start(policy, node);
  }

  remove(selector: SelectorId, policy: ObjectKey): void {
    const use = this.#useBySelector.get(selector);
    if (use?.policies.delete(policy) !== true) return;
    for (const node of use.counts.nodes()) this.#demand.stop(policy, node);
    if (use.policies.size === 0) this.#useBySelector.delete(selector);
  }

  /** An endpoint of a node begins or ceases to match; it counts from `settle` on. */
  queue(selector: SelectorId, node: string, by: 1 | -1): void {
    if (this.#useBySelector.has(selector)) this.#queued.push({ selector, node, by });
  }

  settle(): void {
    if (this.#queued.length === 0) return;
    const queued = this.#queued;
    this.#queued = [];
    for (const { selector, node, by } of queued) {
      const use = this.#useBySelector.get(selector);
      if (use === undefined) continue;
      const before = use.counts.add(node, by);
      if (before === 0) for (const policy of use.policies) this.#demand.start(policy, node);
      else if (before + by === 0) for (const policy of use.policies) this.#demand.stop(policy, node);
    }
  }
}
