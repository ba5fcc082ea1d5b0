/** Disjoint ranges that cover a list of CIDRs: what an interval set of the kernel holds. */
import { compareBytes, type AddressBytes, type Family } from "./address.ts";
import { endOf, parseCidr } from "./cidr.ts";

/** Addresses from `start` up to, not including, `end`; `end` null: up to the last address. */
export type AddressRange = { readonly start: AddressBytes; readonly end: AddressBytes | null };

/**
 * Sorted, disjoint, non-adjacent ranges of one family that hold exactly the addresses of `cidrs`;
 * texts of the other family or that are no CIDR are passed over.
 */
export function disjointCover(cidrs: Iterable<string>, family: Family): AddressRange[] {
  const ranges: AddressRange[] = [];
  for (const text of cidrs) {
    const cidr = parseCidr(text);
    if (cidr !== null && cidr.family === family) ranges.push({ start: cidr.bytes, end: endOf(cidr) });
  }
  ranges.sort((a, b) => compareBytes(a.start, b.start));
  const cover: AddressRange[] = [];
  for (const range of ranges) {
    const last = cover.at(-1);
    if (last === undefined || (last.end !== null && compareBytes(last.end, range.start) < 0)) cover.push(range);
    else cover[cover.length - 1] = { start: last.start, end: later(last.end, range.end) };
  }
  return cover;
}

function later(a: AddressBytes | null, b: AddressBytes | null): AddressBytes | null {
  if (a === null || b === null) return null;
  return compareBytes(a, b) >= 0 ? a : b;
}
