/** What the command line asks of a lab, of whichever kind it is. */
import { spawnSync } from "node:child_process";
import { coreTypes, type KubeObject } from "@calico/datastore";
import type { Protocol } from "./arguments.ts";
import { componentsOf, type ComponentState } from "./cluster/component-states.ts";
import { bgpLines, type DemoStage } from "./demo-run.ts";
import { demoNamespaces, demoPods } from "./demo.ts";
import type { Lab } from "./lab.ts";
import { labLogs } from "./log-files.ts";
import { watchGenerations, type ChangeTiming } from "./latency.ts";
import type { MatrixCell } from "./matrix.ts";
import type { ProbeResult } from "./prober.ts";
import type { ProcessState } from "./supervisor.ts";

export type Status = {
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly processes: readonly ProcessState[];
  /** Calico's pods, where it runs in some. */
  readonly components: readonly ComponentState[];
  readonly pods: string;
  readonly waiting: readonly [string, string][];
  readonly bgp: string;
};

export interface Front {
  readonly nodeCount: number;
  status(): Promise<Status>;
  /** A command line that runs inside NAMESPACE/POD or node/NAME, for somebody at a terminal or not. Throws with what there is. */
  execCommand(target: string, command: readonly string[], terminal: boolean): Promise<string[]>;
  /** Name of a network namespace of this machine. */
  netns(target: string): Promise<string>;
  probe(from: string, to: string, port: number, protocol: Protocol): Promise<ProbeResult>;
  matrix(port: number | null): Promise<{ names: string[]; cells: MatrixCell[] }>;
  /** Lines of the logs of a component and of a node; null: of every one. */
  logs(component: string | null, node: string | null): Promise<string[]>;
  /** Where the demo is played. */
  stage(): DemoStage;
  /** Ends it and removes what was made. */
  stop(): Promise<void>;
}

/** A lab on this machine. */
export function labFront(lab: Lab): Front {
  return {
    nodeCount: lab.plan.nodes.length,
    status: async () => ({
      nodes: lab.plan.nodes.map(({ name, address }) => ({ name, address })),
      processes: lab.supervisor.states(),
      components: lab.cluster === null ? [] : await componentsOf(lab.datastore),
      pods: podTable(lab),
      waiting: [...lab.waiting()],
      bgp: bgpState(lab),
    }),
    execCommand: async (target, command) => lab.execCommand(target, command),
    netns: async (target) => lab.netnsOf(target).replace("/run/netns/", ""),
    probe: (from, to, port, protocol) => lab.probe(from, to, port, protocol),
    matrix: (port) => lab.matrix(port),
    logs: async (component, node) => labLogs(lab.paths, component, node),
    stage: () => labStage(lab),
    stop: () => lab.stop(),
  };
}

function labStage(lab: Lab): DemoStage {
  const watch = watchGenerations(lab.hosts);
  return {
    namespaces: demoNamespaces,
    pods: demoPods,
    apply: (objects) => lab.apply(objects),
    untilRunning: (keys) => lab.untilRunning(keys),
    podTable: () => podTable(lab),
    bgp: async () => bgpState(lab),
    matrix: (port) => lab.matrix(port, 300),
    async create(policy) {
      const selected = (policy as { spec: { podSelector: { matchLabels?: { app?: string } } } }).spec.podSelector.matchLabels?.app;
      const nodes = [...lab.pods().values()].filter(({ view }) => view.namespace === "shop" && (selected === undefined || view.name === selected)).map(({ host }) => host.plan.name);
      return timingText(await watch.timeChange(() => lab.datastore.create(coreTypes.networkPolicies, policy as KubeObject), [...new Set(nodes)], 5_000));
    },
    close: () => watch.close(),
  };
}

function timingText({ apiMs, kernelMs }: ChangeTiming): string {
  const nodes = Object.entries(kernelMs).map(([node, ms]) => `${node} ${ms === null ? "nothing to change" : `${ms.toFixed(1)} ms`}`);
  return `API write to kernel: ${nodes.join(", ")} (the API's own part ${apiMs.toFixed(1)} ms)`;
}

function podTable(lab: Lab): string {
  return [...lab.pods().values()].map(({ view, host, addresses }) => `  ${view.key.padEnd(24)} ${addresses.join(",").padEnd(16)} ${host.plan.name}`).sort().join("\n");
}

/** The daemon's own words. */
function bgpState(lab: Lab): string {
  const [program = "", ...args] = lab.execCommand("node/node-1", ["birdc", "-s", "/run/calico/bird.ctl", "show", "protocols"]);
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 5_000 });
  return bgpLines(stdout || stderr);
}
