import type { Happening } from "@calico/datastore";
import { describe, expect, it } from "vitest";
import { createConflictReport } from "./conflict-report.ts";
import type { NodeConflict } from "./node-conflicts.ts";

describe("conflict report", () => {
  it("tells a conflict once as long as it lasts, and again when it comes back or is another", () => {
    const recorded: Happening[] = [];
    const conflicts: { conflict: NodeConflict | null } = { conflict: null };
    const report = createConflictReport({ node: "a", conflicts, recorder: { record: (happening) => void recorded.push(happening) }, log: { error() {}, info() {} } });
    const on = (message: string | null): string | null => {
      conflicts.conflict = message === null ? null : { reason: "DuplicateAddress", message };
      return report();
    };
    expect([on(null), on("b"), on("b"), on("c"), on(null), on("c")]).toEqual([null, "b", "b", "c", null, "c"]);
    expect(recorded.map(({ message }) => message)).toEqual(["b", "c", "c"]);
    expect(recorded[0]).toEqual({ regarding: { apiVersion: "v1", kind: "Node", name: "a", uid: "a" }, type: "Warning", reason: "DuplicateAddress", message: "b" });
  });
});
