/**
 * Memory of typha without its sockets: informers, cluster half, hub, and a stream for each node: `npm run bench` in this package, or
 * `npm run bench -- 10000 100000` for these numbers of pods. Each size in a process of its own, with the flags of typha's image. A hundred pods on a node, 1,000 policies, a
 * slice of a Service for every ten pods. Prints JSON lines: what is resident and what is on the heap after a collection, without a
 * stream and with one for each node, and how much that grows over cycles in which pods come and go.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createClusterHalf } from "@calico/calc";
import { cluster, nodeName, type Cluster } from "@calico/calc/bench";
import type { Datastore, KubeObject, ResourceType, WatchSink } from "@calico/datastore";
import { NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, ORCHESTRATOR_LABEL, type WorkloadEndpoint } from "@calico/model";
import { createFakeClock, silentLogger } from "@calico/service-kit";
import { createHub } from "../src/hub.ts";
import { createNodeConfigStore } from "../src/node-config.ts";
import { createSession, type Session } from "../src/session.ts";
import { createSources } from "../src/sources.ts";

const PODS_PER_NODE = 100;
const POLICIES = 1_000;
const PODS_PER_SLICE = 10;
const CYCLES = 20;
const PODS_PER_CYCLE = 2_000;
const PAGE = 500;
const RETENTION_MS = 300_000;
const KINDS = new Set(["IpSet", "Policy", "Profile", "Tier", "WorkloadEndpoint", "HostEndpoint", "IpPool", "Block", "Node", "Route", "FelixConfig"]);
const endpoints = cluster(2, { nodes: 0, podsPerNode: 0, namespaces: 100, policies: 0, networkSets: 0 });

if (process.argv[2] === "--child") await measure(Number(process.argv[3]));
else {
  const sizes = process.argv.slice(2);
  for (const size of sizes.length > 0 ? sizes : ["10000", "100000"]) {
    const { status } = spawnSync(process.execPath, ["--expose-gc", "--max-semi-space-size=4", "--heap-growing-percent=30", fileURLToPath(import.meta.url), "--child", size], { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
  }
}

async function measure(pods: number): Promise<void> {
  const report = (metric: string, value: number, unit: string): void => console.log(JSON.stringify({ name: `typha, ${pods} pods`, metric, value: Number(value.toPrecision(4)), unit }));
  const nodes = Math.ceil(pods / PODS_PER_NODE);
  const policies = cluster(1, { nodes: 0, podsPerNode: 0, namespaces: 100, policies: POLICIES, networkSets: 100 });
  const sinks = new Map<string, WatchSink<KubeObject>>();
  const empty = settled();

  const clock = createFakeClock();
  const hubOptions = { clock, config: createNodeConfigStore(), labelsOf: () => ({}), retentionMs: RETENTION_MS, maxTombstones: 20_000, log: silentLogger };
  const hub = createHub(hubOptions);
  const half = createClusterHalf(hub);
  hub.attach(half);
  for (const update of policies.updates()) half.onUpdate(update);
  const sources = createSources({ datastore: datastoreOf(policies, nodes, pods, sinks), half, hub, config: hubOptions.config, findings: { set() {}, objects: 0 }, log: silentLogger, onUpdate() {} });
  const used = process.cpuUsage();
  sources.start();
  await sources.ready;
  report("first list", cpuSeconds(used), "s of CPU");
  report("resident after the first list", process.memoryUsage().rss / 2 ** 20, "MB");
  const idle = settled();
  report("heap without streams", idle.heap, "MB");
  report("heap for each pod", ((idle.heap - empty.heap) * 1_024) / pods, "KiB");
  report("resident without streams", idle.resident, "MB");

  let bytes = 0;
  const connected = process.cpuUsage();
  const sessions: Session[] = [];
  for (let n = 0; n < nodes; n += 1) {
    sessions.push(createSession({ hub, node: nodeName(n), epoch: "e", kinds: KINDS, resumeAt: null, revisions: () => ({}), onStep: () => {}, onFailure: (error) => { throw error; }, sink: { write(message) { bytes += message.length; return true; }, onDrain() {} } }));
  }
  while (sessions.some(({ backlog }) => backlog > 0)) await new Promise((resolve) => setImmediate(resolve));
  report("streams", nodes, "1");
  report("snapshots of all", cpuSeconds(connected), "s of CPU");
  report("snapshots of all", bytes / 2 ** 20, "MB sent");
  const streamed = settled();
  report("heap with streams", streamed.heap, "MB");
  report("resident with streams", streamed.resident, "MB");

  const sink = sinks.get("Pod");
  if (sink === undefined) throw new Error("nobody watches pods");
  let next = pods;
  /** So many pods come, and go again; returns the CPU time that it took. */
  const cycle = async (count: number): Promise<number> => {
    const come = Array.from({ length: count }, () => podOf(next++, nodes));
    const start = process.cpuUsage();
    for (const type of ["ADDED", "DELETED"] as const) {
      for (const object of come) sink.onEvent({ type, object: JSON.parse(object) as KubeObject });
      await new Promise((resolve) => setImmediate(resolve));
    }
    const took = cpuSeconds(start);
    // Removals are remembered for nodes that come back in time.
    clock.advance(RETENTION_MS / 4);
    return took;
  };
  // Tables grow once, to room for what came and went; then as many removals are remembered as always will be.
  await cycle(pods / 2);
  for (let n = 0; n < 6; n += 1) await cycle(PODS_PER_CYCLE);
  const before = settled().heap;
  let took = 0;
  for (let n = 0; n < CYCLES; n += 1) took += await cycle(PODS_PER_CYCLE);
  const after = settled().heap;
  report("a pod that comes and goes", (took * 1e6) / (CYCLES * PODS_PER_CYCLE), "us of CPU");
  report("heap after half as many pods came and went", before, "MB");
  report(`growth over ${CYCLES} cycles of ${PODS_PER_CYCLE} pods, each`, ((after / before) ** (1 / CYCLES) - 1) * 100, "%");
  report("resident at the end", settled().resident, "MB");
  sources.stop();
  process.exit(0);
}

/** With the making of what is read: the machine may do other work, so the wall says little. */
function cpuSeconds(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

/** Megabytes after a collection. */
function settled(): { heap: number; resident: number } {
  for (let i = 0; i < 3; i += 1) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: (heapUsed + external) / 2 ** 20, resident: rss / 2 ** 20 };
}

/** What an API server would answer. */
function datastoreOf(made: Cluster, nodes: number, pods: number, sinks: Map<string, WatchSink<KubeObject>>): Datastore {
  const lists: Record<string, { readonly count: number; readonly item: (n: number) => string }> = {
    Namespace: { count: made.profiles.length, item: (n) => namespaceOf(made, n) },
    ServiceAccount: { count: made.profiles.length, item: (n) => JSON.stringify({ metadata: { name: "default", namespace: `customer-${n}`, uid: `sa-${n}`, resourceVersion: String(n + 1) } }) },
    Node: { count: nodes, item: (n) => JSON.stringify({ metadata: { name: nodeName(n), uid: `node-${n}`, resourceVersion: String(n + 1), labels: { "kubernetes.io/hostname": nodeName(n) }, annotations: { "projectcalico.org/IPv4Address": `172.16.${n >> 8}.${n & 255}/16` } } }) },
    Pod: { count: pods, item: (n) => podOf(n, nodes) },
    EndpointSlice: { count: Math.ceil(pods / PODS_PER_SLICE), item: sliceOf },
  };
  return {
    async *listPages({ kind, group, version }: ResourceType) {
      const { count, item } = lists[kind] ?? { count: 0, item: () => "" };
      const apiVersion = group === "" ? version : `${group}/${version}`;
      for (let from = 0; from === 0 || from < count; from += PAGE) {
        // As text first: nothing of a page is shared with the next.
        const items = Array.from({ length: Math.min(PAGE, count - from) }, (_, i) => ({ apiVersion, kind, ...(JSON.parse(item(from + i)) as object) }));
        yield { items: items as never[], resourceVersion: "1000000000" };
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    watch({ kind }: ResourceType, _: unknown, sink: WatchSink<never>) {
      sinks.set(kind, sink as WatchSink<KubeObject>);
      return { close() {} };
    },
  } as Partial<Datastore> as Datastore;
}

function namespaceOf({ profiles }: Cluster, n: number): string {
  const labels = Object.fromEntries(Object.entries(profiles[n]?.labels ?? {}).map(([key, value]) => [key.slice(NAMESPACE_LABEL_PREFIX.length), value]));
  return JSON.stringify({ metadata: { name: `customer-${n}`, uid: `ns-${n}`, resourceVersion: String(n + 1), labels } });
}

/** A Pod as the API server writes it, without most of what typha does not read. */
function podOf(n: number, nodes: number): string {
  const made: WorkloadEndpoint = endpoints.podOf(n, nodeName(n % nodes));
  const { [NAMESPACE_LABEL]: _namespace, [ORCHESTRATOR_LABEL]: _orchestrator, ...labels } = made.labels;
  const container = { name: "app", image: "registry.example.com/app:1.2.3", ports: [{ containerPort: 8080, name: "http", protocol: "TCP" }], resources: { requests: { cpu: "100m", memory: "128Mi" } }, env: [{ name: "POD", value: made.pod }], terminationMessagePath: "/dev/termination-log", imagePullPolicy: "IfNotPresent" };
  const condition = (type: string): object => ({ type, status: "True", lastProbeTime: null, lastTransitionTime: "2026-11-01T00:00:00Z" });
  return JSON.stringify({
    metadata: { name: made.pod, namespace: made.namespace, uid: made.uid, resourceVersion: made.revision, creationTimestamp: "2026-11-01T00:00:00Z", labels, annotations: { "cni.projectcalico.org/podIP": `${made.addresses[0]}/32`, "cni.projectcalico.org/containerID": made.uid.repeat(2) }, ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: made.pod.slice(0, -6), uid: made.uid, controller: true }] },
    spec: { nodeName: made.node, serviceAccountName: "default", containers: [container], restartPolicy: "Always", dnsPolicy: "ClusterFirst", schedulerName: "default-scheduler", tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 }] },
    status: { phase: "Running", podIP: made.addresses[0], podIPs: made.addresses.map((ip) => ({ ip })), hostIP: "172.16.0.1", conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition), containerStatuses: [{ name: "app", ready: true, restartCount: 0, containerID: `containerd://${made.uid}` }], qosClass: "Burstable" },
  });
}

function sliceOf(n: number): string {
  const addresses = Array.from({ length: PODS_PER_SLICE }, (_, i) => endpoints.podOf(n * PODS_PER_SLICE + i, "").addresses);
  return JSON.stringify({ metadata: { name: `service-${n}-abcde`, namespace: `customer-${n % 100}`, uid: `slice-${n}`, resourceVersion: String(n + 1), labels: { "kubernetes.io/service-name": `service-${n}` } }, addressType: "IPv4", endpoints: addresses.map((each) => ({ addresses: each, conditions: { ready: true } })), ports: [{ name: "http", port: 8080, protocol: "TCP" }] });
}
