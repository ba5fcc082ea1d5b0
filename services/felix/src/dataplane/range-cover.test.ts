import { canonicalCidr, disjointCover, formatAddress, type Family } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRangeCover, type TextRange } from "./range-cover.ts";

/** The whole computation: what the ranges must be. */
const covered = (cidrs: Iterable<string>, family: Family): TextRange[] => disjointCover(cidrs, family).map(({ start, end }) => ({ start: formatAddress(start), end: end === null ? null : formatAddress(end) }));
const text = ({ start, end }: TextRange): string => `${start}-${end ?? ""}`;

/** CIDRs that often hold one another, touch, and reach the last address. */
const v4 = fc.tuple(fc.constantFrom("10.0.0", "10.0.1", "255.255.255"), fc.integer({ min: 0, max: 15 }), fc.constantFrom(0, 8, 24, 27, 28, 30, 31, 32, 32)).map(([net, host, length]) => canonicalCidr(`${net}.${host * 16 + (host % 4)}/${length}`) as string);
const v6 = fc.tuple(fc.constantFrom("fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:"), fc.integer({ min: 0, max: 15 }), fc.constantFrom(0, 8, 120, 124, 127, 128)).map(([net, host, length]) => canonicalCidr(`${net}${(host * 4).toString(16)}/${length}`) as string);

describe("the cover of a changing set of CIDRs", () => {
  it.each([[4, v4], [6, v6]] as const)("IPv%i: is what the whole computation gives after every change, and reports exactly the difference", (family, cidr) => {
    fc.assert(fc.property(fc.array(cidr, { maxLength: 20 }), fc.array(fc.tuple(fc.boolean(), cidr, fc.boolean()), { maxLength: 40 }), (initial, changes) => {
      const members = new Set(initial);
      const cover = createRangeCover(family, initial);
      const kernel = new Set(covered(members, family).map(text));
      expect(cover.ranges()).toEqual(covered(members, family));
      for (const [adds, member, looks] of changes) {
        if (adds) members.add(member);
        else members.delete(member);
        cover[adds ? "add" : "remove"](member);
        expect(cover.ranges()).toEqual(covered(members, family));
        if (!looks) continue;
        const { added, removed } = cover.takeChanges();
        for (const range of removed) expect(kernel.delete(text(range))).toBe(true);
        for (const range of added) {
          expect(kernel.has(text(range))).toBe(false);
          kernel.add(text(range));
        }
        expect([...kernel].toSorted()).toEqual(covered(members, family).map(text).toSorted());
      }
    }), { numRuns: 500 });
  });

  it("one CIDR among ten thousand changes one range, or its neighbours'", () => {
    const cover = createRangeCover(4, Array.from({ length: 10_000 }, (_, i) => `10.${Math.floor(i / 100)}.${(i % 100) * 2}.0/24`));
    cover.add("10.50.1.0/24");
    expect(cover.takeChanges()).toEqual({ added: [{ start: "10.50.0.0", end: "10.50.3.0" }], removed: [{ start: "10.50.0.0", end: "10.50.1.0" }, { start: "10.50.2.0", end: "10.50.3.0" }] });
    cover.remove("10.50.1.0/24");
    cover.add("10.50.1.0/24");
    expect(cover.takeChanges()).toEqual({ added: [], removed: [] });
    cover.remove("10.70.4.0/24");
    expect(cover.takeChanges()).toEqual({ added: [], removed: [{ start: "10.70.4.0", end: "10.70.5.0" }] });
  });
});
