/**
 * A node of the lab: a network, mount and UTS namespace with its own folders where the services of
 * one node meet (/var/run/calico, /opt/cni/bin, ...). A small shell holds the namespaces open.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { CGROUPS, cgroupOf, makeCgroups } from "./cgroups.ts";
import type { NodePlan } from "./topology.ts";

/** Folders that are a node's own, by the path its services see. */
export const NODE_FOLDERS = {
  "/run/calico": "run-calico",
  "/var/lib/calico": "lib-calico",
  "/var/log/calico": "log-calico",
  "/etc/calico": "etc-calico",
  "/etc/cni": "etc-cni",
  "/opt/cni": "opt-cni",
} as const;

/** Folders that a node with a container runtime has beside these. What is mounted below them stays with the node. */
export const KUBELET_FOLDERS = {
  ...NODE_FOLDERS,
  "/run/netns": "run-netns",
  "/run/containerd": "run-containerd",
  "/var/lib/containerd": "lib-containerd",
  "/var/lib/kubelet": "lib-kubelet",
  "/var/lib/cni": "lib-cni",
  "/var/log/pods": "log-pods",
  "/var/log/containers": "log-containers",
} as const;

export type NodeHost = {
  readonly plan: NodePlan;
  /** Folder on the machine that holds the node's own folders. */
  readonly dir: string;
  /** Process that holds the namespaces open. */
  pid(): number;
  /** Command line that runs a program inside the node. */
  enter(command: readonly string[]): string[];
  /** Opens the namespaces again, after `close` and with a new network namespace. */
  reopen(): Promise<void>;
  close(): void;
};

/**
 * Opens the namespaces of a node whose network namespace exists. With a kubelet, what containers and their runtime mount
 * is seen by all of the node and by nobody else; without one the node sees the pods' namespaces that the lab makes.
 */
export async function openNodeHost(plan: NodePlan, dir: string, marker: string, { kubelet = false } = {}): Promise<NodeHost> {
  const folders = kubelet ? KUBELET_FOLDERS : NODE_FOLDERS;
  const mounts = Object.entries(folders).flatMap(([target, source]) => {
    mkdirSync(join(dir, source), { recursive: true });
    return [`mount --bind '${join(dir, source)}' ${target}`, ...(kubelet ? [`mount --make-rshared ${target}`] : [])];
  });
  makeMountPoints(folders);
  const cgroup = cgroupOf(marker, plan.name);
  const script = ["set -e", ...(kubelet ? ["mount --make-rshared /", ...CGROUP_MOUNTS(cgroup)] : []), ...mounts, `hostname ${plan.name}`, "echo ready", "exec sleep infinity"].join("\n");
  const namespaces = ["--mount", "--uts", ...(kubelet ? ["--cgroup", "--propagation", "private"] : ["--propagation", "slave"])];

  async function hold(): Promise<ChildProcess> {
    if (kubelet) makeCgroups(cgroup);
    const join = kubelet ? `for dir in ${CGROUPS}/*${cgroup}; do echo $$ > $dir/cgroup.procs; done; ` : "";
    const opened = spawn("nsenter", [`--net=/run/netns/${plan.namespace}`, "sh", "-c", `${join}exec unshare "$@"`, "sh", ...namespaces, "sh", "-c", script], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], CALICO_LAB: marker },
      detached: true,
    });
    await untilReady(opened, plan.name);
    return opened;
  }

  let child = await hold();
  const pid = (): number => child.pid ?? 0;
  return {
    plan,
    dir,
    pid,
    enter: (command) => ["nsenter", "-t", String(pid()), "-n", "-m", "-u", ...(kubelet ? ["-C"] : []), "--", ...command],
    reopen: async () => void (child = await hold()),
    close: () => void child.kill("SIGKILL"),
  };
}

/** The node sees its own branch of every hierarchy as the whole, as a machine does. */
const CGROUP_MOUNTS = (cgroup: string): string[] => [`for dir in ${CGROUPS}/*; do mount --bind $dir${cgroup} $dir; done`];

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
function makeMountPoints(folders: Readonly<Record<string, string>>): void {
  for (const target of Object.keys(folders)) mkdirSync(target, { recursive: true });
  // Pods' namespaces are made on the machine and must show up in the nodes.
  mkdirSync("/run/netns", { recursive: true });
  if (spawnSync("findmnt", ["-n", "-o", "PROPAGATION", "/run/netns"], { encoding: "utf8" }).stdout.trim() !== "shared") {
    spawnSync("mount", ["--bind", "/run/netns", "/run/netns"]);
    spawnSync("mount", ["--make-shared", "/run/netns"]);
  }
}

/** Removes the mount points that are empty: those that the lab made. */
export function removeMountPoints(): void {
  for (const target of Object.keys(KUBELET_FOLDERS)) {
    if (target !== "/run/netns" && existsSync(target) && readdirSync(target).length === 0) rmdirSync(target);
  }
}
