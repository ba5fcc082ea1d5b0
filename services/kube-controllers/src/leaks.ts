/** Which allocations nobody needs any more. Pure: what it decides depends on what it is shown. */
import { allocationsOf, nodeOfAffinity, type BlockSpec } from "@calico/ipam";

/** A pod as far as addresses are concerned. */
export type PodView = { readonly uid: string; readonly finished: boolean; readonly addresses: readonly string[] };

export type ClusterFacts = {
  readonly blocks: Iterable<BlockSpec>;
  /** By "<namespace>/<name>". */
  readonly pods: ReadonlyMap<string, PodView>;
  readonly nodes: ReadonlySet<string>;
};

/** The addresses of one handle, all of which are unused: they are released together or not at all. */
export type Leak = { readonly handleId: string; readonly namespace: string; readonly pod: string; readonly podUid: string; readonly node: string; readonly nodeGone: boolean; readonly addresses: readonly string[] };

/**
 * Handles without a use: the pod is gone, finished or another one of its name, and on this handle no address is in use.
 * An allocation without a pod's name (a tunnel's, for instance) is in use as long as its node exists.
 */
export function findLeaks({ blocks, pods, nodes }: ClusterFacts): Leak[] {
  const byHandle = new Map<string, { used: boolean; leak: Omit<Leak, "addresses">; addresses: string[] }>();
  for (const block of blocks) {
    for (const { address, handleId, secondary } of allocationsOf(block)) {
      if (handleId === "") continue;
      const node = secondary["node"] ?? nodeOfAffinity(block.affinity) ?? "";
      const leak = { handleId, namespace: secondary["namespace"] ?? "", pod: secondary["pod"] ?? "", podUid: secondary["podUID"] ?? "", node, nodeGone: node !== "" && !nodes.has(node) };
      const entry = byHandle.get(handleId) ?? { used: false, leak, addresses: [] };
      entry.used ||= leak.pod === "" ? !leak.nodeGone : isUsed(leak, address, pods);
      entry.addresses.push(address);
      byHandle.set(handleId, entry);
    }
  }
  return [...byHandle.values()].filter(({ used }) => !used).map(({ leak, addresses }) => ({ ...leak, addresses }));
}

function isUsed({ namespace, pod, podUid }: Pick<Leak, "namespace" | "pod" | "podUid">, address: string, pods: ClusterFacts["pods"]): boolean {
  const present = pods.get(`${namespace}/${pod}`);
  if (present === undefined || present.finished) return false;
  if (podUid !== "") return present.uid === podUid;
  // Without a uid, an address that the pod does not report may be one that it is about to report.
  return present.addresses.length === 0 || present.addresses.includes(address);
}

/** Empty blocks of nodes that are gone. */
export function abandonedBlocks({ blocks, nodes }: ClusterFacts): BlockSpec[] {
  return [...blocks].filter((block) => {
    const node = nodeOfAffinity(block.affinity);
    return node !== null && !nodes.has(node) && block.unallocated.length === block.allocations.length;
  });
}
