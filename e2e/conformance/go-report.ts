/** What Go's test programs print with -test.v, as results. Pure. */
import type { Result } from "./report.ts";

export type GoReport = {
  /** Shown to people: the words of a test's name, without the one that all tests are in. */
  readonly nameOf: (test: string) => string;
  /** Why a test that was skipped with these words was. */
  readonly whySkipped: (words: string) => string;
  /** What is to be said of a test that passed with these lines; "": nothing. */
  readonly remarkOf: (lines: readonly string[]) => string;
};

type Test = { readonly lines: string[]; outcome: Result["outcome"] | null; seconds: number };

const BEGIN = /^=== (?:RUN|NAME|CONT)\s+(\S+)/;
const END = /^\s*--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)/;
const OUTCOMES: Readonly<Record<string, Result["outcome"]>> = { PASS: "passed", FAIL: "failed", SKIP: "skipped" };

/** The tests that have no tests in them, and those that failed by themselves, sorted by name. One that did not end has failed. */
export function readGoReport(text: string, { nameOf, whySkipped, remarkOf }: GoReport): Result[] {
  const tests = readTests(text);
  const isWithin = (name: string) => ([other]: [string, Test]): boolean => other.startsWith(`${name}/`);
  const counts = ([name, { outcome }]: [string, Test]): boolean => {
    const inside = [...tests].filter(isWithin(name));
    return inside.length === 0 || (outcome !== "passed" && inside.every(([, test]) => test.outcome === "passed" || test.outcome === "skipped"));
  };
  return [...tests].filter(counts).map(([test, { lines, outcome, seconds }]): Result => {
    const name = nameOf(test);
    if (outcome === "passed") return { name, outcome, seconds, reason: remarkOf(lines) };
    if (outcome === "skipped") return { name, outcome, seconds: 0, reason: whySkipped(lastLog(lines)) };
    return { name, outcome: "failed", seconds, reason: outcome === null ? "did not end" : whyFailed(lines) };
  }).sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** The end of a test that a line tells, for people who wait. */
export function endOf(line: string): { readonly test: string; readonly outcome: Result["outcome"]; readonly seconds: number } | null {
  const [, word = "", test = "", seconds = ""] = END.exec(line) ?? [];
  const outcome = OUTCOMES[word];
  return outcome === undefined ? null : { test, outcome, seconds: Number(seconds) };
}

function readTests(text: string): Map<string, Test> {
  const tests = new Map<string, Test>();
  let current: Test | undefined;
  for (const line of text.split("\n")) {
    const end = endOf(line);
    const name = end?.test ?? BEGIN.exec(line)?.[1];
    if (name === undefined) {
      current?.lines.push(line);
      continue;
    }
    current = tests.get(name) ?? { lines: [], outcome: null, seconds: 0 };
    tests.set(name, current);
    if (end !== null) Object.assign(current, { outcome: end.outcome, seconds: end.seconds });
  }
  return tests;
}

const logged = (line: string): string | undefined => /^\s+[\w-]+\.go:\d+: (.+)$/.exec(line)?.[1];
const lastLog = (lines: readonly string[]): string => lines.flatMap((line) => logged(line) ?? []).at(-1) ?? "";

/** What was expected and was not, or what the assertion said. */
function whyFailed(lines: readonly string[]): string {
  const expected = lines.flatMap((line) => logged(line) ?? []).findLast((words) => words.startsWith("Expected "));
  const error = lines.flatMap((line) => /^\s+(?:Error|Messages):\s+(\S.*)$/.exec(line)?.[1] ?? []).at(-1);
  return expected ?? error ?? (lastLog(lines) || "failed without a word");
}
