/** Labelled items by their labels: the way back from a new selector to those it can match. */
import type { Labels, Selector } from "@calico/model";
import { placeOf } from "./selector-buckets.ts";

/** Items by (key, value). */
export class ItemBuckets<Item extends { readonly labels: Labels }> {
  readonly #byLabel = new Map<string, Map<string, Set<Item>>>();
  readonly #all = new Set<Item>();

  get size(): number {
    return this.#all.size;
  }

  add(item: Item): void {
    this.#all.add(item);
    for (const key of Object.keys(item.labels)) {
      const value = item.labels[key] ?? "";
      let values = this.#byLabel.get(key);
      if (values === undefined) this.#byLabel.set(key, (values = new Map()));
      const items = values.get(value);
      if (items === undefined) values.set(value, new Set([item]));
      else items.add(item);
    }
  }

  /** Takes an item out; its labels must be those it was added with. */
  delete(item: Item): void {
    this.#all.delete(item);
    for (const key of Object.keys(item.labels)) {
      const value = item.labels[key] ?? "";
      const values = this.#byLabel.get(key);
      const items = values?.get(value);
      items?.delete(item);
      if (items?.size === 0) values?.delete(value);
      if (values?.size === 0) this.#byLabel.delete(key);
    }
  }

  /** Every item that the selector may match, each once; the others it certainly does not. */
  *candidates(selector: Selector): Generator<Item> {
    const place = placeOf(selector);
    if (place === null) {
      yield* this.#all;
      return;
    }
    const values = this.#byLabel.get(place.key);
    if (values === undefined) return;
    if (place.values === null) for (const items of values.values()) yield* items;
    else for (const value of place.values) yield* values.get(value) ?? [];
  }
}
