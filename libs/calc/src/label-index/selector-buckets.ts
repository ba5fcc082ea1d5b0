/** Which selectors can match an object at all: every selector waits under one necessary condition. */
import { labelRestrictions, type Labels, type Selector } from "@calico/model";

type Place = { readonly key: string; readonly values: readonly string[] | null };

/** Entries by one restriction of their selector: the one that the fewest labels meet. */
export class SelectorBuckets<Entry extends { readonly selector: Selector }> {
  readonly #byValue = new Map<string, Map<string, Set<Entry>>>();
  readonly #byKey = new Map<string, Set<Entry>>();
  readonly #anywhere = new Set<Entry>();

  add(entry: Entry): void {
    const place = placeOf(entry.selector);
    if (place === null) this.#anywhere.add(entry);
    else if (place.values === null) bucket(this.#byKey, place.key).add(entry);
    else for (const value of place.values) bucket(valuesOf(this.#byValue, place.key), value).add(entry);
  }

  delete(entry: Entry): void {
    const place = placeOf(entry.selector);
    if (place === null) this.#anywhere.delete(entry);
    else if (place.values === null) discard(this.#byKey, place.key, entry);
    else for (const value of place.values) this.#deleteValue(place.key, value, entry);
  }

  #deleteValue(key: string, value: string, entry: Entry): void {
    const values = this.#byValue.get(key);
    if (values === undefined) return;
    discard(values, value, entry);
    if (values.size === 0) this.#byValue.delete(key);
  }

  /** Every entry whose selector may match the labels, each once; the others certainly do not. */
  *candidates(labels: Labels): Generator<Entry> {
    yield* this.#anywhere;
    for (const key of Object.keys(labels)) {
      yield* this.#byKey.get(key) ?? [];
      yield* this.#byValue.get(key)?.get(labels[key] ?? "") ?? [];
    }
  }
}

/** Where a selector waits; null: no label is required of what it matches. */
export function placeOf(selector: Selector): Place | null {
  let best: Place | null = null;
  for (const [key, restriction] of labelRestrictions(selector)) {
    if (restriction.kind === "absent") continue;
    const place: Place = { key, values: restriction.kind === "values" ? [...restriction.values] : null };
    if (best === null || width(place) < width(best)) best = place;
  }
  return best;
}

function width(place: Place): number {
  return place.values?.length ?? Number.POSITIVE_INFINITY;
}

function valuesOf<T>(map: Map<string, Map<string, Set<T>>>, key: string): Map<string, Set<T>> {
  let values = map.get(key);
  if (values === undefined) map.set(key, (values = new Map()));
  return values;
}

function bucket<T>(map: Map<string, Set<T>>, key: string): Set<T> {
  let set = map.get(key);
  if (set === undefined) map.set(key, (set = new Set()));
  return set;
}

function discard<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
