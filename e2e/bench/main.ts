/** `npm run bench`: measures in a lab of its own. Names of benchmarks narrow it; a figure is a JSON line on standard output. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLab, type Lab } from "../lab/lab.ts";
import { labPaths } from "../lab/paths.ts";
import { benchBurst, benchChurn, nodeOptionsFor } from "./churn.ts";
import { benchCniAdd } from "./cni-add.ts";
import { benchDispatch, residentMb } from "./dispatch.ts";
import { benchPolicyLatency } from "./policy-latency.ts";
import { createReport, type Report } from "./report.ts";
import { benchRestart } from "./restart.ts";
import { benchVxlan } from "./vxlan.ts";

const BENCHMARKS: Readonly<Record<string, (lab: Lab, report: Report) => Promise<void>>> = {
  "policy-latency": benchPolicyLatency, "cni-add": benchCniAdd, "cni-burst": benchBurst, vxlan: benchVxlan, churn: benchChurn, restart: benchRestart, dispatch: benchDispatch,
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => BENCHMARKS[name] === undefined);
if (wanted.includes("--help") || unknown !== undefined) {
  process.stderr.write(`usage: npm run bench -- [${Object.keys(BENCHMARKS).join("] [")}]\n`);
  process.exit(unknown === undefined || wanted.includes("--help") ? 0 : 2);
}

const report = createReport((line) => process.stdout.write(`${line}\n`));
const say = (line: string): void => void process.stderr.write(`${line}\n`);
let lab: Lab | null = null;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void lab?.stop().finally(() => process.exit(130)));
try {
  const dir = mkdtempSync(join(tmpdir(), "bench-"));
  process.env["NODE_OPTIONS"] = [process.env["NODE_OPTIONS"], nodeOptionsFor(labPaths(dir).logs)].filter(Boolean).join(" ");
  lab = await startLab({ name: "bench", octet: 29, dir, nodes: 3, onProgress: say });
  report.add("felix after its start", "RSS", residentMb(lab, "felix@node-2"), "MB");
  for (const [name, run] of Object.entries(BENCHMARKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    say(`== ${name}`);
    await run(lab, report);
  }
} finally {
  await lab?.stop();
}
say(`\n${report.table()}`);
process.exit(0);
