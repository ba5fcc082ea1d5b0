/**
 * A node of the lab: a network, mount and UTS namespace with its own folders where the services of
 * one node meet (/var/run/calico, /opt/cni/bin, ...). A small shell holds the namespaces open.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import type { NodePlan } from "./topology.ts";

/** Folders that are the node's own, by the path its services see. */
export const NODE_FOLDERS = {
  "/run/calico": "run-calico",
  "/var/lib/calico": "lib-calico",
  "/var/log/calico": "log-calico",
  "/etc/calico": "etc-calico",
  "/etc/cni": "etc-cni",
  "/opt/cni": "opt-cni",
} as const;

export type NodeHost = {
  readonly plan: NodePlan;
  /** Folder on the machine that holds the node's own folders. */
  readonly dir: string;
  readonly pid: number;
  /** Command line that runs a program inside the node. */
  enter(command: readonly string[]): string[];
  close(): void;
};

/** Opens the namespaces of a node whose network namespace exists. */
export async function openNodeHost(plan: NodePlan, dir: string, marker: string): Promise<NodeHost> {
  const mounts = Object.entries(NODE_FOLDERS).map(([target, source]) => {
    mkdirSync(join(dir, source), { recursive: true });
    return `mount --bind '${join(dir, source)}' ${target}`;
  });
  makeMountPoints();
  const script = ["set -e", ...mounts, `hostname ${plan.name}`, "echo ready", "exec sleep infinity"].join("\n");
  const child = spawn("nsenter", [`--net=/run/netns/${plan.namespace}`, "unshare", "--mount", "--uts", "--propagation", "slave", "sh", "-c", script], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], CALICO_LAB: marker },
    detached: true,
  });
  await untilReady(child, plan.name);
  const pid = child.pid ?? 0;
  return {
    plan,
    dir,
    pid,
    enter: (command) => ["nsenter", "-t", String(pid), "-n", "-m", "-u", "--", ...command],
    close: () => void child.kill("SIGKILL"),
  };
}

async function untilReady(child: ChildProcess, name: string): Promise<void> {
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const ready = once(child.stdout ?? child, "data");
  const ended = once(child, "exit").then(() => Promise.reject(new Error(`the namespaces of ${name} could not be made: ${errors.trim()}`)));
  await Promise.race([ready, ended]);
  child.stdout?.destroy();
  child.stderr?.destroy();
  child.unref();
  ended.catch(() => undefined); // its end later is the lab's own doing
}

/** Folders of the machine on which the nodes mount their own; remembered by being empty. */
function makeMountPoints(): void {
  for (const target of Object.keys(NODE_FOLDERS)) mkdirSync(target, { recursive: true });
  // Pods' namespaces are made on the machine and must show up in the nodes.
  mkdirSync("/run/netns", { recursive: true });
  if (spawnSync("findmnt", ["-n", "-o", "PROPAGATION", "/run/netns"], { encoding: "utf8" }).stdout.trim() !== "shared") {
    spawnSync("mount", ["--bind", "/run/netns", "/run/netns"]);
    spawnSync("mount", ["--make-shared", "/run/netns"]);
  }
}

/** Removes the mount points that are empty: those that the lab made. */
export function removeMountPoints(): void {
  for (const target of Object.keys(NODE_FOLDERS)) {
    if (existsSync(target) && readdirSync(target).length === 0) rmdirSync(target);
  }
}
