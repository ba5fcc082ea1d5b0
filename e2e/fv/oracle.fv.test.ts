import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";
import { expectedReach, policies } from "./oracle.ts";

const ROUNDS = 25;
const SEED = 20_261;

let lab: Lab;
beforeAll(async () => {
  lab = await startDemoLab("fvoracle", 26);
}, 90_000);
afterAll(async () => expect(await stopLab(lab)).toEqual([]), 30_000);

it(`the kernel judges connections as the evaluator does, under ${ROUNDS} random sets of policies`, async () => {
  let closed = 0;
  for (const objects of fc.sample(policies, { numRuns: ROUNDS, seed: SEED })) {
    await lab.apply(objects);
    const expected = await expectedReach(lab, objects);
    await untilReach(lab, expected).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}\n${JSON.stringify(objects, null, 1)}`);
    });
    for (const from of lab.pods().keys()) for (const to of lab.pods().keys()) if (from !== to && !expected(from, to)) closed += 1;
    await withoutPolicies(lab);
  }
  expect(closed).toBeGreaterThan(ROUNDS);
}, 240_000);
