/** Members of IP sets, counted over those who contribute them. */
import type { IpSetId } from "../messages.ts";
import type { SetDefinition } from "../rule-scanner/rule-scanner.ts";
import { membersOf, type Contributor } from "./members-of.ts";

type MemberSet = { readonly definition: SetDefinition; readonly counts: Map<string, number>; /** Before the pending changes. */ readonly before: Map<string, boolean> };

/** Receives what changed in one set; the lists are disjoint and hold each member once. */
export type DeltaSink = (id: IpSetId, added: readonly string[], removed: readonly string[]) => void;

/** Changes are collected until `flush`, so that a member which leaves and returns is not reported. */
export class IpSetMembers {
  readonly #sets = new Map<IpSetId, MemberSet>();
  readonly #changed = new Set<MemberSet>();

  get size(): number {
    return this.#sets.size;
  }

  /** Creates a set with what these contribute; nothing is pending for it afterwards. */
  create(definition: SetDefinition, contributors: Iterable<Contributor>): void {
    const set: MemberSet = { definition, counts: new Map(), before: new Map() };
    this.#sets.set(definition.id, set);
    for (const contributor of contributors) for (const { text } of membersOf(definition, contributor)) count(set.counts, text, 1);
  }

  delete(id: IpSetId): void {
    const set = this.#sets.get(id);
    if (set === undefined) return;
    this.#sets.delete(id);
    this.#changed.delete(set);
  }

  definitionOf(id: IpSetId): SetDefinition | undefined {
    return this.#sets.get(id)?.definition;
  }

  /** All members, those of pending changes included; undefined for an unknown set. */
  members(id: IpSetId): readonly string[] | undefined {
    const set = this.#sets.get(id);
    return set === undefined ? undefined : [...set.counts.keys()];
  }

  add(id: IpSetId, contributor: Contributor): void {
    this.#change(id, contributor, 1);
  }

  /** Takes back what `add` (or `create`) counted: the contributor must be the same value. */
  remove(id: IpSetId, contributor: Contributor): void {
    this.#change(id, contributor, -1);
  }

  #change(id: IpSetId, contributor: Contributor, by: 1 | -1): void {
    const set = this.#sets.get(id);
    if (set === undefined) return;
    for (const { text } of membersOf(set.definition, contributor)) {
      if (!set.before.has(text)) set.before.set(text, set.counts.has(text));
      count(set.counts, text, by);
      this.#changed.add(set);
    }
  }

  /** Reports the net difference since the last flush. */
  flush(sink: DeltaSink): void {
    for (const set of this.#changed) {
      const added: string[] = [];
      const removed: string[] = [];
      for (const [member, was] of set.before) {
        if (set.counts.has(member) === was) continue;
        (was ? removed : added).push(member);
      }
      set.before.clear();
      if (added.length + removed.length > 0) sink(set.definition.id, added, removed);
    }
    this.#changed.clear();
  }
}

function count(counts: Map<string, number>, member: string, by: 1 | -1): void {
  const now = (counts.get(member) ?? 0) + by;
  if (now > 0) counts.set(member, now);
  else counts.delete(member);
}
