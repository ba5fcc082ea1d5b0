/** Waits for the nodes of a cluster. */
import { coreTypes, type Datastore, type KubeObject } from "@calico/datastore";
import { untilTrue } from "./wait.ts";

type Node = KubeObject & { readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] } };

export const isReady = ({ status }: Node): boolean => status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") === true;

/** Resolves when so many nodes were Ready, and tells of each. */
export async function untilNodesReady(datastore: Datastore, count: number, timeoutMs: number, onProgress: (line: string) => void): Promise<void> {
  const reported = new Set<string>();
  await untilTrue(`all ${count} nodes to be Ready`, async () => {
    const { items } = await datastore.list<Node>(coreTypes.nodes);
    for (const node of items) {
      if (!isReady(node) || reported.has(node.metadata.name)) continue;
      reported.add(node.metadata.name);
      onProgress(`${node.metadata.name} is Ready`);
    }
    return reported.size >= count;
  }, timeoutMs);
}
