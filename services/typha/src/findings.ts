/** Objects that cannot be used, or not entirely: told once per revision, kept until they are put right. */
import type { EventRecorder } from "@calico/datastore";
import { events, FINDING_SUBJECT } from "@calico/proto";
import type { Bus, Logger, Metrics } from "@calico/service-kit";
import type { Finding } from "@calico/model";

export type ObjectRef = {
  readonly apiVersion: string; readonly kind: string; readonly namespace: string; readonly name: string; readonly uid: string;
  /** Number of the desired state; 0 for a kind that has none. */
  readonly generation: number;
};

export interface Findings {
  /** What is wrong with an object now; an empty list: nothing. */
  set(object: ObjectRef, revision: string, findings: readonly Finding[]): void;
  readonly objects: number;
}

export function createFindings({ bus, log, metrics, recorder }: { bus: Bus; log: Logger; metrics: Metrics; recorder: Pick<EventRecorder, "record"> }): Findings {
  const current = new Map<string, { revision: string; generation: number; findings: readonly Finding[] }>();
  metrics.sampled("calico_typha_invalid_objects", "Objects that cannot be used, or not entirely.", () => current.size);
  return {
    set(ref, revision, findings) {
      const { apiVersion, uid, generation, ...object } = ref;
      const key = `${object.kind}/${object.namespace}/${object.name}`;
      const before = current.get(key);
      if (findings.length === 0) {
        if (current.delete(key)) log.info("An object is usable again", { ...object });
        return;
      }
      current.set(key, { revision, generation, findings });
      if (before?.revision === revision) return;
      for (const finding of findings) {
        log.warn("An object cannot be used as it is", { ...object, ...finding });
        const report = { ...object, revision, severity: finding.severity, field: finding.field, message: finding.message, suggestion: finding.suggestion ?? "" };
        bus.publish(FINDING_SUBJECT, events.FindingReport.encode(report).finish());
      }
      // A status that changes every few seconds makes no news of a finding.
      if (before !== undefined && before.generation === generation && JSON.stringify(before.findings) === JSON.stringify(findings)) return;
      recorder.record({ regarding: { apiVersion, ...object, uid, resourceVersion: revision }, type: "Warning", reason: reasonOf(findings), message: findings.map(sentence).join(" ") });
    },
    get objects() {
      return current.size;
    },
  };
}

/** A warning alone changes nothing of what the object does. */
function reasonOf(findings: readonly Finding[]): string {
  return findings.every(({ severity }) => severity === "warning") ? "DoubtfulObject" : "InvalidObject";
}

function sentence({ field, message, suggestion }: Finding): string {
  return `${field === "" ? "" : `${field}: `}${message}${suggestion === undefined ? "" : `; ${suggestion}`}.`;
}
