/** Items by those labels that a selector asks for, and selectors answered from them. */
import type { SelectorNode } from "@calico/model";
import { SlotSet } from "./slot-set.ts";

/** A number alone stands for the set of it: most labels that differ from item to item have one. */
type Posting = number | SlotSet;
type Column = { users: number; readonly byValue: Map<string, Posting>; readonly present: SlotSet };

/** Holds a column for each label key in use: what no selector reads takes no room. */
export class Postings {
  readonly #columns = new Map<string, Column>();
  /** Items that have effective labels. */
  readonly #all = new SlotSet();
  #limit = 0;

  get size(): number {
    return this.#all.size;
  }

  get all(): SlotSet {
    return this.#all;
  }

  isUsed(key: string): boolean {
    return this.#columns.has(key);
  }

  /** One more use of a key. The first fills its column: `labelOf` is asked for every item. */
  startKey(key: string, labelOf: (slot: number) => string | undefined): void {
    const known = this.#columns.get(key);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    this.#columns.set(key, { users: 1, byValue: new Map(), present: new SlotSet() });
    for (const slot of this.#all) {
      const value = labelOf(slot);
      if (value !== undefined) this.add(key, value, slot);
    }
  }

  stopKey(key: string): void {
    const column = this.#columns.get(key);
    if (column === undefined) return;
    column.users -= 1;
    if (column.users === 0) this.#columns.delete(key);
  }

  addItem(slot: number): void {
    this.#all.add(slot);
    if (slot >= this.#limit) this.#limit = slot + 1;
  }

  deleteItem(slot: number): void {
    this.#all.delete(slot);
  }

  /** An item has a label now. Of a key that is not in use nothing is kept. */
  add(key: string, value: string, slot: number): void {
    const column = this.#columns.get(key);
    if (column === undefined) return;
    column.present.add(slot);
    const posting = column.byValue.get(value);
    if (posting === undefined) column.byValue.set(value, slot);
    else if (typeof posting !== "number") posting.add(slot);
    else if (posting !== slot) {
      const set = new SlotSet();
      set.add(posting);
      set.add(slot);
      column.byValue.set(value, set);
    }
  }

  delete(key: string, value: string, slot: number): void {
    const column = this.#columns.get(key);
    if (column === undefined) return;
    column.present.delete(slot);
    const posting = column.byValue.get(value);
    if (typeof posting === "object") posting.delete(slot);
    if (posting === slot || (typeof posting === "object" && posting.size === 0)) column.byValue.delete(value);
  }

  /** How many items have the key, with one of these values if some are given. */
  count(key: string, values: Iterable<string> | null): number {
    const column = this.#columns.get(key);
    if (column === undefined) return 0;
    if (values === null) return column.present.size;
    let count = 0;
    for (const value of values) count += sizeOf(column.byValue.get(value));
    return count;
  }

  /** Items that have the key, with one of these values if some are given. */
  *slots(key: string, values: Iterable<string> | null): Generator<number> {
    const column = this.#columns.get(key);
    if (column === undefined) return;
    if (values === null) yield* column.present;
    else for (const value of values) yield* slotsOf(column.byValue.get(value));
  }

  /** Items that a selector matches, as a bitmap: what `compile` of the model says of each, for all at once. Every key of it is in use. */
  matching(node: SelectorNode): Uint32Array {
    switch (node.op) {
      case "all":
      case "global": return this.#bitmap([this.#all]);
      case "has": return this.#bitmap([this.#columns.get(node.key)?.present]);
      case "==": return this.#bitmap([this.#columns.get(node.key)?.byValue.get(node.value)]);
      case "!=": return this.#without(this.#bitmap([this.#columns.get(node.key)?.byValue.get(node.value)]));
      case "in": return this.#bitmap(this.#valued(node.key, node.values));
      case "not in": return this.#without(this.#bitmap(this.#valued(node.key, node.values)));
      case "contains": return this.#bitmap(this.#where(node.key, (value) => value.includes(node.value)));
      case "starts with": return this.#bitmap(this.#where(node.key, (value) => value.startsWith(node.value)));
      case "ends with": return this.#bitmap(this.#where(node.key, (value) => value.endsWith(node.value)));
      case "not": return this.#without(this.matching(node.operand));
      case "and": return node.operands.map((operand) => this.matching(operand)).reduce(both);
      case "or": return node.operands.map((operand) => this.matching(operand)).reduce(either);
    }
  }

  *#valued(key: string, values: readonly string[]): Generator<Posting | undefined> {
    for (const value of values) yield this.#columns.get(key)?.byValue.get(value);
  }

  *#where(key: string, test: (value: string) => boolean): Generator<Posting> {
    for (const [value, posting] of this.#columns.get(key)?.byValue ?? []) if (test(value)) yield posting;
  }

  #bitmap(postings: Iterable<Posting | undefined>): Uint32Array {
    const words = new Uint32Array((this.#limit + 31) >>> 5);
    for (const posting of postings) {
      if (typeof posting === "number") words[posting >>> 5] = (words[posting >>> 5] ?? 0) | (1 << (posting & 31));
      else posting?.addTo(words);
    }
    return words;
  }

  /** All items but these. */
  #without(words: Uint32Array): Uint32Array {
    const rest = this.#bitmap([this.#all]);
    for (let i = 0; i < rest.length; i += 1) rest[i] = (rest[i] ?? 0) & ~(words[i] ?? 0);
    return rest;
  }
}

function sizeOf(posting: Posting | undefined): number {
  return typeof posting === "number" ? 1 : (posting?.size ?? 0);
}

function slotsOf(posting: Posting | undefined): Iterable<number> {
  return typeof posting === "number" ? [posting] : (posting ?? []);
}

function both(a: Uint32Array, b: Uint32Array): Uint32Array {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] ?? 0) & (b[i] ?? 0);
  return a;
}

function either(a: Uint32Array, b: Uint32Array): Uint32Array {
  for (let i = 0; i < a.length; i += 1) a[i] = (a[i] ?? 0) | (b[i] ?? 0);
  return a;
}
