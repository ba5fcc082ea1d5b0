import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, healthOf, inject, rules, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

const intoShop = (_: string, to: string): boolean => !to.startsWith("shop/");

describe("an API server that misbehaves", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvapi", 23);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));
  afterEach(() => withoutPolicies(lab));

  it("gone for a minute: everything stays, and changes after its return are enforced", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    const before = rules(lab, "node-1");
    await inject(lab, { awayMs: 60_000 });
    const until = performance.now() + 55_000;
    while (performance.now() < until) await untilReach(lab, intoShop, 2_000);
    expect(rules(lab, "node-1")).toBe(before);
    expect(await healthOf(lab, "node-1", 9099, "/liveness")).toMatchObject({ status: 200 });
    await untilTrue("the API server to be back", async () => lab.apply([denyInto("monitoring")]).then(() => true), 20_000);
    await untilReach(lab, () => false, 30_000);
    expect(rules(lab, "node-1")).not.toBe(before);
  });

  it("with a forgotten history and ended watches: a change in between is not lost", async () => {
    await inject(lab, { silentWatches: true });
    await lab.apply([denyInto("shop")]);
    await inject(lab, { silentWatches: false, compact: true, dropWatches: true });
    await untilReach(lab, intoShop, 30_000);
  });

  it("that answers 429 and 500 for a while", async () => {
    await inject(lab, { dropWatches: true, tooManyRequests: 5, internalErrors: 10 });
    await untilTrue("the policy to be accepted", async () => lab.apply([denyInto("shop")]).then(() => true), 20_000);
    await untilReach(lab, intoShop, 30_000);
  });
});
