import type { Command, SetElement } from "@calico/kernel";
import { describe, expect, it } from "vitest";
import { memberSteps, sendSteps, weightOf, type Step } from "./staging.ts";

const spec = { name: "s", key: ["ipv4_addr"] } as const;
const members = (count: number): SetElement[] => Array.from({ length: count }, (_, n) => ({ key: [String(n)] }));

describe("steps", () => {
  it("members of a large set come in slices; the last one says that all are there", () => {
    let done = 0;
    const steps = memberSteps(spec, members(10_000), () => (done += 1));
    expect(steps.map(weightOf)).toEqual([4_097, 4_097, 1_809]);
    expect(steps.flatMap(({ commands }) => commands.flatMap((command) => (command.do === "add-elements" ? command.elements : [])))).toEqual(members(10_000));
    expect(steps.map((step) => (step.done(), done))).toEqual([0, 0, 1]);
    expect(memberSteps(spec, [], () => undefined)).toEqual([]);
  });

  const chains = (count: number, done: (n: number) => void): Step[] => Array.from({ length: count }, (_, n) => ({ commands: [{ do: "add-chain", chain: `c-${n}` }], done: () => done(n) }));
  const busy = (ms: number): void => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };

  it("are sent in their order, all of them, and noted after their transaction; others get a turn between two", async () => {
    const sent: Command[][] = [];
    const noted: number[] = [];
    let turns = 0;
    let sending = true;
    const count = (): void => {
      turns += 1;
      if (sending) setImmediate(count);
    };
    setImmediate(count);
    await sendSteps(chains(3_000, (n) => noted.push(n)), (commands) => {
      expect(noted).toHaveLength(sent.flat().length);
      sent.push([...commands]);
    });
    sending = false;
    expect(sent.flat().map((command) => (command.do === "add-chain" ? command.chain : ""))).toEqual(Array.from({ length: 3_000 }, (_, n) => `c-${n}`));
    expect(noted).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
    expect([sent.length > 1, turns >= sent.length - 1]).toEqual([true, true]);
  });

  it("where the kernel takes long, a transaction has fewer of them", async () => {
    const sizes: number[] = [];
    await sendSteps(chains(1_500, () => undefined), ({ length }) => {
      sizes.push(length);
      busy(length / 10);
    });
    expect(sizes[0]).toBe(1_024);
    expect(sizes[1]).toBeLessThanOrEqual(128);
    expect(sizes.at(-1)).toBeLessThanOrEqual(128);
  });

  it("after a failure nothing more is sent", async () => {
    const noted: number[] = [];
    let sends = 0;
    const sending = sendSteps(chains(3_000, (n) => noted.push(n)), () => {
      sends += 1;
      if (sends === 2) throw new Error("EINVAL");
    });
    await expect(sending).rejects.toThrow("EINVAL");
    expect([sends, noted.length]).toEqual([2, 1_024]);
  });
});
