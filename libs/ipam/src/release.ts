/** Releasing addresses, and the handle objects that say where they are. */
import { blockName, contains, handleName, prefixLengthOf, type Cidr, type IpAddress } from "@calico/model";
import { reclaim } from "./affinity.ts";
import { allocationsOf, handleCounts, isEmpty, releaseAddress, releaseHandle, type BlockSpec } from "./block.ts";
import { listBlocks, read, remove, write, type Steps, type Versioned } from "./effects.ts";

const MAX_CONFLICTS = 20;

/**
 * Frees every address of a handle: in the blocks that `blocks` knows, in those that the handle object names and in
 * `alsoIn` (names of blocks that it was lent addresses of); when all of that says nothing, in those a list finds. Freeing
 * nothing is success. Then the handle object goes, unless an address was to be kept.
 */
export function* releaseByHandle(blocks: Map<string, Versioned<BlockSpec>>, handleId: string, alsoIn: Iterable<string> = [], keep?: IpAddress): Steps<IpAddress[]> {
  const released: IpAddress[] = [];
  const known = [...blocks].filter(([, { spec }]) => handleCounts(spec).has(handleId)).map(([name]) => name);
  for (const name of known) released.push(...(yield* releaseIn(blocks, name, handleId, keep)));
  const handle = yield* read("handle", handleName(handleId));
  const elsewhere = new Set([...alsoIn, ...Object.keys(handle?.spec.block ?? {}).map(blockName)]);
  for (const name of elsewhere) if (!known.includes(name)) released.push(...(yield* releaseIn(blocks, name, handleId, keep)));
  // The handle object follows the block's write and may be missing after a crash: then only the blocks know.
  if (released.length === 0 && handle === null) {
    for (const { name, spec, revision } of yield* listBlocks()) {
      if (!handleCounts(spec).has(handleId)) continue;
      bringUpToDate(blocks, name, { spec, revision });
      released.push(...(yield* releaseIn(blocks, name, handleId, keep)));
    }
  }
  if (handle !== null && keep === undefined) yield* remove("handle", handleName(handleId), handle.revision);
  return released;
}

/**
 * The addresses of a handle with the prefix length of their block, read live in the blocks that `blocks` knows and those that
 * the handle object names. What is held of these blocks is brought up to date.
 */
export function* heldBy(blocks: Map<string, Versioned<BlockSpec>>, handleId: string): Steps<Cidr[]> {
  const handle = yield* read("handle", handleName(handleId));
  const known = [...blocks].filter(([, { spec }]) => handleCounts(spec).has(handleId)).map(([name]) => name);
  const held: Cidr[] = [];
  for (const name of new Set([...known, ...Object.keys(handle?.spec.block ?? {}).map(blockName)])) {
    const found = yield* read("block", name);
    bringUpToDate(blocks, name, found);
    if (found === null || found.spec.deleted) continue;
    held.push(...allocationsOf(found.spec).filter((each) => each.handleId === handleId).map(({ address }) => `${address}/${prefixLengthOf(found.spec.cidr)}` as Cidr));
  }
  return held;
}

function* releaseIn(blocks: Map<string, Versioned<BlockSpec>>, name: string, handleId: string, keep: IpAddress | undefined): Steps<IpAddress[]> {
  let current = blocks.get(name) ?? (yield* read("block", name));
  for (let attempt = 0; attempt < MAX_CONFLICTS && current !== null; attempt += 1) {
    const { block, released } = releaseHandle(current.spec, handleId, keep);
    if (released.length === 0 && attempt > 0) return [];
    if (released.length > 0) {
      const revision = yield* write("block", name, block, current.revision);
      if (revision !== null) {
        if (blocks.has(name)) blocks.set(name, { spec: block, revision });
        return released;
      }
    }
    current = yield* read("block", name);
    bringUpToDate(blocks, name, current);
  }
  return [];
}

/** Replaces what is held of a block by what was read; one that is gone, or another node's by now, is held no longer. */
function bringUpToDate(blocks: Map<string, Versioned<BlockSpec>>, name: string, found: Versioned<BlockSpec> | null): void {
  const held = blocks.get(name);
  if (held === undefined) return;
  if (found !== null && found.spec.affinity === held.spec.affinity) blocks.set(name, found);
  else blocks.delete(name);
}

/** Frees one address, whoever has it; the handle that had it, or null when it was free. The handle object follows. */
export function* releaseOne(address: IpAddress): Steps<string | null> {
  for (let attempt = 0; attempt < MAX_CONFLICTS; attempt += 1) {
    const found = (yield* listBlocks()).find(({ spec }) => contains(spec.cidr, address));
    const held = found === undefined ? undefined : allocationsOf(found.spec).find((allocation) => allocation.address === address);
    if (found === undefined || held === undefined) return null;
    const block = releaseAddress(found.spec, address, held.handleId);
    if (block === null || (yield* write("block", found.name, block, found.revision)) === null) continue;
    if (held.handleId !== "") yield* lowerHandle(held.handleId, found.spec.cidr, handleCounts(block).get(held.handleId) ?? 0);
    return held.handleId;
  }
  throw new Error(`the block of ${address} changes too often`);
}

/** Sets how many addresses a handle has in one block. */
function* lowerHandle(handleId: string, cidr: string, count: number): Steps<void> {
  const found = yield* read("handle", handleName(handleId));
  if (found === null) return;
  const { [cidr]: before, ...others } = found.spec.block;
  void before;
  yield* writeHandle(handleId, count === 0 ? others : { ...others, [cidr]: count });
}

/**
 * Gives a block of this node back when it is empty, also when others emptied it without this node's knowledge; false when
 * it is in use. What is held of it is brought up to date.
 */
export function* giveBack(blocks: Map<string, Versioned<BlockSpec>>, name: string): Steps<boolean> {
  const held = blocks.get(name);
  if (held === undefined) return false;
  const current = isEmpty(held.spec) ? held : yield* read("block", name);
  const gone = current !== null && current.spec.affinity === held.spec.affinity && (yield* reclaim(current));
  bringUpToDate(blocks, name, gone ? null : yield* read("block", name));
  return gone;
}

/** Writes the handle object as the blocks say: how many addresses in which block. Counts of zero delete it. */
export function* writeHandle(handleId: string, counts: Readonly<Record<string, number>>): Steps<boolean> {
  const name = handleName(handleId);
  const spec = { handleID: handleId, block: counts, deleted: false };
  for (let attempt = 0; attempt < MAX_CONFLICTS; attempt += 1) {
    const found = yield* read("handle", name);
    if (Object.keys(counts).length === 0) {
      if (found === null || (yield* remove("handle", name, found.revision))) return true;
    } else if ((yield* write("handle", name, spec, found?.revision ?? null)) !== null) return true;
  }
  return false;
}

/**
 * Removes a handle object of which no block that it names has an address, as a write that came late leaves it. Everything
 * is read live; true when it went. It stays when it changed meanwhile.
 */
export function* dropEmptyHandle(name: string): Steps<boolean> {
  const handle = yield* read("handle", name);
  if (handle === null) return false;
  for (const cidr of Object.keys(handle.spec.block)) {
    const block = yield* read("block", blockName(cidr));
    if (block !== null && handleCounts(block.spec).has(handle.spec.handleID)) return false;
  }
  return yield* remove("handle", name, handle.revision);
}
