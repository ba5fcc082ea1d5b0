/** Policies or profiles on their way to a dataplane: only those that an endpoint uses, closed where a set is missing. */
import type { IpSetId, NodeRule } from "../messages.ts";
import { failClosed, missingSets, setsOf } from "./fail-closed.ts";
import type { NodeSets } from "./node-sets.ts";

type WithRules = { readonly inbound: readonly NodeRule[]; readonly outbound: readonly NodeRule[] };

export type RuleObjectSink<Id, Value> = { onUpdate(value: Value): void; onRemove(id: Id): void };

export class RuleObjects<Id extends string, Value extends WithRules> {
  readonly #sets: NodeSets;
  readonly #sink: RuleObjectSink<Id, Value>;
  readonly #told = new Map<Id, Value>();
  /** How many endpoints use an object. */
  readonly #uses = new Map<Id, number>();
  /** Objects that refer to a set. */
  readonly #usersOf = new Map<IpSetId, Set<Id>>();
  readonly #setsOf = new Map<Id, readonly IpSetId[]>();
  /** Sets that are acquired for an object in force. */
  readonly #held = new Map<Id, readonly IpSetId[]>();
  /** What the dataplane was given last. */
  readonly #reported = new Map<Id, Value>();
  readonly #dirty = new Set<Id>();

  constructor(sets: NodeSets, sink: RuleObjectSink<Id, Value>) {
    this.#sets = sets;
    this.#sink = sink;
  }

  get ids(): Iterable<Id> {
    return this.#told.keys();
  }

  get(id: Id): Value | undefined {
    return this.#told.get(id);
  }

  set(id: Id, value: Value): void {
    this.#told.set(id, value);
    this.#index(id, [...new Set([...value.inbound, ...value.outbound].flatMap(({ source, destination }) => [...setsOf(source), ...setsOf(destination)]))]);
    this.#dirty.add(id);
  }

  /** True when it was there. */
  remove(id: Id): boolean {
    if (!this.#told.delete(id)) return false;
    this.#index(id, []);
    this.#dirty.add(id);
    return true;
  }

  /** A set came or went: rules that refer to it are closed no longer, or are now. */
  onSetPresence(set: IpSetId): void {
    for (const id of this.#usersOf.get(set) ?? []) this.#dirty.add(id);
  }

  acquire(id: Id): void {
    const uses = (this.#uses.get(id) ?? 0) + 1;
    this.#uses.set(id, uses);
    if (uses === 1) this.#dirty.add(id);
  }

  release(id: Id): void {
    const uses = (this.#uses.get(id) ?? 1) - 1;
    if (uses > 0) return void this.#uses.set(id, uses);
    this.#uses.delete(id);
    this.#dirty.add(id);
  }

  /** The first set that rules of an object wait for. */
  missingSetOf(id: Id): IpSetId | undefined {
    const value = this.#told.get(id);
    return value === undefined ? undefined : [...value.inbound, ...value.outbound].flatMap((rule) => missingSets(rule, (set) => this.#sets.has(set)))[0];
  }

  /** Acquires the sets of what came into force and releases those of what no longer is: before sets are reported. */
  settle(): void {
    for (const id of this.#dirty) {
      const wanted = this.#uses.has(id) ? (this.#setsOf.get(id) ?? []) : [];
      const held = this.#held.get(id) ?? [];
      for (const set of wanted) this.#sets.acquire(set);
      for (const set of held) this.#sets.release(set);
      if (wanted.length > 0) this.#held.set(id, wanted);
      else this.#held.delete(id);
    }
  }

  report(): void {
    for (const id of this.#dirty) {
      const told = this.#told.get(id);
      if (told === undefined || !this.#uses.has(id)) continue;
      this.#dirty.delete(id);
      const has = (set: IpSetId): boolean => this.#sets.has(set);
      const value: Value = { ...told, inbound: failClosed(told.inbound, has), outbound: failClosed(told.outbound, has) };
      const before = this.#reported.get(id);
      this.#reported.set(id, value);
      if (before === undefined || JSON.stringify(before) !== JSON.stringify(value)) this.#sink.onUpdate(value);
    }
  }

  /** Removes what no endpoint uses: to be called when the endpoints were reported. */
  reportRemovals(): void {
    for (const id of this.#dirty) if (this.#reported.delete(id)) this.#sink.onRemove(id);
    this.#dirty.clear();
  }

  #index(id: Id, sets: readonly IpSetId[]): void {
    for (const set of this.#setsOf.get(id) ?? []) {
      const users = this.#usersOf.get(set);
      users?.delete(id);
      if (users?.size === 0) this.#usersOf.delete(set);
    }
    for (const set of sets) this.#usersOf.set(set, (this.#usersOf.get(set) ?? new Set()).add(id));
    if (sets.length > 0) this.#setsOf.set(id, sets);
    else this.#setsOf.delete(id);
  }
}
