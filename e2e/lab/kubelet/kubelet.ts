/**
 * The part of a kubelet that networking needs, for all nodes of a lab: registers the nodes, keeps
 * their Ready condition, makes a namespace for each pod bound to one, calls the CNI plugin, serves the
 * declared ports, reports the status, and takes all that down when the pod is deleted.
 */
import { randomBytes } from "node:crypto";
import { coreTypes, createInformer, DatastoreError, type Datastore, type Informer, type KubeObject } from "@calico/datastore";
import type { NodeHost } from "../node-host.ts";
import { podNamespaceName } from "../topology.ts";
import { cniAdd, cniDel, readConflist, type CniResult, type Sandbox } from "./cni-runtime.ts";
import { podView, runningStatus, type PodView } from "./pod-view.ts";
import type { PodNetwork, PodServers } from "./pod-network.ts";

export type RunningPod = { readonly view: PodView; readonly host: NodeHost; readonly netns: string; readonly addresses: readonly string[] };

export type Kubelet = {
  start(): Promise<void>;
  /** Pods that run now, by "namespace/name". */
  pods(): ReadonlyMap<string, RunningPod>;
  /** Why a pod that is bound does not run yet, by "namespace/name". */
  waiting(): ReadonlyMap<string, string>;
  stop(): Promise<void>;
};

type Worker = { desired: PodView | null; view: PodView; running: Sandbox | null; result: CniResult | null; servers: PodServers | null; busy: boolean; retry: NodeJS.Timeout | null; failures: number };

const NODE_STATUS_INTERVAL_MS = 200;
const RETRY_FIRST_MS = 200;
const RETRY_LONGEST_MS = 5_000;

export function createKubelet(options: { labName: string; datastore: Datastore; hosts: readonly NodeHost[]; network: PodNetwork; log: (line: string) => void }): Kubelet {
  const { labName, datastore, hosts, network, log } = options;
  const hostByNode = new Map(hosts.map((host) => [host.plan.name, host]));
  const workers = new Map<string, Worker>(); // by uid
  const running = new Map<string, RunningPod>();
  const waiting = new Map<string, string>();
  const readyByNode = new Map<string, boolean>();
  let statusTimer: NodeJS.Timeout | null = null;
  let stopping = false;
  let podInformer: Informer | null = null;
  const uidByKey = new Map<string, string>();
  const next = { node: 0 };

  function onPod(view: PodView): void {
    if (view.unmanaged) return;
    const previous = uidByKey.get(view.key);
    if (previous !== undefined && previous !== view.uid) setDesired(previous, null);
    uidByKey.set(view.key, view.uid);
    if (view.node === null) {
      if (!view.deleting) void schedule(view);
      else void remove(view);
      return;
    }
    if (!hostByNode.has(view.node)) return;
    if (!workers.has(view.uid)) workers.set(view.uid, { desired: null, view, running: null, result: null, servers: null, busy: false, retry: null, failures: 0 });
    const worker = workers.get(view.uid);
    if (worker) worker.view = view;
    setDesired(view.uid, view.deleting || view.finished ? null : view);
  }

  function setDesired(uid: string, desired: PodView | null): void {
    const worker = workers.get(uid);
    if (!worker) return;
    worker.desired = desired;
    void work(uid, worker);
  }

  /** Binds to the nodes in turn, those that are Ready and selected. */
  async function schedule(view: PodView): Promise<void> {
    const candidates = hosts.filter((host) => readyByNode.get(host.plan.name) === true && selects(view, host.plan.name));
    const host = candidates[next.node++ % Math.max(1, candidates.length)];
    if (!host) {
      setTimeout(() => !stopping && uidByKey.get(view.key) === view.uid && void schedule(view), RETRY_FIRST_MS);
      waiting.set(view.key, "no node is Ready");
      return;
    }
    waiting.delete(view.key);
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { namespace: view.namespace, name: view.name }, target: { apiVersion: "v1", kind: "Node", name: host.plan.name } };
    await quietly(() => datastore.create<KubeObject>(coreTypes.pods, binding, { subresource: "binding" }));
  }

  async function work(uid: string, worker: Worker): Promise<void> {
    if (worker.busy || worker.retry) return;
    worker.busy = true;
    try {
      if (worker.desired && !worker.running) await startPod(worker, worker.desired);
      else if (!worker.desired) await stopPod(uid, worker);
      worker.failures = 0;
    } catch (error) {
      const delay = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** worker.failures++);
      const words = error instanceof Error ? error.message : String(error);
      waiting.set(worker.view.key, words);
      log(`pod ${worker.view.key}: ${words}`);
      worker.retry = setTimeout(() => {
        worker.retry = null;
        if (!stopping) void work(uid, worker);
      }, delay);
    } finally {
      worker.busy = false;
    }
    const settled = worker.desired ? worker.running !== null : !workers.has(uid);
    if (!settled && !worker.retry && !stopping) void work(uid, worker);
  }

  async function startPod(worker: Worker, view: PodView): Promise<void> {
    const host = hostOf(view);
    if (view.hostNetwork) {
      worker.running = { containerId: "", netnsPath: `/run/netns/${host.plan.namespace}`, namespace: view.namespace, pod: view.name, uid: view.uid };
      await reportRunning(view, host, [host.plan.address], "host");
      return;
    }
    const netns = podNamespaceName(labName, view.namespace, view.name, view.uid);
    const sandbox: Sandbox = { containerId: randomBytes(32).toString("hex"), netnsPath: network.createNamespace(netns), namespace: view.namespace, pod: view.name, uid: view.uid, capabilities: view.capabilities };
    try {
      worker.result = await cniAdd(host, sandbox);
    } catch (error) {
      await quietly(() => cniDel(host, sandbox));
      network.removeNamespace(netns);
      throw error;
    }
    worker.running = sandbox;
    const addresses = (worker.result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? "");
    worker.servers = network.serve(sandbox.netnsPath, view.ports, view.key);
    running.set(view.key, { view, host, netns, addresses });
    waiting.delete(view.key);
    await reportRunning(view, host, addresses, sandbox.containerId);
  }

  async function stopPod(uid: string, worker: Worker): Promise<void> {
    const { view, running: sandbox } = worker;
    worker.servers?.close();
    worker.servers = null;
    if (running.get(view.key)?.view.uid === uid) running.delete(view.key);
    if (sandbox && !view.hostNetwork) {
      await cniDel(hostOf(view), sandbox, worker.result ?? undefined);
      network.removeNamespace(podNamespaceName(labName, view.namespace, view.name, view.uid));
    }
    worker.running = null;
    if (view.deleting && !stopping) await remove(view);
    waiting.delete(view.key);
    workers.delete(uid);
  }

  const remove = (view: PodView): Promise<void> => quietly(() => datastore.delete(coreTypes.pods, view, { uid: view.uid, gracePeriodSeconds: 0 }));

  async function reportRunning(view: PodView, host: NodeHost, addresses: readonly string[], containerId: string): Promise<void> {
    await quietly(() => datastore.patch(coreTypes.pods, view, { status: runningStatus(view, addresses, host.plan.address, containerId, new Date().toISOString()) }, { type: "merge", subresource: "status" }));
  }

  function hostOf(view: PodView): NodeHost {
    const host = hostByNode.get(view.node ?? "");
    if (!host) throw new Error(`${view.key} is bound to ${view.node}, which is not a node of this lab`);
    return host;
  }

  /** A pod that is gone meanwhile is no failure of its kubelet; other errors are tried again by the caller. */
  async function quietly(action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (error instanceof DatastoreError && (error.code === "NotFound" || error.code === "Conflict")) return;
      log(error instanceof Error ? error.message : String(error));
    }
  }

  async function registerNode(host: NodeHost): Promise<void> {
    const { name, address } = host.plan;
    const node: KubeObject = {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
      spec: {},
      status: { addresses: [{ type: "InternalIP", address }, { type: "Hostname", address: name }], conditions: [readyCondition(false)], capacity: { pods: "110" }, allocatable: { pods: "110" } },
    };
    try {
      await datastore.create(coreTypes.nodes, node);
    } catch (error) {
      if (!(error instanceof DatastoreError) || error.code !== "AlreadyExists") throw error;
    }
  }

  /** A node is Ready when its network configuration is there, as a container runtime reports it. */
  async function refreshNodes(): Promise<void> {
    for (const host of hosts) {
      const ready = readConflist(host) !== null;
      if (readyByNode.get(host.plan.name) === ready) continue;
      const current = await datastore.get<KubeObject & { status?: { conditions?: { type: string }[] } }>(coreTypes.nodes, { name: host.plan.name });
      const conditions = [...(current.status?.conditions ?? []).filter((condition) => condition.type !== "Ready"), readyCondition(ready)];
      await datastore.patch(coreTypes.nodes, { name: host.plan.name }, { status: { conditions } }, { type: "merge", subresource: "status" });
      readyByNode.set(host.plan.name, ready);
    }
  }

  function scheduleRefresh(): void {
    if (stopping) return;
    statusTimer = setTimeout(() => {
      refreshNodes().catch((error: unknown) => log(`node status: ${error instanceof Error ? error.message : String(error)}`)).finally(scheduleRefresh);
    }, NODE_STATUS_INTERVAL_MS);
  }

  return {
    async start() {
      for (const host of hosts) await registerNode(host);
      scheduleRefresh();
      podInformer = createInformer({
        datastore,
        type: coreTypes.pods,
        transform: podView,
        handler: {
          onUpsert: (_key, view) => onPod(view),
          onDelete: (key) => {
            const name = typeof key === "string" ? key : `${key.namespace ?? ""}/${key.name}`;
            const uid = uidByKey.get(name);
            uidByKey.delete(name);
            if (uid !== undefined) setDesired(uid, null);
          },
          onSynced: () => undefined,
        },
      });
      podInformer.start();
      await podInformer.synced;
    },
    pods: () => running,
    waiting: () => waiting,
    async stop() {
      stopping = true;
      if (statusTimer) clearTimeout(statusTimer);
      podInformer?.stop();
      for (const worker of workers.values()) {
        if (worker.retry) clearTimeout(worker.retry);
        worker.servers?.close();
      }
    },
  };
}

const selects = (view: PodView, node: string): boolean => Object.entries(view.nodeSelector).every(([key, value]) => key === "kubernetes.io/hostname" && value === node);

const readyCondition = (ready: boolean): object => ({
  type: "Ready",
  status: ready ? "True" : "False",
  reason: ready ? "KubeletReady" : "NetworkPluginNotReady",
  message: ready ? "the node can run pods" : "container runtime network not ready: no network configuration in /etc/cni/net.d",
  lastHeartbeatTime: new Date().toISOString(),
  lastTransitionTime: new Date().toISOString(),
});
