/** Exponential backoff with jitter. */

export interface Backoff {
  /** How long to wait now, in milliseconds; each call doubles the next one up to the maximum. */
  next(): number;
  /** Forgets the failures: the next wait is the first one again. */
  reset(): void;
  readonly attempts: number;
}

/** Waits between half of and the whole of `firstMs`, then twice that, and so on up to `maxMs`. `random` gives [0, 1). */
export function createBackoff({ firstMs = 250, maxMs = 30_000, random = Math.random }: { firstMs?: number; maxMs?: number; random?: () => number } = {}): Backoff {
  let attempts = 0;
  return {
    next() {
      const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(attempts, 30));
      attempts += 1;
      return ceiling * (0.5 + random() / 2);
    },
    reset() {
      attempts = 0;
    },
    get attempts() {
      return attempts;
    },
  };
}
