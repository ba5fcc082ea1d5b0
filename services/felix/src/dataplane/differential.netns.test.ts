/**
 * The evaluator against the compiled rules as the kernel has them: random clusters go through both halves of the calculation and the
 * real dataplane, and the table that the kernel then lists judges packets. More cases: DIFFERENTIAL_RUNS=5000, another start: DIFFERENTIAL_SEED=n.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTestNetns, type TestNetns } from "@calico/kernel/testing";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createJudge, type Judge } from "../testing/differential/judge.ts";
import { cases, isGone, type Case, type Change, type Manifest } from "../testing/differential/manifests.ts";
import { shrink } from "../testing/differential/shrink.ts";

const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? 300);
const SEED = Number(process.env["DIFFERENTIAL_SEED"] ?? 20_261_121);
/** Cases that went wrong once. */
const REGRESSIONS = join(import.meta.dirname, "../testing/differential/testdata");
const SHRINK_MS = 60_000;

let netns: TestNetns;
let judge: Judge;
beforeEach(() => {
  netns = createTestNetns("df");
  judge = createJudge(netns);
});
afterEach(() => netns[Symbol.dispose]());

/** Every object still has what names it, so that a smaller case fails for the same reason. */
const isWhole = ({ rounds }: Case): boolean => Array.isArray(rounds) && rounds.every((round) => Array.isArray(round) && round.every((each: Change) => isGone(each) || [each.kind, each.apiVersion, (each.metadata as Partial<Manifest["metadata"]> | undefined)?.name].every((text) => typeof text === "string")));

/** A small case that fails as the given one does, written where it can be kept. */
async function explain(found: Case): Promise<string> {
  const deadline = Date.now() + SHRINK_MS;
  const smallest = await shrink(found, async (smaller) => isWhole(smaller) && (await judge(smaller)).disagreement !== null, () => Date.now() > deadline);
  const { disagreement } = await judge(smallest);
  const file = join(tmpdir(), `differential-${process.pid}.json`);
  writeFileSync(file, `${JSON.stringify(smallest, null, 1)}\n`);
  return `the kernel disagrees with the evaluator (the case is in ${file}: it belongs under testdata)\n${JSON.stringify(disagreement, null, 1)}\n${JSON.stringify(smallest)}`;
}

const regressions = readdirSync(REGRESSIONS).filter((name) => name.endsWith(".json"));
test.each(regressions)("%s", async (name) => {
  const kept = JSON.parse(readFileSync(join(REGRESSIONS, name), "utf8")) as Case;
  const { asked, disagreement } = await judge(kept);
  expect(disagreement).toBeNull();
  expect(asked).toBeGreaterThan(0);
});

test(`the kernel's rules judge packets as the evaluator does, in ${RUNS} random clusters`, async () => {
  let [asked, allowed] = [0, 0];
  let failed: Case | null = null;
  const result = await fc.check(fc.asyncProperty(cases, async (generated) => {
    const judgement = await judge(generated);
    asked += judgement.asked;
    allowed += judgement.allowed;
    if (judgement.disagreement !== null) failed = generated;
    return failed === null;
  }), { numRuns: RUNS, seed: SEED, endOnFailure: true });
  if (result.failed) throw new Error(failed === null ? await fc.asyncDefaultReportMessage(result) : await explain(failed));
  expect(asked).toBeGreaterThan(RUNS * 500);
  // Neither is everything closed nor everything open.
  expect(allowed / asked).toBeGreaterThan(0.1);
  expect(allowed / asked).toBeLessThan(0.9);
}, 120_000 + RUNS * 2_000);
