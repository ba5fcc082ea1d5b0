/** Finds and removes what a lab left: processes by the marker in their environment, namespaces by name, files. */
import { readFileSync, readdirSync, readlinkSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { namespacesOf, removeFabric } from "./fabric.ts";
import { removeMountPoints } from "./node-host.ts";

/** Environment variable that every process of a lab carries. */
export const MARKER = "CALICO_LAB";
const CGROUPS = "/sys/fs/cgroup";

/** Cgroup below which the containers of the lab run. */
export const cgroupOf = (labName: string): string => `/calico-lab-${labName}`;

/** Ends every process of the lab but this one, removes its namespaces, links and folder (null: leaves that). Returns what it found. */
export async function sweep(labName: string, dir: string | null): Promise<{ processes: number; namespaces: number }> {
  const processes = await endProcesses(labName);
  const namespaces = namespacesOf(labName).length;
  removeFabric(labName);
  removeCgroups(labName);
  if (dir !== null) rmSync(dir, { recursive: true, force: true });
  // A folder that goes takes its mounts in every namespace with it, also those of another lab's nodes.
  if (!someLabRuns()) removeMountPoints();
  return { processes, namespaces };
}

function someLabRuns(): boolean {
  return readdirSync("/proc").some((name) => /^\d+$/.test(name) && environmentOf(Number(name)).some((entry) => entry.startsWith(`${MARKER}=`)));
}

async function endProcesses(labName: string): Promise<number> {
  const found = processesOf(labName);
  for (const pid of found) signal(pid);
  const deadline = Date.now() + 5_000;
  while (found.some(isAlive) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
  return found.length;
}

/** Pids whose environment carries the marker, or that run in a namespace or a container of the lab. */
export function processesOf(labName: string): number[] {
  const inodes = new Set(namespacesOf(labName).map((name) => statSync(`/run/netns/${name}`).ino));
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  return pids.filter((pid) => pid !== process.pid && (hasMarker(pid, labName) || isInside(pid, inodes) || isContained(pid, labName)));
}

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

function isInside(pid: number, inodes: ReadonlySet<number>): boolean {
  try {
    return inodes.has(Number(/\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0]));
  } catch {
    return false;
  }
}

function isContained(pid: number, labName: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "latin1").includes(`:${cgroupOf(labName)}/`);
  } catch {
    return false; // ended meanwhile
  }
}

/** Removes the lab's branch of every hierarchy, from the leaves; one that is busy or not there stays. */
function removeCgroups(labName: string): void {
  for (const hierarchy of readdirSync(CGROUPS)) removeTree(join(CGROUPS, hierarchy, cgroupOf(labName)));
}

function removeTree(dir: string): void {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(dir, entry.name));
    rmdirSync(dir);
  } catch {
    // not there, or of a process that is just ending
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
