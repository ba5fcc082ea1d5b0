/** Assigning addresses on one node. */
import { addressAt, addressCount, blockName, cidrOf, cidrParts, contains, familyOf, overlaps, prefixLengthOf, type Cidr, type Family, type IpAddress, type IpPool, type Labels } from "@calico/model";
import { claim, confirm, reclaim } from "./affinity.ts";
import { allocate, allocateAddress, allocationsOf, freeCount, hostAffinity, isEmpty, type BlockAttribute, type BlockSpec } from "./block.ts";
import { listBlocks, read, write, type Steps, type Versioned } from "./effects.ts";
import { candidateBlocks, choosePools, rotated, type AddressUse } from "./pools.ts";

/** What the allocator knows of its node between requests. Blocks are those with affinity to it, by name. */
export type NodeView = {
  readonly node: string;
  readonly nodeLabels: Labels;
  readonly pools: readonly IpPool[];
  readonly isReserved: (address: IpAddress) => boolean;
  /** 0: 20. */
  readonly maxBlocksPerHost: number;
  readonly autoAllocateBlocks: boolean;
  /** No address of another node's block is used. */
  readonly strictAffinity: boolean;
  /** Kept up to date by the allocator; entries may be stale, a compare-and-swap finds out. */
  readonly blocks: Map<string, Versioned<BlockSpec>>;
  /** RFC 3339, for the objects that are made. */
  readonly now: string;
};

/** One request of a batch: `count` addresses of one family for a handle. */
export type AssignRequest = {
  readonly family: Family;
  readonly count: number;
  /** A pod's when absent. */
  readonly use?: AddressUse;
  readonly attribute: BlockAttribute;
  readonly requestedPools: readonly string[];
  readonly namespaceLabels: Labels;
};

/** Addresses with the prefix length of their block; fewer than asked for come with reasons, pool by pool. */
export type AssignResult = { readonly addresses: Cidr[]; readonly because: string[] };

/** Blocks per node and family that Calico allows when nothing else is said. */
const DEFAULT_MAX_BLOCKS = 20;
/** An empty block may be taken over by another node when its claim is older than this. */
const RECLAIM_AFTER_MS = 60_000;
/** Tries of one block before another is looked at. */
const MAX_CONFLICTS = 20;

type Pending = { readonly request: AssignRequest; readonly pools: IpPool[]; readonly result: { addresses: Cidr[]; because: string[] }; missing: number };

/**
 * Serves a batch of requests: one write per block that is touched, however many requests it serves. Blocks with
 * affinity come first, in order of their names; then a new one is claimed, or one that another node leaves empty taken
 * over; then addresses are borrowed from other nodes' blocks. Results are in the order of the requests.
 */
export function* assign(view: NodeView, requests: readonly AssignRequest[]): Steps<AssignResult[]> {
  const pending: Pending[] = requests.map((request) => {
    const { pools, because } = choosePools(view.pools, { family: request.family, use: request.use ?? "Workload", requested: request.requestedPools, nodeLabels: view.nodeLabels, namespaceLabels: request.namespaceLabels });
    return { request, pools, result: { addresses: [], because: pools.length === 0 ? because : [] }, missing: pools.length === 0 ? 0 : request.count };
  });
  for (const name of [...view.blocks.keys()].sort()) {
    if (pending.every(({ missing }) => missing === 0)) break;
    yield* takeFrom(view, name, pending);
  }
  for (const wanting of pending) {
    let because: string[] = [];
    let listed: Listed | null = null;
    while (wanting.missing > 0) {
      const before = wanting.missing;
      const claimed = yield* claimBlock(view, wanting);
      if ("because" in claimed) ({ because, listed } = claimed);
      else yield* takeFrom(view, claimed.name, pending);
      if (wanting.missing === before) break;
    }
    if (wanting.missing > 0 && !view.strictAffinity) yield* borrow(view, wanting, listed ?? (yield* listBlocks()));
    if (wanting.missing > 0) wanting.result.because.push(...because, view.strictAffinity ? "no address is borrowed from other nodes (strictAffinity is true)" : "other nodes' blocks have none to lend");
  }
  return pending.map(({ result }) => result);
}

/** Takes what the pending requests want and the block has, in one write; on a conflict the block is read again. */
function* takeFrom(view: NodeView, name: string, pending: readonly Pending[]): Steps<void> {
  for (let attempt = 0; attempt < MAX_CONFLICTS; attempt += 1) {
    const current = view.blocks.get(name);
    if (current === undefined) return;
    const { block, taken } = plan(view, current.spec, pending);
    if (taken.length === 0) return;
    const revision = yield* write("block", name, block, current.revision);
    if (revision !== null) {
      view.blocks.set(name, { spec: block, revision });
      const length = prefixLengthOf(block.cidr);
      for (const { of, addresses } of taken) {
        of.missing -= addresses.length;
        of.result.addresses.push(...addresses.map((address) => `${address}/${length}` as Cidr));
      }
      return;
    }
    yield* refresh(view, name);
  }
}

function plan(view: NodeView, start: BlockSpec, pending: readonly Pending[]): { block: BlockSpec; taken: { of: Pending; addresses: IpAddress[] }[] } {
  let block = start;
  const taken: { of: Pending; addresses: IpAddress[] }[] = [];
  for (const of of pending) {
    if (of.missing === 0 || familyOf(block.cidr) !== of.request.family || !of.pools.some((pool) => contains(pool.cidr, block.cidr))) continue;
    const { block: next, addresses } = allocate(block, of.request.attribute, of.missing, view.isReserved);
    block = next;
    if (addresses.length > 0) taken.push({ of, addresses });
  }
  return { block, taken };
}

/** Reads a block anew; one that is no longer this node's is forgotten. */
function* refresh(view: NodeView, name: string): Steps<void> {
  const found = yield* read("block", name);
  if (found === null || found.spec.deleted || found.spec.affinity !== hostAffinity(view.node)) view.blocks.delete(name);
  else view.blocks.set(name, found);
}

type Listed = readonly (Versioned<BlockSpec> & { readonly name: string })[];

/** Claims a block of one of the pools; its name, or in words why none, with the blocks of the cluster if they had to be listed. */
function* claimBlock(view: NodeView, { request, pools }: Pending): Steps<{ name: string } | { because: string[]; listed: Listed | null }> {
  if (!view.autoAllocateBlocks) return { listed: null, because: [...useOf(view, pools, [...view.blocks.values()]), "no new block may be claimed (autoAllocateBlocks is false)"] };
  const limit = view.maxBlocksPerHost > 0 ? view.maxBlocksPerHost : DEFAULT_MAX_BLOCKS;
  const owned = [...view.blocks.values()].filter(({ spec }) => familyOf(spec.cidr) === request.family).length;
  if (owned >= limit) return { listed: null, because: [...useOf(view, pools, [...view.blocks.values()]), `node ${view.node} has ${owned} blocks, the limit is ${limit}`] };
  const existing = yield* listBlocks();
  const known = new Map(existing.map((block) => [block.name, block]));
  // Blocks that this node owns but did not know, after a lost answer for instance.
  for (const { name, spec, revision } of existing) {
    if (spec.affinity === hostAffinity(view.node) && !view.blocks.has(name) && pools.some((pool) => contains(pool.cidr, spec.cidr))) {
      view.blocks.set(name, { spec, revision });
      yield* confirm(view.node, spec.cidr);
      if (spec.unallocated.some((ordinal) => !view.isReserved(addressAt(spec.cidr as Cidr, ordinal)))) return { name };
    }
  }
  for (const pool of pools) {
    const otherSizes = existing.filter(({ spec }) => prefixLengthOf(spec.cidr) !== pool.blockSize && overlaps(pool.cidr, spec.cidr));
    for (const cidr of candidateBlocks(pool, view.node)) {
      const name = blockName(cidr);
      if (known.has(name) || otherSizes.some(({ spec }) => overlaps(spec.cidr, cidr)) || isWhollyReserved(view, cidr)) continue;
      if (yield* claimInto(view, cidr)) return { name };
    }
  }
  for (const block of existing) {
    if (!isIdle(view, block.spec) || !pools.some((pool) => pool.blockSize === prefixLengthOf(block.spec.cidr) && contains(pool.cidr, block.spec.cidr))) continue;
    if ((yield* reclaim(block)) && (yield* claimInto(view, block.spec.cidr as Cidr))) return { name: block.name };
  }
  return { listed: existing, because: useOf(view, pools, existing) };
}

function isWhollyReserved({ isReserved }: NodeView, cidr: Cidr): boolean {
  const { family, prefixLength } = cidrParts(cidr);
  const size = addressCount(family, prefixLength);
  for (let ordinal = 0; ordinal < size; ordinal += 1) if (!isReserved(addressAt(cidr, ordinal))) return false;
  return true;
}

function* claimInto(view: NodeView, cidr: Cidr): Steps<boolean> {
  const block = yield* claim(view.node, cidr, view.now);
  if (block !== null) view.blocks.set(blockName(cidr), block);
  return block !== null;
}

/** True for a block of another node that is empty, and was not claimed just now for an address that is about to come. */
function isIdle({ node, now }: NodeView, block: BlockSpec): boolean {
  if (!isEmpty(block) || block.affinity === hostAffinity(node)) return false;
  const claimed = Date.parse(block.affinityClaimTime ?? "");
  return Number.isNaN(claimed) || Date.parse(now) - claimed > RECLAIM_AFTER_MS;
}

/** Takes what is missing from blocks of other nodes, beginning at one that depends on the node. */
function* borrow(view: NodeView, wanting: Pending, blocks: Listed): Steps<void> {
  const { request, pools, result } = wanting;
  const foreign = blocks.filter(({ spec }) => spec.affinity !== hostAffinity(view.node) && !spec.deleted && pools.some((pool) => contains(pool.cidr, spec.cidr)));
  for (const { name, ...listed } of rotated(foreign, view.node)) {
    let current: Versioned<BlockSpec> | null = listed;
    for (let attempt = 0; attempt < MAX_CONFLICTS && current !== null && wanting.missing > 0; attempt += 1) {
      const { block, addresses } = allocate(current.spec, request.attribute, wanting.missing, view.isReserved);
      if (addresses.length === 0) break;
      if ((yield* write("block", name, block, current.revision)) !== null) {
        wanting.missing -= addresses.length;
        result.addresses.push(...addresses.map((address) => `${address}/${prefixLengthOf(block.cidr)}` as Cidr));
        break;
      }
      current = yield* read("block", name);
    }
    if (wanting.missing === 0) return;
  }
}

/** How full each pool is, for the message that nothing is left. */
function useOf(view: NodeView, pools: readonly IpPool[], blocks: readonly Versioned<BlockSpec>[]): string[] {
  return pools.map((pool) => {
    const inside = blocks.filter(({ spec }) => contains(pool.cidr, spec.cidr));
    const total = inside.reduce((sum, { spec }) => sum + spec.allocations.length, 0);
    const free = inside.reduce((sum, { spec }) => sum + freeCount(spec), 0);
    const mine = inside.filter(({ spec }) => spec.affinity === hostAffinity(view.node)).length;
    return `pool ${pool.name} ${pool.cidr}: ${total - free} of ${total} addresses in use in ${inside.length} blocks, ${mine} of them of node ${view.node}`;
  });
}

/**
 * Assigns one given address; its CIDR with the block's prefix length, or in words why not. Reservations do not count here.
 * A handle that has the address already gets the same answer.
 */
export function* assignAddress(view: NodeView, address: IpAddress, attribute: BlockAttribute): Steps<{ cidr: Cidr } | { because: string }> {
  const pool = view.pools.find((candidate) => contains(candidate.cidr, address));
  if (pool === undefined) return { because: `${address} is in no pool` };
  if (pool.disabled) return { because: `${address} is in pool ${pool.name}, which is disabled` };
  const cidr = cidrOf(address, pool.blockSize);
  const name = blockName(cidr);
  for (let attempt = 0; attempt < MAX_CONFLICTS; attempt += 1) {
    const known = view.blocks.get(name);
    const found = known ?? (yield* read("block", name));
    if (found === null) {
      const refusal = yield* claimFor(view, cidr);
      if (refusal !== null) return { because: `${address}: ${refusal}` };
      continue;
    }
    const isOwn = found.spec.affinity === hostAffinity(view.node);
    if (isOwn) view.blocks.set(name, found);
    if (!isOwn && view.strictAffinity) return { because: `${address} is in block ${found.spec.cidr} of ${found.spec.affinity ?? "no node"}; no address is borrowed from other nodes (strictAffinity is true)` };
    const result = { cidr: `${address}/${prefixLengthOf(found.spec.cidr)}` as Cidr };
    if (allocationsOf(found.spec).some((held) => held.address === address && held.handleId !== "" && held.handleId === attribute.handle_id)) return result;
    const next = allocateAddress(found.spec, attribute, address);
    const revision = next === null ? null : yield* write("block", name, next, found.revision);
    if (next !== null && revision !== null) {
      if (isOwn) view.blocks.set(name, { spec: next, revision });
      return result;
    }
    // What was known may be out of date, what was read just now is not.
    if (known === undefined && next === null) return { because: `${address} is in use` };
    view.blocks.delete(name);
  }
  return { because: `${address}: block ${cidr} changes too often` };
}

/** Claims the block of a given address; in words why not. */
function* claimFor(view: NodeView, cidr: Cidr): Steps<string | null> {
  if (!view.autoAllocateBlocks) return "no new block may be claimed (autoAllocateBlocks is false)";
  const other = (yield* listBlocks()).find(({ name, spec }) => name !== blockName(cidr) && overlaps(spec.cidr, cidr));
  if (other !== undefined) return `block ${other.spec.cidr} of ${other.spec.affinity ?? "no node"} overlaps ${cidr}, which would be claimed`;
  yield* claimInto(view, cidr);
  return null;
}

/** Blocks of this node in no pool, or in one that does not select the node any more: when they are empty nobody will use them here. */
export function unwantedBlocks({ pools, nodeLabels, blocks }: Pick<NodeView, "pools" | "nodeLabels" | "blocks">): string[] {
  const wanted = pools.filter((pool) => pool.nodeSelector.evaluate(nodeLabels));
  return [...blocks].filter(([, { spec }]) => !wanted.some((pool) => contains(pool.cidr, spec.cidr))).map(([name]) => name);
}
