/** A lab with the demo's pods, and what the tests ask of it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject, type ResourceType } from "@calico/datastore";
import { openNftables, openSys, withNetns } from "@calico/kernel";
import type { FaultCommand } from "../apiserver/faults.ts";
import type { ControlPlane } from "../lab/control-plane.ts";
import { demoNamespaces, demoPods, DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab, type LabOptions } from "../lab/lab.ts";
import { runProgram, type Ended } from "../lab/run-program.ts";
import { processesOf } from "../lab/sweep.ts";
import { untilTrue } from "../lab/wait.ts";

/** True: the labs are real clusters, in which the components are containers. */
export const onCluster = process.env["CALICO_LAB_API"] === "cluster";
/** True: the labs stand before Kubernetes' own API server. Tests of its misbehaviour need the embedded one. */
export const onKubernetes = onCluster || process.env["CALICO_LAB_API"] === "kubernetes";

/** Starts a lab of its own name and addresses with the demo's pods running. */
export async function startDemoLab(name: string, octet: number, options: Partial<LabOptions> = {}): Promise<Lab> {
  const lab = await startLab({ name, octet, dir: mkdtempSync(join(tmpdir(), `${name}-`)), nodes: 3, kubernetes: onCluster ? "cluster" : onKubernetes ? "api-server" : undefined, ...options });
  try {
    await lab.apply([...demoNamespaces, ...demoPods]);
    await lab.untilRunning(demoPods.map((pod) => `${(pod as KubeObject).metadata.namespace}/${(pod as KubeObject).metadata.name}`));
    await untilReach(lab, () => true);
  } catch (error) {
    await lab.stop();
    throw error;
  }
  return lab;
}

/** Stops a lab; what it left behind and what a component was not allowed to do, which should be nothing. */
export async function stopLab(lab: Lab): Promise<string[]> {
  const refused = forbidden(lab);
  return [...refused, ...(await endLab(lab))];
}

/** Stops a lab; what it left behind. */
export async function endLab(lab: Lab): Promise<string[]> {
  await lab.stop();
  const { name } = lab.plan;
  return [...readdirSync("/run/netns").filter((netns) => netns.startsWith(`${name}-`)), ...processesOf(name).map((pid) => `process ${pid}`)];
}

/** What the API server refused to the components, once each, by their logs. */
function forbidden({ paths: { logs } }: Lab): Set<string> {
  return new Set(readdirSync(logs).flatMap((file) => [...readFileSync(join(logs, file), "utf8").matchAll(/User \\*"system:serviceaccount:calico-system:[\w-]+\\*" cannot \w+ resource \\*"[\w/]+/g)].map(([text]) => text.replaceAll("\\", ""))));
}

/** Pairs "from>to" of pods that are connected on the demo's port. */
export async function reachable(lab: Lab): Promise<Set<string>> {
  const { cells } = await lab.matrix(DEMO_PORT, 250);
  return new Set(cells.flatMap(({ from, to, reached }) => (reached === true ? [`${from}>${to}`] : [])));
}

/** Waits until exactly the expected pairs are connected. */
export async function untilReach(lab: Lab, expected: (from: string, to: string) => boolean, timeoutMs = 15_000): Promise<void> {
  await untilTrue("the pods to reach each other as expected", async () => {
    const { cells } = await lab.matrix(DEMO_PORT, 250);
    const wrong = cells.filter(({ from, to, reached }) => reached !== expected(from, to)).map(({ from, to, reached }) => `${from} ${reached === true ? "reaches" : "does not reach"} ${to}`);
    if (wrong.length > 0) throw new Error(wrong.join(", "));
    return true;
  }, timeoutMs);
}

/** Output of a command inside NAMESPACE/POD or node/NAME; throws when it fails. */
export function run(lab: Lab, target: string, ...command: string[]): string {
  const [program = "", ...args] = lab.execCommand(target, command);
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 10_000 });
  if (status !== 0) throw new Error(`${command.join(" ")} in ${target}: ${stderr || stdout}`);
  return stdout;
}

/** The kernel's rules of a node, without counters. */
export const rules = (lab: Lab, node: string): string => run(lab, `node/${node}`, "nft", "-s", "list", "table", "inet", "calico");

/** Number of the node's last nftables transaction. */
export function generationOf(lab: Lab, node: string): number {
  const sys = openSys();
  const nftables = withNetns(sys, lab.netnsOf(`node/${node}`), () => openNftables(sys));
  try {
    return nftables.generation();
  } finally {
    nftables.close();
  }
}

/** The identities of the lab's processes. Throws where the components are containers. */
export function controlOf({ control }: Lab): ControlPlane {
  if (control === null) throw new Error("the components of this lab are given their identities by the chart");
  return control;
}

/** Tells the API server to misbehave. */
export function inject(lab: Lab, command: FaultCommand): Promise<void> {
  const { faultSocket } = lab.api;
  if (faultSocket === null) throw new Error("the API server of this lab cannot be told to misbehave");
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: faultSocket, method: "POST", path: "/" }, (response) => {
      response.resume();
      response.once("end", () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))));
    });
    call.once("error", reject);
    call.end(JSON.stringify(command));
  });
}

/** False: tests that need kubectl are skipped, by name. */
export const hasKubectl = Number(/v1\.(\d+)/.exec(spawnSync("kubectl", ["version", "--client"], { encoding: "utf8" }).stdout)?.[1] ?? 0) >= 27;

/** Runs kubectl beside the lab, whose kubelet lives in this process. */
export const kubectl = (lab: Lab, args: readonly string[], input?: object): Promise<Ended> =>
  runProgram(["kubectl", "--kubeconfig", lab.api.kubeconfig, ...args], { input: input === undefined ? "" : JSON.stringify(input), timeoutMs: 20_000 });

/** Waits until a process of the lab was started again after `restarts`. */
export async function untilRestarted(lab: Lab, id: string, restarts: number): Promise<void> {
  await untilTrue(`${id} to be started again`, async () => lab.supervisor.states().some((state) => state.id === id && state.restarts > restarts && state.pid !== null), 10_000);
}

export async function healthOf(lab: Lab, node: string, port: number, path = "/readiness"): Promise<{ status: number; text: string }> {
  const address = lab.plan.nodes.find((candidate) => candidate.name === node)?.address ?? "";
  const response = await fetch(`http://${address}:${port}${path}`, { signal: AbortSignal.timeout(2_000) });
  return { status: response.status, text: await response.text() };
}

export const untilHealthy = (lab: Lab, node: string, port: number): Promise<void> => untilTrue(`port ${port} of ${node} to be ready`, async () => (await healthOf(lab, node, port)).status === 200, 20_000);

/** A Kubernetes policy that lets nothing into the pods of a namespace. */
export const denyInto = (namespace: string, name = "deny"): KubeObject => ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace, name }, spec: { podSelector: {}, policyTypes: ["Ingress"] } } as KubeObject);

export const calicoPolicy = (namespace: string, name: string, spec: object): KubeObject => ({ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { namespace, name }, spec } as KubeObject);
export const globalPolicy = (name: string, spec: object): KubeObject => ({ apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", metadata: { name }, spec } as KubeObject);

const POLICY_KINDS: readonly ResourceType[] = [coreTypes.networkPolicies, calicoTypes.networkPolicies, calicoTypes.globalNetworkPolicies];

/** Deletes every policy and waits until everything is reachable again. */
export async function withoutPolicies(lab: Lab): Promise<void> {
  for (const type of POLICY_KINDS) {
    const { items } = await lab.datastore.list<KubeObject>(type);
    for (const { metadata } of items) await lab.datastore.delete(type, metadata);
  }
  await untilReach(lab, () => true);
}
