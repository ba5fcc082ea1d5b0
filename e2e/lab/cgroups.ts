/** Branches of the machine's control groups for what runs on the nodes of a real cluster; version 1, or both versions side by side. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const CGROUPS = "/sys/fs/cgroup";

/** Cgroup below which everything in containers of the lab, or of one of its nodes, runs. */
export const cgroupOf = (labName: string, node?: string): string => `/calico-lab-${labName}${node === undefined ? "" : `/${node}`}`;

/** Makes the branch in every hierarchy, open to all processors and memory. */
export function makeCgroups(cgroup: string): void {
  for (const hierarchy of readdirSync(CGROUPS)) {
    for (const branch of [dirname(cgroup), cgroup]) {
      const dir = join(CGROUPS, hierarchy, branch);
      mkdirSync(dir, { recursive: true });
      // A new branch may use nothing until it is told what; nobody may join it before.
      if (hierarchy === "cpuset") for (const file of ["cpuset.cpus", "cpuset.mems"]) writeFileSync(join(dir, file), readFileSync(join(dirname(dir), file)));
    }
  }
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
