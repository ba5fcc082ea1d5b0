/** `npm run bench`: measures in a lab of processes, or as they are named in a real cluster. A figure is a JSON line on standard output. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLab, type Lab } from "../lab/lab.ts";
import { labPaths } from "../lab/paths.ts";
import { benchBurst, benchChurn, nodeOptionsFor } from "./churn.ts";
import { benchCluster } from "./cluster.ts";
import { benchClusterPolicies } from "./cluster-policies.ts";
import { benchCniAdd } from "./cni-add.ts";
import { benchDispatch, residentMb } from "./dispatch.ts";
import { benchFelixChanges } from "./felix-changes.ts";
import { benchFelixMemory } from "./felix-memory.ts";
import { benchFelixPackets } from "./felix-packets.ts";
import { benchFelixResync } from "./felix-resync.ts";
import { benchFelixSets } from "./felix-sets.ts";
import { benchPolicyLatency } from "./policy-latency.ts";
import { createReport, type Report } from "./report.ts";
import { benchRestart } from "./restart.ts";
import { benchVxlan } from "./vxlan.ts";

/** In one lab of processes, one after the other; all of them when none is named. */
const IN_LAB: Readonly<Record<string, (lab: Lab, report: Report) => Promise<void>>> = {
  "policy-latency": benchPolicyLatency, "cni-add": benchCniAdd, "cni-burst": benchBurst, vxlan: benchVxlan, churn: benchChurn, restart: benchRestart, dispatch: benchDispatch,
};
/** With a lab of their own, which they hand over to be stopped; only when they are named. */
const ON_THEIR_OWN: Readonly<Record<string, (report: Report, say: (line: string) => void, started: (lab: Lab) => void) => Promise<void>>> = { cluster: benchCluster, "cluster-policies": benchClusterPolicies };
/** One felix with a network of its own and no cluster; only when they are named. */
const ON_ONE_NODE: Readonly<Record<string, (report: Report, say: (line: string) => void) => Promise<void>>> = {
  "felix-changes": benchFelixChanges, "felix-sets": benchFelixSets, "felix-resync": benchFelixResync, "felix-packets": benchFelixPackets, "felix-memory": benchFelixMemory,
};
const NAMES = [...Object.keys(IN_LAB), ...Object.keys(ON_THEIR_OWN), ...Object.keys(ON_ONE_NODE)];

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !NAMES.includes(name));
if (wanted.includes("--help") || unknown !== undefined) {
  process.stderr.write(`usage: npm run bench -- [${NAMES.join("] [")}]\n`);
  process.exit(unknown === undefined || wanted.includes("--help") ? 0 : 2);
}

const report = createReport((line) => process.stdout.write(`${line}\n`));
const say = (line: string): void => void process.stderr.write(`${line}\n`);
let lab: Lab | null = null;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void end().finally(() => process.exit(130)));
const end = async (): Promise<void> => {
  await lab?.stop();
  lab = null;
};
try {
  const inLab = Object.entries(IN_LAB).filter(([name]) => wanted.length === 0 || wanted.includes(name));
  if (inLab.length > 0) {
    const dir = mkdtempSync(join(tmpdir(), "bench-"));
    process.env["NODE_OPTIONS"] = [process.env["NODE_OPTIONS"], nodeOptionsFor(labPaths(dir).logs)].filter(Boolean).join(" ");
    lab = await startLab({ name: "bench", octet: 29, dir, nodes: 3, onProgress: say });
    report.add("felix after its start", "RSS", residentMb(lab, "felix@node-2"), "MB");
    for (const [name, run] of inLab) {
      say(`== ${name}`);
      await run(lab, report);
    }
    await end();
  }
  for (const [name, run] of Object.entries(ON_THEIR_OWN)) {
    if (!wanted.includes(name)) continue;
    say(`== ${name}`);
    await run(report, say, (started) => (lab = started));
    await end();
  }
  for (const [name, run] of Object.entries(ON_ONE_NODE)) {
    if (!wanted.includes(name)) continue;
    say(`== ${name}`);
    await run(report, say);
  }
} finally {
  await end();
}
say(`\n${report.table()}`);
process.exit(0);
