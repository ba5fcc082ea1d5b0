/** What tests do to the server. */

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
