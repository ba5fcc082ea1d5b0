/** Time as a dependency, so that tests decide when it passes. */

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Monotonic, milliseconds with fractions. */
  monotonic(): number;
  /** Calls `run` once after `ms`; disposing before that cancels it. */
  setTimer(ms: number, run: () => void): Disposable;
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  setTimer(ms, run) {
    const timer = setTimeout(run, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/**
 * Calls `run` every `ms` until it is disposed; the next interval begins when `run` returned or its promise settled. A
 * function is asked for the length of each interval when it begins.
 */
export function every(clock: Clock, ms: number | (() => number), run: () => void | Promise<void>): Disposable {
  let stopped = false;
  let timer: Disposable | undefined;
  const arm = (): void => {
    if (!stopped) timer = clock.setTimer(typeof ms === "number" ? ms : ms(), tick);
  };
  const tick = (): void => {
    const pending = run();
    if (pending instanceof Promise) pending.then(arm, arm);
    else arm();
  };
  arm();
  return {
    [Symbol.dispose]: () => {
      stopped = true;
      timer?.[Symbol.dispose]();
    },
  };
}

/** A promise that is fulfilled after `ms`, or at once when `signal` aborts. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const timer = clock.setTimer(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    const abort = (): void => {
      timer[Symbol.dispose]();
      resolve();
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** A clock for tests: it stands still until `advance` is called. */
export interface FakeClock extends Clock {
  /** Lets `ms` pass; timers that come due run in order, those they set included. */
  advance(ms: number): void;
  readonly pending: number;
}

export function createFakeClock(start = 0): FakeClock {
  let now = start;
  let order = 0;
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    now: () => now,
    monotonic: () => now,
    setTimer(ms, run) {
      const id = (order += 1);
      timers.set(id, { at: now + ms, run });
      return { [Symbol.dispose]: () => void timers.delete(id) };
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
        if (due === undefined) break;
        timers.delete(due[0]);
        now = Math.max(now, due[1].at);
        due[1].run();
      }
      now = end;
    },
    get pending() {
      return timers.size;
    },
  };
}
