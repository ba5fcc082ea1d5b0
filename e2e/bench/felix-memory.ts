/**
 * B17: felix' memory on a node with 110 pods and 1,000 policies, in clusters of 10,000 and of 100,000 pods, and after policies and pods
 * were deleted and made again. BENCH_MEMORY_CYCLES: how often (20).
 */
import { dropPolicy, dropWorkload, putPolicy, putWorkload } from "../rig/objects.ts";
import { population, type Population } from "../rig/population.ts";
import { LOCAL_NAMESPACES, openLargeNode, SEED, setting } from "./felix-node.ts";
import type { Report } from "./report.ts";

/** After these the code is compiled and caches are filled. */
const SETTLED_CYCLES = 5;

export async function benchFelixMemory(report: Report, say: (line: string) => void): Promise<void> {
  const cycles = setting("BENCH_MEMORY_CYCLES", 20);
  for (const [pods, policies] of [[10_000, 1_000], [10_000, 10_000], [100_000, 10_000]] as const) {
    const wish = { pods, policies };
    const rig = await openLargeNode(wish);
    try {
      rig.felix.start();
      await rig.felix.untilReady();
      await rig.attachAll();
      const name = `felix, ${pods} pods and ${policies} policies in the cluster`;
      const metrics = await rig.felix.metrics();
      say(`${name}: ${metrics.get("felix_active_local_policies")} policies and ${metrics.get("felix_nft_sets")} sets on the node`);
      report.add(name, "RSS", rig.felix.residentMb(), "MB");
      const largest = pods === 100_000;
      if (!largest) {
        report.add(name, "heap", await rig.felix.collectedHeapMb(), "MB after collection");
        continue;
      }
      const part = shareOfNode(population({ seed: SEED, pods, policies, activePolicies: 1_000, localNamespaces: LOCAL_NAMESPACES }));
      let settled = 0;
      for (let cycle = 1; cycle <= cycles; cycle += 1) {
        await rig.sync.change(...part.policies.map(({ id }) => dropPolicy(id)), ...part.remote.map(dropWorkload));
        await rig.sync.change(...part.remote.map(putWorkload), ...part.policies.map(putPolicy));
        if (cycle === Math.min(SETTLED_CYCLES, cycles - 1)) settled = await rig.felix.collectedHeapMb();
      }
      report.add(`${name}, after ${cycles} cycles`, "RSS", rig.felix.residentMb(), "MB, enlarged by the look at its heap");
      const heap = await rig.felix.collectedHeapMb();
      report.add(name, "heap", heap, "MB after collection");
      report.add(`${name}, policies and pods deleted and made again`, "growth", ((heap / settled - 1) * 100) / (cycles - Math.min(SETTLED_CYCLES, cycles - 1)), "% of the heap per cycle");
    } finally {
      await rig.close();
    }
  }
}

/** What of a cluster the node's sets and policies speak of. */
function shareOfNode({ remote, policies }: Population): Pick<Population, "remote" | "policies"> {
  const local = new Set(Array.from({ length: LOCAL_NAMESPACES }, (_, n) => `ns-${n}`));
  return { remote: remote.filter(({ namespace }) => local.has(namespace)), policies: policies.filter(({ namespace }) => local.has(namespace)) };
}
