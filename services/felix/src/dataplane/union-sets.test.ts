import type { IpSetId } from "@calico/calc";
import { elementText, type SetElement } from "@calico/kernel";
import fc from "fast-check";
import { beforeEach, expect, it } from "vitest";
import { createIpSets, type DesiredSet, type SetChange } from "./ip-sets.ts";
import { UnionSets } from "./union-sets.ts";

const [a, b, c] = ["s:a", "s:b", "s:c"] as [IpSetId, IpSetId, IpSetId];

/** The sets as a table would have them. */
let kernel: Map<string, Set<string>>;
const table = {
  setSet: (name: string, set: DesiredSet | null): void => void (set === null ? kernel.delete(name) : kernel.set(name, new Set(set.elements.keys()))),
  changeSet(name: string, { added, removed }: SetChange): void {
    const set = kernel.get(name);
    if (set === undefined) throw new Error(`members of ${name} changed, which is not there`);
    const each = (elements: readonly SetElement[], act: (text: string) => void): void => elements.map(elementText).forEach(act);
    each(removed, (text) => set.delete(text));
    each(added, (text) => set.add(text));
  },
};
beforeEach(() => {
  kernel = new Map();
});

const member = fc.constantFrom("10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32", "fd00::1/128", "fd00::2/128");
const step = fc.oneof(
  fc.record({ id: fc.constantFrom(a, b, c), all: fc.uniqueArray(member) }), fc.record({ id: fc.constantFrom(a, b, c), added: fc.uniqueArray(member), removed: fc.uniqueArray(member) }), fc.constant("look" as const),
);

it("holds who is in one of the sets, whatever the way of changes", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    kernel = new Map();
    const ipSets = createIpSets();
    const unions = new UnionSets(ipSets);
    for (const id of [a, b, c]) ipSets.set(id, "net", []);
    const guards = [[a, b], [b, c]].flatMap((sets) => unions.guard(sets) ?? []);
    for (const guard of guards) unions.acquire(guard, table);
    const look = (): void => unions.follow(ipSets.takeChanges().touched, table);
    for (const each of steps) {
      if (each === "look") look();
      else if ("all" in each) ipSets.set(each.id, "net", each.all);
      else ipSets.change(each.id, each.added, each.removed.filter((gone) => !each.added.includes(gone)));
    }
    look();
    const expected = new Map(guards.flatMap(({ sets, names }) => ([4, 6] as const).map((family): [string, Set<string>] => [
      names[family], new Set(sets.flatMap((id) => [...(ipSets.singlesOf(id) ?? [])]).filter((text) => text.includes(":") === (family === 6)).map((text) => text.split("/")[0] ?? "")),
    ])));
    expect(kernel).toEqual(expected);
  }));
});

it("a range that came and went between two looks takes no address along", () => {
  const ipSets = createIpSets();
  ipSets.set(a, "net", ["10.0.0.0/32"]);
  ipSets.set(b, "net", []);
  const unions = new UnionSets(ipSets);
  const guard = unions.guard([a, b]);
  if (guard === null) throw new Error("no guard");
  ipSets.takeChanges();
  unions.acquire(guard, table);
  ipSets.change(b, ["10.0.0.0/16"], []);
  ipSets.change(b, [], ["10.0.0.0/16"]);
  unions.follow(ipSets.takeChanges().touched, table);
  expect(kernel.get(guard.names[4])).toEqual(new Set(["10.0.0.0"]));
});

it("is there as long as somebody uses it, and is shared", () => {
  const ipSets = createIpSets();
  ipSets.set(a, "net", ["10.0.0.1/32"]);
  ipSets.set(b, "net", ["10.0.0.1/32", "10.0.0.2/32"]);
  const unions = new UnionSets(ipSets);
  for (let uses = 0; uses < 2; uses += 1) {
    const guard = unions.guard([a, b]);
    if (guard !== null) unions.acquire(guard, table);
  }
  expect([...kernel.values()].map((members) => [...members])).toEqual([["10.0.0.1", "10.0.0.2"], []]);
  const guard = unions.guard([a, b]);
  for (const left of [2, 0]) {
    if (guard !== null) unions.release(guard, table);
    expect(kernel.size).toBe(left);
  }
  ipSets.change(a, ["10.0.0.9/32"], []);
  unions.follow(ipSets.takeChanges().touched, table);
  expect(kernel.size).toBe(0);
});

it("is for sets of single addresses that are there", () => {
  const ipSets = createIpSets();
  ipSets.set(a, "net", ["10.0.0.1/32"]);
  ipSets.set(b, "net", ["10.0.0.0/24"]);
  ipSets.set(c, "ip-port", ["10.0.0.1,6,80"]);
  const unions = new UnionSets(ipSets);
  const isGuarded = (...sets: readonly IpSetId[]): boolean => unions.guard(sets) !== null;
  expect([isGuarded(a), isGuarded(a, b), isGuarded(c), isGuarded("s:unknown" as IpSetId)]).toEqual([true, false, false, false]);
  ipSets.change(b, [], ["10.0.0.0/24"]);
  expect([isGuarded(a, b), [...ipSets.takeChanges().reshaped]]).toEqual([true, []]);
  ipSets.change(b, ["10.1.0.0/16"], []);
  expect([isGuarded(a, b), [...ipSets.takeChanges().reshaped]]).toEqual([false, [b]]);
});
