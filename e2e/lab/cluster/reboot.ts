/** A node of a real cluster that loses its power, for ever or until it starts again. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cgroupOf, removeCgroups } from "../cgroups.ts";
import { rebuildNode } from "../fabric.ts";
import { KUBELET_FOLDERS, type NodeHost } from "../node-host.ts";
import type { Supervisor } from "../supervisor.ts";
import { endAll, processesOfNode } from "../sweep.ts";
import type { LabPlan } from "../topology.ts";

/** What a machine forgets when it starts again. */
const VOLATILE = ["/run/calico", "/run/netns", "/run/containerd"] as const;

/** Ends everything on the node at once, and its programs are not started again. Returns their ids. */
export async function loseNode(plan: LabPlan, host: NodeHost, supervisor: Supervisor): Promise<string[]> {
  const ids = supervisor.states().map(({ id }) => id).filter((id) => id.endsWith(`@${host.plan.name}`));
  const stopped = ids.map((id) => supervisor.stop(id, 0));
  await endAll(processesOfNode(plan.name, host.plan.name, host.pid()));
  await Promise.all(stopped);
  host.close();
  removeCgroups(cgroupOf(plan.name, host.plan.name));
  return ids;
}

/** Ends everything on the node at once and brings it up with its disk and nothing else. Its programs start; nothing is waited for. */
export async function rebootNode(plan: LabPlan, host: NodeHost, supervisor: Supervisor): Promise<void> {
  const ids = await loseNode(plan, host, supervisor);
  for (const folder of VOLATILE) {
    const dir = join(host.dir, KUBELET_FOLDERS[folder]);
    for (const entry of readdirSync(dir)) rmSync(join(dir, entry), { recursive: true, force: true });
  }
  rebuildNode(plan, host.plan);
  await host.reopen();
  for (const id of ids) supervisor.resume(id);
}
