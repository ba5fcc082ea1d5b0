/** The runner's report, and the document made of it. Pure. */
import { whyExcluded } from "./selection.ts";

export type Outcome = "passed" | "failed" | "skipped";
export type Result = { readonly name: string; readonly outcome: Outcome; readonly seconds: number; readonly reason: string };

type SpecReport = { readonly LeafNodeType: string; readonly LeafNodeText: string; readonly ContainerHierarchyTexts: readonly string[] | null; readonly State: string; readonly RunTime: number; readonly Failure?: { readonly Message?: string } };

/** Reads the runner's JSON report: the tests among its nodes, sorted by name. Those that were not selected are left out. */
export function readReport(text: string, isSelected: (name: string) => boolean): Result[] {
  const suites = JSON.parse(text) as readonly { readonly SpecReports: readonly SpecReport[] | null }[];
  const specs = suites.flatMap(({ SpecReports }) => SpecReports ?? []).filter(({ LeafNodeType }) => LeafNodeType === "It");
  return specs.flatMap((spec) => resultOf(spec, isSelected)).sort((one, other) => (one.name < other.name ? -1 : 1));
}

function resultOf({ LeafNodeText, ContainerHierarchyTexts, State, RunTime, Failure }: SpecReport, isSelected: (name: string) => boolean): Result[] {
  const name = [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(" ");
  if (!isSelected(name)) return [];
  const message = (Failure?.Message ?? "").trim().split("\n")[0] ?? "";
  const excluded = whyExcluded(name);
  if (excluded !== null) return [{ name, outcome: "skipped", seconds: 0, reason: excluded }];
  if (State === "passed") return [{ name, outcome: "passed", seconds: RunTime / 1e9, reason: "" }];
  if (State === "skipped" || State === "pending") return [{ name, outcome: "skipped", seconds: 0, reason: message === "" ? "skipped itself" : `skipped itself: ${message}` }];
  return [{ name, outcome: "failed", seconds: RunTime / 1e9, reason: message || State }];
}

/** The results of a run with those of another, in which what failed was tried again. */
export function withSecondRun(results: readonly Result[], again: readonly Result[]): Result[] {
  const second = new Map(again.map((result) => [result.name, result]));
  return results.map((result) => {
    const retried = second.get(result.name);
    if (retried === undefined) return result;
    return retried.outcome === "passed" ? { ...retried, reason: `in a second run; in the first: ${result.reason}` } : retried;
  });
}

export function countOf(results: readonly Result[]): Readonly<Record<Outcome, number>> {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const { outcome } of results) count[outcome] += 1;
  return count;
}

/** The table of docs/conformance.md. */
export function renderTable(results: readonly Result[]): string {
  const rows = results.map(({ name, outcome, reason }) => `| ${cell(name.replace(/^\[sig-network\] /, ""))} | ${outcome} | ${cell(reason)} |`);
  return ["| Test | Outcome | Reason |", "|---|---|---|", ...rows].join("\n");
}

/** A document in which this stands between the markers of a section; throws when it has no such section. */
export function withSection(document: string, section: string, body: string): string {
  const begin = `<!-- results of ${section} -->`;
  const end = `<!-- end of ${section} -->`;
  const [from, to] = [document.indexOf(begin), document.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`the document has no place for the results of ${section}`);
  return `${document.slice(0, from)}${begin}\n\n${body}\n\n${document.slice(to)}`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
