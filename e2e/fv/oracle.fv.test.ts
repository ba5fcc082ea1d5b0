import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { stopLab } from "./cluster.ts";
import { expectedReach, pairsOf, policies, policiesIn, PROBES, removeOthers, startOracleLab, untilProbes } from "./oracle.ts";

const ROUNDS = 50;
const SEED = 20_261;

let lab: Lab;
beforeAll(async () => {
  lab = await startOracleLab("fvoracle", 26);
});
afterAll(async () => expect(await stopLab(lab)).toEqual([]));

it(`the kernel judges connections as the evaluator does, under ${ROUNDS} random sets of policies that follow each other`, async () => {
  let closed = 0;
  let asked = 0;
  for (const objects of fc.sample(policies, { numRuns: ROUNDS, seed: SEED })) {
    await lab.apply(objects);
    await removeOthers(lab, objects);
    const expected = await expectedReach(lab);
    await untilProbes(lab, expected).catch(async (error: unknown) => {
      throw new Error(`${(error as Error).message}\n${JSON.stringify(await policiesIn(lab), null, 1)}`);
    });
    const answers = pairsOf(lab).flatMap(({ from, to }) => PROBES.map((probe) => expected(from, to, probe)));
    asked += answers.length;
    closed += answers.filter((reached) => !reached).length;
  }
  expect(closed / asked).toBeGreaterThan(0.2);
  expect(closed / asked).toBeLessThan(0.8);
});
