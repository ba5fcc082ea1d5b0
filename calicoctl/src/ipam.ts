/** What address management looks like, and whether it agrees with the pods. Pure. */
import { allocationsOf, blockFaults, nodeOfAffinity, type Allocation, type BlockSpec, type HandleSpec } from "@calico/ipam";
import { addressCount, cidrParts, contains } from "@calico/model";

export type Pool = { readonly name: string; readonly cidr: string; readonly disabled: boolean };
export type Pod = { readonly namespace: string; readonly name: string; readonly uid: string; readonly node: string; readonly addresses: readonly string[]; readonly finished: boolean };
export type Ipam = { readonly pools: readonly Pool[]; readonly blocks: readonly BlockSpec[]; readonly handles: readonly HandleSpec[]; readonly pods: readonly Pod[]; readonly nodes: readonly string[] };

/** A line of `ipam show`: a pool or one of its blocks. */
export type Use = { readonly grouping: "IP Pool" | "Block"; readonly cidr: string; readonly total: bigint; readonly inUse: bigint };

/** How full the pools are, with their blocks when asked for; blocks of no pool come last. */
export function usage({ pools, blocks }: Pick<Ipam, "pools" | "blocks">, withBlocks: boolean): Use[] {
  const used = ({ allocations, unallocated }: BlockSpec): bigint => BigInt(allocations.length - unallocated.length);
  const blockUse = (block: BlockSpec): Use => ({ grouping: "Block", cidr: block.cidr, total: BigInt(block.allocations.length), inUse: used(block) });
  const ofPools = pools.flatMap(({ cidr }): Use[] => {
    const inside = blocks.filter((block) => contains(cidr, block.cidr));
    const pool: Use = { grouping: "IP Pool", cidr, total: sizeOf(cidr), inUse: inside.reduce((sum, block) => sum + used(block), 0n) };
    return [pool, ...(withBlocks ? inside.map(blockUse) : [])];
  });
  const strays = withBlocks ? blocks.filter(({ cidr }) => !pools.some((pool) => contains(pool.cidr, cidr))).map(blockUse) : [];
  return [...ofPools, ...strays];
}

/** Addresses of a CIDR: 2^80 for an IPv6 /48. */
function sizeOf(cidr: string): bigint {
  const { family, prefixLength } = cidrParts(cidr);
  const bits = (family === 4 ? 32 : 128) - prefixLength;
  return bits < 50 ? BigInt(addressCount(family, prefixLength)) : 2n ** BigInt(bits);
}

/** The allocation of an address, with its block; null: it is free, or in no block. */
export function allocationOf({ blocks }: Pick<Ipam, "blocks">, address: string): { readonly allocation: Allocation; readonly block: BlockSpec } | null {
  for (const block of blocks) {
    if (!contains(block.cidr, address)) continue;
    const allocation = allocationsOf(block).find((candidate) => candidate.address === address);
    if (allocation !== undefined) return { allocation, block };
  }
  return null;
}

export type Problem = { readonly about: string; readonly what: string };

/** Everything that does not agree, in words. */
export function problemsOf({ pools, blocks, handles, pods, nodes }: Ipam): Problem[] {
  const problems: Problem[] = [];
  const note = (about: string, what: string): void => void problems.push({ about, what });
  const byName = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod]));
  const allocated = new Set<string>();
  const inBlocks = new Map<string, number>();
  for (const block of blocks) {
    for (const fault of blockFaults(block)) note(block.cidr, fault);
    const owner = nodeOfAffinity(block.affinity);
    if (owner !== null && !nodes.includes(owner)) note(block.cidr, `the block is of node ${owner}, which does not exist`);
    for (const { address, handleId, secondary } of allocationsOf(block)) {
      if (allocated.has(address)) note(address, "is allocated in two blocks");
      allocated.add(address);
      if (handleId === "") note(address, "is allocated without a handle");
      else inBlocks.set(handleId, (inBlocks.get(handleId) ?? 0) + 1);
      if (!pools.some((pool) => !pool.disabled && contains(pool.cidr, address))) note(address, "is allocated from no active pool");
      const owned = `${secondary["namespace"] ?? ""}/${secondary["pod"] ?? ""}`;
      const pod = byName.get(owned);
      if (secondary["pod"] !== undefined && (pod === undefined || pod.finished || (secondary["podUID"] !== undefined && secondary["podUID"] !== pod.uid))) note(address, `is allocated to pod ${owned}, which does not use it`);
    }
  }
  for (const { namespace, name, addresses, finished } of pods) {
    if (finished) continue;
    for (const address of addresses) if (pools.some((pool) => contains(pool.cidr, address)) && !allocated.has(address)) note(address, `is in use by pod ${namespace}/${name}, but not allocated`);
  }
  const named = new Set<string>();
  for (const { handleID, deleted } of handles) {
    named.add(handleID);
    if (!deleted && !inBlocks.has(handleID)) note(handleID, "the handle has no address");
  }
  for (const [handle, count] of inBlocks) if (!named.has(handle)) note(handle, `${count} address(es) have this handle, which has no object`);
  return problems;
}
