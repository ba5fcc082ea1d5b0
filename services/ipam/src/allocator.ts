/** Serves requests one batch at a time from what the node knows. */
import { allocationsOf, assign, assignAddress, handleCounts, hostAffinity, listBlocks, releaseByHandle, type AssignRequest, type AssignResult, type BlockAttribute, type BlockSpec, type NodeView, type Versioned } from "@calico/ipam";
import { blockName, cidrOf, prefixLengthOf, type IpAddress } from "@calico/model";
import { createBatcher } from "./batcher.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { HandleWriter } from "./handle-writer.ts";
import type { AllocationStore } from "@calico/datastore";

export interface Allocator {
  /** Addresses for all requests of one caller, in their order. */
  autoAssign(requests: readonly AssignRequest[]): Promise<readonly AssignResult[]>;
  assignAddress(address: IpAddress, attribute: BlockAttribute): Promise<{ cidr: string } | { because: string }>;
  releaseByHandle(handleId: string): Promise<readonly string[]>;
  /** Blocks of this node, as last known. */
  readonly blocks: readonly BlockSpec[];
}

export function createAllocator({ node, view, store, handles, now }: { node: string; view: ClusterView; store: AllocationStore; handles: HandleWriter; now: () => string }): Allocator {
  const blocks = new Map<string, Versioned<BlockSpec>>();
  let loaded = false;

  function nodeView(): NodeView {
    const { pools, nodeLabels, maxBlocksPerHost, autoAllocateBlocks } = view;
    return { node, pools, nodeLabels, maxBlocksPerHost, autoAllocateBlocks, blocks, isReserved: () => false, now: now() };
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

  function noteHandle(handleId: string): void {
    const counts: Record<string, number> = {};
    for (const { spec } of blocks.values()) {
      const count = handleCounts(spec).get(handleId);
      if (count !== undefined) counts[spec.cidr] = count;
    }
    handles.set(handleId, counts);
  }

  const batcher = createBatcher<readonly AssignRequest[], readonly AssignResult[]>((batch) => guarded(async () => {
    const results = await store.run(assign(nodeView(), batch.flat()));
    let at = 0;
    return batch.map((requests) => results.slice(at, (at += requests.length)));
  }));

  return {
    async autoAssign(requests) {
      const results = await batcher.submit(requests);
      for (const handleId of new Set(requests.map(({ attribute }) => attribute.handle_id ?? ""))) if (handleId !== "") noteHandle(handleId);
      return results;
    },
    assignAddress: (address, attribute) => batcher.exclusive(() => guarded(async () => {
      const known = held(blocks, address, attribute.handle_id ?? "");
      const result = known === null ? await store.run(assignAddress(nodeView(), address, attribute)) : { cidr: known };
      if ("cidr" in result && attribute.handle_id !== undefined) noteHandle(attribute.handle_id);
      return result;
    })),
    releaseByHandle: (handleId) => batcher.exclusive(() => guarded(() => {
      handles.forget(handleId);
      return store.run(releaseByHandle(blocks, handleId));
    })),
    get blocks() {
      return [...blocks.values()].map(({ spec }) => spec);
    },
  };
}

/** The CIDR under which this handle has the address already: a repeated request gets the same answer. */
function held(blocks: ReadonlyMap<string, Versioned<BlockSpec>>, address: IpAddress, handleId: string): string | null {
  for (const { spec } of blocks.values()) {
    const length = prefixLengthOf(spec.cidr);
    if (blockName(cidrOf(address, length)) !== blockName(spec.cidr)) continue;
    if (allocationsOf(spec).some((allocation) => allocation.address === address && allocation.handleId === handleId)) return `${address}/${length}`;
  }
  return null;
}
