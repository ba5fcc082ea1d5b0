/** The commands of the lab in a cluster that runs elsewhere. */
import { coreTypes, DatastoreError, type Datastore, type KubeObject } from "@calico/datastore";
import { componentsOf } from "../cluster/component-states.ts";
import { AGNHOST_IMAGE } from "../cluster/lab-images.ts";
import { NAMESPACE } from "../cluster/release.ts";
import { bgpLines, type DemoStage } from "../demo-run.ts";
import { demoNamespaces, demoPodsOf, DEMO_PORT } from "../demo.ts";
import { ensure } from "../ensure.ts";
import type { Front } from "../front.ts";
import { chooseLogs, labelOf } from "../log-files.ts";
import type { MatrixCell } from "../matrix.ts";
import { runProgram } from "../run-program.ts";
import { untilTrue } from "../wait.ts";
import { createAsker, isAgnhost, UNPRIVILEGED } from "./asking.ts";
import { giveBack, MADE_BY_LAB } from "./give-back.ts";
import type { OwnNode } from "./install.ts";
import type { ClusterPods } from "./pods.ts";

const RUNNING_TIMEOUT_MS = 180_000;
const PROBE_MS = 1_000;
/** kubectls at a time. */
const PARALLEL = 8;

export type Ground = { readonly nodeCount: number; readonly kubectl: string; readonly kubeconfig: string; readonly datastore: Datastore; readonly pods: ClusterPods; readonly dir: string; readonly onProgress: (line: string) => void };

export function ownFront({ nodeCount, kubectl, kubeconfig, datastore, pods, dir, onProgress }: Ground): Front {
  const asker = createAsker({ kubectl, kubeconfig, datastore });

  async function listNodes(): Promise<{ name: string; address: string }[]> {
    const { items } = await datastore.list<OwnNode>(coreTypes.nodes);
    return items.map(({ metadata, status }) => ({ name: metadata.name, address: status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "" }));
  }

  async function nodeAddress(name: string): Promise<string> {
    const nodes = await listNodes();
    const found = nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}; there are ${nodes.map((node) => node.name).join(", ")}`);
    return found.address;
  }

  async function addressOf(target: string): Promise<string> {
    if (target.startsWith("node/")) return nodeAddress(target.slice(5));
    return target.includes("/") ? (pods.named(target).addresses[0] ?? "") : target;
  }

  /** The pod of a component on a node. */
  async function componentOn(app: string, node: string): Promise<string> {
    await nodeAddress(node);
    const { items } = await datastore.list(coreTypes.pods, { namespace: NAMESPACE, labelSelector: `k8s-app=${app}`, fieldSelector: `spec.nodeName=${node}` });
    const [pod] = items;
    if (pod === undefined) throw new Error(`${app} does not run on ${node}`);
    return pod.metadata.name;
  }

  const run = [kubectl, "--kubeconfig", kubeconfig];
  const exec = (namespace: string, pod: string, command: readonly string[], terminal: boolean): string[] => [...run, "exec", ...(terminal ? ["-it"] : []), "-n", namespace, pod, "--", ...command];

  async function bgp(): Promise<string> {
    const [node] = await listNodes();
    if (node === undefined) return "";
    const pod = await componentOn("calico-bird", node.name).catch(() => null);
    if (pod === null) return "";
    const { stdout, stderr } = await runProgram(exec(NAMESPACE, pod, ["birdc", "show", "protocols"], false), { timeoutMs: 15_000 });
    return bgpLines(stdout || stderr);
  }

  /** Only pods that can be asked without a change to them. */
  async function matrix(port: number | null): Promise<{ names: string[]; cells: MatrixCell[] }> {
    const names = [...pods.running()].filter(([, { view, image }]) => view.namespace !== NAMESPACE && isAgnhost(image)).map(([key]) => key).sort();
    const pairs = names.flatMap((from) => names.filter((to) => to !== from).map((to) => ({ from, to })));
    const cells: MatrixCell[] = [];
    const next = pairs.entries();
    await Promise.all(Array.from({ length: PARALLEL }, async () => {
      for (const [index, { from, to }] of next) cells[index] = { from, to, reached: await reaches(from, to, port) };
    }));
    return { names, cells };
  }

  async function reaches(from: string, to: string, port: number | null): Promise<boolean | null> {
    const target = pods.named(to);
    const chosen = port ?? target.view.ports.find(({ protocol }) => protocol === "TCP")?.port;
    if (chosen === undefined) return null;
    return (await asker.ask(from, await asker.containerIn(from), { address: target.addresses[0] ?? "", port: chosen, protocol: "tcp" }, PROBE_MS)).reached;
  }

  async function logs(component: string | null, node: string | null): Promise<string[]> {
    const { items } = await datastore.list<KubeObject & { readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly name: string }[] } }>(coreTypes.pods, { namespace: NAMESPACE });
    const all = items.flatMap(({ metadata, spec }) => spec.containers.map(({ name }) => ({ component: name, node: spec.nodeName ?? null, pod: metadata.name })));
    const chosen = chooseLogs(all, component, node);
    const texts = await Promise.all(chosen.map(async (log) => (await runProgram([...run, "logs", "-n", NAMESPACE, log.pod, "-c", log.component], { timeoutMs: 30_000 })).stdout));
    return chosen.flatMap((log, index) => (texts[index] ?? "").split("\n").filter(Boolean).map((line) => `${labelOf(log)}  ${line}`));
  }

  const podTable = (): string => [...pods.running().values()].map(({ view, addresses: own }) => `  ${view.key.padEnd(48)} ${own.join(",").padEnd(16)} ${view.node ?? ""}`).sort().join("\n");

  function stage(): DemoStage {
    return {
      namespaces: demoNamespaces.map((namespace) => withLabel(namespace as KubeObject)),
      pods: demoPodsOf(AGNHOST_IMAGE, { pod: { terminationGracePeriodSeconds: 1 }, container: { args: ["netexec", `--http-port=${DEMO_PORT}`, "--udp-port=-1"], securityContext: UNPRIVILEGED } }),
      async apply(objects) {
        await refuseForeign(datastore, objects as KubeObject[]);
        for (const object of objects) await ensure(datastore, object as KubeObject);
      },
      async untilRunning(keys) {
        const missing = (): string[] => keys.filter((key) => !pods.running().has(key));
        await untilTrue(() => `pods to run: ${missing().map((key) => `${key} (${pods.waiting().get(key) ?? "not seen yet"})`).join("; ")}`, async () => missing().length === 0, RUNNING_TIMEOUT_MS);
      },
      podTable,
      bgp,
      matrix,
      async create(policy) {
        await datastore.create(coreTypes.networkPolicies, policy as KubeObject);
        return "";
      },
      close: () => undefined,
    };
  }

  return {
    nodeCount,
    status: async () => ({ nodes: await listNodes(), processes: [], components: await componentsOf(datastore), pods: podTable(), waiting: [...pods.waiting()], bgp: await bgp() }),
    async execCommand(target, command, terminal) {
      if (target.startsWith("node/")) return exec(NAMESPACE, await componentOn("calico-node", target.slice(5)), command, terminal);
      const { view } = pods.named(target);
      return exec(view.namespace, view.name, command, terminal);
    },
    netns: async () => {
      throw new Error("the nodes of this cluster are not on this machine; use exec");
    },
    async probe(from, to, port, protocol) {
      if (from.startsWith("node/")) throw new Error("in a cluster of your own only pods are asked; from a node: npm run lab -- exec node/NAME -- COMMAND");
      pods.named(from);
      return asker.ask(from, await asker.containerIn(from), { address: await addressOf(to), port, protocol }, PROBE_MS);
    },
    matrix,
    logs,
    stage,
    async stop() {
      pods.stop();
      datastore.close();
      await giveBack(dir, onProgress);
    },
  };
}

const withLabel = (object: KubeObject): KubeObject => ({ ...object, metadata: { ...object.metadata, labels: { ...object.metadata.labels, [MADE_BY_LAB]: "true" } } });

/** A namespace of the demo that somebody else made is left alone. */
async function refuseForeign(datastore: Datastore, objects: readonly KubeObject[]): Promise<void> {
  for (const { kind, metadata: { name } } of objects) {
    if (kind !== "Namespace") continue;
    const present = await datastore.get(coreTypes.namespaces, { name }).catch((error: unknown) => {
      if (error instanceof DatastoreError && error.code === "NotFound") return null;
      throw error;
    });
    if (present !== null && present.metadata.labels?.[MADE_BY_LAB] === undefined) throw new Error(`the demo wants a namespace ${name}, and there is one that the lab did not make: start without --demo`);
  }
}
