/** Selectors x labelled items, kept matched as either side changes. */
import { labelKeys, type Labels, type ProfileId, type Selector, type SelectorId } from "@calico/model";
import { Inheritance, type Own } from "./inheritance.ts";
import { Postings } from "./postings.ts";
import { placesOf, SelectorBuckets } from "./selector-buckets.ts";
import { SlotSet } from "./slot-set.ts";

type Entry = { readonly selector: Selector; /** Label keys that it asks for. */ readonly reads: readonly string[]; items: SlotSet; users: number; waitsUnder: string | null };

/** Told of every match that begins or ends because labels changed; ended ones first. */
export interface MatchSink {
  onMatchStart(selector: SelectorId, slot: number): void;
  onMatchStop(selector: SelectorId, slot: number): void;
}

/** So few candidates of a new selector are evaluated one by one; more are answered by bitmaps. */
const FEW = 8;
/** What it costs to look at one item after a change of its profile, and to begin a bitmap, in words of one. */
const WORDS_PER_ITEM = 1_000;
const WORDS_PER_BITMAP = 500;

/**
 * Items are numbers (see `Slots`). A change of an item costs in proportion to the selectors that wait under its labels, a new selector a few
 * passes over bitmaps, a change of a profile the smaller of both. Of labels only those are indexed for which a selector asks: the first that
 * reads a key has every item looked at once.
 */
export class LabelIndex {
  readonly #sink: MatchSink;
  readonly #wordsPerItem: number;
  readonly #entries = new Map<SelectorId, Entry>();
  readonly #readers = new Map<string, Set<Entry>>();
  readonly #buckets = new SelectorBuckets<Entry>();
  readonly #inheritance = new Inheritance();
  readonly #postings = new Postings();
  #evaluations = 0;
  #bitmaps = 0;

  /** `wordsPerItem` is for tests. */
  constructor(sink: MatchSink, wordsPerItem: number = WORDS_PER_ITEM) {
    this.#sink = sink;
    this.#wordsPerItem = wordsPerItem;
  }

  get selectorCount(): number {
    return this.#entries.size;
  }

  /** How often a selector was evaluated for an item since the start. */
  get evaluations(): number {
    return this.#evaluations;
  }

  /** How often a selector was answered for all items at once. */
  get bitmaps(): number {
    return this.#bitmaps;
  }

  /** Takes a selector into use; each call wants one `release`. Not reported to the sink: ask `itemsOf`. */
  acquire(selector: Selector): void {
    const known = this.#entries.get(selector.id);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    const entry: Entry = { selector, reads: [...labelKeys(selector)], items: new SlotSet(), users: 1, waitsUnder: null };
    this.#entries.set(selector.id, entry);
    this.#buckets.add(entry);
    for (const key of entry.reads) {
      const readers = this.#readers.get(key);
      if (readers === undefined) this.#readers.set(key, new Set([entry]));
      else readers.add(entry);
      this.#postings.startKey(key, (slot) => this.#inheritance.labelOf(slot, key));
    }
    this.#fill(entry);
  }

  /** Ends one use of a selector; after the last it is forgotten, without a report. */
  release(selector: Selector): void {
    const entry = this.#entries.get(selector.id);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#entries.delete(selector.id);
    this.#buckets.delete(entry);
    for (const key of entry.reads) {
      const readers = this.#readers.get(key);
      readers?.delete(entry);
      if (readers?.size === 0) this.#readers.delete(key);
      this.#postings.stopKey(key);
    }
  }

  /** Items that a selector in use matches. */
  itemsOf(selector: SelectorId): Iterable<number> {
    return this.#entries.get(selector)?.items ?? [];
  }

  matches(selector: SelectorId, slot: number): boolean {
    return this.#entries.get(selector)?.items.has(slot) ?? false;
  }

  /** Selectors in use that match an item. */
  *selectorsOf(slot: number): Generator<SelectorId> {
    const labels = this.#inheritance.effectiveLabels(slot);
    if (labels === null) return;
    for (const entry of this.#buckets.candidates(labels)) if (entry.items.has(slot)) yield entry.selector.id;
  }

  /** Sets what an item carries itself; null takes it out. */
  setItem(slot: number, own: Own | null): void {
    const known = this.#inheritance.ownOf(slot);
    if (known !== undefined && own !== null && sameLabels(known.labels, own.labels) && sameList(known.profiles, own.profiles) && known.goesByKnown === own.goesByKnown) {
      this.#inheritance.setItem(slot, own);
      return;
    }
    const before = this.#inheritance.effectiveLabels(slot);
    this.#inheritance.setItem(slot, own);
    this.#relabel(slot, before, this.#inheritance.effectiveLabels(slot));
  }

  /** Sets the labels that items inherit from a profile; null: it is gone, and they have no effective labels, or those that are known. */
  setProfile(id: ProfileId, labels: Labels | null): void {
    const before = this.#inheritance.profileLabels(id);
    const items = this.#inheritance.itemsOf(id);
    if (before !== null && labels !== null) {
      this.#changeProfile(id, before, labels, items);
    } else if (labels !== null) {
      this.#inheritance.setProfile(id, labels);
      for (const slot of items) this.#relabel(slot, this.#inheritance.effectiveLabels(slot, { id, labels: null }), this.#inheritance.effectiveLabels(slot));
    } else {
      for (const slot of items) this.#relabel(slot, this.#inheritance.effectiveLabels(slot), this.#inheritance.effectiveLabels(slot, { id, labels: null }));
      this.#inheritance.setProfile(id, null);
    }
  }

  profileLabels(id: ProfileId): Labels | null {
    return this.#inheritance.profileLabels(id);
  }

  /** Items that have a profile. */
  itemsOfProfile(id: ProfileId): Iterable<number> {
    return this.#inheritance.itemsOf(id);
  }

  /** Labels of what an item carries, whether it is set or will be, and of its profiles that are known. */
  knownLabels(own: Own): Labels {
    return this.#inheritance.knownLabels(own);
  }

  /** Finds the items of a new selector. */
  #fill(entry: Entry): void {
    const narrowest = placesOf(entry.selector).map((place) => ({ ...place, count: this.#postings.count(place.key, place.values) })).toSorted((a, b) => a.count - b.count)[0];
    if (narrowest === undefined || narrowest.count > FEW) {
      entry.items = this.#answer(entry);
      return;
    }
    for (const slot of this.#postings.slots(narrowest.key, narrowest.values)) {
      const labels = this.#inheritance.effectiveLabels(slot);
      if (labels !== null && this.#evaluate(entry, labels)) entry.items.add(slot);
    }
  }

  #answer(entry: Entry): SlotSet {
    this.#bitmaps += 1;
    return SlotSet.of(this.#postings.matching(entry.selector.ast));
  }

  /** Labels of a profile changed that was known and is. What no selector asks for is nobody's business. */
  #changeProfile(id: ProfileId, before: Labels, after: Labels, items: SlotSet): void {
    const changed = changedKeys(before, after).filter((key) => this.#postings.isUsed(key));
    const readers = new Set(changed.flatMap((key) => [...(this.#readers.get(key) ?? [])]));
    if (readers.size * ((this.#postings.size >>> 5) + WORDS_PER_BITMAP) < items.size * this.#wordsPerItem) {
      this.#move(items, changed, () => this.#inheritance.setProfile(id, after));
      this.#answerAgain(readers);
      return;
    }
    this.#inheritance.setProfile(id, after);
    if (changed.length === 0) return;
    for (const slot of items) this.#relabel(slot, this.#inheritance.effectiveLabels(slot, { id, labels: before }), this.#inheritance.effectiveLabels(slot));
  }

  /** Enters items under the values that these keys have after `change`, instead of those before. */
  #move(items: SlotSet, keys: readonly string[], change: () => void): void {
    const each = (key: string, enter: (value: string, slot: number) => void): void => {
      for (const slot of items) {
        if (!this.#inheritance.isLabelled(slot) || Object.hasOwn(this.#inheritance.ownOf(slot)?.labels ?? {}, key)) continue;
        const value = this.#inheritance.labelOf(slot, key);
        if (value !== undefined) enter(value, slot);
      }
    };
    for (const key of keys) each(key, (value, slot) => this.#postings.delete(key, value, slot));
    change();
    for (const key of keys) each(key, (value, slot) => this.#postings.add(key, value, slot));
  }

  /** The sink is told of each change when it has taken place, and before the next one does. */
  #answerAgain(entries: Iterable<Entry>): void {
    const changes = [...entries].map((entry) => {
      const after = this.#answer(entry);
      return { entry, ended: [...entry.items.without(after)], begun: [...after.without(entry.items)] };
    });
    for (const { entry, ended } of changes) for (const slot of ended) this.#end(entry, slot);
    for (const { entry, begun } of changes) for (const slot of begun) this.#begin(entry, slot);
  }

  #begin(entry: Entry, slot: number): void {
    entry.items.add(slot);
    this.#sink.onMatchStart(entry.selector.id, slot);
  }

  #end(entry: Entry, slot: number): void {
    entry.items.delete(slot);
    this.#sink.onMatchStop(entry.selector.id, slot);
  }

  /** The effective labels of one item changed; null: it has none. */
  #relabel(slot: number, before: Labels | null, after: Labels | null): void {
    if (before === null && after === null) return;
    if (before === null) this.#postings.addItem(slot);
    if (after === null) this.#postings.deleteItem(slot);
    const changed = changedKeys(before ?? {}, after ?? {});
    if (before !== null && after !== null && changed.length === 0) return;
    for (const key of changed) {
      if (before !== null && Object.hasOwn(before, key)) this.#postings.delete(key, before[key] ?? "", slot);
      if (after !== null && Object.hasOwn(after, key)) this.#postings.add(key, after[key] ?? "", slot);
    }
    const concerned = (entry: Entry): boolean => before === null || after === null || entry.reads.some((key) => changed.includes(key));
    for (const entry of before === null ? [] : this.#buckets.candidates(before)) {
      if (entry.items.has(slot) && concerned(entry) && (after === null || !this.#evaluate(entry, after))) this.#end(entry, slot);
    }
    if (after === null) return;
    for (const entry of this.#buckets.candidates(after)) {
      if (!entry.items.has(slot) && concerned(entry) && this.#evaluate(entry, after)) this.#begin(entry, slot);
    }
  }

  #evaluate(entry: Entry, labels: Labels): boolean {
    this.#evaluations += 1;
    return entry.selector.evaluate(labels);
  }
}

/** Keys whose labels differ. */
function changedKeys(before: Labels, after: Labels): string[] {
  const changed = Object.keys(before).filter((key) => !Object.hasOwn(after, key) || after[key] !== before[key]);
  for (const key of Object.keys(after)) if (!Object.hasOwn(before, key)) changed.push(key);
  return changed;
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
