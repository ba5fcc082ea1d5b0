/** Waiting without sleeping blindly: a condition polled to a deadline. */

import { patient } from "./patience.ts";

const POLL_MS = 20;

/**
 * Resolves when the condition holds. A condition that throws counts as not yet; after the timeout (patience.ts) the
 * error names what was waited for and the last failure.
 */
export async function untilTrue(what: string | (() => string), condition: () => Promise<boolean>, timeoutMs: number): Promise<void> {
  const patienceMs = patient(timeoutMs);
  const deadline = performance.now() + patienceMs;
  let last: unknown = null;
  for (;;) {
    try {
      if (await condition()) return;
      last = null;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const name = typeof what === "string" ? what : what();
      throw new Error(`waited ${Math.round(patienceMs / 1000)} s in vain for ${name}${last instanceof Error ? `: ${last.message}` : ""}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
