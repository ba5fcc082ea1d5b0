/** Objects that cannot be used, or not entirely: told once per revision, kept until they are put right. */
import { events, FINDING_SUBJECT } from "@calico/proto";
import type { Bus, Logger, Metrics } from "@calico/service-kit";
import type { Finding } from "@calico/model";

export type ObjectRef = { readonly kind: string; readonly namespace: string; readonly name: string };

export interface Findings {
  /** What is wrong with an object now; an empty list: nothing. */
  set(object: ObjectRef, revision: string, findings: readonly Finding[]): void;
  readonly objects: number;
}

export function createFindings({ bus, log, metrics }: { bus: Bus; log: Logger; metrics: Metrics }): Findings {
  const current = new Map<string, { revision: string; findings: readonly Finding[] }>();
  metrics.sampled("calico_typha_invalid_objects", "Objects that cannot be used, or not entirely.", () => current.size);
  return {
    set(object, revision, findings) {
      const key = `${object.kind}/${object.namespace}/${object.name}`;
      const before = current.get(key);
      if (findings.length === 0) {
        if (current.delete(key)) log.info("An object is usable again", { ...object });
        return;
      }
      current.set(key, { revision, findings });
      if (before?.revision === revision) return;
      for (const finding of findings) {
        log.warn("An object cannot be used as it is", { ...object, ...finding });
        const report = { ...object, revision, severity: finding.severity, field: finding.field, message: finding.message, suggestion: finding.suggestion ?? "" };
        bus.publish(FINDING_SUBJECT, events.FindingReport.encode(report).finish());
      }
    },
    get objects() {
      return current.size;
    },
  };
}
