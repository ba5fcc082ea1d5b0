/** Which pools an address may come from, and in which order their blocks are tried. */
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { blockAt, blockCount, familyOf, type Cidr, type Family, type IpPool, type Labels } from "@calico/model";

/** What an address is for: a pod, or a node's end of an overlay. */
export type AddressUse = "Workload" | "Tunnel";

export type PoolRequest = {
  readonly family: Family;
  readonly use: AddressUse;
  /** Names or CIDRs; empty: those that select this node and namespace. */
  readonly requested: readonly string[];
  readonly nodeLabels: Labels;
  readonly namespaceLabels: Labels;
};

/** Pools that qualify, by name; or in words why none does. */
export function choosePools(pools: readonly IpPool[], { family, use, requested, nodeLabels, namespaceLabels }: PoolRequest): { pools: IpPool[]; because: string[] } {
  const because: string[] = [];
  const chosen: IpPool[] = [];
  const ofFamily = pools.filter((pool) => pool.family === family).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const wanted of requested) {
    if (!pools.some((pool) => pool.name === wanted || pool.cidr === wanted)) because.push(`pool ${wanted} does not exist`);
  }
  for (const pool of ofFamily) {
    const named = requested.includes(pool.name) || requested.includes(pool.cidr);
    if (requested.length > 0 && !named) continue;
    const reason = refusal(pool, use, named, nodeLabels, namespaceLabels);
    if (reason === null) chosen.push(pool);
    else because.push(`pool ${pool.name} ${pool.cidr}: ${reason}`);
  }
  if (ofFamily.length === 0) because.push(`there is no IPv${family} pool`);
  return { pools: chosen, because };
}

function refusal(pool: IpPool, use: AddressUse, named: boolean, nodeLabels: Labels, namespaceLabels: Labels): string | null {
  if (pool.disabled) return "is disabled";
  if (!pool.allowedUses.includes(use)) return `is for ${pool.allowedUses.join(", ")} only`;
  if (named) return null;
  if (!pool.automatic) return "is used on request only (assignmentMode Manual)";
  if (!pool.nodeSelector.evaluate(nodeLabels)) return `does not select this node (${pool.nodeSelector.text})`;
  if (pool.namespaceSelector?.evaluate(namespaceLabels) === false) return `does not select this namespace (${pool.namespaceSelector.text})`;
  return null;
}

/** Blocks that are tried for a new affinity, at most. */
const MAX_CANDIDATES = 65_536;

/** Blocks of a pool, beginning at a place that depends on the node, so that nodes seldom try the same one; made lazily. */
export function* candidateBlocks(pool: IpPool, node: string): Generator<Cidr> {
  const count = blockCount(pool.cidr, pool.blockSize);
  const start = seed(`${pool.cidr} ${node}`, count);
  for (let i = 0; i < Math.min(count, MAX_CANDIDATES); i += 1) yield blockAt(pool.cidr, pool.blockSize, (start + i) % count);
}

/** The same items, beginning at one that depends on the text. */
export function rotated<T>(items: readonly T[], text: string): T[] {
  const start = items.length === 0 ? 0 : seed(text, items.length);
  return [...items.slice(start), ...items.slice(0, start)];
}

function seed(text: string, count: number): number {
  const hash = sha256(utf8ToBytes(text));
  let value = 0;
  for (const byte of hash.subarray(0, 6)) value = value * 256 + byte;
  return value % Math.min(count, 2 ** 48);
}

/** Two pools that share addresses, or null. */
export function overlappingPools(pools: readonly IpPool[], overlap: (a: string, b: string) => boolean): [IpPool, IpPool] | null {
  for (const [i, a] of pools.entries()) {
    for (const b of pools.slice(i + 1)) if (familyOf(a.cidr) === familyOf(b.cidr) && overlap(a.cidr, b.cidr)) return [a, b];
  }
  return null;
}
