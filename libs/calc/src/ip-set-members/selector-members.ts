/** Members of sets whose origin is a selector: nothing is held of them but who has which address, and what is not reported yet. */
import type { SelectorId } from "@calico/model";
import type { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId } from "../messages.ts";
import type { SelectorSetDefinition } from "../rule-scanner/rule-scanner.ts";
import type { DeltaSink } from "./ip-set-members.ts";
import { gives, membersOf, originsOf, type Contributor, type Member } from "./members-of.ts";

type Pending = { readonly member: Member; /** Before the changes that are not reported yet. */ readonly was: boolean };
type SelectorSet = { readonly definition: SelectorSetDefinition; pending: Map<string, Pending> | null };

/** The members of a set are what the items give that its selector matches; sets of one selector share these. Changes are collected until `flush`. */
export class SelectorMembers {
  readonly #index: Pick<LabelIndex, "acquire" | "release" | "itemsOf" | "matches" | "selectorsOf">;
  readonly #isWanted: (id: IpSetId) => boolean;
  readonly #sets = new Map<IpSetId, SelectorSet>();
  readonly #setsBySelector = new Map<SelectorId, SelectorSet[]>();
  readonly #contributors: (Contributor | undefined)[] = [];
  /** Who has an address or a range: one slot, rarely more. */
  readonly #holders = new Map<string, number | number[]>();
  readonly #changed = new Set<SelectorSet>();

  /** Changes of a set that is not wanted are not collected. */
  constructor(index: Pick<LabelIndex, "acquire" | "release" | "itemsOf" | "matches" | "selectorsOf">, isWanted: (id: IpSetId) => boolean) {
    this.#index = index;
    this.#isWanted = isWanted;
  }

  get size(): number {
    return this.#sets.size;
  }

  /** From now on the set has what its selector matches, which it takes into use in the index. */
  create(definition: SelectorSetDefinition): void {
    this.#index.acquire(definition.origin.selector);
    const set: SelectorSet = { definition, pending: null };
    this.#sets.set(definition.id, set);
    const { id } = definition.origin.selector;
    this.#setsBySelector.set(id, [...(this.#setsBySelector.get(id) ?? []), set]);
  }

  delete({ id, origin }: SelectorSetDefinition): void {
    const set = this.#sets.get(id);
    if (set === undefined) return;
    this.#sets.delete(id);
    this.#changed.delete(set);
    const others = (this.#setsBySelector.get(origin.selector.id) ?? []).filter((other) => other !== set);
    if (others.length === 0) this.#setsBySelector.delete(origin.selector.id);
    else this.#setsBySelector.set(origin.selector.id, others);
    this.#index.release(origin.selector);
  }

  definitionOf(id: IpSetId): SelectorSetDefinition | undefined {
    return this.#sets.get(id)?.definition;
  }

  /** All members, each once, those of pending changes included; undefined for an unknown set. */
  members(id: IpSetId): readonly string[] | undefined {
    const definition = this.#sets.get(id)?.definition;
    if (definition === undefined) return undefined;
    const members = new Set<string>();
    for (const slot of this.#index.itemsOf(definition.origin.selector.id)) {
      const contributor = this.#contributors[slot];
      if (contributor !== undefined) for (const { text } of membersOf(definition, contributor)) members.add(text);
    }
    return [...members];
  }

  /** Sets what an item gives to the sets that match it; null: it is gone, and matches nothing any more. It is kept as it is, so it must not change. */
  setContributor(slot: number, contributor: Contributor | null): void {
    const before = this.#contributors[slot];
    if (before !== undefined && contributor !== null && !sameGift(before, contributor)) {
      for (const selector of this.#index.selectorsOf(slot)) this.#replace(selector, slot, before, contributor);
    }
    if (before !== undefined) for (const origin of originsOf(before)) this.#unhold(origin, slot);
    this.#contributors[slot] = contributor ?? undefined;
    if (contributor !== null) for (const origin of originsOf(contributor)) this.#hold(origin, slot);
  }

  onMatchStart(selector: SelectorId, slot: number): void {
    this.#touch(selector, slot, (set, member) => this.#isGiven(set, member, slot));
  }

  onMatchStop(selector: SelectorId, slot: number): void {
    this.#touch(selector, slot, () => true);
  }

  /** Reports the net difference since the last flush. */
  flush(sink: DeltaSink): void {
    for (const set of this.#changed) {
      const added: string[] = [];
      const removed: string[] = [];
      for (const [text, { member, was }] of set.pending ?? []) {
        const is = this.#isGiven(set, member, null);
        if (is !== was) (is ? added : removed).push(text);
      }
      set.pending = null;
      if (added.length + removed.length > 0) sink(set.definition.id, added, removed);
    }
    this.#changed.clear();
  }

  #touch(selector: SelectorId, slot: number, was: (set: SelectorSet, member: Member) => boolean): void {
    const contributor = this.#contributors[slot];
    if (contributor === undefined) return;
    for (const set of this.#setsBySelector.get(selector) ?? []) {
      if (this.#isWanted(set.definition.id)) for (const member of membersOf(set.definition, contributor)) this.#note(set, member, was);
    }
  }

  /** A matching item gives something else from now on. */
  #replace(selector: SelectorId, slot: number, before: Contributor, after: Contributor): void {
    for (const set of this.#setsBySelector.get(selector) ?? []) {
      if (!this.#isWanted(set.definition.id)) continue;
      for (const member of membersOf(set.definition, before)) this.#note(set, member, () => true);
      for (const member of membersOf(set.definition, after)) this.#note(set, member, () => this.#isGiven(set, member, slot));
    }
  }

  #note(set: SelectorSet, member: Member, was: (set: SelectorSet, member: Member) => boolean): void {
    if (set.pending?.has(member.text)) return;
    (set.pending ??= new Map()).set(member.text, { member, was: was(set, member) });
    this.#changed.add(set);
  }

  /** True when an item that the set's selector matches gives a member to it; `except` is not asked. */
  #isGiven({ definition }: SelectorSet, member: Member, except: number | null): boolean {
    const holders = this.#holders.get(member.of);
    if (holders === undefined) return false;
    const isGivenBy = (slot: number): boolean => slot !== except && this.#index.matches(definition.origin.selector.id, slot) && gives(definition, this.#contributors[slot] ?? {}, member);
    return typeof holders === "number" ? isGivenBy(holders) : holders.some(isGivenBy);
  }

  #hold(origin: string, slot: number): void {
    const holders = this.#holders.get(origin);
    if (holders === undefined) this.#holders.set(origin, slot);
    else if (typeof holders !== "number") holders.push(slot);
    else this.#holders.set(origin, [holders, slot]);
  }

  /** As often as it was held: a contributor may say an address twice. */
  #unhold(origin: string, slot: number): void {
    const holders = this.#holders.get(origin);
    if (holders === slot) this.#holders.delete(origin);
    if (typeof holders !== "object") return;
    const at = holders.indexOf(slot);
    if (at >= 0) holders.splice(at, 1);
    const [last] = holders;
    if (holders.length === 1 && last !== undefined) this.#holders.set(origin, last);
  }
}

function sameGift(a: Contributor, b: Contributor): boolean {
  return sameList(a.addresses, b.addresses) && sameList(a.nets, b.nets) && (a.ports === b.ports || JSON.stringify(a.ports) === JSON.stringify(b.ports));
}

function sameList(a: readonly string[] = [], b: readonly string[] = []): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
