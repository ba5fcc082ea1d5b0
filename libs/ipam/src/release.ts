/** Releasing addresses, and the handle objects that say where they are. */
import { blockName, handleName, type IpAddress } from "@calico/model";
import { handleCounts, releaseHandle, type BlockSpec } from "./block.ts";
import { listBlocks, read, remove, write, type Steps, type Versioned } from "./effects.ts";

const MAX_CONFLICTS = 20;

/**
 * Frees every address of a handle: in the blocks that `blocks` knows, else in those that the handle object names, else
 * in those a list finds. Freeing nothing is success. Then the handle object goes.
 */
export function* releaseByHandle(blocks: Map<string, Versioned<BlockSpec>>, handleId: string): Steps<IpAddress[]> {
  const released: IpAddress[] = [];
  const known = [...blocks].filter(([, { spec }]) => handleCounts(spec).has(handleId)).map(([name]) => name);
  for (const name of known) released.push(...(yield* releaseIn(blocks, name, handleId)));
  const handle = yield* read("handle", handleName(handleId));
  const elsewhere = handle === null ? [] : Object.keys(handle.spec.block).map(blockName).filter((name) => !known.includes(name));
  for (const name of elsewhere) released.push(...(yield* releaseIn(blocks, name, handleId)));
  // The handle object follows the block's write and may be missing after a crash: then only the blocks know.
  if (released.length === 0 && handle === null) {
    for (const { name, spec, revision } of yield* listBlocks()) {
      if (!handleCounts(spec).has(handleId)) continue;
      if (blocks.has(name)) blocks.set(name, { spec, revision });
      released.push(...(yield* releaseIn(blocks, name, handleId)));
    }
  }
  if (handle !== null) yield* remove("handle", handleName(handleId), handle.revision);
  return released;
}

function* releaseIn(blocks: Map<string, Versioned<BlockSpec>>, name: string, handleId: string): Steps<IpAddress[]> {
  let current = blocks.get(name) ?? (yield* read("block", name));
  for (let attempt = 0; attempt < MAX_CONFLICTS && current !== null; attempt += 1) {
    const { block, released } = releaseHandle(current.spec, handleId);
    if (released.length === 0 && attempt > 0) return [];
    if (released.length > 0) {
      const revision = yield* write("block", name, block, current.revision);
      if (revision !== null) {
        if (blocks.has(name)) blocks.set(name, { spec: block, revision });
        return released;
      }
    }
    current = yield* read("block", name);
    if (current !== null && blocks.has(name)) blocks.set(name, current);
  }
  return [];
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
