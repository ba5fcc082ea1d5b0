/** A block of addresses: the unit of compare-and-swap. Values are specs of IPAMBlock objects; nothing is changed in place. */
import { addressAt, addressCount, cidrParts, ordinalOf, type Cidr, type IpAddress } from "@calico/model";

/** Attributes of an allocation, shared by allocations of equal handle and attributes. */
export type BlockAttribute = { readonly handle_id?: string; readonly secondary?: Readonly<Record<string, string>> };

/** `spec` of an IPAMBlock, in Calico's format. */
export type BlockSpec = {
  readonly cidr: string;
  /** "host:<node>", or null: nobody's. */
  readonly affinity?: string | null;
  readonly affinityClaimTime?: string | null;
  readonly strictAffinity: boolean;
  /** By ordinal: index into `attributes`, or null: free. */
  readonly allocations: readonly (number | null)[];
  /** Free ordinals, the one that was released first in front. */
  readonly unallocated: readonly number[];
  readonly attributes: readonly BlockAttribute[];
  readonly sequenceNumber?: number;
  /** By ordinal: `sequenceNumber` at the time of the allocation. */
  readonly sequenceNumberForAllocation?: Readonly<Record<string, number>>;
  readonly deleted: boolean;
};

/** An allocation as it is found in a block. */
export type Allocation = { readonly ordinal: number; readonly address: IpAddress; readonly handleId: string; readonly secondary: Readonly<Record<string, string>> };

/** Largest block: 2^16 addresses. */
const MAX_BLOCK_BITS = 16;

/** An empty block of a node. Throws a RangeError for a CIDR with more than 65,536 addresses. */
export function newBlock(cidr: Cidr, node: string, now: string): BlockSpec {
  const { family, prefixLength } = cidrParts(cidr);
  const size = addressCount(family, prefixLength);
  if (size > 2 ** MAX_BLOCK_BITS) throw new RangeError(`a block of ${cidr} would have ${size} addresses, at most ${2 ** MAX_BLOCK_BITS} are possible`);
  return {
    cidr, affinity: hostAffinity(node), affinityClaimTime: now, strictAffinity: false, allocations: Array.from({ length: size }, () => null),
    unallocated: Array.from({ length: size }, (_, ordinal) => ordinal), attributes: [], sequenceNumber: 0, sequenceNumberForAllocation: {}, deleted: false,
  };
}

export function hostAffinity(node: string): string {
  return `host:${node}`;
}

/** The node of a host affinity; null for no affinity or one of another type. */
export function nodeOfAffinity(affinity: string | null | undefined): string | null {
  return affinity?.startsWith("host:") === true ? affinity.slice("host:".length) : null;
}

export function freeCount(block: BlockSpec): number {
  return block.unallocated.length;
}

/** True when nothing is allocated. */
export function isEmpty(block: BlockSpec): boolean {
  return block.unallocated.length === block.allocations.length;
}

/**
 * Takes up to `count` free addresses, those that were free longest first, for a handle. `isReserved` keeps addresses out.
 * Returns fewer when the block has no more.
 */
export function allocate(block: BlockSpec, attribute: BlockAttribute, count: number, isReserved: (address: IpAddress) => boolean = () => false): { block: BlockSpec; addresses: IpAddress[] } {
  const taken: number[] = [];
  const left: number[] = [];
  for (const ordinal of block.unallocated) {
    if (taken.length < count && !isReserved(addressAt(block.cidr, ordinal))) taken.push(ordinal);
    else left.push(ordinal);
  }
  return { block: occupy(block, attribute, taken, left), addresses: taken.map((ordinal) => addressAt(block.cidr, ordinal)) };
}

/** Takes one given address; null when it is taken or outside the block. */
export function allocateAddress(block: BlockSpec, attribute: BlockAttribute, address: IpAddress): BlockSpec | null {
  const ordinal = ordinalOf(block.cidr, address);
  if (ordinal === null || !block.unallocated.includes(ordinal)) return null;
  return occupy(block, attribute, [ordinal], block.unallocated.filter((free) => free !== ordinal));
}

function occupy(block: BlockSpec, attribute: BlockAttribute, ordinals: readonly number[], unallocated: readonly number[]): BlockSpec {
  if (ordinals.length === 0) return block;
  const sequenceNumber = (block.sequenceNumber ?? 0) + 1;
  const known = block.attributes.findIndex((other) => sameAttribute(other, attribute));
  const attributes = known >= 0 ? block.attributes : [...block.attributes, attribute];
  const index = known >= 0 ? known : attributes.length - 1;
  const allocations = [...block.allocations];
  const sequenceNumberForAllocation = { ...block.sequenceNumberForAllocation };
  for (const ordinal of ordinals) {
    allocations[ordinal] = index;
    sequenceNumberForAllocation[ordinal] = sequenceNumber;
  }
  return { ...block, allocations, unallocated, attributes, sequenceNumber, sequenceNumberForAllocation };
}

function sameAttribute(a: BlockAttribute, b: BlockAttribute): boolean {
  if (a.handle_id !== b.handle_id) return false;
  const left = Object.entries(a.secondary ?? {});
  return left.length === Object.keys(b.secondary ?? {}).length && left.every(([key, value]) => b.secondary?.[key] === value);
}

/** Frees every address of a handle but `keep`. The freed ones go to the end of the queue. */
export function releaseHandle(block: BlockSpec, handleId: string, keep?: IpAddress): { block: BlockSpec; released: IpAddress[] } {
  const ordinals = allocationsOf(block).filter((allocation) => allocation.handleId === handleId && allocation.address !== keep).map(({ ordinal }) => ordinal);
  return { block: vacate(block, ordinals), released: ordinals.map((ordinal) => addressAt(block.cidr, ordinal)) };
}

/** Frees one address when it is held by this handle; null otherwise. */
export function releaseAddress(block: BlockSpec, address: IpAddress, handleId: string): BlockSpec | null {
  const ordinal = ordinalOf(block.cidr, address);
  const held = allocationsOf(block).find((allocation) => allocation.ordinal === ordinal);
  return held === undefined || held.handleId !== handleId ? null : vacate(block, [held.ordinal]);
}

function vacate(block: BlockSpec, ordinals: readonly number[]): BlockSpec {
  if (ordinals.length === 0) return block;
  const freed = new Set(ordinals);
  const sequenceNumberForAllocation = Object.fromEntries(Object.entries(block.sequenceNumberForAllocation ?? {}).filter(([ordinal]) => !freed.has(Number(ordinal))));
  const kept = block.allocations.map((index, ordinal) => (freed.has(ordinal) ? null : index));
  const { allocations, attributes } = compactAttributes(kept, block.attributes);
  return { ...block, allocations, attributes, unallocated: [...block.unallocated, ...ordinals], sequenceNumber: (block.sequenceNumber ?? 0) + 1, sequenceNumberForAllocation };
}

/** Leaves out attributes that no allocation uses, and moves the indexes. */
function compactAttributes(allocations: readonly (number | null)[], attributes: readonly BlockAttribute[]): { allocations: (number | null)[]; attributes: BlockAttribute[] } {
  const used = [...new Set(allocations.filter((index) => index !== null))].sort((a, b) => a - b);
  const moved = new Map(used.map((index, position) => [index, position]));
  return {
    allocations: allocations.map((index) => (index === null ? null : (moved.get(index) ?? null))),
    attributes: used.flatMap((index) => attributes[index] ?? []),
  };
}

/** Gives up the affinity. */
export function withoutAffinity(block: BlockSpec): BlockSpec {
  return { ...block, affinity: null, affinityClaimTime: null, sequenceNumber: (block.sequenceNumber ?? 0) + 1 };
}

/** Everything allocated in a block, by ordinal. An allocation without attributes has the handle "". */
export function allocationsOf(block: BlockSpec): Allocation[] {
  return block.allocations.flatMap((index, ordinal) => {
    if (index === null) return [];
    const attribute = block.attributes[index] ?? {};
    return [{ ordinal, address: addressAt(block.cidr, ordinal), handleId: attribute.handle_id ?? "", secondary: attribute.secondary ?? {} }];
  });
}

/** Addresses of each handle in a block: what its IPAMHandle says about this block. */
export function handleCounts(block: BlockSpec): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { handleId } of allocationsOf(block)) if (handleId !== "") counts.set(handleId, (counts.get(handleId) ?? 0) + 1);
  return counts;
}

/** What is wrong with a block's arithmetic, in words; empty: it is sound. */
export function blockFaults(block: BlockSpec): string[] {
  const faults: string[] = [];
  const { family, prefixLength } = cidrParts(block.cidr);
  const size = addressCount(family, prefixLength);
  if (block.allocations.length !== size) faults.push(`has ${block.allocations.length} ordinals, ${block.cidr} has ${size} addresses`);
  const free = new Set(block.unallocated);
  if (free.size !== block.unallocated.length) faults.push("lists a free ordinal twice");
  for (const [ordinal, index] of block.allocations.entries()) {
    if ((index === null) !== free.has(ordinal)) faults.push(`ordinal ${ordinal} is ${index === null ? "neither allocated nor free" : "allocated and free"}`);
    if (index !== null && block.attributes[index] === undefined) faults.push(`ordinal ${ordinal} refers to attribute ${index}, which is missing`);
  }
  return faults;
}
