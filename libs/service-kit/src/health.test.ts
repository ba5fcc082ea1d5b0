import { expect, test } from "vitest";
import { createFakeClock, every } from "./clock.ts";
import { createHealth, reportInterval } from "./health.ts";

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

test("a service reports often until it is ready, calmly then, and often again when it is not", () => {
  const clock = createFakeClock();
  const health = createHealth(clock);
  health.register("part", { liveTimeoutMs: false, ready: true });
  let ready = false;
  let reports = 0;
  using timer = every(clock, reportInterval(health), () => {
    reports += 1;
    health.report("part", { ready });
  });
  const within = (ms: number): number => {
    reports = 0;
    clock.advance(ms);
    return reports;
  };
  expect(within(1_000)).toBe(10);
  ready = true;
  expect(within(100)).toBe(1);
  expect(within(3_000)).toBe(3);
  ready = false;
  expect(within(1_000)).toBe(1);
  expect(within(1_000)).toBe(10);
  void timer;
});
