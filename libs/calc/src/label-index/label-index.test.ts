import { selector, type Labels, type ProfileId, type SelectorId } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Own } from "./inheritance.ts";
import { LabelIndex } from "./label-index.ts";
import { SlotSet } from "./slot-set.ts";

const TEXTS = [
  "all()", 'app == "web"', 'app != "web"', 'app in {"web", "db"}', 'app not in {"web", "db"}', "has(app)", "!has(app)", 'app contains "e"', 'app starts with "w"', 'app ends with "b"', '!(app == "web" || has(team))',
  'app == "web" && team == "red"', 'app == "db" || team == "red"', 'has(app) && !has(team) && zone != "z1"', 'zone == "z1" && zone == "z2"', 'app == "web" && has(team) && zone in {"z1", "z2"}', "has(__proto__)",
];
const label = (values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
const labels: fc.Arbitrary<Labels> = fc.tuple(fc.record({ app: label(["web", "db", "we"]), team: label(["red", "blue"]), zone: label(["z1", "z2"]) }, { requiredKeys: [] }), fc.boolean())
  .map(([own, odd]) => (odd ? Object.defineProperty({ ...own }, "__proto__", { value: "x", enumerable: true }) as Labels : own));
const profiles = fc.subarray(["p", "q"] as ProfileId[]);
const slot = fc.nat(40);
const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("item" as const), slot, own: fc.option(fc.record({ labels, profiles, goesByKnown: fc.boolean() }), { freq: 5 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("profile" as const), id: fc.constantFrom("p" as ProfileId, "q" as ProfileId), labels: fc.option(labels, { freq: 5 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("acquire" as const), text: fc.constantFrom(...TEXTS) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), text: fc.constantFrom(...TEXTS) }) },
);

/** What the index must say, worked out anew each time. */
function naive(text: string, items: ReadonlyMap<number, Own>, known: ReadonlyMap<ProfileId, Labels>): number[] {
  const asked = selector(text);
  return [...items].filter(([, own]) => own.goesByKnown === true || own.profiles.every((id) => known.has(id))).filter(([, own]) => {
    const effective = Object.create(null) as Record<string, string>;
    for (const from of [...own.profiles.map((id) => known.get(id) ?? {}).toReversed(), own.labels]) for (const key of Object.keys(from)) effective[key] = from[key] ?? "";
    return asked.evaluate(effective);
  }).map(([item]) => item).toSorted((a, b) => a - b);
}

it.each([{ profiles: "by bitmaps", wordsPerItem: 1_000 }, { profiles: "item by item", wordsPerItem: 0 }])("says what a look at every item says, and its reports lead there, whatever the order of the changes (profiles $profiles)", ({ wordsPerItem }) => {
  fc.assert(fc.property(fc.array(change, { maxLength: 80, size: "max" }), (changes) => {
    const reported = new Map<SelectorId, Set<number>>();
    const index: LabelIndex = new LabelIndex({
      onMatchStart(id, item) {
        if (!index.matches(id, item) || reported.get(id)?.has(item) === true) throw new Error(`${item} matches ${id} already`);
        reported.get(id)?.add(item);
      },
      onMatchStop(id, item) {
        if (index.matches(id, item) || reported.get(id)?.delete(item) !== true) throw new Error(`${item} did not match ${id}`);
      },
    }, wordsPerItem);
    const items = new Map<number, Own>();
    const known = new Map<ProfileId, Labels>();
    const inUse: string[] = [];
    for (const step of changes) {
      if (step.do === "item") {
        index.setItem(step.slot, step.own);
        if (step.own === null) items.delete(step.slot);
        else items.set(step.slot, step.own);
      } else if (step.do === "profile") {
        index.setProfile(step.id, step.labels);
        if (step.labels === null) known.delete(step.id);
        else known.set(step.id, step.labels);
      } else if (step.do === "acquire") {
        const { id } = selector(step.text);
        index.acquire(selector(step.text));
        if (!inUse.includes(step.text)) reported.set(id, new Set(index.itemsOf(id)));
        inUse.push(step.text);
      } else if (inUse.includes(step.text)) {
        index.release(selector(step.text));
        inUse.splice(inUse.indexOf(step.text), 1);
        if (!inUse.includes(step.text)) reported.delete(selector(step.text).id);
      }
      for (const text of new Set(inUse)) {
        const { id } = selector(text);
        const expected = naive(text, items, known);
        expect([...index.itemsOf(id)]).toEqual(expected);
        expect([...(reported.get(id) ?? [])].toSorted((a, b) => a - b)).toEqual(expected);
      }
    }
    for (const item of items.keys()) {
      expect([...index.selectorsOf(item)].toSorted()).toEqual([...new Set(inUse)].filter((text) => naive(text, items, known).includes(item)).map((text) => selector(text).id).toSorted());
    }
    expect(index.selectorCount).toBe(new Set(inUse).size);
  }), { numRuns: 100 });
}, 30_000);

describe("work", () => {
  const quiet = { onMatchStart() {}, onMatchStop() {} };
  /** Evaluations and bitmaps that something takes. */
  const work = (index: LabelIndex, run: () => void): [number, number] => {
    const before = [index.evaluations, index.bitmaps] as const;
    run();
    return [index.evaluations - before[0], index.bitmaps - before[1]];
  };

  it.each([100, 1_000, 10_000])("of a new item is that of the selectors that ask for its labels, of %i that begin alike", (count) => {
    const index = new LabelIndex(quiet);
    for (let i = 0; i < count; i += 1) index.acquire(selector(`alpha == "beta" && has(set-${i})`));
    // One of them waits under the label that all have.
    expect(work(index, () => index.setItem(0, { labels: { alpha: "beta", "set-1": "true" }, profiles: [] }))).toEqual([2, 0]);
    expect(work(index, () => index.setItem(0, { labels: { alpha: "beta", "set-1": "true", other: "x" }, profiles: [] }))).toEqual([0, 0]);
  });

  it.each([1_000, 20_000])("of a new selector is one bitmap, of one that hardly anything matches nothing, with %i items", (count) => {
    const index = new LabelIndex(quiet);
    for (let i = 0; i < count; i += 1) index.setItem(i, { labels: { app: "web", name: `n${i}` }, profiles: [] });
    expect(work(index, () => index.acquire(selector('app == "web"')))).toEqual([0, 1]);
    expect(work(index, () => index.acquire(selector('app == "web" && name == "n7"')))).toEqual([1, 0]);
    expect(work(index, () => index.acquire(selector('app == "web" && has(team)')))).toEqual([0, 0]);
  });

  it("of a profile is nothing when nobody asks for what changed, else a bitmap for each who does", () => {
    const index = new LabelIndex(quiet);
    index.setProfile("p" as ProfileId, { team: "red", note: "1" });
    for (let i = 0; i < 5_000; i += 1) index.setItem(i, { labels: { name: `n${i}` }, profiles: ["p" as ProfileId] });
    for (const team of ["red", "blue", "green"]) index.acquire(selector(`team == "${team}"`));
    for (let i = 0; i < 100; i += 1) index.acquire(selector(`name == "n${i}"`));
    expect(work(index, () => index.setProfile("p" as ProfileId, { team: "red", note: "2" }))).toEqual([0, 0]);
    expect(work(index, () => index.setProfile("p" as ProfileId, { team: "blue", note: "2" }))).toEqual([0, 3]);
    expect([...index.itemsOf(selector('team == "blue"').id)]).toHaveLength(5_000);
  });
});

it("a set of slots is a set of numbers", () => {
  const step = fc.record({ slot: fc.oneof(fc.nat(60), fc.nat(3_000)), there: fc.boolean() });
  fc.assert(fc.property(fc.array(step, { maxLength: 600, size: "max" }), fc.array(fc.nat(3_000)), (steps, others) => {
    const [mine, model] = [new SlotSet(), new Set<number>()];
    for (const { slot: at, there } of steps) {
      if (there) mine.add(at);
      else mine.delete(at);
      if (there) model.add(at);
      else model.delete(at);
    }
    const sorted = [...model].toSorted((a, b) => a - b);
    expect([...mine]).toEqual(sorted);
    expect(mine.size).toBe(model.size);
    const words = new Uint32Array(100);
    mine.addTo(words);
    expect([...SlotSet.of(words)]).toEqual(sorted);
    const other = new SlotSet();
    for (const at of others) other.add(at);
    expect([...mine.without(other)]).toEqual(sorted.filter((at) => !others.includes(at)));
    for (let at = 0; at < 100; at += 1) expect(mine.has(at)).toBe(model.has(at));
  }));
});
