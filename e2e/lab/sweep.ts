/** Finds and removes what a lab left: processes by the marker in their environment, namespaces by name, files. */
import { readFileSync, readdirSync, readlinkSync, rmSync, statSync } from "node:fs";
import { cgroupOf, removeCgroups } from "./cgroups.ts";
import { namespacesOf, removeFabric } from "./fabric.ts";
import { removeMountPoints } from "./node-host.ts";

/** Environment variable that every process of a lab carries. */
export const MARKER = "CALICO_LAB";

/** Ends every process of the lab but this one, removes its namespaces, links and folder (null: leaves that). Returns what it found. */
export async function sweep(labName: string, dir: string | null): Promise<{ processes: number; namespaces: number }> {
  const processes = await endProcesses(labName);
  const namespaces = namespacesOf(labName).length;
  removeFabric(labName);
  removeCgroups(cgroupOf(labName));
  if (dir !== null) rmSync(dir, { recursive: true, force: true });
  // A folder that goes takes its mounts in every namespace with it, also those of another lab's nodes.
  if (!someLabRuns()) removeMountPoints();
  return { processes, namespaces };
}

function someLabRuns(): boolean {
  return allPids().some((pid) => environmentOf(pid).some((entry) => entry.startsWith(`${MARKER}=`)));
}

async function endProcesses(labName: string): Promise<number> {
  const found = processesOf(labName);
  await endAll(found);
  return found.length;
}

/** Kills the processes and waits until they are gone. */
export async function endAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) signal(pid);
  const deadline = Date.now() + 15_000;
  while (pids.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Pids of what runs on a node of a real cluster: in its mount namespace, which `pid` is in, or in its containers. */
export function processesOfNode(labName: string, node: string, pid: number): number[] {
  const namespace = (candidate: number): string | null => readLink(`/proc/${candidate}/ns/mnt`);
  const own = namespace(pid);
  return allPids().filter((candidate) => (own !== null && namespace(candidate) === own) || isContained(candidate, cgroupOf(labName, node)));
}

/** Pids whose environment carries the marker, or that run in a namespace or a container of the lab. */
export function processesOf(labName: string): number[] {
  const inodes = new Set(namespacesOf(labName).map((name) => statSync(`/run/netns/${name}`).ino));
  return allPids().filter((pid) => pid !== process.pid && (hasMarker(pid, labName) || isInside(pid, inodes) || isContained(pid, cgroupOf(labName))) && isAlive(pid));
}

const allPids = (): number[] => readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);

function hasMarker(pid: number, labName: string): boolean {
  return environmentOf(pid).includes(`${MARKER}=${labName}`);
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
  } catch {
    return []; // ended meanwhile, or a kernel thread
  }
}

const isInside = (pid: number, inodes: ReadonlySet<number>): boolean => inodes.has(Number(/\d+/.exec(readLink(`/proc/${pid}/ns/net`) ?? "")?.[0]));

function isContained(pid: number, cgroup: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "latin1").includes(`:${cgroup}/`);
  } catch {
    return false; // ended meanwhile
  }
}

function readLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null; // ended meanwhile
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // ended meanwhile
  }
}
