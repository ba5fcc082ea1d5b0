/** What tests do to the server. */
import type { ResourceType } from "./object.ts";
import { ApiError, conflict } from "./status.ts";

export type Faults = {
  /** Watches stay open and are told nothing, not even bookmarks. */
  silentWatches: boolean;
  /** Every new watch is answered with 410. */
  expireWatches: boolean;
  /** So many of the next updates of a kind (by plural) are refused as conflicts. */
  conflicts: Record<string, number>;
  /** So many of the next requests are answered with 429. */
  tooManyRequests: number;
  /** So many of the next requests are answered with 500. */
  internalErrors: number;
  latencyMs: number;
  /** Stores what the rules across fields forbid, as a server with older definitions does. */
  skipChecks: boolean;
};

export type FaultCommand = Partial<Faults> & {
  /** Ends every watch now. */
  readonly dropWatches?: boolean;
  /** Forgets the history of changes. */
  readonly compact?: boolean;
  /** Refuses connections for so long. */
  readonly awayMs?: number;
};

export function noFaults(): Faults {
  return { silentWatches: false, expireWatches: false, conflicts: {}, tooManyRequests: 0, internalErrors: 0, latencyMs: 0, skipChecks: false };
}

/** Throws what the next request is to be answered with, if anything. */
export function takeFault(faults: Faults): void {
  if (faults.tooManyRequests > 0) {
    faults.tooManyRequests -= 1;
    throw new ApiError(429, "Too many requests, please try again later.", { retryAfterSeconds: 1 });
  }
  if (faults.internalErrors > 0) {
    faults.internalErrors -= 1;
    throw new ApiError(500, "Internal error occurred: injected");
  }
}

/** Throws a conflict when the next update of the kind is to be one. */
export function takeConflict(faults: Faults, type: ResourceType): void {
  const left = faults.conflicts[type.plural] ?? 0;
  if (left <= 0) return;
  faults.conflicts[type.plural] = left - 1;
  throw conflict(type, "", "the object has been modified; injected");
}
