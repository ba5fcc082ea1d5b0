/**
 * `npm test`: static checks, unit tests, the drivers on the real kernel, the services in the lab, the chart on a
 * real cluster.
 * Ends with a line "N passed, N failed, N skipped" counted from the runners' own reports, and fails
 * when a test left a network namespace or a process behind. `--only static,unit,netns,fv,kubernetes,cluster` narrows.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { stripVTControlCharacters } from "node:util";

type Count = { passed: number; failed: number; skipped: number };
type Report = { numPassedTests: number; numFailedTests: number; numPendingTests: number; numTodoTests: number; success: boolean; testResults: { name: string; status: string; message?: string; assertionResults: { status: string; fullName: string; failureMessages?: string[] }[] }[] };

const root = resolve(dirname(new URL(import.meta.url).pathname), "..");
const bin = join(root, "node_modules", ".bin");
const only = process.argv.includes("--only") ? (process.argv[process.argv.indexOf("--only") + 1] ?? "").split(",") : [];
const wants = (phase: string): boolean => only.length === 0 || only.includes(phase);
/** Tests of several kinds run side by side, on machines that others use, too: what is waited for may take this many times as long. */
const PATIENCE = "4";
const env = { ...process.env, NX_DAEMON: "false", CALICO_PATIENCE: process.env["CALICO_PATIENCE"] ?? PATIENCE, PATH: `${bin}:${process.env["PATH"] ?? ""}` };
const total: Count = { passed: 0, failed: 0, skipped: 0 };
const skippedNames: string[] = [];
const failures: string[] = [];
const started = Date.now();

for (const stale of globSync(["libs/*/.results", "services/*/.results", "calicoctl/.results", "e2e/.results"], { cwd: root })) rmSync(join(root, stale), { recursive: true, force: true });
const before = namespaces();
const e2e = join(root, "e2e");

if (wants("static")) {
  step("types", bin + "/nx", ["run-many", "-t", "typecheck", "--output-style=static"]);
  step("lint", bin + "/nx", ["run-many", "-t", "lint", "--output-style=static"]);
  step("boundaries", bin + "/node", ["tools/boundaries.ts"]);
  step("reference of the parameters", bin + "/node", ["tools/write-configuration.ts", "--check"]);
  step("table of the chart's values", bin + "/node", ["tools/write-chart-readme.ts", "--check"]);
}
if (wants("unit")) {
  const ok = run("unit tests", bin + "/nx", ["run-many", "-t", "test", "--output-style=static"]);
  collect("test", ok);
}
if (wants("netns")) {
  let ok = true;
  for (const dir of projectsWith("**/*.netns.test.ts")) ok = run(`kernel tests of ${dir}`, "npm", ["run", "--silent", "test-netns"], join(root, dir)) && ok;
  collect("test-netns", ok);
}
const missing = existsSync("/usr/bin/etcd") ? "it could not be built (it needs Go 1.26 and, the first time, Go's modules)" : "etcd is not installed";
const isThere = (wants("kubernetes") || wants("cluster")) && existsSync("/usr/bin/etcd") && run("Kubernetes' own programs", "npm", ["run", "--silent", "kubernetes"], e2e);
// A suite that is for Kubernetes' own API server is not run before the embedded one as well, if there is the other.
if (wants("fv")) collect("fv", run("fv tests", "npm", ["run", "--silent", isThere && wants("kubernetes") ? "fv-embedded" : "fv"], e2e));

if (wants("kubernetes") || wants("cluster")) {
  if (wants("kubernetes")) {
    if (isThere) collect("fv-kubernetes", run("fv tests before Kubernetes' own API server", "npm", ["run", "--silent", "fv-kubernetes"], e2e));
    else skip(`fv tests before Kubernetes' own API server: ${missing}`);
  }
  if (wants("cluster")) {
    if (!isThere) skip(`a real cluster: ${missing}`);
    // Once, before suites that need them run side by side.
    else if (!run("the cluster's images", "npm", ["run", "--silent", "kubernetes", "--", "--tests", "--images"], e2e)) fail("the images of the cluster");
    else {
      collect("e2e", run("the chart on a real cluster", "npm", ["run", "--silent", "e2e"], e2e));
      collect("fv-cluster", run("the lab's suites of the main job and of policy on a real cluster", "npm", ["run", "--silent", "fv-cluster"], e2e));
      collectConformance("Kubernetes' own network tests", "conformance", run("Kubernetes' own network tests, a dozen of them", bin + "/node", ["--disable-warning=ExperimentalWarning", "conformance/main.ts", "--chosen", "--quiet"], e2e));
      collectConformance("the conformance tests of ClusterNetworkPolicy", "network-policy-api", run("the conformance tests of ClusterNetworkPolicy, a few of them", bin + "/node", ["--disable-warning=ExperimentalWarning", "conformance/network-policy-api.ts", "--chosen", "--quiet"], e2e));
    }
  }
}

// Somebody may have started a lab meanwhile.
const left = namespaces().filter((name) => !before.includes(name) && !name.startsWith("lab-"));
if (left.length > 0) fail(`namespaces left behind: ${left.join(" ")}`);
if (failures.length > 0) console.log(`failed:\n${failures.map((name) => `  ${name}`).join("\n")}`);
if (skippedNames.length > 0) console.log(`skipped:\n${skippedNames.map((name) => `  ${name}`).join("\n")}`);
console.log(`in ${Math.round((Date.now() - started) / 1000)} s`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);

function step(name: string, command: string, parameters: string[]): void {
  if (run(name, command, parameters)) total.passed += 1;
  else fail(name);
}

function run(name: string, command: string, parameters: string[], cwd = root): boolean {
  console.log(`\n== ${name}`);
  return spawnSync(command, parameters, { cwd, env, stdio: "inherit" }).status === 0;
}

/** Adds up the reports of one phase; a runner that failed without a failed test counts as one failure. */
function collect(phase: string, ok: boolean): void {
  let failed = 0;
  for (const path of globSync([`libs/*/.results/${phase}.json`, `services/*/.results/${phase}.json`, `calicoctl/.results/${phase}.json`, `e2e/.results/${phase}.json`], { cwd: root })) {
    const report = JSON.parse(readFileSync(join(root, path), "utf8")) as Report;
    total.passed += report.numPassedTests;
    failed += report.numFailedTests;
    total.skipped += report.numPendingTests + report.numTodoTests;
    for (const file of report.testResults) {
      for (const test of file.assertionResults) {
        if (["pending", "skipped", "todo"].includes(test.status)) skippedNames.push(test.fullName);
        if (test.status === "failed") failures.push(test.fullName, ...gist(test.failureMessages?.[0] ?? ""));
      }
    }
  }
  total.failed += failed;
  if (!ok && failed === 0) fail(`a runner of ${phase}`);
}

/** The first lines of a failure, without colours and the stack. */
function gist(message: string): string[] {
  const lines = stripVTControlCharacters(message).split("\n").filter((line) => line.trim() !== "");
  const stack = lines.findIndex((line) => /^\s+at /.test(line));
  return lines.slice(0, Math.min(stack === -1 ? lines.length : stack, 8)).map((line) => `    ${line.slice(0, 500)}`);
}

/** Adds up what tests of others said. */
function collectConformance(tests: string, file: string, ok: boolean): void {
  const path = join(e2e, ".results", `${file}.json`);
  if (!existsSync(path)) return fail(`${tests} could not run`);
  const results = JSON.parse(readFileSync(path, "utf8")) as { name: string; outcome: keyof Count; reason: string }[];
  for (const { name, outcome, reason } of results) {
    total[outcome] += 1;
    if (outcome === "failed") failures.push(name, ...gist(reason));
    if (outcome === "skipped") skippedNames.push(`${name}: ${reason}`);
  }
  if (!ok && results.every(({ outcome }) => outcome !== "failed")) fail(`the runner of ${tests}`);
}

function skip(name: string): void {
  total.skipped += 1;
  skippedNames.push(name);
}

function fail(name: string): void {
  total.failed += 1;
  failures.push(name);
}

function projectsWith(pattern: string): string[] {
  return globSync(["libs/*", "services/*"], { cwd: root }).filter((dir) => globSync(`src/${pattern}`, { cwd: join(root, dir) }).length > 0).sort();
}

function namespaces(): string[] {
  return existsSync("/run/netns") ? readdirSync("/run/netns") : [];
}
