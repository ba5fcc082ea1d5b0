import type { Happening } from "@calico/datastore";
import type { Bus } from "@calico/service-kit";
import { createLogger, createMetrics } from "@calico/service-kit";
import { describe, expect, it } from "vitest";
import { createFindings, type ObjectRef } from "./findings.ts";

const bus: Bus = { publish() {} } as unknown as Bus;
const object: ObjectRef = { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", namespace: "n", name: "p", uid: "u", generation: 1 };

describe("findings", () => {
  it("become one Event per object and revision that says something new, with every field and remedy", () => {
    const recorded: Happening[] = [];
    const findings = createFindings({ bus, log: createLogger("typha", "Fatal", { write: () => {} }), metrics: createMetrics("typha"), recorder: { record: (happening) => void recorded.push(happening) } });
    const wrong = [{ severity: "error", field: "spec.selector", message: "is no selector", suggestion: "write app == 'a'" }, { severity: "warning", field: "spec.order", message: "is odd" }] as const;
    findings.set(object, "1", wrong);
    findings.set(object, "1", wrong);
    findings.set(object, "2", wrong);
    findings.set({ ...object, generation: 2 }, "3", wrong);
    findings.set({ ...object, generation: 3 }, "4", wrong.slice(1));
    findings.set(object, "5", []);
    const { generation: _, ...regarding } = object;
    const message = "spec.selector: is no selector; write app == 'a'. spec.order: is odd.";
    expect(recorded).toEqual([
      { regarding: { ...regarding, resourceVersion: "1" }, type: "Warning", reason: "InvalidObject", message },
      { regarding: { ...regarding, resourceVersion: "3" }, type: "Warning", reason: "InvalidObject", message },
      { regarding: { ...regarding, resourceVersion: "4" }, type: "Warning", reason: "DoubtfulObject", message: "spec.order: is odd." },
    ]);
    expect(findings.objects).toBe(0);
  });
});
