/** One node without a cluster: felix, the sync server that feeds it, and pods, all on this machine. */
import type { WorkloadEndpoint } from "@calico/model";
import { createFelix, type FelixProcess } from "./felix.ts";
import { createNodeNetwork, type NodeNetwork, type PodInterface } from "./node-network.ts";
import { namespaceProfile, putProfile, putWorkload, workload } from "./objects.ts";
import { startSyncServer, type SyncServer } from "./sync-server.ts";

/** The node that felix is. */
export const NODE = "rig-node";

export type LocalPod = PodInterface & { readonly workload: WorkloadEndpoint };

export interface Rig {
  readonly network: NodeNetwork;
  readonly sync: SyncServer;
  readonly felix: FelixProcess;
  readonly pods: ReadonlyMap<string, LocalPod>;
  pod(name: string): LocalPod;
  /** A pod of this node with an interface of its own; `untilAttached` has felix take it over. */
  addPod(name: string, address: string, labels: Readonly<Record<string, string>>, namespace?: string): LocalPod;
  /** Hands every pod's interface to felix, as the CNI daemon does. */
  attachAll(): Promise<void>;
  close(): Promise<void>;
}

export type RigOptions = {
  /** Environment of felix. */
  readonly parameters?: Readonly<Record<string, string>>;
};

/** Makes the node and starts the sync server; felix is not started yet. */
export async function openRig({ parameters = {} }: RigOptions = {}): Promise<Rig> {
  const network = createNodeNetwork();
  try {
    const sync = await startSyncServer(network.gateway, NODE);
    const felix = createFelix(network, NODE, sync.address, parameters);
    const pods = new Map<string, LocalPod>();
    return {
      network, sync, felix, pods,
      pod(name) {
        const found = pods.get(name);
        if (found === undefined) throw new Error(`the rig has no pod ${name}`);
        return found;
      },
      addPod(name, address, labels, namespace = "rig") {
        const made = network.addPod(name, address);
        const pod = { ...made, workload: workload({ namespace, pod: name, node: NODE, address, labels, interfaceName: made.interfaceName }) };
        pods.set(name, pod);
        sync.feed([putProfile(namespaceProfile(namespace)), putWorkload(pod.workload)]);
        return pod;
      },
      async attachAll() {
        for (const pod of pods.values()) await felix.attach(pod, pod.workload.uid, pod.workload.namespace);
      },
      async close() {
        await felix.close();
        await sync.close();
        network[Symbol.dispose]();
      },
    };
  } catch (error) {
    network[Symbol.dispose]();
    throw error;
  }
}
