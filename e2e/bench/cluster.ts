/**
 * A real cluster: how long pods take to start beside the reference plugins under the same kubelets, how long an install
 * takes, and what the components use. It starts a cluster of its own.
 */
import { mkdtempSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { coreTypes, createInformer, type KubeObject, type ResourceType } from "@calico/datastore";
import { apply, clusterOf, kubectlOk, readyNodes, untilAllReady, untilRolledOut } from "../cluster/tools.ts";
import { deployment, namespace, podOn } from "../cluster/workloads.ts";
import { calicoImages } from "../lab/cluster/calico-images.ts";
import { AGNHOST_IMAGE, labImage } from "../lab/cluster/lab-images.ts";
import { helm, installRelease, labValues, NAMESPACE, RELEASE } from "../lab/cluster/release.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { measureConsumption, processesOfContainer } from "./consumption.ts";
import { watchPodStarts, type PodStarts, type Start } from "./pod-starts.ts";
import { leaveAll, leaveReference, REFERENCE_ADDRESS, REFERENCE_PLUGINS, useReference } from "./reference-plugins.ts";
import type { Report } from "./report.ts";

const NODES = 3;
const TURNS = 3;
/** One at a time, in each turn. */
const SINGLE = 10;
const SCALE = 60;
const INSTALLS = 3;
const CONSUMPTION_SECONDS = 30;
const NS = "bench";

const deployments: ResourceType = { group: "apps", version: "v1", kind: "Deployment", plural: "deployments", namespaced: true };

/** Whose pods: Calico's, the reference plugins' beside a Calico that does nothing for them, or theirs in a cluster without Calico. */
type Network = "calico" | "reference" | "alone";
const LABELS: Readonly<Record<Network, string>> = { calico: "calico", reference: "ptp+host-local", alone: "ptp+host-local without Calico" };

type Samples = { readonly single: Start[]; readonly scale: { readonly readyMs: number; readonly reachedMs: number }[] };

/** Calls `started` with the lab as soon as there is something to stop. */
export async function benchCluster(report: Report, say: (line: string) => void, started: (lab: Lab) => void): Promise<void> {
  const lab = await startLab({ name: "rbench", octet: 23, dir: mkdtempSync(join(tmpdir(), "rbench-")), nodes: NODES, kubernetes: "cluster", cluster: { values: null }, plugins: REFERENCE_PLUGINS, onProgress: say });
  started(lab);
  await clusterOf(lab).importImages([await calicoImages(say), await labImage("agnhost")]);
  useReference(lab.hosts);
  await untilAllReady(lab);
  await apply(lab, namespace(NS));
  const watch = await watchPodStarts(lab, DEMO_PORT);
  const samples: Record<Network, Samples> = { calico: { single: [], scale: [] }, reference: { single: [], scale: [] }, alone: { single: [], scale: [] } };
  try {
    await prepare(lab, watch, "alone");
    for (let index = 0; index < TURNS; index += 1) await turn(lab, watch, "alone", samples.alone, say);
    leaveAll(lab.hosts);
    await benchInstalls(lab, report, say);
    await reportConsumption(lab, report, "idle");
    for (let index = 0; index < TURNS; index += 1) {
      // Each comes first in turn: a turn has to do with what the one before it left to be cleared away.
      for (const network of index % 2 === 0 ? (["calico", "reference"] as const) : (["reference", "calico"] as const)) {
        if (network === "calico") leaveReference(lab.hosts);
        else useReference(lab.hosts);
        await untilUsed(lab, watch, network);
        if (index === 0) await prepare(lab, watch, network);
        const last = network === "calico" && index === TURNS - 1;
        await turn(lab, watch, network, samples[network], say, () => (last ? reportConsumption(lab, report, `with ${SCALE} pods`) : Promise.resolve()));
      }
    }
  } finally {
    watch.stop();
  }
  reportStarts(report, samples);
}

/** One round of pods one at a time, then all at once. `whileScaled` runs before these go. */
async function turn(lab: Lab, watch: PodStarts, network: Network, samples: Samples, say: (line: string) => void, whileScaled: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  for (let i = 0; i < SINGLE; i += 1) {
    const name = `${network}-single`;
    const began = performance.now();
    await lab.datastore.create(coreTypes.pods, agnhostOn("node-2", name) as KubeObject);
    const [start] = await watch.started(began, 1, `${NS}/${name}`, () => client(network, network === "calico" ? "node-1" : "node-2"));
    if (start === undefined || REFERENCE_ADDRESS.test(start.address) === (network === "calico")) throw new Error(`a pod of ${network} got the address ${start?.address}`);
    samples.single.push(start);
    await lab.datastore.delete(coreTypes.pods, { namespace: NS, name });
    await watch.gone(`${NS}/${name}`);
  }
  const name = `${network}-scale`;
  const target = { namespace: NS, name };
  await lab.datastore.create(deployments, { ...(withoutProbe(deployment(NS, name, 0)) as KubeObject) });
  const began = performance.now();
  await lab.datastore.patch(deployments, target, { spec: { replicas: SCALE } }, { type: "merge" });
  // The reference plugins make no routes between nodes.
  const starts = await watch.started(began, SCALE, `${NS}/${name}-`, (node) => client(network, network === "calico" ? nextNode(node) : node));
  samples.scale.push({ readyMs: Math.max(...starts.map(({ readyMs }) => readyMs)), reachedMs: Math.max(...starts.map(({ reachedMs }) => reachedMs)) });
  await whileScaled();
  await lab.datastore.delete(deployments, target);
  await watch.gone(`${NS}/${name}-`);
  say(`${LABELS[network]}: one at a time ${samples.single.slice(-SINGLE).map(({ readyMs }) => Math.round(readyMs)).join(" ")} ms; ${SCALE} at once ${Math.round(samples.scale.at(-1)?.readyMs ?? 0)} ms; load ${loadavg().map((load) => load.toFixed(0)).join(" ")}`);
}

const client = (network: Network, node: string): string => `${NS}/${network}-client-${node}`;

const nextNode = (node: string): string => `node-${(Number(node.replace("node-", "")) % NODES) + 1}`;

/** Pods from which is connected, one on each node. */
async function prepare(lab: Lab, watch: PodStarts, network: Network): Promise<void> {
  await untilUsed(lab, watch, network);
  await apply(lab, ...lab.plan.nodes.map(({ name }) => podOn(name, NS, `${network}-client-${name}`)));
  await lab.untilRunning(lab.plan.nodes.map(({ name }) => client(network, name)));
}

/** The runtime reads its folder again when it changes: true for every node when a pod shows it. */
async function untilUsed(lab: Lab, watch: PodStarts, network: Network): Promise<void> {
  await untilTrue(`the runtimes to use ${LABELS[network]}`, async () => {
    const names = lab.plan.nodes.map(({ name }) => `${network}-look-${name}`);
    await apply(lab, ...lab.plan.nodes.map(({ name }) => podOn(name, NS, `${network}-look-${name}`)));
    await lab.untilRunning(names.map((name) => `${NS}/${name}`));
    const addresses = names.map((name) => lab.pods().get(`${NS}/${name}`)?.addresses[0] ?? "");
    await kubectlOk(lab, ["delete", "pods", "-n", NS, "--wait=false", ...names]);
    await watch.gone(`${NS}/${network}-look-`);
    return addresses.every((address) => REFERENCE_ADDRESS.test(address) === (network !== "calico"));
  }, 120_000);
}

/** From the start of helm to the last node that is Ready, and to helm's end. */
async function benchInstalls(lab: Lab, report: Report, say: (line: string) => void): Promise<void> {
  for (let turnNumber = 1; turnNumber <= INSTALLS; turnNumber += 1) {
    await untilTrue("no node to be Ready", async () => (await readyNodes(lab)).length === 0, 60_000);
    const ready = await watchNodes(lab);
    const began = performance.now();
    const installed = installRelease(clusterOf(lab).helm, lab.paths.config, labValues(lab.plan.controlAddress)).then(() => performance.now());
    report.add(`helm install ${turnNumber}: all nodes Ready`, "time", ((await ready.all) - began) / 1_000, "s");
    report.add(`helm install ${turnNumber}: helm's end`, "time", ((await installed) - began) / 1_000, "s");
    ready.stop();
    say(`load ${loadavg().map((load) => load.toFixed(0)).join(" ")}`);
    if (turnNumber === INSTALLS) return;
    await helm(clusterOf(lab).helm, "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", "90s");
    leaveAll(lab.hosts);
  }
}

/** When the last node became Ready, by the event of a watch. */
async function watchNodes(lab: Lab): Promise<{ readonly all: Promise<number>; stop(): void }> {
  const ready = new Set<string>();
  const { promise, resolve } = Promise.withResolvers<number>();
  const informer = createInformer<KubeObject & { status?: { conditions?: { type: string; status: string }[] } }, boolean>({
    datastore: lab.datastore,
    type: coreTypes.nodes,
    transform: ({ status }) => status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") === true,
    handler: {
      onUpsert({ name }, isReady) {
        if (isReady) ready.add(name);
        else ready.delete(name);
        if (ready.size === NODES) resolve(performance.now());
      },
      onDelete: ({ name }) => void ready.delete(name),
      onSynced: () => undefined,
    },
  });
  informer.start();
  await informer.synced;
  return { all: promise, stop: () => informer.stop() };
}

type PodList = { readonly items: readonly { readonly metadata: { readonly labels?: Readonly<Record<string, string>> }; readonly status: { readonly containerStatuses?: readonly { readonly name: string; readonly containerID?: string }[] } }[] };

/** Of each component one container's mean over the nodes, and beside it the node's own programs. */
async function reportConsumption(lab: Lab, report: Report, when: string): Promise<void> {
  for (const target of ["daemonset/calico-node", "daemonset/calico-cni", "daemonset/calico-ipam", "daemonset/calico-bird", "deployment/calico-typha"]) await untilRolledOut(lab, NAMESPACE, target);
  const { items } = JSON.parse(await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-o", "json"])) as PodList;
  const containers = items.flatMap(({ status }) => status.containerStatuses ?? []).flatMap(({ name, containerID }) => (containerID === undefined ? [] : [{ name, id: containerID.replace(/^containerd:\/\//, "") }]));
  const groups = new Map([
    ...containers.map(({ name, id }): [string, number[]] => [`${name}@${id}`, processesOfContainer(id)]),
    ...lab.supervisor.states().filter(({ id, pid }) => /^(kubelet|containerd|kube-proxy)@/.test(id) && pid !== null).map(({ id, pid }): [string, number[]] => [id, [pid ?? 0]]),
  ]);
  const all = await measureConsumption(groups, CONSUMPTION_SECONDS);
  for (const [component, of] of Map.groupBy(all, ([id]) => id.split("@")[0] ?? "")) {
    const mean = (field: "rssMb" | "pssMb" | "cpuPercent"): number => of.reduce((total, [, one]) => total + one[field], 0) / of.length;
    report.add(`${component} ${when}`, "RSS", mean("rssMb"), "MB");
    report.add(`${component} ${when}`, "PSS", mean("pssMb"), "MB");
    report.add(`${component} ${when}`, "CPU", mean("cpuPercent"), "% of a core");
  }
}

function reportStarts(report: Report, samples: Readonly<Record<Network, Samples>>): void {
  const percentiles = new Map<Network, { readonly ready: number; readonly reached: number }>();
  for (const [network, { single, scale }] of Object.entries(samples) as [Network, Samples][]) {
    const ready = report.percentiles(`pod to Ready, ${LABELS[network]}`, single.map(({ readyMs }) => readyMs), "ms");
    const reached = report.percentiles(`pod to first connection, ${LABELS[network]}`, single.map(({ reachedMs }) => reachedMs), "ms");
    percentiles.set(network, { ready: ready.p50, reached: reached.p50 });
    report.add(`0 to ${SCALE} pods, all Ready, ${LABELS[network]}`, "median", median(scale.map(({ readyMs }) => readyMs)), "ms");
    report.add(`0 to ${SCALE} pods, all reached, ${LABELS[network]}`, "median", median(scale.map(({ reachedMs }) => reachedMs)), "ms");
  }
  const ratio = (of: (network: Network) => number): number => of("calico") / of("reference");
  report.add("pod to Ready", "ratio p50", ratio((network) => percentiles.get(network)?.ready ?? 0), "calico/reference");
  report.add("pod to first connection", "ratio p50", ratio((network) => percentiles.get(network)?.reached ?? 0), "calico/reference");
  report.add(`0 to ${SCALE} pods, all Ready`, "ratio", ratio((network) => median(samples[network].scale.map(({ readyMs }) => readyMs))), "calico/reference");
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** A server that listens as soon as it runs. Without a probe: a probe's period would be what is measured. */
function agnhostOn(node: string, name: string): object {
  const { spec } = podOn(node, NS, name) as { spec: object };
  return { apiVersion: "v1", kind: "Pod", metadata: { namespace: NS, name }, spec: { ...spec, containers: [serverContainer] } };
}

const serverContainer = { name: "agnhost", image: AGNHOST_IMAGE, imagePullPolicy: "IfNotPresent", args: ["netexec", `--http-port=${DEMO_PORT}`, "--udp-port=-1"] };

function withoutProbe(object: object): object {
  const made = object as { spec: { template: { spec: object } } };
  return { ...made, spec: { ...made.spec, template: { ...made.spec.template, spec: { ...made.spec.template.spec, containers: [serverContainer] } } } };
}
