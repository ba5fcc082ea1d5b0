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
