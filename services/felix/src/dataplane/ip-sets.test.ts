import type { IpSetId } from "@calico/calc";
import { canonicalCidr } from "@calico/model";
import { elementText } from "@calico/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createIpSets, type IpSets } from "./ip-sets.ts";

const id = "s:1" as IpSetId;

/** What the kernel holds after everything that was said, as the table would make it. */
function kernelOf(): { take(from: IpSets): void; state(): [string, readonly string[]][] } {
  const sets = new Map<string, Set<string>>();
  return {
    take(from) {
      const { replaced, changed, removed } = from.takeChanges();
      for (const name of removed) sets.delete(name);
      for (const [name, { elements }] of replaced) sets.set(name, new Set(elements.keys()));
      for (const [name, change] of changed) {
        const set = sets.get(name);
        if (set === undefined) throw new Error(`members of ${name} changed, which is not there`);
        for (const element of change.removed) set.delete(elementText(element));
        for (const element of change.added) set.add(elementText(element));
      }
    },
    state: () => [...sets].map(([name, members]): [string, string[]] => [name, [...members].toSorted()]).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  };
}

const member = fc.oneof(
  fc.tuple(fc.integer({ min: 0, max: 7 }), fc.constantFrom(29, 30, 31, 32, 32, 32)).map(([host, length]) => canonicalCidr(`10.0.0.${host}/${length}`) as string),
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(127, 128)).map(([host, length]) => canonicalCidr(`fd00::${host}/${length}`) as string),
);
const members = fc.uniqueArray(member, { maxLength: 8 });
const change = fc.oneof(fc.record({ all: members }), fc.record({ added: members, removed: members }), fc.constant("gone" as const), fc.constant("look" as const));

describe("sets of the calculation as kernel sets", () => {
  it("changes lead to what the last members make at once", () => {
    fc.assert(fc.property(fc.array(change, { maxLength: 25 }), (steps) => {
      const sets = createIpSets();
      const kernel = kernelOf();
      let present: Set<string> | null = null;
      for (const step of steps) {
        if (step === "look") kernel.take(sets);
        else if (step === "gone") {
          sets.remove(id);
          present = null;
        } else if ("all" in step) {
          sets.set(id, "net", step.all);
          present = new Set(step.all);
        } else if (present !== null) {
          const removed = step.removed.filter((gone) => !step.added.includes(gone));
          sets.change(id, step.added, removed);
          for (const gone of removed) present.delete(gone);
          for (const added of step.added) present.add(added);
        }
      }
      kernel.take(sets);
      const fresh = createIpSets();
      const expected = kernelOf();
      if (present !== null) fresh.set(id, "net", [...present]);
      expected.take(fresh);
      expect(kernel.state()).toEqual(expected.state());
    }), { numRuns: 300 });
  });

  it("a range that comes and goes between two looks leaves the address alone that it begins with", () => {
    const sets = createIpSets();
    sets.set(id, "net", ["10.0.0.0/32"]);
    sets.takeChanges();
    sets.change(id, ["10.0.0.0/31"], []);
    sets.change(id, [], ["10.0.0.0/31"]);
    expect([...sets.takeChanges().changed.values()]).toEqual([{ added: [], removed: [] }]);
  });

  it("a family of which it has no member has no set, and rules hear when that changes", () => {
    const sets = createIpSets();
    const names = (): (string | null)[] => [sets.nameOf(id, 4), sets.nameOf(id, 6)];
    expect(names()).toEqual(["s-1-h4", "s-1-h6"]);
    sets.set(id, "ip-port", []);
    expect([[...sets.takeChanges().replaced.keys()], names()]).toEqual([[], [null, null]]);
    sets.change(id, ["fd00::1,6,80"], []);
    const came = sets.takeChanges();
    expect([[...came.replaced.keys()], [...came.renamed], names()]).toEqual([["s-1-h6"], [id], [null, "s-1-h6"]]);
    sets.change(id, ["10.0.0.1,6,80"], ["fd00::1,6,80"]);
    const changed = sets.takeChanges();
    expect([[...changed.replaced.keys()], [...changed.removed], [...changed.renamed], names()]).toEqual([["s-1-h4"], ["s-1-h6"], [id], ["s-1-h4", null]]);
    sets.change(id, ["10.0.0.2,6,80"], []);
    expect(sets.takeChanges().renamed.size).toBe(0);
  });

  it("a range that comes to a large set of ranges changes that range alone", () => {
    const sets = createIpSets();
    sets.set(id, "net", Array.from({ length: 5_000 }, (_, i) => `10.${i >> 7}.${(i & 127) * 2}.0/24`));
    sets.takeChanges();
    sets.change(id, ["192.0.2.0/24"], []);
    const { replaced, changed } = sets.takeChanges();
    expect([replaced.size, [...changed]]).toEqual([0, [["s-1-i4", { added: [{ start: "192.0.2.0", end: "192.0.3.0" }], removed: [] }]]]);
  });
});
