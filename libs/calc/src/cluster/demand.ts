/** Policies and profiles that endpoints of a node use, with the sets behind their rules. */
import type { IpSetId, ObjectKey } from "../messages.ts";
import type { Interest } from "./interest.ts";
import { NodeCounts } from "./node-counts.ts";

type Owner = { readonly uses: NodeCounts; /** null: the object is not known. */ sets: readonly IpSetId[] | null };

/**
 * Turns "an endpoint of this node uses this object" into interest in the object and its sets, once the object is known.
 * A set comes before what refers to it and leaves after it.
 */
export class Demand {
  readonly #interest: Interest;
  readonly #owners = new Map<ObjectKey, Owner>();

  constructor(interest: Interest) {
    this.#interest = interest;
  }

  /** One more use; each wants a `stop`. */
  start(key: ObjectKey, node: string): void {
    const owner = this.#owner(key);
    if (owner.uses.add(node, 1) > 0 || owner.sets === null) return;
    this.#startSets(node, owner.sets);
    this.#interest.start(node, key);
  }

  stop(key: ObjectKey, node: string): void {
    const owner = this.#owners.get(key);
    if (owner === undefined || owner.uses.add(node, -1) !== 1) return;
    if (owner.sets !== null) {
      this.#interest.stop(node, key);
      this.#stopSets(node, owner.sets);
    }
    this.#forgetUnused(key, owner);
  }

  /** The object appeared or changed: `report` tells its new value when the sets are wanted already, and before the object is. */
  setObject(key: ObjectKey, sets: readonly IpSetId[], report: () => void): void {
    const owner = this.#owner(key);
    const before = owner.sets;
    owner.sets = sets;
    for (const node of owner.uses.nodes()) this.#startSets(node, sets);
    report();
    for (const node of owner.uses.nodes()) {
      if (before === null) this.#interest.start(node, key);
      else this.#stopSets(node, before);
    }
  }

  /** The object is going away; its uses stay counted until they are stopped. */
  removeObject(key: ObjectKey): void {
    const owner = this.#owners.get(key);
    if (owner === undefined || owner.sets === null) return;
    for (const node of owner.uses.nodes()) {
      this.#interest.stop(node, key);
      this.#stopSets(node, owner.sets);
    }
    owner.sets = null;
    this.#forgetUnused(key, owner);
  }

  #startSets(node: string, sets: readonly IpSetId[]): void {
    for (const id of sets) this.#interest.start(node, `IpSet:${id}`);
  }

  #stopSets(node: string, sets: readonly IpSetId[]): void {
    for (const id of sets) this.#interest.stop(node, `IpSet:${id}`);
  }

  #owner(key: ObjectKey): Owner {
    let owner = this.#owners.get(key);
    if (owner === undefined) this.#owners.set(key, (owner = { uses: new NodeCounts(), sets: null }));
    return owner;
  }

  #forgetUnused(key: ObjectKey, owner: Owner): void {
    if (owner.sets === null && owner.uses.isEmpty) this.#owners.delete(key);
  }
}
