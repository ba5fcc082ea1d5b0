/** Releases what vanished pods and nodes held. */
import { coreTypes, calicoTypes, createInformer, isDatastoreError, type AllocationStore, type Datastore, type Informer, type KubeObject } from "@calico/datastore";
import { dropEmptyHandle, handleCounts, nodeOfAffinity, read, releaseByHandle, remove, writeHandle, type BlockSpec } from "@calico/ipam";
import { blockAffinityName, blockName, handleName } from "@calico/model";
import type { Clock, Logger } from "@calico/service-kit";
import { abandonedBlocks, findLeaks, type ClusterFacts, type Leak, type PodView } from "./leaks.ts";

export interface GarbageCollector {
  start(): void;
  stop(): void;
  readonly isSynced: boolean;
  readonly trouble: string | null;
  /** Addresses in use, candidates for release, blocks. */
  stats(): { readonly inUse: number; readonly candidates: number; readonly blocks: number };
  /** One pass over everything. Does nothing before all kinds were listed. Returns how many addresses were released. */
  scan(signal: AbortSignal): Promise<number>;
}

export type GcOptions = {
  readonly datastore: Datastore;
  readonly store: AllocationStore;
  /** Asked at each scan; 0: addresses of vanished pods are kept. */
  readonly graceMs: () => number;
  readonly maxReleases: number;
  readonly clock: Clock;
  readonly log: Logger;
};

const EMPTY_HANDLE_MS = 10_000;

export function createGarbageCollector({ datastore, store, graceMs, maxReleases, clock, log }: GcOptions): GarbageCollector {
  const pods = new Map<string, PodView>();
  const nodes = new Set<string>();
  const blocks = new Map<string, BlockSpec>();
  const handles = new Set<string>();
  /** When an unused handle was first seen, by handle. */
  const candidates = new Map<string, number>();
  /** When a handle object without an address was first seen, by its name. */
  const empty = new Map<string, number>();
  const follow = <M>(type: Parameters<typeof createInformer>[0]["type"], transform: (raw: KubeObject) => M | null, set: (key: string, value: M) => void, unset: (key: string) => void): Informer =>
    createInformer<KubeObject, M>({
      datastore, type, transform, log,
      handler: {
        onUpsert: ({ namespace, name }, value) => set(namespace === undefined ? name : `${namespace}/${name}`, value),
        onDelete: ({ namespace, name }) => unset(namespace === undefined ? name : `${namespace}/${name}`), onSynced() {},
      },
    });
  const informers = [
    follow(coreTypes.pods, podView, (key, value) => pods.set(key, value), (key) => pods.delete(key)),
    follow(coreTypes.nodes, () => true, (key) => nodes.add(key), (key) => nodes.delete(key)),
    follow(calicoTypes.ipamBlocks, (raw) => raw["spec"] as BlockSpec, (key, value) => blocks.set(key, value), (key) => blocks.delete(key)),
    follow(calicoTypes.ipamHandles, () => true, (key) => handles.add(key), (key) => handles.delete(key)),
  ];
  const isSynced = (): boolean => informers.every((informer) => informer.isSynced && informer.trouble === null);
  const facts = (): ClusterFacts => ({ blocks: blocks.values(), pods, nodes });

  /** Asks the API server itself, because an informer may be behind. */
  async function isGone({ namespace, pod, podUid, node, nodeGone }: Leak): Promise<boolean> {
    try {
      if (pod === "") {
        await datastore.get(coreTypes.nodes, { name: node });
        return false;
      }
      const found = await datastore.get<KubeObject>(coreTypes.pods, { namespace, name: pod });
      const view = podView(found);
      return view.finished || (podUid !== "" && view.uid !== podUid);
    } catch (error) {
      if (isDatastoreError(error, "NotFound")) return pod !== "" || nodeGone;
      throw error;
    }
  }

  async function releaseLeaks(signal: AbortSignal): Promise<number> {
    const leaks = findLeaks(facts());
    const now = clock.monotonic();
    const grace = graceMs();
    const present = new Set(leaks.map(({ handleId }) => handleId));
    for (const handleId of candidates.keys()) if (!present.has(handleId)) candidates.delete(handleId);
    let released = 0;
    for (const leak of leaks) {
      const since = candidates.get(leak.handleId) ?? now;
      candidates.set(leak.handleId, since);
      const due = leak.nodeGone || (grace > 0 && now - since >= grace);
      if (!due || signal.aborted || released >= maxReleases || !(await isGone(leak))) continue;
      const addresses = await store.run(releaseByHandle(new Map(), leak.handleId), signal);
      candidates.delete(leak.handleId);
      released += addresses.length;
      if (leak.pod === "") log.warn("Addresses of a vanished node are released", { handle: leak.handleId, node: leak.node, addresses });
      else log.warn("Addresses of a vanished pod are released", { pod: `${leak.namespace}/${leak.pod}`, node: leak.node, addresses });
    }
    return released;
  }

  /** Handle objects follow the blocks: a missing one is made, one without an address goes. */
  async function repairHandles(signal: AbortSignal): Promise<void> {
    const counts = new Map<string, Record<string, number>>();
    for (const block of blocks.values()) {
      for (const [handleId, count] of handleCounts(block)) counts.set(handleId, { ...counts.get(handleId), [block.cidr]: count });
    }
    const named = new Map([...counts].map(([handleId, count]) => [handleName(handleId), { handleId, count }]));
    for (const [name, { handleId, count }] of named) {
      if (signal.aborted) return;
      if (!handles.has(name)) await store.run(writeHandle(handleId, count), signal);
    }
    const now = clock.monotonic();
    for (const name of empty.keys()) if (named.has(name) || !handles.has(name)) empty.delete(name);
    for (const name of handles) {
      if (named.has(name)) continue;
      const since = empty.get(name) ?? now;
      empty.set(name, since);
      // The block of a handle that was just made may not have been seen yet.
      if (signal.aborted || now - since < EMPTY_HANDLE_MS) continue;
      if (await store.run(dropEmptyHandle(name), signal)) log.info("A handle without an address is removed", { handle: name });
    }
  }

  async function dropAbandoned(signal: AbortSignal): Promise<void> {
    for (const block of abandonedBlocks(facts())) {
      const node = nodeOfAffinity(block.affinity);
      if (node === null || signal.aborted) continue;
      await store.run((function* () {
        const current = yield* read("block", blockName(block.cidr));
        if (current === null || current.spec.unallocated.length !== current.spec.allocations.length || current.spec.affinity !== block.affinity) return;
        if (!(yield* remove("block", blockName(block.cidr), current.revision))) return;
        const affinity = yield* read("affinity", blockAffinityName(node, block.cidr));
        if (affinity !== null) yield* remove("affinity", blockAffinityName(node, block.cidr), affinity.revision);
        log.info("A block of a vanished node is free again", { block: block.cidr, node });
      })(), signal);
    }
  }

  return {
    start: () => informers.forEach((informer) => informer.start()),
    stop: () => informers.forEach((informer) => informer.stop()),
    get isSynced() {
      return isSynced();
    },
    get trouble() {
      return informers.find((informer) => informer.trouble !== null)?.trouble ?? null;
    },
    stats: () => ({
      inUse: [...blocks.values()].reduce((sum, block) => sum + block.allocations.length - block.unallocated.length, 0), candidates: candidates.size, blocks: blocks.size,
    }),
    async scan(signal) {
      if (!isSynced()) return 0;
      const released = await releaseLeaks(signal);
      await repairHandles(signal);
      await dropAbandoned(signal);
      return released;
    },
  };
}

function podView(raw: KubeObject): PodView {
  const status = (raw["status"] ?? {}) as { phase?: string; podIPs?: { ip?: string }[] };
  return { uid: raw.metadata.uid ?? "", finished: status.phase === "Succeeded" || status.phase === "Failed", addresses: (status.podIPs ?? []).flatMap(({ ip }) => ip ?? []) };
}
