/**
 * A lab: a cluster on one machine. Everything that `npm run lab` and the end-to-end tests do goes
 * through this object.
 */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { coreTypes, openKubernetesDatastore, type Datastore, type KubeObject } from "@calico/datastore";
import type { Encapsulation, Protocol } from "./arguments.ts";
import { startCluster, type Cluster, type ClusterOptions } from "./cluster/cluster.ts";
import { createContainerPods } from "./cluster/container-pods.ts";
import { followBlocks } from "./cluster/pod-routes.ts";
import { CLUSTER_COMPONENTS, NODE_COMPONENTS, POD_CIDR, TYPHA_PORT, componentSpec, type LabCertificates } from "./components.ts";
import { startControlPlane, type ApiAccess, type ControlPlane } from "./control-plane.ts";
import { ensure } from "./ensure.ts";
import { buildFabric } from "./fabric.ts";
import { createKubelet, type Kubelet, type RunningPod } from "./kubelet/kubelet.ts";
import { createPodNetwork, type PodNetwork } from "./kubelet/pod-network.ts";
import type { MatrixCell } from "./matrix.ts";
import { NODE_FOLDERS, openNodeHost, type NodeHost } from "./node-host.ts";
import { untilNodesReady } from "./nodes-ready.ts";
import { labPaths, type LabPaths } from "./paths.ts";
import { createAuthority, type Authority } from "./pki.ts";
import { probe, type ProbeResult } from "./prober.ts";
import { createSupervisor, type Supervisor } from "./supervisor.ts";
import { sweep } from "./sweep.ts";
import { planLab, type LabPlan } from "./topology.ts";
import { untilTrue } from "./wait.ts";

export type LabOptions = {
  /** Prefix of all names; at most 8 characters. */
  readonly name: string;
  readonly dir: string;
  /** 16 to 31: second octet of the fabric's 172.x.0.0/16. */
  readonly octet: number;
  readonly nodes: number;
  readonly subnets?: number;
  /** Of the pods' pool; none when absent. */
  readonly encapsulation?: Encapsulation;
  /**
   * Absent: the embedded API server. "api-server": Kubernetes' own, the kubelet is the lab's and the components are
   * processes. "cluster": all of Kubernetes, and Calico by its images and its chart.
   */
  readonly kubernetes?: "api-server" | "cluster" | undefined;
  readonly onProgress?: (line: string) => void;
  /** Components to leave out (a test runs its own instead). */
  readonly without?: readonly string[];
  /** Plugins of others, by the path of their programs, that are installed on the nodes beside Calico's. */
  readonly plugins?: readonly string[];
  /** Parameters of components that differ from the lab's own: environment variables by component. */
  readonly parameters?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Of a real cluster: values of the chart that win over the lab's own (null: Calico is not installed), and whether services are kube-proxy's. */
  readonly cluster?: Pick<ClusterOptions, "values" | "kubeProxy">;
};

export type Lab = {
  readonly plan: LabPlan;
  readonly paths: LabPaths;
  readonly api: ApiAccess;
  /** Identities of components that are processes; null: they are the chart's. */
  readonly control: ControlPlane | null;
  readonly cluster: Cluster | null;
  readonly datastore: Datastore;
  readonly hosts: readonly NodeHost[];
  readonly supervisor: Supervisor;
  readonly network: PodNetwork;
  pods(): ReadonlyMap<string, RunningPod>;
  /** Why pods that are bound do not run yet. */
  waiting(): ReadonlyMap<string, string>;
  /** Creates or replaces objects of core and projectcalico.org kinds, in order. */
  apply(objects: readonly object[]): Promise<void>;
  /** Resolves when the pods run; throws with each one's reason after the timeout. */
  untilRunning(keys: readonly string[], timeoutMs?: number): Promise<void>;
  /** Path of the network namespace of NAMESPACE/POD or node/NAME. Throws with what there is. */
  netnsOf(target: string): string;
  /** A command line that runs inside NAMESPACE/POD or node/NAME. */
  execCommand(target: string, command: readonly string[]): string[];
  probe(from: string, to: string, port: number, protocol?: Protocol, timeoutMs?: number): Promise<ProbeResult>;
  matrix(port: number | null, timeoutMs?: number): Promise<{ names: string[]; cells: MatrixCell[] }>;
  /** Ends everything and removes what was made. */
  stop(): Promise<void>;
};

const READY_TIMEOUT_MS = 60_000;
/** Nobody asks who reaches the cluster's own pods. */
const SYSTEM_NAMESPACES = ["kube-system", "calico-system"];
const CLUSTER_TIMEOUT_MS = 120_000;

/** Starts a lab; resolves when its nodes are Ready. What an earlier lab of the name left is removed first. */
export async function startLab(options: LabOptions): Promise<Lab> {
  const { name, dir, onProgress = () => undefined } = options;
  const left = await sweep(name, dir);
  if (left.processes + left.namespaces > 0) onProgress(`removed what an earlier lab left: ${left.processes} processes, ${left.namespaces} namespaces`);
  const paths = labPaths(dir);
  const plan = planLab({ name, octet: options.octet, nodeCount: options.nodes, subnetCount: options.subnets ?? 1 });
  const hosts: NodeHost[] = [];
  const supervisor = createSupervisor((id, how) => onProgress(`${id} ended (${how}); it is started again`));
  let kubelet: Kubelet | null = null;
  let datastore: Datastore | null = null;

  /** Ends everything; without a folder to remove the logs stay. */
  async function stop(folder: string | null = dir): Promise<void> {
    await kubelet?.stop();
    datastore?.close();
    await supervisor.stopAll();
    for (const host of hosts) host.close();
    await sweep(name, folder);
  }

  try {
    mkdirSync(paths.logs, { recursive: true });
    writeFileSync(paths.state, JSON.stringify(plan, null, 2));
    onProgress(`fabric: ${plan.nodes.length} nodes in ${plan.subnets.length} subnet(s)`);
    buildFabric(plan);
    hosts.push(...(await Promise.all(plan.nodes.map((node) => openNodeHost(node, paths.node(node.name), name, { kubelet: options.kubernetes === "cluster" })))));
    for (const host of hosts) installPlugins(host, options.plugins ?? []);
    const authority = await createAuthority(paths.pki, new Date());
    const open = async (kubeconfig: string): Promise<Datastore> => {
      const opened = openKubernetesDatastore({ kubeconfig, userAgent: "calico-lab" });
      datastore = opened;
      await untilTrue("the API server to answer", () => opened.list(coreTypes.namespaces).then(() => true), READY_TIMEOUT_MS);
      onProgress("API server ready");
      return opened;
    };
    const stage: Stage = {
      options, plan, paths, hosts, authority, supervisor, onProgress, open,
      network: createPodNetwork(),
      log: (line) => writeFileSync(`${paths.logs}/pods.log`, `${line}\n`, { flag: "a" }),
      watch: (created) => (kubelet = created),
    };
    return labObject({ ...stage, ...(await (options.kubernetes === "cluster" ? raiseCluster(stage) : raiseProcesses(stage))), stop });
  } catch (error) {
    await stop(null);
    onProgress(`the lab could not be started; its logs: ${paths.logs}`);
    throw error;
  }
}

/** What a lab has when its nodes' namespaces are open. */
type Stage = Pick<Lab, "plan" | "paths" | "hosts" | "supervisor" | "network"> & {
  readonly options: LabOptions;
  readonly authority: Authority;
  readonly onProgress: (line: string) => void;
  /** Opens the datastore of a kubeconfig and waits until it answers. */
  readonly open: (kubeconfig: string) => Promise<Datastore>;
  readonly log: (line: string) => void;
  /** Remembers what is stopped with the lab. */
  readonly watch: (kubelet: Kubelet) => Kubelet;
};

type Raised = Pick<Lab, "api" | "control" | "cluster" | "datastore"> & { readonly kubelet: Kubelet };

/** The components as processes, under the lab's own kubelet. */
async function raiseProcesses({ options, plan, paths, hosts, authority, supervisor, network, onProgress, open, log, watch }: Stage): Promise<Raised> {
  const { name, without = [], parameters = {}, kubernetes, encapsulation = "none" } = options;
  const control = await startControlPlane({ plan, paths, authority, supervisor, kubernetes: kubernetes === "api-server", onProgress });
  const datastore = await open(control.kubeconfig);
  await ensure(datastore, namespaceObject("calico-system"));
  await ensure(datastore, control.natsSecret);
  const kubelet = watch(createKubelet({ labName: name, datastore, hosts, network, log }));
  await kubelet.start();
  await control.admit(datastore);
  const certificates: LabCertificates = {
    typha: await authority.issue("typha", { commonName: "typha-server", dns: ["typha-server"], ip: [hosts[0]?.plan.address ?? ""] }),
    typhaClient: await authority.issue("typha-client", { commonName: "typha-client" }),
  };
  startComponents({ hosts, supervisor, without, surroundings: { labName: name, encapsulation, parameters, paths, control, certificates, typhaAddresses: [`${hosts[0]?.plan.address ?? ""}:${TYPHA_PORT}`] } });
  onProgress("services started");
  await untilNodesReady(datastore, hosts.length, READY_TIMEOUT_MS, onProgress);
  return { api: control, control, cluster: null, datastore, kubelet };
}

/** The components as containers, under real kubelets. */
async function raiseCluster({ options, plan, paths, hosts, authority, supervisor, network, onProgress, open, log, watch }: Stage): Promise<Raised> {
  const cluster = await startCluster({ plan, paths, hosts, authority, supervisor, onProgress, encapsulation: options.encapsulation ?? "none", ...options.cluster });
  const datastore = await open(paths.kubeconfig);
  const pods = createContainerPods({ labName: options.name, datastore, hosts, network, log });
  const routes = followBlocks(plan, datastore, POD_CIDR);
  const kubelet = watch({
    ...pods,
    async stop() {
      routes.stop();
      await pods.stop();
    },
  });
  await kubelet.start();
  await cluster.populate();
  if (options.cluster?.values !== null) await untilNodesReady(datastore, hosts.length, CLUSTER_TIMEOUT_MS, onProgress);
  return { api: { server: cluster.server, kubeconfig: paths.kubeconfig, faultSocket: null }, control: null, cluster, datastore, kubelet };
}

function installPlugins(host: NodeHost, programs: readonly string[]): void {
  const dir = join(host.dir, NODE_FOLDERS["/opt/cni"], "bin");
  mkdirSync(dir, { recursive: true });
  for (const program of programs) copyFileSync(program, join(dir, basename(program)));
}

function startComponents(options: { hosts: readonly NodeHost[]; supervisor: Supervisor; without: readonly string[]; surroundings: Parameters<typeof componentSpec>[3] }): void {
  const { hosts, supervisor, without, surroundings } = options;
  const [first] = hosts;
  if (!first) return;
  for (const component of CLUSTER_COMPONENTS) {
    if (!without.includes(component)) supervisor.start(componentSpec(component, first, false, surroundings));
  }
  for (const component of NODE_COMPONENTS) {
    if (without.includes(component)) continue;
    for (const host of hosts) supervisor.start(componentSpec(component, host, true, surroundings));
  }
}

function labObject({ kubelet, plan, paths, api, control, cluster, datastore, hosts, supervisor, network, stop }: Raised & Pick<Stage, "plan" | "paths" | "hosts" | "supervisor" | "network"> & Pick<Lab, "stop">): Lab {

  function hostNamed(name: string): NodeHost {
    const host = hosts.find((candidate) => candidate.plan.name === name);
    if (!host) throw new Error(`there is no node ${name}; there are ${hosts.map((candidate) => candidate.plan.name).join(", ")}`);
    return host;
  }

  function podNamed(key: string): RunningPod {
    const pod = kubelet.pods().get(key);
    if (pod) return pod;
    const why = kubelet.waiting().get(key);
    throw new Error(why ? `${key} does not run yet: ${why}` : `there is no running pod ${key}; there are ${[...kubelet.pods().keys()].join(", ") || "none"}`);
  }

  function netnsOf(target: string): string {
    if (target.startsWith("node/")) return `/run/netns/${hostNamed(target.slice(5)).plan.namespace}`;
    return `/run/netns/${podNamed(target).netns}`;
  }

  function addressOf(target: string): string {
    if (target.startsWith("node/")) return hostNamed(target.slice(5)).plan.address;
    return target.includes("/") ? (podNamed(target).addresses[0] ?? "") : target;
  }

  const lab: Lab = {
    plan, paths, api, control, cluster, datastore, hosts, supervisor, network, stop,
    pods: () => kubelet.pods(),
    waiting: () => kubelet.waiting(),
    async apply(objects) {
      for (const object of objects) await ensure(datastore, object as KubeObject);
    },
    async untilRunning(keys, timeoutMs = READY_TIMEOUT_MS) {
      const missing = (): string[] => keys.filter((key) => !kubelet.pods().has(key));
      await untilTrue(() => `pods to run: ${missing().map((key) => `${key} (${kubelet.waiting().get(key) ?? "not bound yet"})`).join("; ")}`, async () => missing().length === 0, timeoutMs);
    },
    netnsOf,
    execCommand(target, command) {
      if (target.startsWith("node/")) return hostNamed(target.slice(5)).enter(command);
      return ["nsenter", `--net=${netnsOf(target)}`, "--", ...command];
    },
    probe: (from, to, port, protocol = "tcp", timeoutMs = 1_000) => probe(network, netnsOf(from), { address: addressOf(to), port, protocol }, timeoutMs),
    async matrix(port, timeoutMs = 1_000) {
      const names = [...kubelet.pods()].filter(([, { view }]) => !SYSTEM_NAMESPACES.includes(view.namespace)).map(([key]) => key).sort();
      const cells = await Promise.all(names.flatMap((from) => names.filter((to) => to !== from).map(async (to): Promise<MatrixCell> => {
        const target = port ?? podNamed(to).view.ports.find((candidate) => candidate.protocol === "TCP")?.port;
        if (target === undefined) return { from, to, reached: null };
        return { from, to, reached: (await lab.probe(from, to, target, "tcp", timeoutMs)).reached };
      })));
      return { names, cells };
    },
  };
  return lab;
}

const namespaceObject = (name: string): KubeObject => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
