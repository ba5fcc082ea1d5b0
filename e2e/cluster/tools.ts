/** What the tests of a real cluster ask of it: kubectl, helm and traffic that must not break. */
import type { Cluster } from "../lab/cluster/cluster.ts";
import type { Lab } from "../lab/lab.ts";
import { patientSeconds } from "../lab/patience.ts";
import { runProgram, type Ended } from "../lab/run-program.ts";
import { untilTrue } from "../lab/wait.ts";

/** The cluster of a lab. Throws when the lab is another kind. */
export function clusterOf({ cluster }: Lab): Cluster {
  if (cluster === null) throw new Error("this lab is no real cluster");
  return cluster;
}

/** Runs kubectl. Objects given as input are applied with `-f -`. */
export const kubectl = (lab: Lab, args: readonly string[], input: readonly object[] = []): Promise<Ended> =>
  runProgram([clusterOf(lab).kubectl, "--kubeconfig", lab.api.kubeconfig, ...args], { input: input.length === 0 ? "" : JSON.stringify({ apiVersion: "v1", kind: "List", items: input }), timeoutMs: 120_000 });

/** Standard output of kubectl. Throws with its words when it fails. */
export async function kubectlOk(lab: Lab, args: readonly string[], input: readonly object[] = []): Promise<string> {
  const { status, stdout, stderr } = await kubectl(lab, args, input);
  if (status !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

export const apply = (lab: Lab, ...objects: object[]): Promise<string> => kubectlOk(lab, ["apply", "-f", "-"], objects);

/** Waits until a Deployment, StatefulSet or DaemonSet ("deployment/web") runs as its specification says. */
export const untilRolledOut = (lab: Lab, namespace: string, target: string, seconds = 90): Promise<string> => kubectlOk(lab, ["rollout", "status", "-n", namespace, target, `--timeout=${patientSeconds(seconds)}`]);

export type Traffic = { stop(): Promise<{ sent: number; lost: string[] }> };

const PAUSE_MS = 50;

/** Connects from pod to pod, again and again, until it is stopped. A connection that is not made within a second is lost, on slow machines too: after that TCP tries again, which would hide what was lost. */
export function startTraffic(lab: Lab, pairs: readonly (readonly [from: string, to: string])[], port: number): Traffic {
  let stopping = false;
  let sent = 0;
  const lost: string[] = [];
  const began = performance.now();
  const runs = pairs.map(async ([from, to]) => {
    // Where the pod is does not change; that the API server is not asked is the point.
    const address = lab.pods().get(to)?.addresses[0] ?? to;
    while (!stopping) {
      const { reached, because } = await lab.probe(from, address, port);
      sent += 1;
      if (!reached) lost.push(`${from} > ${to} at ${((performance.now() - began) / 1_000).toFixed(1)} s: ${because}`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  });
  return {
    async stop() {
      stopping = true;
      await Promise.all(runs);
      return { sent, lost };
    },
  };
}

/** Whether every node is Ready, by name. */
export async function readyNodes(lab: Lab): Promise<string[]> {
  const text = await kubectlOk(lab, ["get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}`]);
  return text.trim().split(" ").filter((entry) => entry.endsWith("=True")).map((entry) => entry.replace("=True", "")).sort();
}

export const untilAllReady = (lab: Lab, timeoutMs = 90_000): Promise<void> => untilTrue("all nodes to be Ready", async () => (await readyNodes(lab)).length === lab.plan.nodes.length, timeoutMs);
