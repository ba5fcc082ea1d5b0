/**
 * Which node has a block. Two objects say so, the block and its affinity, written one after the other: pending, block,
 * confirmed; and backwards: pendingDeletion, block, gone. A crash in between leaves something that the next one takes up.
 */
import { blockAffinityName, blockName, type Cidr } from "@calico/model";
import { hostAffinity, isEmpty, newBlock, nodeOfAffinity, type BlockSpec } from "./block.ts";
import { read, remove, write, type AffinitySpec, type AffinityState, type Steps, type Versioned } from "./effects.ts";

/** The block, now this node's; null when another node was faster. */
export function* claim(node: string, cidr: Cidr, now: string): Steps<Versioned<BlockSpec> | null> {
  const name = blockName(cidr);
  const affinityName = blockAffinityName(node, cidr);
  let pending = yield* write("affinity", affinityName, affinity(node, cidr, "pending"), null);
  if (pending === null) {
    const mine = yield* read("affinity", affinityName);
    pending = mine === null ? null : yield* write("affinity", affinityName, affinity(node, cidr, "pending"), mine.revision);
    if (pending === null) return null;
  }
  const spec = newBlock(cidr, node, now);
  const revision = yield* write("block", name, spec, null);
  let block: Versioned<BlockSpec> | null = revision === null ? null : { spec, revision };
  if (block === null) {
    const present = yield* read("block", name);
    if (present?.spec.affinity === hostAffinity(node)) block = present;
  }
  if (block === null) yield* remove("affinity", affinityName, pending);
  else yield* write("affinity", affinityName, affinity(node, cidr, "confirmed"), pending);
  return block;
}

/** Makes good what a crash between a block and its affinity left. */
export function* confirm(node: string, cidr: string): Steps<void> {
  const name = blockAffinityName(node, cidr);
  const found = yield* read("affinity", name);
  if (found?.spec.state !== "confirmed") yield* write("affinity", name, affinity(node, cidr, "confirmed"), found?.revision ?? null);
}

/**
 * Takes an empty block away from the node that has it, as it was read; false when it changed meanwhile, and then
 * everything is as it was.
 */
export function* reclaim({ spec, revision }: Versioned<BlockSpec>): Steps<boolean> {
  if (!isEmpty(spec)) return false;
  const node = nodeOfAffinity(spec.affinity);
  const affinityName = node === null ? null : blockAffinityName(node, spec.cidr);
  const found = affinityName === null ? null : yield* read("affinity", affinityName);
  let leaving: string | null = null;
  if (node !== null && affinityName !== null && found !== null) {
    leaving = yield* write("affinity", affinityName, affinity(node, spec.cidr, "pendingDeletion"), found.revision);
    if (leaving === null) return false;
  }
  const gone = yield* remove("block", blockName(spec.cidr), revision);
  if (node === null || affinityName === null || leaving === null) return gone;
  if (gone) yield* remove("affinity", affinityName, leaving);
  else yield* write("affinity", affinityName, affinity(node, spec.cidr, "confirmed"), leaving);
  return gone;
}

function affinity(node: string, cidr: string, state: AffinityState): AffinitySpec {
  return { state, node, type: "host", cidr, deleted: false };
}
