/**
 * `npm run e2e:network-policy-api`: the conformance tests of ClusterNetworkPolicy against Calico in a real cluster. Ends with
 * 1 when one fails; with --document the results become a part of docs/conformance.md.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { labImage } from "../lab/cluster/lab-images.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { repositoryRoot } from "../lab/paths.ts";
import { KUBERNETES_VERSION } from "../lab/programs/kubernetes.ts";
import { LEFT_OUT } from "../lab/programs/network-policy-api-edits.ts";
import { networkPolicyApi, NETWORK_POLICY_API_VERSION, type NetworkPolicyApi } from "../lab/programs/network-policy-api.ts";
import { outputOf } from "../lab/run-program.ts";
import { conformanceValues } from "./cluster-values.ts";
import { endOf, readGoReport, type GoReport } from "./go-report.ts";
import { countOf, renderTable, withSection, type Result } from "./report.ts";

const USAGE = `usage: npm run e2e:network-policy-api -- [--focus REGEXP] [--chosen] [--nodes N] [--document] [--keep] [--quiet]

  --focus REGEXP  only tests whose names match; after a slash, tests within them (CNPAdminTierEgress/named)
  --chosen        the few that every change runs
  --nodes N       nodes of the cluster (3)
  --document      write the results to docs/conformance.md
  --keep          leave the cluster running until Ctrl-C
  --quiet         print what failed alone`;

const ROOT = "TestConformance";
/** Named ports and nodes, in both tiers: half a minute once the cluster is up. */
const CHOSEN = "^CNP(AdminTierEgressNamedPort|AdminTierEgressNodePeers|BaselineTierIngressNamedPort)$";
const RESULTS = join(repositoryRoot, "e2e", ".results", "network-policy-api.json");

/** How people read the names and outcomes of these tests. */
const reading: GoReport = {
  nameOf: (test) => test.replace(`${ROOT}/`, "").replace("/", ": ").replaceAll("_", " "),
  whySkipped: (words) => (words === "SCTP" ? "needs SCTP sockets; the kernel has none (no ip_sctp)" : `skipped itself: ${words}`),
  remarkOf: (lines) => (lines.some((line) => line.includes(LEFT_OUT)) ? "without its connections over SCTP" : ""),
};
const say = (line: string): void => void process.stderr.write(`${line}\n`);
process.exit(await main());

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { focus: { type: "string" }, chosen: { type: "boolean" }, nodes: { type: "string", default: "3" }, document: { type: "boolean" }, keep: { type: "boolean" }, quiet: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const programs = await networkPolicyApi(say);
  const images = [await labImage("agnhost")];
  let lab: Lab | null = null;
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  try {
    lab = await startLab({ name: "e2enp", octet: 25, dir: mkdtempSync(join(tmpdir(), "e2enp-")), nodes: Number(values.nodes), kubernetes: "cluster", cluster: { values: conformanceValues }, onProgress: say });
    await lab.cluster?.importImages(images);
    const { output, isWhole } = await runTests(lab, programs, values.focus ?? (values.chosen ? CHOSEN : undefined), values.quiet === true, interrupted);
    const results = readGoReport(output, reading);
    const { passed, failed, skipped } = countOf(results);
    mkdirSync(dirname(RESULTS), { recursive: true });
    writeFileSync(RESULTS, JSON.stringify(results, null, 2));
    writeFileSync(RESULTS.replace(/json$/, "log"), output);
    for (const { name, outcome, reason } of results) if (outcome === "failed") say(`FAILED ${name}: ${reason}`);
    if (!isWhole) say("the tests were cut short");
    else if (values.document) document(results);
    process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    if (values.keep) await interrupted;
    return isWhole && failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    await lab?.stop();
  }
}

/** Installs the kind, runs the tests one after the other, and returns what they printed, and whether they came to their end. */
async function runTests({ cluster, api }: Lab, { tests, definition }: NetworkPolicyApi, focus: string | undefined, isQuiet: boolean, interrupted: Promise<void>): Promise<{ output: string; isWhole: boolean }> {
  if (cluster === null) throw new Error("this needs a real cluster");
  await outputOf("kubectl apply", [cluster.kubectl, "--kubeconfig", api.kubeconfig, "apply", "--server-side", "-f", definition]);
  say(`running the conformance tests of ClusterNetworkPolicy (network-policy-api ${NETWORK_POLICY_API_VERSION})`);
  // The cluster goes as a whole: what the tests share need not be taken away before.
  // In this form the end of each test is told when it comes, not when all have ended.
  const child = spawn(tests, ["-test.v=test2json", "-test.timeout=1h", `-test.run=^${ROOT}$${focus === undefined ? "" : `/${focus}`}`, "--all-features", "--cleanup-base-resources=false"], { env: { PATH: process.env["PATH"], HOME: process.env["HOME"], KUBECONFIG: api.kubeconfig }, stdio: ["ignore", "pipe", "inherit"] });
  void interrupted.then(() => child.kill("SIGINT"));
  const closed = once(child, "close") as Promise<[code: number | null]>;
  const lines: string[] = [];
  for await (const marked of createInterface({ input: child.stdout })) {
    const line = marked.replaceAll("\u0016", "");
    lines.push(line);
    const end = endOf(line);
    if (end !== null && !isQuiet) say(`${end.outcome} after ${Math.round(end.seconds)} s: ${reading.nameOf(end.test)}`);
  }
  if (!lines.some((line) => line.startsWith("=== RUN"))) throw new Error(`the tests did not begin: ${lines.slice(0, 5).join("; ")}`);
  const [code] = await closed;
  return { output: lines.join("\n"), isWhole: code === 0 || code === 1 };
}

function document(results: readonly Result[]): void {
  const file = join(repositoryRoot, "docs", "conformance.md");
  const { passed, failed, skipped } = countOf(results);
  const body = `ClusterNetworkPolicy v1alpha2 (network-policy-api ${NETWORK_POLICY_API_VERSION}, all features), Kubernetes ${KUBERNETES_VERSION}, nftables, dual stack: ${passed} passed, ${failed} failed, ${skipped} skipped.\n\n${renderTable(results)}`;
  writeFileSync(file, withSection(readFileSync(file, "utf8"), "ClusterNetworkPolicy", body));
}
