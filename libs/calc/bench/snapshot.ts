/**
 * The first snapshot of a cluster, from parsed objects to what one node is told: `npm run bench -- snapshot [NAME...]`.
 * Each in a process of its own; a JSON line for each figure: time of the cluster half, of the node half until it is in sync, objects that
 * the node is told, evaluations, and the heap with what
 * both halves keep. Where something happens in the cluster, also what one change costs.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createClusterHalf, createNodeHalf, type ClusterHalf, type ClusterUpdate, type DataplaneSink } from "../src/index.ts";
import { cluster, isolatedCustomers, nodeName, ofNetworkSets, tagged, type Cluster, type FixedCluster } from "./generator.ts";
import { reporter } from "./report.ts";

type Case = { readonly make: () => FixedCluster & Partial<Pick<Cluster, "churn">>; readonly deleteLocal?: boolean };

const mixed = (nodes: number, namespaces: number, policies: number) => (): Cluster => cluster(1, { nodes, podsPerNode: 100, namespaces, policies });

const CASES: Readonly<Record<string, Case>> = {
  "200 local of 250k, 10k tag policies": { make: () => tagged(250_000, 200, 10_000) },
  "200 local of 10k, 1k network-set policies": { make: () => ofNetworkSets(10_000, 200, 1_000) },
  "200 local of 10k, 10k network-set policies": { make: () => ofNetworkSets(10_000, 200, 10_000) },
  "200 local of 250k, 10k tag policies, then delete local": { make: () => tagged(250_000, 200, 10_000), deleteLocal: true },
  "200 local of 10k, 1k network-set policies, then delete local": { make: () => ofNetworkSets(10_000, 200, 1_000), deleteLocal: true },
  "200 local of 10k, 10k network-set policies, then delete local": { make: () => ofNetworkSets(10_000, 200, 10_000), deleteLocal: true },
  "10k pods and 10k policies in one namespace": { make: mixed(96, 1, 10_000) },
  "mixed policies: 1k pods, 1k policies": { make: mixed(10, 100, 1_000) },
  "mixed policies: 10k pods, 10k policies": { make: mixed(96, 100, 10_000) },
  "isolated customers, 1k": { make: () => isolatedCustomers(1_000, 1, 10) },
  "isolated customers, 10k": { make: () => isolatedCustomers(10_000, 1, 100) },
  "isolated customers, 100k": { make: () => isolatedCustomers(100_000, 1, 1_000) },
};
const NODE = nodeName(0);
const CHURN_SECONDS = 60;

/** Those that are named, or all, each in a process of its own; with `inThisProcess` the first of them here. */
export function benchSnapshots(names: readonly string[], inThisProcess: boolean): void {
  if (inThisProcess) return measure(names[0] ?? "");
  for (const name of names.length > 0 ? names : Object.keys(CASES)) {
    if (CASES[name] === undefined) throw new Error(`no snapshot ${JSON.stringify(name)}: ${Object.keys(CASES).join("; ")}`);
    const { status } = spawnSync(process.execPath, ["--expose-gc", fileURLToPath(new URL("main.ts", import.meta.url)), "--snapshot", name], { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
  }
}

function measure(name: string): void {
  const report = reporter(name);
  const { make, deleteLocal = false } = CASES[name] as Case;
  const made = make();
  let updates: readonly ClusterUpdate[] = [...made.updates()];
  const changes = [...(made.churn?.(CHURN_SECONDS) ?? [])].map(({ update }) => update);
  const local = updates.flatMap(({ kind, id, value }) => (kind === "WorkloadEndpoint" && value?.node === NODE ? [id] : []));
  heap();
  let told = 0;
  const cpu = process.cpuUsage();
  const began = performance.now();
  let messages = 0;
  const count = (): void => void (messages += 1);
  const half = createClusterHalf({ onValueChange: count, onIpSetDelta: count, onInterestStart: count, onInterestStop: count });
  for (const update of updates) half.onUpdate(update);
  const calculated = performance.now();
  const sink = new Proxy({} as DataplaneSink, { get: () => () => void (told += 1) });
  const node = createNodeHalf({ node: NODE, sink });
  node.onSnapshotStart();
  for (const key of half.interestOf(NODE)) {
    const value = half.valueOf(key);
    if (value !== undefined) node.onUpdate(value);
  }
  node.onInSync();
  node.flush();
  const inSync = performance.now();
  if (deleteLocal) for (const id of local) half.onUpdate({ kind: "WorkloadEndpoint", id, value: null });
  const ended = performance.now();
  const used = process.cpuUsage(cpu);
  report("cluster half", (calculated - began) / 1_000, "s");
  report("node half", (inSync - calculated) / 1_000, "s");
  if (deleteLocal) report("deletion", (ended - inSync) / 1_000, "s");
  report("total", (ended - began) / 1_000, "s");
  report("total", (used.user + used.system) / 1e6, "s of CPU");
  report("objects told to the dataplane", told, "1");
  report("evaluations", half.stats().evaluations, "1");
  if (changes.length > 0) {
    messages = 0;
    const before = [process.cpuUsage(), half.stats().evaluations] as const;
    for (const update of changes) half.onUpdate(update);
    const { user, system } = process.cpuUsage(before[0]);
    report("a change", (user + system) / changes.length, "us of CPU");
    report("a change", messages / changes.length, "messages");
    report("a change", (half.stats().evaluations - before[1]) / changes.length, "evaluations");
  }
  // What the calculation does not keep of the objects is not counted.
  updates = [];
  report("heap", heap(), "MB");
  report("resident", process.memoryUsage().rss / 2 ** 20, "MB");
  keep(half, node, updates);
}

/** After a collection, with what is outside of the heap of JavaScript, in megabytes. */
function heap(): number {
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / 2 ** 20;
}

/** What is measured must not be collected before. */
function keep(...values: readonly (ClusterHalf | object)[]): void {
  if (values.length === 0) throw new Error("nothing was measured");
}
