/**
 * The evaluator against the compiled rules as the kernel has them: random clusters go through both halves of the calculation and the
 * real dataplane, and the table that the kernel then lists judges packets. More cases: DIFFERENTIAL_RUNS=5000, another start: DIFFERENTIAL_SEED=n.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestNetns, type TestNetns } from "@calico/kernel/testing";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { judge } from "../testing/differential/judge.ts";
import { cases, type Case } from "../testing/differential/manifests.ts";
import { shrink } from "../testing/differential/shrink.ts";

const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? 300);
const SEED = Number(process.env["DIFFERENTIAL_SEED"] ?? 20_261_121);
/** Cases that went wrong once. */
const REGRESSIONS = join(import.meta.dirname, "../testing/differential/testdata");
const SHRINK_MS = 60_000;

let netns: TestNetns;
beforeEach(() => {
  netns = createTestNetns("df");
});
afterEach(() => netns[Symbol.dispose]());

/** Every object as it must be for the conversions to take it, so that a smaller case fails for the same reason. */
const isWhole = (rounds: Case): boolean => Array.isArray(rounds) && rounds.every((round) => Array.isArray(round) && round.every((each) => typeof (each as { delete?: unknown }).delete === "string" || (typeof each["kind"] === "string" && typeof each["apiVersion"] === "string" && typeof (each["metadata"] as { name?: unknown } | undefined)?.name === "string")));

async function explain(rounds: Case): Promise<string> {
  const deadline = Date.now() + SHRINK_MS;
  const fails = async (smaller: Case): Promise<boolean> => isWhole(smaller) && (await judge(smaller, netns)).disagreement !== null;
  const smallest = await shrink(rounds, fails, () => Date.now() > deadline);
  const { disagreement } = await judge(smallest, netns);
  const file = join(tmpdir(), `differential-${Date.now()}.json`);
  mkdirSync(tmpdir(), { recursive: true });
  writeFileSync(file, `${JSON.stringify(smallest, null, 1)}\n`);
  return `the kernel disagrees with the evaluator (case in ${file}; keep it under testdata when it is understood)\n${JSON.stringify(disagreement, null, 1)}\n${JSON.stringify(smallest)}`;
}

const regressions = readdirSync(REGRESSIONS).filter((name) => name.endsWith(".json"));
test.each(regressions)("%s", async (name) => {
  const rounds = JSON.parse(readFileSync(join(REGRESSIONS, name), "utf8")) as Case;
  expect((await judge(rounds, netns)).disagreement).toBeNull();
});

test(`the kernel's rules judge packets as the evaluator does, in ${RUNS} random clusters`, async () => {
  let [asked, allowed] = [0, 0];
  let failed: Case | null = null;
  await fc.assert(fc.asyncProperty(cases, async (rounds) => {
    const judgement = await judge(rounds, netns);
    asked += judgement.asked;
    allowed += judgement.allowed;
    if (judgement.disagreement !== null) failed = rounds;
    return failed === null;
  }), { numRuns: RUNS, seed: SEED, endOnFailure: true }).catch(async (error: unknown) => {
    throw failed === null ? error : new Error(await explain(failed), { cause: error });
  });
  // Neither is everything closed nor everything open.
  expect(allowed / asked).toBeGreaterThan(0.1);
  expect(allowed / asked).toBeLessThan(0.9);
  console.log(`${asked} packets, ${allowed} of them allowed`);
}, 120_000 + RUNS * 2_000);
