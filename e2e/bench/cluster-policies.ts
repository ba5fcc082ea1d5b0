/**
 * A real cluster: what 2,000 policies on a pod cost its new connections, the one that allows them asked last. Two pods of one node, one with the policies and
 * one without, are measured in turns. The policies are for ports of their own, or all for the port that is asked, each with its own selector.
 * BENCH_CLUSTER_POLICIES: how many (2000). It starts a cluster of its own.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { apply, kubectlOk, untilAllReady } from "../cluster/tools.ts";
import { namespace, podOn } from "../cluster/workloads.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { connectionRate, type Flow } from "../rig/traffic.ts";
import { ratios, setting } from "./felix-node.ts";
import type { Report } from "./report.ts";

const NS = "bench";
const PORT = 5_432;
const TURNS = 7;
const SECONDS = 1;
/** Requests to the API server at a time. */
const AT_ONCE = 16;

type Variant = "ports of their own" | "one port";

export async function benchClusterPolicies(report: Report, say: (line: string) => void, started: (lab: Lab) => void): Promise<void> {
  const count = setting("BENCH_CLUSTER_POLICIES", 2_000);
  const lab = await startLab({ name: "pbench", octet: 23, dir: mkdtempSync(join(tmpdir(), "pbench-")), nodes: 1, kubernetes: "cluster", onProgress: say });
  started(lab);
  await untilAllReady(lab);
  await apply(lab, namespace(NS), ...["client", "open", "policed"].map((name) => podOn("node-1", NS, name)));
  await lab.untilRunning(["client", "open", "policed"].map((name) => `${NS}/${name}`));
  for (const variant of ["ports of their own", "one port"] as const satisfies readonly Variant[]) {
    const name = `real cluster, ${count} policies for ${variant}`;
    say(name);
    const began = performance.now();
    const others = Array.from({ length: count - 1 }, (_, i) => policy(`a-${i}`, { group: `g-${i}` }, variant === "one port" ? PORT : 10_000 + i));
    for (let at = 0; at < others.length; at += AT_ONCE) await Promise.all(others.slice(at, at + AT_ONCE).map((each) => lab.datastore.create(coreTypes.networkPolicies, each)));
    await untilTrue("the policies to close the pod", async () => !(await isReached(lab)), 60_000);
    // The last by name.
    await lab.datastore.create(coreTypes.networkPolicies, policy("z", { app: "client" }, PORT));
    await untilTrue("the last policy to open it", async () => isReached(lab), 60_000);
    report.add(name, "from the first request to the API server until the last is in force", (performance.now() - began) / 1_000, "s");
    const pairs: number[] = [];
    for (let turn = 0; turn < TURNS; turn += 1) {
      const without = await connectionRate(flow(lab, "open"), SECONDS);
      const withPolicies = await connectionRate(flow(lab, "policed"), SECONDS);
      if (turn === 0) report.add(`${name}: without any`, "connections", without, "per second");
      pairs.push(withPolicies / without);
    }
    ratios(report, `${name}: connections`, pairs, "of those without policies");
    await kubectlOk(lab, ["delete", "networkpolicies", "-n", NS, "--all", "--wait=false"]);
    await untilTrue("the policies to be gone", async () => (await lab.datastore.list<KubeObject>(coreTypes.networkPolicies, { namespace: NS })).items.length === 0, 120_000);
    await untilTrue("the pod to be open again", async () => isReached(lab), 60_000);
  }
}

function policy(name: string, from: Readonly<Record<string, string>>, port: number): KubeObject {
  return {
    apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: NS, name },
    spec: { podSelector: { matchLabels: { app: "policed" } }, policyTypes: ["Ingress"], ingress: [{ from: [{ podSelector: { matchLabels: from } }], ports: [{ protocol: "TCP", port }] }] },
  } as KubeObject;
}

function flow(lab: Lab, to: string): Flow {
  const pod = (name: string): Flow["from"] => ({ name, namespace: basename(lab.netnsOf(`${NS}/${name}`)), address: lab.pods().get(`${NS}/${name}`)?.addresses[0] ?? "", interfaceName: "", interfaceIndex: 0 });
  return { from: pod("client"), to: pod(to), port: PORT };
}

/** Connections come about. */
async function isReached(lab: Lab): Promise<boolean> {
  const rate = await connectionRate(flow(lab, "policed"), 0.2).catch(() => 0);
  return Number.isFinite(rate) && rate > 0;
}
