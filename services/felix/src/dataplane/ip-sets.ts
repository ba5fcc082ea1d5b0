/** Sets of the calculation as sets of the kernel: single addresses in a hash, ranges in an interval set. */
import type { IpSetId, IpSetType } from "@calico/calc";
import { addressOf, disjointCover, familyOf, formatAddress, prefixLengthOf } from "@calico/model";
import { elementText, type Family, type SetElement, type SetSpec } from "@calico/kernel";
import { ipSetName } from "../rules/names.ts";

/** A kernel set as it should be: members by their canonical text. */
export type DesiredSet = { readonly spec: SetSpec; readonly elements: Map<string, SetElement> };

type Entry = { readonly type: IpSetType; readonly members: Set<string>; /** Members that are no single addresses, by family. */ readonly wide: Record<Family, number> };

export interface IpSets {
  /** Replaces a set. */
  set(id: IpSetId, type: IpSetType, members: readonly string[]): void;
  change(id: IpSetId, added: readonly string[], removed: readonly string[]): void;
  remove(id: IpSetId): void;
  /** Name of the set in the kernel; of one that is unknown, the name that it would have. */
  nameOf(id: IpSetId, family: Family): string;
  /** Kernel sets that changed since the last call, and those that are gone; `renamed` sets have another name now, so rules must follow. */
  takeChanges(): { readonly changed: ReadonlyMap<string, DesiredSet>; readonly removed: ReadonlySet<string>; readonly renamed: ReadonlySet<IpSetId> };
}

const FAMILIES = [4, 6] as const;

export function createIpSets(): IpSets {
  const entries = new Map<IpSetId, Entry>();
  const dirty = new Set<IpSetId>();
  /** Names under which a set was given out, by set and family. */
  const names = new Map<IpSetId, Record<Family, string>>();
  const kernel = new Map<string, DesiredSet>();

  const isWide = (member: string): boolean => prefixLengthOf(member) !== (familyOf(member) === 4 ? 32 : 128);

  function add(entry: Entry, member: string): void {
    if (entry.members.has(member)) return;
    entry.members.add(member);
    if (entry.type === "net" && isWide(member)) entry.wide[familyOf(member)] += 1;
  }

  function drop(entry: Entry, member: string): void {
    if (!entry.members.delete(member)) return;
    if (entry.type === "net" && isWide(member)) entry.wide[familyOf(member)] -= 1;
  }

  function currentName(id: IpSetId, family: Family): string {
    return ipSetName(id, family, (entries.get(id)?.wide[family] ?? 0) > 0 ? "i" : "h");
  }

  return {
    set(id, type, members) {
      const entry: Entry = { type, members: new Set(), wide: { 4: 0, 6: 0 } };
      for (const member of members) add(entry, member);
      entries.set(id, entry);
      dirty.add(id);
    },
    change(id, added, removed) {
      const entry = entries.get(id);
      if (entry === undefined) return;
      for (const member of removed) drop(entry, member);
      for (const member of added) add(entry, member);
      dirty.add(id);
    },
    remove(id) {
      entries.delete(id);
      dirty.add(id);
    },
    nameOf: currentName,
    takeChanges() {
      const changed = new Map<string, DesiredSet>();
      const removed = new Set<string>();
      const renamed = new Set<IpSetId>();
      for (const id of dirty) {
        const before = names.get(id);
        const entry = entries.get(id);
        if (before !== undefined) for (const family of FAMILIES) if (entry === undefined || before[family] !== currentName(id, family)) removed.add(before[family]);
        if (entry === undefined) {
          names.delete(id);
          continue;
        }
        const now = { 4: currentName(id, 4), 6: currentName(id, 6) };
        if (before !== undefined && (before[4] !== now[4] || before[6] !== now[6])) renamed.add(id);
        names.set(id, now);
        for (const family of FAMILIES) changed.set(now[family], kernelSet(now[family], entry, family));
      }
      dirty.clear();
      for (const name of removed) kernel.delete(name);
      for (const [name, set] of changed) kernel.set(name, set);
      return { changed, removed, renamed };
    },
  };
}

function kernelSet(name: string, { type, members, wide }: Entry, family: Family): DesiredSet {
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const own = [...members].filter((member) => familyOf(member) === family);
  if (type === "ip-port") return { spec: { name, key: [address, "inet_proto", "inet_service"] }, elements: keyed(own.map((member): SetElement => ({ key: member.split(",") }))) };
  if (wide[family] === 0) return { spec: { name, key: [address] }, elements: keyed(own.map((member): SetElement => ({ key: [addressOf(member)] }))) };
  const ranges = disjointCover(own, family).map(({ start, end }): SetElement => ({ start: formatAddress(start), end: end === null ? null : formatAddress(end) }));
  return { spec: { name, key: [address], interval: true }, elements: keyed(ranges) };
}

/** Members by their canonical text. */
export function keyed(elements: readonly SetElement[]): Map<string, SetElement> {
  return new Map(elements.map((element) => [elementText(element), element]));
}
