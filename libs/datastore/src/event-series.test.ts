import { describe, expect, it } from "vitest";
import { createEventSeries, EVENT_LIMITS, type Happening } from "./event-series.ts";

const happening = (name: string, more: { reason?: string; message?: string; resourceVersion?: string } = {}): Happening => {
  const { reason = "Tested", message = "m", ...rest } = more;
  return { regarding: { apiVersion: "v1", kind: "Pod", namespace: "n", name, ...rest }, type: "Warning", reason, message };
};

describe("event series", () => {
  it("writes the first at once and counts what follows until the series may be written again", () => {
    const series = createEventSeries();
    series.note(happening("a", { message: "one" }), 0);
    expect(series.take(0)).toMatchObject({ count: 1, firstMs: 0, lastMs: 0 });
    for (const at of [1_000, 2_000]) series.note(happening("a", { message: `at ${at}` }), at);
    expect([series.take(2_000), series.nextInMs(2_000)]).toEqual([null, EVENT_LIMITS.quietMs - 2_000]);
    expect(series.take(EVENT_LIMITS.quietMs)).toMatchObject({ count: 2, firstMs: 1_000, lastMs: 2_000, happening: { message: "at 2000" } });
    expect([series.take(1e6), series.nextInMs(1e6)]).toEqual([null, null]);
  });

  it("a revision of an object has its own series", () => {
    const series = createEventSeries();
    for (const resourceVersion of ["1", "1", "2"]) series.note(happening("a", { resourceVersion }), 0);
    expect([series.take(0)?.count, series.take(0)?.count, series.take(0)]).toEqual([2, 1, null]);
  });

  it("an object that changes all the time is held back, others are not", () => {
    const series = createEventSeries();
    const noted = Array.from({ length: 20 }, (_, i) => series.note(happening("a", { resourceVersion: String(i) }), 0));
    expect(noted.filter(Boolean)).toHaveLength(EVENT_LIMITS.perObject);
    expect(series.note(happening("b"), 0)).toBe(true);
    expect(series.note(happening("a", { resourceVersion: "x" }), EVENT_LIMITS.perObjectRefillMs)).toBe(true);
  });

  it("all together are written at a limited rate", () => {
    const series = createEventSeries({ ...EVENT_LIMITS, burst: 3, refillMs: 100 });
    for (let i = 0; i < 5; i += 1) series.note(happening(`p${i}`), 0);
    const take = (at: number): number => {
      let count = 0;
      while (series.take(at) !== null) count += 1;
      return count;
    };
    expect([take(0), series.nextInMs(0), take(99), take(100), take(200), series.nextInMs(200)]).toEqual([3, 100, 0, 1, 1, null]);
  });

  it("remembers a bounded number, and what waits rather than what was written", () => {
    const series = createEventSeries({ ...EVENT_LIMITS, maxSeries: 2 });
    series.note(happening("a"), 0);
    series.take(0);
    expect([series.note(happening("b"), 0), series.note(happening("c"), 0), series.note(happening("d"), 0)]).toEqual([true, true, false]);
  });

  it("what could not be written is due again, with what came since", () => {
    const series = createEventSeries();
    series.note(happening("a"), 5);
    const due = series.take(5);
    series.note(happening("a"), 7);
    if (due !== null) series.giveBack(due);
    expect(series.take(8)).toMatchObject({ count: 2, firstMs: 5, lastMs: 7 });
  });
});
