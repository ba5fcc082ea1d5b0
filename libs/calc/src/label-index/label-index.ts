/** Selectors x labelled items, kept matched as either side changes. */
import type { Labels, Selector, SelectorId } from "@calico/model";
import { ItemBuckets } from "./item-buckets.ts";
import { SelectorBuckets } from "./selector-buckets.ts";

type Entry = { readonly selector: Selector; readonly items: Set<Item>; users: number };
type Item = { readonly id: string; labels: Labels; readonly matches: Set<Entry> };

/** Told of every match that begins or ends because labels changed. */
export interface MatchSink {
  onMatchStart(selector: SelectorId, item: string): void;
  onMatchStop(selector: SelectorId, item: string): void;
}

/** Work is in proportion to the selectors (or items) whose most selective restriction the labels meet. */
export class LabelIndex {
  readonly #sink: MatchSink;
  readonly #entries = new Map<SelectorId, Entry>();
  readonly #items = new Map<string, Item>();
  readonly #selectorBuckets = new SelectorBuckets<Entry>();
  readonly #itemBuckets = new ItemBuckets<Item>();
  #evaluations = 0;

  constructor(sink: MatchSink) {
    this.#sink = sink;
  }

  get selectorCount(): number {
    return this.#entries.size;
  }

  /** How often a selector was evaluated since the start. */
  get evaluations(): number {
    return this.#evaluations;
  }

  /** Takes a selector into use; each call wants one `release`. Not reported to the sink: ask `itemsOf`. */
  acquire(selector: Selector): void {
    const known = this.#entries.get(selector.id);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    const entry: Entry = { selector, items: new Set(), users: 1 };
    this.#entries.set(selector.id, entry);
    this.#selectorBuckets.add(entry);
    for (const item of this.#itemBuckets.candidates(selector)) {
      if (!this.#matches(entry, item.labels)) continue;
      entry.items.add(item);
      item.matches.add(entry);
    }
  }

  /** Ends one use of a selector; after the last it is forgotten, without a report. */
  release(selector: Selector): void {
    const entry = this.#entries.get(selector.id);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#entries.delete(selector.id);
    this.#selectorBuckets.delete(entry);
    for (const item of entry.items) item.matches.delete(entry);
  }

  /** Items that a selector in use matches. */
  *itemsOf(selector: SelectorId): Generator<string> {
    for (const item of this.#entries.get(selector)?.items ?? []) yield item.id;
  }

  /** Sets the effective labels of an item; null takes it out. Ended matches are reported before new ones. */
  setLabels(id: string, labels: Labels | null): void {
    const known = this.#items.get(id);
    if (known === undefined && labels === null) return;
    if (known !== undefined && labels !== null && sameLabels(known.labels, labels)) return;
    const item: Item = known ?? { id, labels: {}, matches: new Set() };
    const matched = new Set<Entry>();
    for (const entry of labels === null ? [] : this.#selectorBuckets.candidates(labels)) {
      if (labels !== null && this.#matches(entry, labels)) matched.add(entry);
    }
    this.#store(item, known !== undefined, labels);
    for (const entry of item.matches) {
      if (matched.has(entry)) continue;
      item.matches.delete(entry);
      entry.items.delete(item);
      this.#sink.onMatchStop(entry.selector.id, id);
    }
    for (const entry of matched) {
      if (item.matches.has(entry)) continue;
      item.matches.add(entry);
      entry.items.add(item);
      this.#sink.onMatchStart(entry.selector.id, id);
    }
  }

  #store(item: Item, known: boolean, labels: Labels | null): void {
    if (known) this.#itemBuckets.delete(item);
    if (labels === null) {
      this.#items.delete(item.id);
      return;
    }
    item.labels = labels;
    this.#items.set(item.id, item);
    this.#itemBuckets.add(item);
  }

  #matches(entry: Entry, labels: Labels): boolean {
    this.#evaluations += 1;
    return entry.selector.evaluate(labels);
  }
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
