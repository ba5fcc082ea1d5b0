import fc from "fast-check";
import { expect, it } from "vitest";
import { shrink } from "./shrink.ts";

const never = (): boolean => false;

it("leaves nothing that could go", async () => {
  const fails = async (value: object): Promise<boolean> => JSON.stringify(value).includes('"port":65535') && JSON.stringify(value).includes('"name":"a"');
  const value = { rounds: [[{ name: "a", labels: { x: "y" } }, { name: "b" }], [{ name: "c", rules: [{ port: 1 }, { action: "Deny", port: 65_535, more: null }] }], []] };
  expect(await shrink<object>(value, fails, never)).toEqual({ rounds: [[{ name: "a" }], [{ rules: [{ port: 65_535 }] }]] });
});

it("what it finds fails, and no single part of it can go", async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.record({ n: fc.nat(9), list: fc.array(fc.nat(9), { maxLength: 4 }) }), { minLength: 1, maxLength: 6 }), fc.nat(20), async (value, least) => {
    const sum = (list: readonly { readonly n?: number; readonly list?: readonly number[] }[]): number => list.reduce((all, each) => all + (each.n ?? 0) + (each.list ?? []).reduce((a, b) => a + b, 0), 0);
    fc.pre(sum(value) >= least);
    const smallest = await shrink<readonly { readonly n?: number; readonly list?: readonly number[] }[]>(value, async (smaller) => sum(smaller) >= least, never);
    expect(sum(smallest)).toBeGreaterThanOrEqual(least);
    for (const i of smallest.keys()) expect(sum(smallest.filter((_, other) => other !== i))).toBeLessThan(Math.max(1, least));
  }));
});

it("stops when the time is over, with what it has", async () => {
  let asked = 0;
  const value = Array.from({ length: 100 }, (_, i) => i);
  const smallest = await shrink(value, async () => (asked += 1) > 0, () => asked >= 10);
  expect([asked, smallest.length]).toEqual([10, 90]);
});
