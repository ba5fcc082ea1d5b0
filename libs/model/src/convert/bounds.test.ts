/** The largest things that people may write, and more: they are read in a time in proportion. */
import { expect, test } from "vitest";
import { MAX_SELECTOR_LENGTH } from "../selector/parse.ts";
import { parseSelector } from "../selector/selector.ts";
import type { Policy } from "../model.ts";
import { convertGlobalNetworkSet } from "./network-set.ts";
import { convertGlobalNetworkPolicy } from "./policy.ts";

/** Far more than any of this takes, and far less than what grows with the square of it. */
const BOUND_MS = 1_000;

function timed<T>(work: () => T): T {
  const began = performance.now();
  const result = work();
  expect(performance.now() - began).toBeLessThan(BOUND_MS);
  return result;
}
const policyOf = (spec: object): Policy | null => timed(() => convertGlobalNetworkPolicy({ metadata: { name: "p" }, spec })).value;
const fill = (unit: string, between: string, end: string): string => {
  const count = Math.floor((MAX_SELECTOR_LENGTH - end.length) / (unit.length + between.length));
  return `${`${unit}${between}`.repeat(count)}${end}`;
};

test.each<[string, string, boolean]>([
  ["of one long value", `a == '${"x".repeat(MAX_SELECTOR_LENGTH - 7)}'`, false],
  ["of many negations", fill("!", "", "has(a)"), true],
  ["of many brackets", `${"(".repeat(508)}has(a)${")".repeat(508)}`, true],
  ["of many negated brackets", `${"!(".repeat(338)}has(a)${")".repeat(338)}`, true],
  ["of many alternatives", fill("a=='b'", "||", "a=='c'"), true],
  ["of many conditions", fill("has(a)", "&&", "has(a)"), true],
  ["of many values", `a in {${"'b',".repeat(253)}'c'}`, true],
  ["of one long set that does not end", `a in {${"'b',".repeat(254)}`, false],
  ["of blanks", " ".repeat(MAX_SELECTOR_LENGTH), true],
])("a selector of 1,024 characters %s", (_, text, expected) => {
  expect(text.length).toBeLessThanOrEqual(MAX_SELECTOR_LENGTH);
  expect(text.length).toBeGreaterThan(MAX_SELECTOR_LENGTH - 30);
  timed(() => {
    for (let i = 0; i < 20; i += 1) {
      const parsed = parseSelector(text);
      if (parsed.ok) parsed.selector.evaluate({ a: "c" });
    }
  });
  const parsed = parseSelector(text);
  expect(parsed.ok && parsed.selector.evaluate({ a: "c" })).toBe(expected);
});

test("1,024 rules in a policy, each with every field", () => {
  const rule = { action: "Allow", protocol: "TCP", source: { selector: "app == 'web'", notSelector: "has(x)", namespaceSelector: "all()", nets: ["10.0.0.0/8"] }, destination: { ports: [80, "8000:8080", "http"], notPorts: [81] } };
  const value = policyOf({ types: ["Ingress"], ingress: Array.from({ length: 1_024 }, () => rule) });
  expect(value?.inbound.map(({ index }) => index)).toEqual(Array.from({ length: 1_024 }, (_, i) => i));
  expect(new Set(value?.inbound.map(({ source }) => source.selector)).size, "equal selectors are one").toBe(1);
});

test("10,000 CIDRs in a network set", () => {
  const nets = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
  expect(timed(() => convertGlobalNetworkSet({ metadata: { name: "s" }, spec: { nets: [...nets, ...nets] } })).value?.nets).toEqual(nets);
});

test.each<[string, unknown[], number]>([
  ["one range", ["1:65535"], 1],
  ["every port by its number", Array.from({ length: 65_535 }, (_, i) => 65_535 - i), 1],
  ["ranges that overlap", Array.from({ length: 65_534 }, (_, i) => `${i + 1}:${i + 2}`), 1],
  ["every other port", Array.from({ length: 32_768 }, (_, i) => 2 * i + 1), 32_768],
])("65,535 ports as %s are as few ranges as there can be", (_, ports, ranges) => {
  const found = policyOf({ types: ["Ingress"], ingress: [{ action: "Allow", protocol: "TCP", destination: { ports } }] })?.inbound[0]?.destination.ports ?? [];
  expect([found.length, found[0]?.first, found.at(-1)?.last]).toEqual([ranges, 1, 65_535]);
});
