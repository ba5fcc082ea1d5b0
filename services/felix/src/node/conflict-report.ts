/** Tells people of a conflict between nodes: in the log and in an Event, once as long as it lasts. */
import { apiVersionOf, coreTypes, type EventRecorder } from "@calico/datastore";
import type { Logger } from "@calico/service-kit";
import type { NodeConflicts } from "./node-conflicts.ts";

type Dependencies = { readonly node: string; readonly conflicts: Pick<NodeConflicts, "conflict">; readonly recorder: Pick<EventRecorder, "record">; readonly log: Pick<Logger, "error" | "info"> };

/** Looks for a conflict; what it is in words, or null. */
export function createConflictReport({ node, conflicts, recorder, log }: Dependencies): () => string | null {
  let told: string | null = null;
  return () => {
    const { conflict } = conflicts;
    if (conflict !== null && conflict.message !== told) {
      log.error("The node is in conflict with another", { ...conflict });
      // kubectl looks for the Events of a node under its name.
      recorder.record({ regarding: { apiVersion: apiVersionOf(coreTypes.nodes), kind: coreTypes.nodes.kind, name: node, uid: node }, type: "Warning", ...conflict });
    }
    if (conflict === null && told !== null) log.info("The node is in conflict with no other any more");
    told = conflict?.message ?? null;
    return told;
  };
}
