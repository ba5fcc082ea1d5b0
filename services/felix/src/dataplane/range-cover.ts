/** The disjoint ranges that cover a changing set of CIDRs: each change costs what it changes, not what there is. */
import { cidrParts, formatAddress, type Family } from "@calico/model";

/** Addresses from `start` up to, not including, `end`; `end` null: up to the last address. */
export type TextRange = { readonly start: string; readonly end: string | null };

export interface RangeCover {
  /** Both take canonical CIDRs of the family; one that is there already, or is not there, changes nothing. */
  add(cidr: string): void;
  remove(cidr: string): void;
  /** Sorted, disjoint and not adjacent: exactly the addresses of the CIDRs. */
  ranges(): TextRange[];
  /** Ranges that came and that went since the last call. */
  takeChanges(): { readonly added: readonly TextRange[]; readonly removed: readonly TextRange[] };
}

/** From `start` up to, not including, `end`. */
type Range = { readonly start: bigint; readonly end: bigint };

export function createRangeCover(family: Family, cidrs: Iterable<string> = []): RangeCover {
  const width = family === 4 ? 32 : 128;
  const limit = 1n << BigInt(width);
  const isKnown = new Set<string>(cidrs);
  /** Every CIDR: by its start, of those with the same start the largest first. Two of them are disjoint, or one holds the other. */
  const members: Range[] = Array.from(isKnown, rangeOf).sort(inOrder);
  /** What they cover. */
  const cover: Range[] = joined(members);
  /** Ranges whose presence changed, by their start and end: true, they came. */
  const changes = new Map<string, { readonly range: Range; readonly came: boolean }>();

  function rangeOf(cidr: string): Range {
    const { bytes, prefixLength } = cidrParts(cidr);
    const start = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    return { start, end: start + (1n << BigInt(width - prefixLength)) };
  }

  function note(range: Range, came: boolean): void {
    const key = `${range.start}-${range.end}`;
    if (changes.get(key)?.came === !came) changes.delete(key);
    else changes.set(key, { range, came });
  }

  /** Puts ranges in the place of the `count` ranges from `at` on. */
  function replace(at: number, count: number, by: readonly Range[]): void {
    for (const range of cover.slice(at, at + count)) note(range, false);
    for (const range of by) note(range, true);
    cover.splice(at, count, ...by);
  }

  const toText = ({ start, end }: Range): TextRange => ({ start: addressText(start), end: end === limit ? null : addressText(end) });

  function addressText(value: bigint): string {
    const bytes = new Uint8Array(width / 8);
    let rest = value;
    for (let i = bytes.length - 1; i >= 0; i -= 1) {
      bytes[i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    return formatAddress(bytes);
  }

  return {
    add(cidr) {
      if (isKnown.has(cidr)) return;
      isKnown.add(cidr);
      const range = rangeOf(cidr);
      members.splice(firstWhere(members, (other) => inOrder(other, range) >= 0), 0, range);
      const from = firstWhere(cover, (other) => other.end >= range.start);
      let to = from;
      let { start, end } = range;
      for (let next = cover[to]; next !== undefined && next.start <= range.end; next = cover[to += 1]) {
        if (next.start <= range.start && next.end >= range.end) return;
        if (next.start < start) start = next.start;
        if (next.end > end) end = next.end;
      }
      replace(from, to - from, [{ start, end }]);
    },
    remove(cidr) {
      if (!isKnown.delete(cidr)) return;
      const range = rangeOf(cidr);
      const at = firstWhere(members, (other) => inOrder(other, range) >= 0);
      members.splice(at, 1);
      if (isHeld(cidr)) return;
      const whole = firstWhere(cover, (other) => other.end > range.start);
      const around = cover[whole];
      if (around === undefined) return;
      const inside: Range[] = [];
      for (let i = at, next = members[i]; next !== undefined && next.start < range.end; next = members[i += 1]) inside.push(next);
      const left = { start: around.start, end: range.start };
      const right = { start: range.end, end: around.end };
      replace(whole, 1, joined([left, ...inside, right].filter(({ start, end }) => start < end)));
    },
    ranges: () => cover.map(toText),
    takeChanges() {
      const taken = [...changes.values()];
      changes.clear();
      return { added: taken.filter(({ came }) => came).map(({ range }) => toText(range)), removed: taken.filter(({ came }) => !came).map(({ range }) => toText(range)) };
    },
  };

  /** Another CIDR holds all of this one. */
  function isHeld(cidr: string): boolean {
    const { bytes, prefixLength } = cidrParts(cidr);
    const masked = Uint8Array.from(bytes);
    for (let length = prefixLength - 1; length >= 0; length -= 1) {
      const byte = length >> 3;
      masked[byte] = (masked[byte] ?? 0) & (0xff00 >> (length & 7));
      if (isKnown.has(`${formatAddress(masked)}/${length}`)) return true;
    }
    return false;
  }
}

function inOrder(a: Range, b: Range): number {
  if (a.start !== b.start) return a.start < b.start ? -1 : 1;
  return a.end === b.end ? 0 : a.end > b.end ? -1 : 1;
}

/** Ranges sorted by their start, with what overlaps or touches put together. */
function joined(sorted: readonly Range[]): Range[] {
  const found: Range[] = [];
  for (const range of sorted) {
    const last = found.at(-1);
    if (last === undefined || last.end < range.start) found.push(range);
    else if (range.end > last.end) found[found.length - 1] = { start: last.start, end: range.end };
  }
  return found;
}

/** Index of the first item for which `holds` is true; it is false before and true from there on. */
function firstWhere<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && holds(item)) high = middle;
    else low = middle + 1;
  }
  return low;
}
