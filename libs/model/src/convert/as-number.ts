/** Numbers of autonomous systems. */

/** The number of an AS as people write it: plain, or as two halves ("1.10"); null for anything else. */
export function asNumberOf(written: unknown): number | null {
  if (typeof written === "string") {
    const [, high, low] = /^(\d{1,5})\.(\d{1,5})$/.exec(written) ?? [];
    if (high !== undefined && low !== undefined) return Number(high) > 65_535 || Number(low) > 65_535 ? null : inRange(Number(high) * 65_536 + Number(low));
    return /^\d{1,10}$/.test(written) ? inRange(Number(written)) : null;
  }
  return typeof written === "number" && Number.isInteger(written) ? inRange(written) : null;
}

function inRange(number: number): number | null {
  return number >= 1 && number <= 4_294_967_295 ? number : null;
}
