/** GC: takes away what belongs to no container any more (CNI specification 1.1, "GC"). */
import { del, type Surroundings } from "./commands.ts";
import { CniError, CODE } from "./errors.ts";
import type { CniRequest } from "./request.ts";

export type PodName = { readonly namespace: string; readonly pod: string };
type InTurn = <T>(pod: PodName, run: () => Promise<T>) => Promise<T>;

/** Deletes every container that the runtime does not name. One that fails does not keep the others; it is named at the end. */
export async function collect(request: CniRequest, surroundings: Surroundings, inTurn: InTurn): Promise<void> {
  const valid = request.config["cni.dev/valid-attachments"];
  if (valid === undefined) throw new CniError(CODE.invalidConfig, "network configuration: cni.dev/valid-attachments is missing", "without it everything would be taken away");
  const kept = new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
  const failed: string[] = [];
  for (const { containerId, ifname, netns, namespace, pod, podUid } of surroundings.containers.list()) {
    if (kept.has(`${containerId} ${ifname}`)) continue;
    try {
      await inTurn({ namespace, pod }, () => del({ ...request, command: "DEL", containerId, ifname, netns, namespace, pod, podUid }, surroundings));
      surroundings.log.info("A container that the runtime does not know is taken away", { container: containerId, pod: `${namespace}/${pod}` });
    } catch (error) {
      failed.push(`${containerId}: ${(error as Error).message}`);
    }
  }
  if (failed.length > 0) throw new CniError(CODE.tryLater, `${failed.length} containers could not be taken away`, failed.join("; "));
}
