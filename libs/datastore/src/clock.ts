/** Time and randomness as arguments, so that tests decide about them. */

export interface Clock {
  /** Milliseconds that only ever grow; not the time of day. */
  nowMs(): number;
  /** The time of day, in milliseconds since 1970. */
  wallMs(): number;
  /** Runs `task` once after `delayMs`; the returned function takes that back. */
  schedule(delayMs: number, task: () => void): () => void;
}

/** A number in [0, 1). */
export type Random = () => number;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  schedule(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Fulfilled after `ms`, or at once when the signal aborts. */
export function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.schedule(ms, done);
    if (signal.aborted) done();
    else signal.addEventListener("abort", done);
  });
}
