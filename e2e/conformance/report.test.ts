import { describe, expect, it } from "vitest";
import { countOf, readReport, renderTable, withSecondRun, withSection } from "./report.ts";

const spec = (name: string, State: string, message = ""): object => ({ LeafNodeType: "It", ContainerHierarchyTexts: ["[sig-network] Services"], LeafNodeText: name, State, RunTime: 2_000_000_000, ...(message === "" ? {} : { Failure: { Message: message } }) });
const text = JSON.stringify([{ SpecReports: [
  { LeafNodeType: "BeforeSuite", ContainerHierarchyTexts: null, LeafNodeText: "", State: "passed", RunTime: 1 },
  spec("b fails", "failed", "timed out | waiting\nat line 3"),
  spec("a passes", "passed"),
  spec("needs more nodes", "skipped", "needs 3 nodes"),
  spec("of a cloud [Feature:LoadBalancer]", "skipped"),
  { LeafNodeType: "It", ContainerHierarchyTexts: ["[sig-storage] Volumes"], LeafNodeText: "mount", State: "skipped", RunTime: 0 },
] }]);
const results = readReport(text, (name) => name.startsWith("[sig-network]"));

describe("the report of Kubernetes' own tests", () => {
  it("holds the selected tests by name, with why they failed or were left out", () => {
    expect(results).toEqual([
      { name: "[sig-network] Services a passes", outcome: "passed", seconds: 2, reason: "" },
      { name: "[sig-network] Services b fails", outcome: "failed", seconds: 2, reason: "timed out | waiting" },
      { name: "[sig-network] Services needs more nodes", outcome: "skipped", seconds: 0, reason: "skipped itself: needs 3 nodes" },
      { name: "[sig-network] Services of a cloud [Feature:LoadBalancer]", outcome: "skipped", seconds: 0, reason: "needs a cloud's load balancer" },
    ]);
    expect(countOf(results)).toEqual({ passed: 1, failed: 1, skipped: 2 });
  });

  it("is a table whose cells cannot break it", () => {
    expect(renderTable(results).split("\n").slice(0, 4)).toEqual(["| Test | Outcome | Reason |", "|---|---|---|", "| Services a passes | passed |  |", "| Services b fails | failed | timed out \\| waiting |"]);
  });

  it("takes the failures of a run from a second one, and says that it did", () => {
    const again = readReport(JSON.stringify([{ SpecReports: [spec("b fails", "passed")] }]), () => true);
    const [first, second, ...others] = results;
    expect(withSecondRun(results, again)).toEqual([first, { ...second, outcome: "passed", reason: "in a second run; in the first: timed out | waiting" }, ...others]);
    expect(withSecondRun(results, [])).toEqual(results);
  });

  it("replaces its own section of the document alone", () => {
    const document = "by hand\n<!-- results of A -->\nold\n<!-- end of A -->\n## B\n<!-- results of B -->\n<!-- end of B -->\n";
    expect(withSection(withSection(document, "A", "a"), "B", "b")).toBe("by hand\n<!-- results of A -->\n\na\n\n<!-- end of A -->\n## B\n<!-- results of B -->\n\nb\n\n<!-- end of B -->\n");
    expect(() => withSection(document, "C", "")).toThrow("no place for the results of C");
  });
});
