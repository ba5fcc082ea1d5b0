/** Tells people that no address was free: on the pod that waits, and on each pool that could have served it. */
import { apiVersionOf, calicoTypes, coreTypes, type EventRecorder } from "@calico/datastore";
import { choosePools, type AssignRequest, type AssignResult } from "@calico/ipam";
import type { ipam } from "@calico/proto";
import type { ClusterView } from "./cluster-view.ts";

export type ExhaustionReport = (owner: ipam.Owner | undefined, request: AssignRequest, result: AssignResult) => void;

const REASON = "NoFreeAddress";

/** Does nothing for a request that was served; never throws and never waits. */
export function createExhaustionReport({ node, view, recorder }: { node: string; view: Pick<ClusterView, "pools" | "nodeLabels" | "uidOf">; recorder: Pick<EventRecorder, "record"> }): ExhaustionReport {
  return (owner, request, { addresses, because }) => {
    if (addresses.length >= request.count) return;
    const reasons = because.join("; ");
    if (owner !== undefined && owner.pod !== "") {
      const { namespace, pod: name, podUid: uid } = owner;
      recorder.record({ regarding: { apiVersion: apiVersionOf(coreTypes.pods), kind: coreTypes.pods.kind, namespace, name, uid }, type: "Warning", reason: REASON, message: `no IPv${request.family} address is free for the pod: ${reasons}` });
    }
    const { family, requestedPools: requested, namespaceLabels } = request;
    for (const { name } of choosePools(view.pools, { family, use: "Workload", requested, nodeLabels: view.nodeLabels, namespaceLabels }).pools) {
      recorder.record({ regarding: { apiVersion: apiVersionOf(calicoTypes.ipPools), kind: calicoTypes.ipPools.kind, name, uid: view.uidOf(name) }, type: "Warning", reason: REASON, message: `no address is free for a pod on node ${node}: ${reasons}` });
    }
  };
}
