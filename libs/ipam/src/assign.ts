/** Assigning addresses on one node. */
import { blockAffinityName, blockName, cidrOf, contains, familyOf, overlaps, prefixLengthOf, type Cidr, type Family, type IpAddress, type IpPool, type Labels } from "@calico/model";
import { allocate, allocateAddress, freeCount, hostAffinity, newBlock, type BlockAttribute, type BlockSpec } from "./block.ts";
import { listBlocks, read, remove, write, type Steps, type Versioned } from "./effects.ts";
import { candidateBlocks, choosePools } from "./pools.ts";

/** What the allocator knows of its node between requests. Blocks are those with affinity to it, by name. */
export type NodeView = {
  readonly node: string;
  readonly nodeLabels: Labels;
  readonly pools: readonly IpPool[];
  readonly isReserved: (address: IpAddress) => boolean;
  /** 0: 20. */
  readonly maxBlocksPerHost: number;
  readonly autoAllocateBlocks: boolean;
  /** Kept up to date by the allocator; entries may be stale, a compare-and-swap finds out. */
  readonly blocks: Map<string, Versioned<BlockSpec>>;
  /** RFC 3339, for the objects that are made. */
  readonly now: string;
};

/** One request of a batch: `count` addresses of one family for a handle. */
export type AssignRequest = {
  readonly family: Family;
  readonly count: number;
  readonly attribute: BlockAttribute;
  readonly requestedPools: readonly string[];
  readonly namespaceLabels: Labels;
};

/** Addresses with the prefix length of their block; fewer than asked for come with reasons, pool by pool. */
export type AssignResult = { readonly addresses: Cidr[]; readonly because: string[] };

/** Blocks per node and family that Calico allows when nothing else is said. */
const DEFAULT_MAX_BLOCKS = 20;
/** Tries of one block before another is looked at. */
const MAX_CONFLICTS = 20;

type Pending = { readonly request: AssignRequest; readonly pools: IpPool[]; readonly result: { addresses: Cidr[]; because: string[] }; missing: number };

/**
 * Serves a batch of requests: one write per block that is touched, however many requests it serves. Blocks with
 * affinity come first, in order of their names; then a new one is claimed. Results are in the order of the requests.
 */
export function* assign(view: NodeView, requests: readonly AssignRequest[]): Steps<AssignResult[]> {
  const pending: Pending[] = requests.map((request) => {
    const { pools, because } = choosePools(view.pools, { family: request.family, requested: request.requestedPools, nodeLabels: view.nodeLabels, namespaceLabels: request.namespaceLabels });
    return { request, pools, result: { addresses: [], because: pools.length === 0 ? because : [] }, missing: pools.length === 0 ? 0 : request.count };
  });
  for (const name of [...view.blocks.keys()].sort()) {
    if (pending.every(({ missing }) => missing === 0)) break;
    yield* takeFrom(view, name, pending);
  }
  for (const wanting of pending) {
    while (wanting.missing > 0) {
      const before = wanting.missing;
      const claimed = yield* claimBlock(view, wanting);
      if (claimed === null) break;
      yield* takeFrom(view, claimed, pending);
      if (wanting.missing === before) break;
    }
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

/** Claims a block of one of the pools: affinity pending, block, affinity confirmed. Its name, or null with reasons noted. */
function* claimBlock(view: NodeView, { request, pools, result }: Pending): Steps<string | null> {
  if (!view.autoAllocateBlocks) {
    result.because.push(...useOf(view, pools, [...view.blocks.values()]), "no new block may be claimed (autoAllocateBlocks is false)");
    return null;
  }
  const limit = view.maxBlocksPerHost > 0 ? view.maxBlocksPerHost : DEFAULT_MAX_BLOCKS;
  const owned = [...view.blocks.values()].filter(({ spec }) => familyOf(spec.cidr) === request.family).length;
  if (owned >= limit) {
    result.because.push(...useOf(view, pools, [...view.blocks.values()]), `node ${view.node} has ${owned} blocks, the limit is ${limit}`);
    return null;
  }
  const existing = yield* listBlocks();
  const known = new Map(existing.map((block) => [block.name, block]));
  // Blocks that this node owns but did not know, after a lost answer for instance.
  for (const { name, spec, revision } of existing) {
    if (spec.affinity === hostAffinity(view.node) && !view.blocks.has(name) && pools.some((pool) => contains(pool.cidr, spec.cidr))) {
      view.blocks.set(name, { spec, revision });
      yield* confirm(view.node, spec.cidr);
      if (freeCount(spec) > 0) return name;
    }
  }
  for (const pool of pools) {
    const otherSizes = existing.filter(({ spec }) => prefixLengthOf(spec.cidr) !== pool.blockSize && overlaps(pool.cidr, spec.cidr));
    for (const cidr of candidateBlocks(pool, view.node)) {
      const name = blockName(cidr);
      if (known.has(name) || otherSizes.some(({ spec }) => overlaps(spec.cidr, cidr))) continue;
      if (yield* claim(view, cidr)) return name;
    }
  }
  result.because.push(...useOf(view, pools, existing), "borrowing addresses from other nodes' blocks is not supported");
  return null;
}

/** False when another node was faster. A crash between the writes leaves a pending affinity, which the next claim of this node takes up. */
function* claim(view: NodeView, cidr: Cidr): Steps<boolean> {
  const name = blockName(cidr);
  const affinityName = blockAffinityName(view.node, cidr);
  const affinity = { state: "pending", node: view.node, type: "host", cidr, deleted: false } as const;
  let affinityRevision = yield* write("affinity", affinityName, affinity, null);
  if (affinityRevision === null) {
    const mine = yield* read("affinity", affinityName);
    affinityRevision = mine === null ? null : yield* write("affinity", affinityName, affinity, mine.revision);
    if (affinityRevision === null) return false;
  }
  const block = newBlock(cidr, view.node, view.now);
  const revision = yield* write("block", name, block, null);
  if (revision === null) {
    const other = yield* read("block", name);
    if (other === null || other.spec.affinity !== hostAffinity(view.node)) {
      yield* remove("affinity", affinityName, affinityRevision);
      return false;
    }
    view.blocks.set(name, other);
  } else view.blocks.set(name, { spec: block, revision });
  yield* write("affinity", affinityName, { ...affinity, state: "confirmed" }, affinityRevision);
  return true;
}

/** Makes good what a crash between a block and its affinity left. */
function* confirm(node: string, cidr: string): Steps<void> {
  const name = blockAffinityName(node, cidr);
  const found = yield* read("affinity", name);
  const spec = { state: "confirmed", node, type: "host", cidr, deleted: false } as const;
  if (found?.spec.state !== "confirmed") yield* write("affinity", name, spec, found?.revision ?? null);
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

/** Assigns one given address; its CIDR with the block's prefix length, or in words why not. */
export function* assignAddress(view: NodeView, address: IpAddress, attribute: BlockAttribute): Steps<{ cidr: Cidr } | { because: string }> {
  const pool = view.pools.find((candidate) => contains(candidate.cidr, address));
  if (pool === undefined) return { because: `${address} is in no pool` };
  if (pool.disabled) return { because: `${address} is in pool ${pool.name}, which is disabled` };
  const cidr = cidrOf(address, pool.blockSize);
  const name = blockName(cidr);
  for (let attempt = 0; attempt < MAX_CONFLICTS; attempt += 1) {
    const found = view.blocks.get(name) ?? (yield* read("block", name));
    if (found === null) {
      if (!(yield* claim(view, cidr))) continue;
      continue;
    }
    const next = allocateAddress(found.spec, attribute, address);
    const stale = view.blocks.delete(name);
    if (next === null) {
      if (stale && attempt === 0) continue;
      return { because: `${address} is in use` };
    }
    if (found.spec.affinity !== hostAffinity(view.node)) return { because: `${address} is in block ${found.spec.cidr} of ${found.spec.affinity ?? "no node"}; addresses are not borrowed from other nodes` };
    const revision = yield* write("block", name, next, found.revision);
    if (revision !== null) {
      view.blocks.set(name, { spec: next, revision });
      return { cidr: `${address}/${pool.blockSize}` as Cidr };
    }
  }
  return { because: `${address}: block ${cidr} changes too often` };
}
