/** CNI ADD and DEL in sequence, beside the reference plugins ptp and host-local: each turn does one of each. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Conflist } from "../lab/kubelet/cni-runtime.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import type { Report } from "./report.ts";
import { attach, createPod, detach, sandboxOf, type Attached } from "./sandboxes.ts";

const ROUNDS = 200;
const WARM_UP = 5;
const REFERENCE: Conflist = {
  name: "reference", cniVersion: "1.0.0", binDir: "/usr/lib/cni",
  plugins: [{ type: "ptp", ipMasq: false, ipam: { type: "host-local", ranges: [[{ subnet: "10.77.0.0/16" }]], dataDir: "/run/calico/bench-host-local", routes: [{ dst: "0.0.0.0/0" }] } }],
};

export async function benchCniAdd(lab: Lab, report: Report): Promise<void> {
  const [host] = lab.hosts;
  if (host === undefined) return;
  const ours: Attached[] = [];
  const theirs: Attached[] = [];
  for (let i = 0; i < ROUNDS + WARM_UP; i += 1) {
    ours.push(await attach(host, await createPod(lab, host, `add-${i}`)));
    theirs.push(await attach(host, sandboxOf(lab, `ref-${i}`, ""), REFERENCE));
  }
  const starts: number[] = [];
  for (let i = 0; i < ROUNDS; i += 1) starts.push(await timeStart(host));
  report.percentiles("starting /bin/true in the node", starts, "ms");
  const measured = (all: readonly Attached[]): number[] => all.slice(WARM_UP).map(({ milliseconds }) => milliseconds);
  const add = report.percentiles("cni-add calico", measured(ours), "ms");
  const reference = report.percentiles("cni-add ptp+host-local", measured(theirs), "ms");
  report.add("cni-add", "ratio p50", add.p50 / reference.p50, "calico/reference");
  report.add("cni-add", "ratio p99", add.p99 / reference.p99, "calico/reference");
  await reportStages(host.plan.address, measured(ours), report);
  const removed = { ours: [] as number[], theirs: [] as number[] };
  for (const [i, attached] of ours.entries()) {
    removed.ours.push(await detach(lab, host, attached));
    const other = theirs[i];
    if (other !== undefined) removed.theirs.push(await detach(lab, host, other, REFERENCE));
  }
  const del = report.percentiles("cni-del calico", removed.ours, "ms");
  report.add("cni-del", "ratio p50", del.p50 / report.percentiles("cni-del ptp+host-local", removed.theirs, "ms").p50, "calico/reference");
}

/** What every call of a plugin costs here before the plugin does anything. */
async function timeStart(host: NodeHost): Promise<number> {
  const started = performance.now();
  const [program = "", ...args] = host.enter(["/bin/true"]);
  await once(spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] }), "close");
  return performance.now() - started;
}

/** Where the time of an ADD goes, by the services' own histograms. It waits for two calls of the API: the pod is read, the block written. */
async function reportStages(address: string, samples: readonly number[], report: Report): Promise<void> {
  const stages = await means(`http://${address}:9096/metrics`, "calico_cni_stage_duration_seconds", "stage");
  const writes = await means(`http://${address}:9097/metrics`, "calico_ipam_write_duration_seconds", "kind");
  for (const [stage, mean] of stages) report.add(`cni-add stage ${stage}`, "mean", mean, "ms");
  const api = (stages.get("pod") ?? 0) + (writes.get("block") ?? 0);
  report.add("cni-add, the API's own part", "mean", api, "ms");
  report.add("cni-add, beyond the API's part", "mean", samples.reduce((sum, each) => sum + each, 0) / samples.length - api, "ms");
}

/** Mean of a histogram in milliseconds, by the value of one of its labels. */
async function means(url: string, name: string, label: string): Promise<Map<string, number>> {
  const text = await (await fetch(url)).text();
  const of = (suffix: string): Map<string, number> => new Map([...text.matchAll(new RegExp(`^${name}_${suffix}\\{[^}]*${label}="([\\w-]+)"[^}]*\\} (\\S+)$`, "gm"))].map(([, value = "", count]) => [value, Number(count)]));
  const counts = of("count");
  return new Map([...of("sum")].map(([value, sum]) => [value, (sum / (counts.get(value) ?? 1)) * 1000]));
}
