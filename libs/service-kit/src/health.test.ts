import { expect, test } from "vitest";
import { createFakeClock } from "./clock.ts";
import { createHealth } from "./health.ts";

test("a reporter is alive for its timeout and not ready before its first report", () => {
  const clock = createFakeClock();
  const health = createHealth(clock);
  health.register("dataplane", { liveTimeoutMs: 90_000, ready: true });
  health.register("bus", { liveTimeoutMs: false, ready: false });
  expect([health.live(), health.ready()]).toEqual([{ ok: true, reasons: [] }, { ok: false, reasons: ["dataplane: has not reported yet"] }]);
  health.report("dataplane", { live: true, ready: true, detail: "up to date" });
  expect(health.ready().ok).toBe(true);
  clock.advance(90_001);
  expect(health.live()).toEqual({ ok: false, reasons: ["dataplane: silent for 90 s (at most 90 s)"] });
  health.report("dataplane", { live: false, ready: false, detail: "the kernel refuses the table" });
  expect(health.live().reasons).toEqual(["dataplane: the kernel refuses the table"]);
  expect(() => health.report("typo", {})).toThrow("was not registered");
});
