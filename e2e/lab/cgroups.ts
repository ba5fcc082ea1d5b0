/** Branches of the machine's control groups for what runs on the nodes of a real cluster; version 1, or both versions side by side. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

export const CGROUPS = "/sys/fs/cgroup";

/** Cgroup below which everything in containers of the lab, or of one of its nodes, runs. */
export const cgroupOf = (labName: string, node?: string): string => `/calico-lab-${labName}${node === undefined ? "" : `/${node}`}`;

/** What a kubelet gives all pods of a machine against its programs, each of which has 1,024. */
const SHARES_OF_NODE = 1_024 * availableParallelism();

/** Makes the branch in every hierarchy, open to all processors and memory, with the weight that a machine's pods have. */
export function makeCgroups(cgroup: string): void {
  for (const hierarchy of readdirSync(CGROUPS)) {
    for (const branch of [dirname(cgroup), cgroup]) {
      const dir = join(CGROUPS, hierarchy, branch);
      mkdirSync(dir, { recursive: true });
      // A new branch may use nothing until it is told what; nobody may join it before.
      if (hierarchy === "cpuset") for (const file of ["cpuset.cpus", "cpuset.mems"]) writeFileSync(join(dir, file), readFileSync(join(dirname(dir), file)));
    }
    if (hierarchy === "cpu") giveWeight(join(CGROUPS, hierarchy, cgroup));
  }
}

function giveWeight(dir: string): void {
  const lab = dirname(dir);
  const nodes = readdirSync(lab, { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
  writeFileSync(join(dir, "cpu.shares"), String(SHARES_OF_NODE));
  writeFileSync(join(lab, "cpu.shares"), String(SHARES_OF_NODE * nodes));
}

/** Removes the branch from every hierarchy, from the leaves; one that is busy or not there stays. */
export function removeCgroups(cgroup: string): void {
  for (const hierarchy of readdirSync(CGROUPS)) removeTree(join(CGROUPS, hierarchy, cgroup));
}

function removeTree(dir: string): void {
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) if (entry.isDirectory()) removeTree(join(dir, entry.name));
    rmdirSync(dir);
  } catch {
    // not there, or of a process that is just ending
  }
}
