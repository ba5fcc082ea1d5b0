/** Ports of rules: numbers, ranges and names. */
import type { PortRange } from "../model.ts";

export const MAX_PORT = 65_535;

/** True for a port number that a packet can carry and a rule may name: 1 to 65535. */
export function isPort(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_PORT;
}

/** Ranges in order, those that touch or overlap joined. */
export function joinRanges(ranges: readonly PortRange[]): PortRange[] {
  const joined: PortRange[] = [];
  for (const range of ranges.toSorted((a, b) => a.first - b.first || a.last - b.last)) {
    const before = joined.at(-1);
    if (before !== undefined && range.first <= before.last + 1) joined[joined.length - 1] = { first: before.first, last: Math.max(before.last, range.last) };
    else joined.push(range);
  }
  return joined;
}
