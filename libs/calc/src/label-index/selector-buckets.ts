/** Which selectors can match an object at all: every selector waits under one necessary condition. */
import { labelRestrictions, type Labels, type Selector } from "@calico/model";

type Place = { readonly key: string; readonly values: ReadonlySet<string> | null };
/** `waitsUnder` is the key of the place of an entry; null: under none. */
export type Bucketed = { readonly selector: Selector; waitsUnder: string | null };

/** Entries by one restriction of their selector: the one under which the fewest others wait, so that no label wakes many. */
export class SelectorBuckets<Entry extends Bucketed> {
  readonly #byValue = new Map<string, Map<string, Entry[]>>();
  readonly #byKey = new Map<string, Entry[]>();
  readonly #anywhere: Entry[] = [];

  add(entry: Entry): void {
    const place = this.#emptiest(placesOf(entry.selector));
    entry.waitsUnder = place?.key ?? null;
    if (place === null) this.#anywhere.push(entry);
    else if (place.values === null) push(this.#byKey, place.key, entry);
    else {
      let values = this.#byValue.get(place.key);
      if (values === undefined) this.#byValue.set(place.key, (values = new Map()));
      for (const value of place.values) push(values, value, entry);
    }
  }

  delete(entry: Entry): void {
    const place = placesOf(entry.selector).find(({ key }) => key === entry.waitsUnder);
    if (place === undefined) discard(this.#anywhere, entry);
    else if (place.values === null) drop(this.#byKey, place.key, entry);
    else {
      const values = this.#byValue.get(place.key);
      if (values === undefined) return;
      for (const value of place.values) drop(values, value, entry);
      if (values.size === 0) this.#byValue.delete(place.key);
    }
  }

  /** Every entry whose selector may match the labels, each once; the others certainly do not. */
  *candidates(labels: Labels): Generator<Entry> {
    yield* this.#anywhere;
    for (const key of Object.keys(labels)) {
      const present = this.#byKey.get(key);
      if (present !== undefined) yield* present;
      const valued = this.#byValue.get(key)?.get(labels[key] ?? "");
      if (valued !== undefined) yield* valued;
    }
  }

  /** With equally many in front, the one of fewer values. */
  #emptiest(places: readonly Place[]): Place | null {
    let best: { readonly place: Place; readonly load: number } | null = null;
    for (const place of places) {
      const load = this.#load(place);
      if (best === null || load < best.load || (load === best.load && width(place) < width(best.place))) best = { place, load };
    }
    return best?.place ?? null;
  }

  #load({ key, values }: Place): number {
    if (values === null) return this.#byKey.get(key)?.length ?? 0;
    const waiting = this.#byValue.get(key);
    let load = 0;
    for (const value of values) load += waiting?.get(value)?.length ?? 0;
    return load;
  }
}

/** Labels that a match must have: each of them is a place to wait under. */
export function placesOf(selector: Selector): Place[] {
  return [...labelRestrictions(selector)].flatMap(([key, restriction]) => (restriction.kind === "absent" ? [] : [{ key, values: restriction.kind === "values" ? restriction.values : null }]));
}

function width({ values }: Place): number {
  return values?.size ?? Number.POSITIVE_INFINITY;
}

function push<Entry>(map: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}

function drop<Entry>(map: Map<string, Entry[]>, key: string, entry: Entry): void {
  const list = map.get(key);
  if (list === undefined) return;
  discard(list, entry);
  if (list.length === 0) map.delete(key);
}

/** Order does not matter here. */
function discard<Entry>(list: Entry[], entry: Entry): void {
  const at = list.indexOf(entry);
  const last = list.at(-1);
  if (at < 0 || last === undefined) return;
  list[at] = last;
  list.pop();
}
