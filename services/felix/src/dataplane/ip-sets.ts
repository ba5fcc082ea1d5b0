/**
 * Sets of the calculation as sets of the kernel: single addresses in a hash, ranges in an interval set. A family of which a set has no member
 * has no kernel set: the kernel finds sets by their names in a list, and rules that can match nothing need not be there.
 */
import type { IpSetId, IpSetType } from "@calico/calc";
import { addressOf, familyOf } from "@calico/model";
import { elementText, type Family, type SetElement, type SetSpec } from "@calico/kernel";
import { ipSetName } from "../rules/names.ts";
import { createRangeCover, type RangeCover } from "./range-cover.ts";

/** A kernel set as it should be: members by their canonical text. */
export type DesiredSet = { readonly spec: SetSpec; readonly elements: Map<string, SetElement> };

/** What became of members of a kernel set that is otherwise as it was. */
export type SetChange = { readonly added: readonly SetElement[]; readonly removed: readonly SetElement[] };

type Entry = {
  readonly type: IpSetType;
  readonly members: Set<string>;
  readonly count: Record<Family, number>;
  /** Members that are no single addresses, by family. */
  readonly wide: Record<Family, number>;
  /** The ranges of all members, for a family in which there are such. */
  readonly covers: Record<Family, RangeCover | null>;
};

export interface IpSets {
  /** Replaces a set. */
  set(id: IpSetId, type: IpSetType, members: readonly string[]): void;
  change(id: IpSetId, added: readonly string[], removed: readonly string[]): void;
  remove(id: IpSetId): void;
  /** Name of the set in the kernel; null: it has no member of the family. Of one that is unknown, a name that the kernel does not know either. */
  nameOf(id: IpSetId, family: Family): string | null;
  /** The members of a set of single addresses, as CIDRs; null: it is none. */
  singlesOf(id: IpSetId): ReadonlySet<string> | null;
  /**
   * What happened since the last call: kernel sets that are to be replaced, those of which only members changed, and
   * those that are gone; `renamed` sets have another name now, or none, so rules must follow.
   */
  takeChanges(): {
    readonly replaced: ReadonlyMap<string, DesiredSet>; readonly changed: ReadonlyMap<string, SetChange>; readonly removed: ReadonlySet<string>; readonly renamed: ReadonlySet<IpSetId>;
    /** Sets that have ranges now and had none, or the other way round. */
    readonly reshaped: ReadonlySet<IpSetId>;
    /** Members that came or went, by set; null: any of them. */
    readonly touched: ReadonlyMap<IpSetId, ReadonlySet<string> | null>;
  };
}

const FAMILIES = [4, 6] as const;

/** Whether a CIDR is more than one address. */
export const isWide = (member: string, family: Family): boolean => !member.endsWith(family === 4 ? "/32" : "/128");

export function createIpSets(): IpSets {
  const entries = new Map<IpSetId, Entry>();
  /** Members that came or went, by set; null: all of it. */
  const dirty = new Map<IpSetId, Set<string> | null>();
  /** Names under which a set was given out, by set and family. */
  const names = new Map<IpSetId, Record<Family, string | null>>();

  function add(entry: Entry, member: string): void {
    if (entry.members.has(member)) return;
    entry.members.add(member);
    const family = familyOf(member);
    entry.count[family] += 1;
    if (entry.type !== "net") return;
    if (isWide(member, family)) entry.wide[family] += 1;
    entry.covers[family]?.add(member);
  }

  function drop(entry: Entry, member: string): void {
    if (!entry.members.delete(member)) return;
    const family = familyOf(member);
    entry.count[family] -= 1;
    if (entry.type !== "net") return;
    if (isWide(member, family)) entry.wide[family] -= 1;
    entry.covers[family]?.remove(member);
  }

  /** Single addresses need no cover: it comes with the first range and goes with the last. */
  function coverOf(entry: Entry, family: Family): RangeCover | null {
    if (entry.wide[family] === 0) entry.covers[family] = null;
    else entry.covers[family] ??= createRangeCover(family, membersOf(entry, family));
    return entry.covers[family];
  }

  function currentName(id: IpSetId, family: Family): string | null {
    const entry = entries.get(id);
    if (entry?.count[family] === 0) return null;
    return ipSetName(id, family, (entry?.wide[family] ?? 0) > 0 ? "i" : "h");
  }

  return {
    set(id, type, members) {
      const entry: Entry = { type, members: new Set(), count: { 4: 0, 6: 0 }, wide: { 4: 0, 6: 0 }, covers: { 4: null, 6: null } };
      for (const member of members) add(entry, member);
      entries.set(id, entry);
      dirty.set(id, null);
    },
    change(id, added, removed) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      for (const member of removed) drop(entry, member);
      for (const member of added) add(entry, member);
      const touched = dirty.has(id) ? dirty.get(id) : new Set<string>();
      for (const member of [...removed, ...added]) touched?.add(member);
      dirty.set(id, touched ?? null);
    },
    remove(id) {
      entries.delete(id);
      dirty.set(id, null);
    },
    nameOf: currentName,
    singlesOf(id) {
      const entry = entries.get(id);
      return entry === undefined || entry.type !== "net" || entry.wide[4] + entry.wide[6] > 0 ? null : entry.members;
    },
    takeChanges() {
      const replaced = new Map<string, DesiredSet>();
      const changed = new Map<string, SetChange>();
      const removed = new Set<string>();
      const renamed = new Set<IpSetId>();
      const reshaped = new Set<IpSetId>();
      for (const [id, touched] of dirty) {
        const before = names.get(id);
        const entry = entries.get(id);
        for (const family of FAMILIES) {
          const name = before?.[family] ?? null;
          if (name !== null && (entry === undefined || name !== currentName(id, family))) removed.add(name);
        }
        if (entry === undefined) {
          names.delete(id);
          continue;
        }
        const now = { 4: currentName(id, 4), 6: currentName(id, 6) };
        if (before !== undefined && (before[4] !== now[4] || before[6] !== now[6])) renamed.add(id);
        if (before !== undefined && hasRanges(before) !== hasRanges(now)) reshaped.add(id);
        names.set(id, now);
        for (const family of FAMILIES) {
          const name = now[family];
          const cover = coverOf(entry, family);
          if (name === null) continue;
          // What the whole set says need not be said again.
          const ranges = cover?.takeChanges();
          if (touched === null || before?.[family] !== name) replaced.set(name, kernelSet(name, entry, family, cover));
          else if (ranges !== undefined) changed.set(name, ranges);
          // A range that came and went meanwhile is no member of a set of addresses, though it begins with one.
          else changed.set(name, changeOf(entry, [...touched].filter((member) => familyOf(member) === family && !(entry.type === "net" && isWide(member, family)))));
        }
      }
      const all = new Map(dirty);
      dirty.clear();
      return { replaced, changed, removed, renamed, reshaped, touched: all };
    },
  };
}

const hasRanges = (names: Readonly<Record<Family, string | null>>): boolean => FAMILIES.some((family) => names[family]?.endsWith(`-i${family}`) === true);

function changeOf({ type, members }: Entry, touched: readonly string[]): SetChange {
  const elements = (list: readonly string[]): SetElement[] => list.map((member) => elementOf(type, member));
  return { added: elements(touched.filter((member) => members.has(member))), removed: elements(touched.filter((member) => !members.has(member))) };
}

/** A member that is one address, perhaps with protocol and port. */
function elementOf(type: IpSetType, member: string): SetElement {
  return { key: type === "ip-port" ? member.split(",") : [addressOf(member)] };
}

const membersOf = ({ members }: Entry, family: Family): string[] => [...members].filter((member) => familyOf(member) === family);

function kernelSet(name: string, entry: Entry, family: Family, cover: RangeCover | null): DesiredSet {
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  if (cover !== null) return { spec: { name, key: [address], interval: true }, elements: keyed(cover.ranges()) };
  const key = entry.type === "ip-port" ? ([address, "inet_proto", "inet_service"] as const) : ([address] as const);
  return { spec: { name, key }, elements: keyed(membersOf(entry, family).map((member) => elementOf(entry.type, member))) };
}

/** Members by their canonical text. */
export function keyed(elements: readonly SetElement[]): Map<string, SetElement> {
  return new Map(elements.map((element) => [elementText(element), element]));
}
