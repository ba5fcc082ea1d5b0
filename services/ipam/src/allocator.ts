/** Serves requests one batch at a time from what the node knows. */
import { assign, assignAddress, giveBack, handleCounts, heldBy, hostAffinity, listBlocks, releaseByHandle, unwantedBlocks, type AssignRequest, type AssignResult, type BlockAttribute, type BlockSpec, type NodeView, type Versioned } from "@calico/ipam";
import { addressOf, blockName, cidrOf, prefixLengthOf, type Cidr, type IpAddress } from "@calico/model";
import { createBatcher } from "./batcher.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { HandleWriter } from "./handle-writer.ts";
import type { AllocationStore } from "@calico/datastore";

export interface Allocator {
  /** Addresses for all requests of one caller, in their order. */
  autoAssign(requests: readonly AssignRequest[]): Promise<readonly AssignResult[]>;
  assignAddress(address: IpAddress, attribute: BlockAttribute): Promise<{ cidr: string } | { because: string }>;
  releaseByHandle(handleId: string): Promise<readonly string[]>;
  /** Addresses of a handle with the prefix length of their block, as the datastore has them now. */
  heldBy(handleId: string): Promise<readonly Cidr[]>;
  /** Releases what a handle has, but for one address with the prefix length of its block. */
  releaseOthers(handleId: string, keep: Cidr): Promise<readonly string[]>;
  /** Gives back empty blocks that no pool wants on this node; their CIDRs. Asks nobody when none of those that it knows is such a one. */
  tidy(): Promise<readonly string[]>;
  /** Blocks of this node, as last known. */
  readonly blocks: readonly BlockSpec[];
}

/** Handles that were released not long ago are remembered: so many containers end on a node before one of them is deleted again. */
const REMEMBERED = 1_000;

export function createAllocator({ node, view, store, handles, now }: { node: string; view: ClusterView; store: AllocationStore; handles: HandleWriter; now: () => string }): Allocator {
  const blocks = new Map<string, Versioned<BlockSpec>>();
  /** Addresses that handles have in blocks of other nodes, with the prefix length of the block. */
  const borrowed = new Map<string, Set<string>>();
  /** Handles that have nothing any more. A runtime deletes a container's network several times, and only the first time asks the API server. */
  const released = new Set<string>();
  let loaded = false;

  function nodeView(): NodeView {
    const { pools, nodeLabels, maxBlocksPerHost, autoAllocateBlocks, strictAffinity, isReserved } = view;
    return { node, pools, nodeLabels, maxBlocksPerHost, autoAllocateBlocks, strictAffinity, blocks, isReserved, now: now() };
  }

  /** The blocks of this node are read once; afterwards the allocator's own writes and conflicts keep them right. */
  async function load(): Promise<void> {
    if (loaded) return;
    for (const { name, spec, revision } of await store.run(listBlocks())) if (spec.affinity === hostAffinity(node)) blocks.set(name, { spec, revision });
    loaded = true;
  }

  /**
   * After a failed write it is not known whether it happened: what is held is dropped and read again, so that the
   * next compare-and-swap starts from the truth.
   */
  async function guarded<T>(work: () => Promise<T>): Promise<T> {
    await load();
    try {
      return await work();
    } catch (error) {
      blocks.clear();
      loaded = false;
      throw error;
    }
  }

  /** The handle object shall say what this node knows: what is in its own blocks and what was borrowed just now. */
  function noteHandle(handleId: string, addresses: readonly string[]): void {
    const lent = borrowed.get(handleId) ?? new Set();
    for (const address of addresses) if (!blocks.has(blockName(blockOf(address)))) lent.add(address);
    if (lent.size > 0) borrowed.set(handleId, lent);
    const counts: Record<string, number> = {};
    for (const block of [...lent].map(blockOf)) counts[block] = (counts[block] ?? 0) + 1;
    for (const { spec } of blocks.values()) {
      const count = handleCounts(spec).get(handleId);
      if (count !== undefined) counts[spec.cidr] = count;
    }
    handles.set(handleId, counts);
  }

  function rememberReleased(handleId: string): void {
    released.add(handleId);
    const [oldest] = released;
    if (released.size > REMEMBERED && oldest !== undefined) released.delete(oldest);
  }

  const batcher = createBatcher<readonly AssignRequest[], readonly AssignResult[]>((batch) => guarded(async () => {
    // Before: when the answer is lost, nobody knows whether it has an address.
    for (const { attribute } of batch.flat()) released.delete(attribute.handle_id ?? "");
    const results = await store.run(assign(nodeView(), batch.flat()));
    let at = 0;
    return batch.map((requests) => results.slice(at, (at += requests.length)));
  }));

  return {
    async autoAssign(requests) {
      const results = await batcher.submit(requests);
      const byHandle = Map.groupBy(results.entries(), ([i]) => requests[i]?.attribute.handle_id ?? "");
      for (const [handleId, of] of byHandle) if (handleId !== "") noteHandle(handleId, of.flatMap(([, { addresses }]) => addresses));
      return results;
    },
    assignAddress: (address, attribute) => batcher.exclusive(() => guarded(async () => {
      released.delete(attribute.handle_id ?? "");
      const result = await store.run(assignAddress(nodeView(), address, attribute));
      if ("cidr" in result && attribute.handle_id !== undefined) noteHandle(attribute.handle_id, [result.cidr]);
      return result;
    })),
    releaseByHandle: (handleId) => batcher.exclusive(() => guarded(async () => {
      if (released.has(handleId)) return [];
      handles.forget(handleId);
      const addresses = await store.run(releaseByHandle(blocks, handleId, [...(borrowed.get(handleId) ?? [])].map((address) => blockName(blockOf(address)))));
      borrowed.delete(handleId);
      rememberReleased(handleId);
      return addresses;
    })),
    heldBy: (handleId) => batcher.exclusive(() => guarded(() => store.run(heldBy(blocks, handleId)))),
    releaseOthers: (handleId, keep) => batcher.exclusive(() => guarded(async () => {
      const addresses = await store.run(releaseByHandle(blocks, handleId, [...(borrowed.get(handleId) ?? [])].map((address) => blockName(blockOf(address))), addressOf(keep)));
      borrowed.delete(handleId);
      noteHandle(handleId, [keep]);
      return addresses;
    })),
    async tidy() {
      // After a restart it is not known yet which blocks there are, and no request may come.
      if (loaded && unwantedBlocks(nodeView()).length === 0) return [];
      return batcher.exclusive(() => guarded(async () => {
        const given: string[] = [];
        for (const name of unwantedBlocks(nodeView())) {
          const cidr = blocks.get(name)?.spec.cidr;
          if ((await store.run(giveBack(blocks, name))) && cidr !== undefined) given.push(cidr);
        }
        return given;
      }));
    },
    get blocks() {
      return [...blocks.values()].map(({ spec }) => spec);
    },
  };
}

/** The CIDR of the block of an address that carries the block's prefix length. */
function blockOf(address: string): string {
  return cidrOf(addressOf(address), prefixLengthOf(address));
}
