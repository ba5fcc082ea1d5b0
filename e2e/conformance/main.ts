/**
 * `npm run e2e:kubernetes`: Kubernetes' own network tests against Calico in a real cluster. Ends with 1 when one fails; with
 * --document the results become docs/conformance.md.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { labImage } from "../lab/cluster/lab-images.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { repositoryRoot } from "../lab/paths.ts";
import { goTool } from "../lab/programs/go.ts";
import { KUBERNETES_VERSION, testPrograms } from "../lab/programs/kubernetes.ts";
import { conformanceValues } from "./cluster-values.ts";
import { countOf, readReport, renderTable, withSecondRun, withSection, type Result } from "./report.ts";
import { ALL, CHOSEN, skipPattern } from "./selection.ts";

const USAGE = `usage: npm run e2e:kubernetes -- [--focus REGEXP] [--chosen] [--failed] [--procs N] [--nodes N] [--document] [--keep]

  --focus REGEXP  only tests whose names match
  --chosen        the dozen that every change runs
  --failed        those that failed in the last run, one at a time; the results are put together
  --procs N       tests at a time (2)
  --nodes N       nodes of the cluster (3)
  --document      write the results to docs/conformance.md
  --keep          leave the cluster running until Ctrl-C
  --quiet         print what failed, and not what the tests say`;

const RESULTS = join(repositoryRoot, "e2e", ".results", "conformance.json");
const say = (line: string): void => void process.stderr.write(`${line}\n`);
process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { focus: { type: "string" }, chosen: { type: "boolean" }, failed: { type: "boolean" }, procs: { type: "string" }, nodes: { type: "string", default: "3" }, document: { type: "boolean" }, keep: { type: "boolean" }, quiet: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const before = values.failed ? lastResults() : [];
  const failedBefore = before.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);
  if (values.failed && failedBefore.length === 0) {
    say("no test failed in the last run");
    return 0;
  }
  const focus = values.failed ? anyOf(failedBefore) : (values.focus ?? (values.chosen ? CHOSEN : ALL));
  const procs = values.procs ?? (values.failed ? "1" : "2");
  const programs = await testPrograms(say);
  const ginkgo = await goTool("ginkgo", say);
  const output = join(repositoryRoot, "e2e", ".results", "conformance");
  // What an earlier run left is not this one's result.
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  let lab: Lab | null = null;
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  try {
    lab = await startLab({ name: "e2e", octet: 19, dir: mkdtempSync(join(tmpdir(), "e2e-")), nodes: Number(values.nodes), kubernetes: "cluster", cluster: { values: conformanceValues }, onProgress: say });
    await lab.cluster?.importImages(await Promise.all([labImage("agnhost"), labImage("dnsTesting"), labImage("busybox"), labImage("pauseForTests")]));
    say("running Kubernetes' own tests");
    const child = spawn(ginkgo, [
      "run", `--procs=${procs}`, "--no-color", "--timeout=3h", "--json-report=report.json", `--output-dir=${output}`, `--focus=${focus}`, `--skip=${skipPattern}`, "--poll-progress-after=120s", programs["e2e.test"], "--",
      "--provider=skeleton", `--kubeconfig=${lab.api.kubeconfig}`, `--num-nodes=${values.nodes}`, `--report-dir=${output}`, "--dump-logs-on-failure=false",
    ], { stdio: values.quiet ? "ignore" : ["ignore", "inherit", "inherit"] });
    void interrupted.then(() => child.kill("SIGINT"));
    await once(child, "close");
    const report = join(output, "report.json");
    if (!existsSync(report)) throw new Error("the tests left no report; see above");
    const own = readReport(readFileSync(report, "utf8"), (name) => new RegExp(focus).test(name));
    const results = values.failed ? withSecondRun(before, own) : own;
    const { passed, failed, skipped } = countOf(results);
    writeFileSync(RESULTS, JSON.stringify(results, null, 2));
    for (const { name, outcome, reason } of results) if (outcome === "failed") say(`FAILED ${name}: ${reason}`);
    if (values.document) document(results);
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    if (values.keep) await interrupted;
    return failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    await lab?.stop();
  }
}

/** Throws when there was no run. */
function lastResults(): Result[] {
  if (!existsSync(RESULTS)) throw new Error("--failed: there was no run here whose failures could be tried again");
  return JSON.parse(readFileSync(RESULTS, "utf8")) as Result[];
}

/** A regular expression of these names. The runner matches it against more than the name, so it has no ends. */
function anyOf(names: readonly string[]): string {
  return `(${names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`;
}

/** Replaces the table of the document; the rest of it is written by hand. */
function document(results: readonly Result[]): void {
  const file = join(repositoryRoot, "docs", "conformance.md");
  const { passed, failed, skipped } = countOf(results);
  const body = `Kubernetes ${KUBERNETES_VERSION}, nftables, kube-proxy (iptables), dual stack: ${passed} passed, ${failed} failed, ${skipped} skipped.\n\n${renderTable(results)}`;
  writeFileSync(file, withSection(readFileSync(file, "utf8"), "Kubernetes", body));
}
