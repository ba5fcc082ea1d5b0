/** Durations as BGPPeer and BGPConfiguration write them. */

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** "90s" or "1m30s" in whole seconds, rounded up; null when it is no duration. */
export function secondsOf(value: unknown): number | null {
  if (typeof value !== "string" || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+$/.test(value)) return null;
  let ms = 0;
  for (const [, amount, unit] of value.matchAll(/([0-9.]+)(ms|s|m|h)/g)) ms += Number(amount) * UNIT_MS[unit as keyof typeof UNIT_MS];
  return Math.ceil(ms / 1_000);
}
