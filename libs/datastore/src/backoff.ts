/** Exponential back-off with jitter. */
import type { Random } from "./clock.ts";

export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly random: Random;
}

export interface Backoff {
  /** The next delay: between half and all of a value that doubles up to the maximum, never below `atLeastMs`. */
  nextMs(atLeastMs?: number): number;
  /** Something worked: the next delay is a first one again. */
  reset(): void;
}

/** Delays spread by half, so that clients that failed together do not come back together. */
export function createBackoff({ firstMs, maxMs, random }: BackoffOptions): Backoff {
  let ceilingMs = firstMs;
  return {
    nextMs(atLeastMs = 0) {
      const delayMs = ceilingMs * (0.5 + random() / 2);
      ceilingMs = Math.min(ceilingMs * 2, maxMs);
      // What the server asked for is spread upwards only.
      return Math.max(delayMs, atLeastMs > 0 ? atLeastMs * (1 + random() / 4) : 0);
    },
    reset() {
      ceilingMs = firstMs;
    },
  };
}
