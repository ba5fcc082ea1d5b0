/** IP sets on their way to a dataplane: only those that rules in force use, and only what changed of them. */
import type { IpSetId, IpSetType } from "../messages.ts";
import type { DataplaneSink } from "../ports.ts";

type ToldSet = { readonly type: IpSetType; readonly members: Set<string> };

export class NodeSets {
  readonly #sink: Pick<DataplaneSink, "onIpSetUpdate" | "onIpSetDelta" | "onIpSetRemove">;
  readonly #told = new Map<IpSetId, ToldSet>();
  /** How many objects in force refer to a set, told or not. */
  readonly #uses = new Map<IpSetId, number>();
  /** Sets that the dataplane has. */
  readonly #reported = new Map<IpSetId, IpSetType>();
  /** Of sets that the dataplane has: members that may differ, and whether it has them. null: all of the set. */
  readonly #touched = new Map<IpSetId, Map<string, boolean> | null>();
  /** Sets that may have to be reported or removed. */
  readonly #dirty = new Set<IpSetId>();

  constructor(sink: Pick<DataplaneSink, "onIpSetUpdate" | "onIpSetDelta" | "onIpSetRemove">) {
    this.#sink = sink;
  }

  get ids(): Iterable<IpSetId> {
    return this.#told.keys();
  }

  has(id: IpSetId): boolean {
    return this.#told.has(id);
  }

  /** True when the set was not there before. */
  replace(id: IpSetId, type: IpSetType, members: readonly string[]): boolean {
    const before = this.#told.get(id);
    const now: ToldSet = { type, members: new Set(members) };
    this.#told.set(id, now);
    this.#dirty.add(id);
    if (!this.#reported.has(id)) return before === undefined;
    if (before?.type !== type) this.#touched.set(id, null);
    else {
      for (const member of before.members) if (!now.members.has(member)) this.#touch(id, member, true);
      for (const member of now.members) if (!before.members.has(member)) this.#touch(id, member, false);
    }
    return before === undefined;
  }

  /** A delta of a set that is not there is passed over: the set itself will come. */
  change(id: IpSetId, added: readonly string[], removed: readonly string[]): void {
    const set = this.#told.get(id);
    if (set === undefined) return;
    this.#dirty.add(id);
    for (const member of removed) if (set.members.delete(member)) this.#touch(id, member, true);
    for (const member of added) {
      if (set.members.has(member)) continue;
      set.members.add(member);
      this.#touch(id, member, false);
    }
  }

  /** True when the set was there. */
  remove(id: IpSetId): boolean {
    if (!this.#told.delete(id)) return false;
    this.#dirty.add(id);
    if (this.#reported.has(id)) this.#touched.set(id, null);
    return true;
  }

  acquire(id: IpSetId): void {
    const uses = (this.#uses.get(id) ?? 0) + 1;
    this.#uses.set(id, uses);
    if (uses === 1) this.#dirty.add(id);
  }

  release(id: IpSetId): void {
    const uses = (this.#uses.get(id) ?? 1) - 1;
    if (uses > 0) return void this.#uses.set(id, uses);
    this.#uses.delete(id);
    this.#dirty.add(id);
  }

  /** Reports sets that are new and members that changed. */
  report(): void {
    for (const id of this.#dirty) {
      const set = this.#told.get(id);
      if (set === undefined || !this.#uses.has(id)) continue;
      this.#dirty.delete(id);
      const touched = this.#reported.has(id) ? this.#touched.get(id) : null;
      this.#touched.delete(id);
      if (touched === undefined) continue;
      if (touched === null) {
        this.#sink.onIpSetUpdate(id, set.type, [...set.members]);
        this.#reported.set(id, set.type);
        continue;
      }
      const added = [...touched].flatMap(([member, isThere]) => (!isThere && set.members.has(member) ? [member] : []));
      const removed = [...touched].flatMap(([member, isThere]) => (isThere && !set.members.has(member) ? [member] : []));
      if (added.length + removed.length > 0) this.#sink.onIpSetDelta(id, added, removed);
    }
  }

  /** Removes what nothing refers to any more; to be called when no rule in the dataplane does. */
  reportRemovals(): void {
    for (const id of this.#dirty) {
      this.#touched.delete(id);
      if (this.#reported.delete(id)) this.#sink.onIpSetRemove(id);
    }
    this.#dirty.clear();
  }

  #touch(id: IpSetId, member: string, isThere: boolean): void {
    if (!this.#reported.has(id)) return;
    const touched = this.#touched.get(id);
    if (touched === null) return;
    if (touched === undefined) this.#touched.set(id, new Map([[member, isThere]]));
    else if (!touched.has(member)) touched.set(member, isThere);
  }
}
