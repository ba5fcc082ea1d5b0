/** Sets whose members are given by labelled items that a selector matches: endpoints and network sets, or Nodes. */
import type { Selector, SelectorId } from "@calico/model";
import type { Contributor, IpSetMembers } from "../ip-set-members/ip-set-members.ts";
import type { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId } from "../messages.ts";

/** Keeps members in step with the matches of an index, which it is told of. */
export class SelectedSets {
  readonly #index: LabelIndex;
  readonly #members: IpSetMembers;
  readonly #setsBySelector = new Map<SelectorId, Set<IpSetId>>();
  readonly #setsByItem = new Map<string, Set<IpSetId>>();
  readonly #contributors = new Map<string, Contributor>();

  constructor(index: LabelIndex, members: IpSetMembers) {
    this.#index = index;
    this.#members = members;
  }

  /** From now on a set hears of what a selector matches; those who match now. */
  attach(id: IpSetId, selector: Selector): Contributor[] {
    this.#index.acquire(selector);
    add(this.#setsBySelector, selector.id, id);
    const items = [...this.#index.itemsOf(selector.id)];
    for (const item of items) add(this.#setsByItem, item, id);
    return items.flatMap((item) => this.#contributors.get(item) ?? []);
  }

  detach(id: IpSetId, selector: Selector): void {
    discard(this.#setsBySelector, selector.id, id);
    for (const item of this.#index.itemsOf(selector.id)) discard(this.#setsByItem, item, id);
    this.#index.release(selector);
  }

  /** Sets what an item gives to the sets that match it; null: it is gone. Labels are the index's business. */
  setContributor(item: string, contributor: Contributor | null): void {
    const before = this.#contributors.get(item);
    for (const id of this.#setsByItem.get(item) ?? []) {
      if (before !== undefined) this.#members.remove(id, before);
      if (contributor !== null) this.#members.add(id, contributor);
    }
    if (contributor === null) this.#contributors.delete(item);
    else this.#contributors.set(item, contributor);
  }

  onMatchStart(selector: SelectorId, item: string): void {
    const contributor = this.#contributors.get(item);
    for (const id of this.#setsBySelector.get(selector) ?? []) {
      add(this.#setsByItem, item, id);
      if (contributor !== undefined) this.#members.add(id, contributor);
    }
  }

  onMatchStop(selector: SelectorId, item: string): void {
    const contributor = this.#contributors.get(item);
    for (const id of this.#setsBySelector.get(selector) ?? []) {
      discard(this.#setsByItem, item, id);
      if (contributor !== undefined) this.#members.remove(id, contributor);
    }
  }
}

export function add<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

export function discard<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
