/**
 * A cluster of the user's own as a lab: Calico is installed by the chart unless it is there, the commands of the lab
 * go through the API server, and nothing is touched that the lab did not make.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { coreTypes, openKubernetesDatastore, resolveConnection, systemClock } from "@calico/datastore";
import type { Front } from "../front.ts";
import { untilNodesReady } from "../nodes-ready.ts";
import { labPaths } from "../paths.ts";
import { outputOf } from "../run-program.ts";
import { untilTrue } from "../wait.ts";
import { giveBack } from "./give-back.ts";
import { ensureInstalled, type OwnNode } from "./install.ts";
import { ownFront } from "./own-front.ts";
import { followPods } from "./pods.ts";
import { ownPrograms } from "./programs.ts";
import { writeRecord } from "./record.ts";

export type OwnClusterOptions = {
  readonly kubeconfig: string;
  /** File with values of the chart, as helm takes it. */
  readonly values: string | null;
  readonly dir: string;
  readonly onProgress: (line: string) => void;
  readonly signal: AbortSignal;
};

const ANSWER_TIMEOUT_MS = 20_000;
const READY_TIMEOUT_MS = 180_000;

/** Opens the cluster of a kubeconfig; installs Calico there when it is not, and resolves when all nodes are Ready. */
export async function openOwnCluster(options: OwnClusterOptions): Promise<Front> {
  const { dir, onProgress, signal } = options;
  const { kubeconfig } = labPaths(dir);
  for (const [flag, file] of [["--kubeconfig", options.kubeconfig], ["--values", options.values]] as const) if (file !== null && !existsSync(file)) throw new Error(`${flag} ${file}: there is no such file`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const programs = await ownPrograms(onProgress);
  // Whole: files that it names by a relative path are found, and another current context later changes nothing.
  writeFileSync(kubeconfig, await outputOf(options.kubeconfig, [programs.kubectl, "--kubeconfig", options.kubeconfig, "config", "view", "--raw", "--flatten", "--minify"]), { mode: 0o600 });
  const { server } = resolveConnection({ kubeconfig }, systemClock);
  const datastore = openKubernetesDatastore({ kubeconfig, userAgent: "calico-lab" });
  const pods = followPods(datastore);
  const ended = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(new Error("interrupted")), { once: true }));
  ended.catch(() => undefined); // awaited with what it interrupts
  try {
    await untilTrue(`${server} to answer`, () => datastore.list(coreTypes.nodes, { pageSize: 1 }).then(() => true), ANSWER_TIMEOUT_MS);
    const { items: nodes } = await datastore.list<OwnNode>(coreTypes.nodes);
    onProgress(`${server}: ${nodes.length} nodes, Kubernetes ${[...new Set(nodes.map(({ status }) => status?.nodeInfo?.kubeletVersion ?? "?"))].join(", ")}`);
    const installed = await ensureInstalled({ ...options, server, nodes, datastore, tool: { program: programs.helm, kubeconfig, signal } });
    if (!installed) writeRecord(dir, { server, installed: false });
    await Promise.race([ended, untilNodesReady(datastore, nodes.length, READY_TIMEOUT_MS, onProgress)]);
    await pods.start();
    return ownFront({ nodeCount: nodes.length, kubectl: programs.kubectl, kubeconfig, datastore, pods, dir, onProgress });
  } catch (error) {
    pods.stop();
    datastore.close();
    await giveBack(dir, onProgress);
    throw error;
  }
}
