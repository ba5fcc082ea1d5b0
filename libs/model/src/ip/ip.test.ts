import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  addressAt, blockAt, blockCount, blocksIn, canonicalAddress, canonicalCidr, cidrOf, contains, disjointCover, formatAddress, ordinalOf,
  overlaps, parseAddress, parseCidr,
} from "../ip.ts";

const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => new Uint8Array(bytes));
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => new Uint8Array(bytes));
const sparseV6 = fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 }).map((bytes) => Uint8Array.from(bytes));
const address = fc.oneof(v4, v6, sparseV6);

describe("addresses", () => {
  test.each([
    ["10.65.0.2", "10.65.0.2"], ["0.0.0.0", "0.0.0.0"], ["255.255.255.255", "255.255.255.255"],
    ["::", "::"], ["::1", "::1"], ["1::", "1::"], ["FD00::0001", "fd00::1"], ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"], ["::ffff:10.0.0.1", "::ffff:10.0.0.1"], ["64:ff9b::10.0.0.1", "64:ff9b::a00:1"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"], ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ])("%s is %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  test.each([
    "", "10.0.0", "10.0.0.0.1", "10.0.0.256", "010.0.0.1", "10.0.0.1 ", "10.0..1", "1.2.3.4/32", ":", ":1", "1:", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::", "12345::", "g::", "fe80::1%eth0", "[::1]", "::10.0.0.256", "1:2:3:4:5:6:7:1.2.3.4", "+1.2.3.4", "0x1.2.3.4",
  ])("%j is no address", (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  test("bytes and text are two forms of one thing", () => {
    fc.assert(fc.property(address, (bytes) => {
      expect(parseAddress(formatAddress(bytes))).toEqual(bytes);
    }));
  });

  test("any text is answered", () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef:./ %")) }), (text) => {
      const parsed = parseAddress(text);
      if (parsed !== null) expect(canonicalAddress(formatAddress(parsed))).toBe(formatAddress(parsed));
    }), { numRuns: 2000 });
  });
});

describe("CIDRs", () => {
  test.each([["10.65.3.7/16", "10.65.0.0/16", true], ["10.0.0.1", "10.0.0.1/32", false], ["fd00::5/64", "fd00::/64", true], ["0.0.0.0/0", "0.0.0.0/0", false]])(
    "%s is %s", (text, cidr, masked) => {
      expect(parseCidr(text)).toMatchObject({ cidr, masked });
    });

  test.each(["/32", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/", "::/129", "10.0.0.0/1 "])("%j is no CIDR", (text) => {
    expect(canonicalCidr(text)).toBeNull();
  });

  test("containment is what the bits say", () => {
    expect(contains("10.65.0.0/16", "10.65.255.255")).toBe(true);
    expect(contains("10.65.0.0/16", "10.66.0.0")).toBe(false);
    expect(contains("::/0", "10.0.0.0/8")).toBe(false);
    expect(overlaps("10.65.0.0/26", "10.0.0.0/8")).toBe(true);
    expect(overlaps("10.65.0.0/26", "10.65.0.64/26")).toBe(false);
  });

  test("position and address are inverse", () => {
    fc.assert(fc.property(address, fc.nat({ max: 63 }), (bytes, n) => {
      const cidr = cidrOf(formatAddress(bytes), bytes.length * 8 - 6);
      expect(ordinalOf(cidr, addressAt(cidr, n))).toBe(n);
    }));
    expect(() => addressAt("10.0.0.0/30", 4)).toThrow(RangeError);
    expect(ordinalOf("10.0.0.0/30", "10.0.0.4")).toBeNull();
  });

  test("blocks tile their pool", () => {
    expect([...blocksIn("10.65.0.0/24", 26)]).toEqual(["10.65.0.0/26", "10.65.0.64/26", "10.65.0.128/26", "10.65.0.192/26"]);
    expect(blockCount("fd00::/48", 122)).toBe(2 ** 74);
    expect(blockAt("fd00::/48", 122, 1025)).toBe("fd00::1:40/122");
    expect([...blocksIn("10.0.0.0/26", 26)]).toEqual(["10.0.0.0/26"]);
  });
});

describe("covers", () => {
  test("neighbours and overlaps become one range", () => {
    expect(disjointCover(["10.0.0.64/26", "10.0.0.0/26", "10.0.0.7/32", "10.0.1.0/24", "fd00::/8"], 4)).toEqual([
      { start: Uint8Array.of(10, 0, 0, 0), end: Uint8Array.of(10, 0, 0, 128) },
      { start: Uint8Array.of(10, 0, 1, 0), end: Uint8Array.of(10, 0, 2, 0) },
    ]);
  });

  test("the end of the address space has no end", () => {
    expect(disjointCover(["0.0.0.0/0"], 4)).toEqual([{ start: Uint8Array.of(0, 0, 0, 0), end: null }]);
    expect(disjointCover(["255.255.255.255", "255.255.255.254"], 4)).toEqual([{ start: Uint8Array.of(255, 255, 255, 254), end: null }]);
  });
});
