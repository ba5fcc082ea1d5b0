/** Writes IPAMHandle objects after the answer was given: they can be made again from the blocks, so nobody waits for them. */
import type { AllocationStore } from "@calico/datastore";
import { writeHandle } from "@calico/ipam";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";

export interface HandleWriter {
  /** Sets what the handle object shall say; a later call for the same handle replaces an earlier one. */
  set(handleId: string, counts: Readonly<Record<string, number>>): void;
  /** The handle was released: what was to be said of it is out of date. */
  forget(handleId: string): void;
  readonly backlog: number;
  /** Writes what is left, at most for `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/** Above this many waiting handles the oldest is given up: kube-controllers makes it again from the block. */
const MAX_BACKLOG = 10_000;
/** The answer to a pod's ADD goes first. */
const PATIENCE_MS = 10;

export function createHandleWriter(store: AllocationStore, clock: Clock, log: Logger): HandleWriter {
  const waiting = new Map<string, Readonly<Record<string, number>>>();
  const stopping = new AbortController();
  let running: Promise<void> | null = null;

  async function drain(): Promise<void> {
    const backoff = createBackoff({ firstMs: 100, maxMs: 10_000 });
    await delay(clock, PATIENCE_MS, stopping.signal);
    for (let next = waiting.entries().next(); next.done !== true; next = waiting.entries().next()) {
      const [handleId, counts] = next.value;
      try {
        await store.run(writeHandle(handleId, counts));
        if (waiting.get(handleId) === counts) waiting.delete(handleId);
        backoff.reset();
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn("A handle could not be written, trying again", { handle: handleId, error });
        await delay(clock, backoff.next(), stopping.signal);
      }
    }
  }

  function wake(): void {
    running ??= drain().finally(() => {
      running = null;
      if (waiting.size > 0 && !stopping.signal.aborted) wake();
    });
  }

  return {
    set(handleId, counts) {
      if (waiting.size >= MAX_BACKLOG) {
        const oldest = waiting.keys().next().value;
        if (oldest !== undefined) waiting.delete(oldest);
      }
      waiting.set(handleId, counts);
      wake();
    },
    forget: (handleId) => void waiting.delete(handleId),
    get backlog() {
      return waiting.size;
    },
    async stop(timeoutMs) {
      const cut = clock.setTimer(timeoutMs, () => stopping.abort());
      await running;
      cut[Symbol.dispose]();
      stopping.abort();
    },
  };
}
