/**
 * B2: members of sets that come and go: on the table alone, in a process of its own, and through the felix process, from the bytes on its
 * sync stream to the kernel's commit.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ClusterUpdate } from "@calico/calc";
import type { Cidr } from "@calico/model";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { dropWorkload, ingressPolicy, namespaceProfile, putPolicy, putProfile, putWorkload, workload } from "../rig/objects.ts";
import { openRig, type Rig } from "../rig/rig.ts";
import { exponent, median } from "./felix-node.ts";
import type { Figure, Report } from "./report.ts";

const ROUNDS = 200;
const WARM_UP = 40;
const JOINED = 200;
const MEMBERS = 10;

export async function benchFelixSets(report: Report, say: (line: string) => void): Promise<void> {
  await onTheTable("sets", report);
  const costs: { size: number; cost: number }[] = [];
  for (const count of [100, 500, 2_000]) {
    say(`${count} sets through felix`);
    const rig = await openRig();
    try {
      fill(rig, count);
      rig.felix.start();
      await rig.felix.untilReady();
      const one = pod("one", { group: "g-0" });
      const cost = await toggled(rig, report, `one member of ${count} sets, through felix`, [putWorkload(one)], [dropWorkload(one)]);
      costs.push({ size: count, cost });
      if (count !== 2_000) continue;
      const many = pod("many", { shared: "yes" });
      await toggled(rig, report, `a pod that joins or leaves ${JOINED} of ${count} sets, through felix`, [putWorkload(many)], [dropWorkload(many)]);
    } finally {
      await rig.close();
    }
  }
  const [small, large] = [costs.at(0), costs.at(-1)];
  if (small !== undefined && large !== undefined) report.add("one member, through felix, 100 to 2000 sets", "exponent", exponent(small, large), "");
  await benchRanges(report);
}

async function benchRanges(report: Report): Promise<void> {
  const costs: { size: number; cost: number }[] = [];
  for (const count of [1_000, 10_000]) {
    const rig = await openRig();
    try {
      const nets = Array.from({ length: count }, (_, i) => `10.${i >> 7}.${(i & 127) * 2}.0/24` as Cidr);
      const put = (list: readonly Cidr[]): ClusterUpdate => ({ kind: "NetworkSet", id: "/ranges", value: { id: "/ranges", labels: { kind: "ranges" }, profiles: [], nets: list } });
      rig.addPod("server", "10.65.0.2", { role: "server" });
      rig.sync.feed([put(nets), putPolicy(ingressPolicy("rig", "ranges", 'role == "server"', [{ from: 'kind == "ranges"', ports: [80] }]))]);
      rig.felix.start();
      await rig.felix.untilReady();
      costs.push({ size: count, cost: await toggled(rig, report, `one CIDR of ${count}, through felix`, [put([...nets, "192.0.2.0/24" as Cidr])], [put(nets)]) });
    } finally {
      await rig.close();
    }
  }
  const [small, large] = [costs.at(0), costs.at(-1)];
  if (small !== undefined && large !== undefined) report.add("one CIDR, through felix, 1000 to 10000", "exponent", exponent(small, large), "");
}

const pod = (name: string, labels: Readonly<Record<string, string>>): ReturnType<typeof workload> => workload({ namespace: "rig", pod: name, node: "elsewhere", address: name === "one" ? "10.200.0.1" : "10.200.0.2", labels });

/** A policy with a set of its own for each group; every tenth or so takes shared pods, too, so that a pod can join many. */
function fill(rig: Rig, count: number): void {
  rig.addPod("server", "10.65.0.2", { role: "server" });
  rig.sync.feed([putProfile(namespaceProfile("rig"))]);
  for (let i = 0; i < count * MEMBERS; i += 1) rig.sync.feed([putWorkload(workload({ namespace: "rig", pod: `r-${i}`, node: "elsewhere", address: `10.${128 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`, labels: { group: `g-${i % count}` } }))]);
  const shares = Math.max(1, Math.floor(count / JOINED));
  for (let i = 0; i < count; i += 1) rig.sync.feed([putPolicy(ingressPolicy("rig", `p-${i}`, 'role == "server"', [{ from: `group == "g-${i}"${i % shares === 0 ? ' || has(shared)' : ""}`, ports: [1_000 + i] }], i))]);
}

/** Median time to the acknowledgement, in microseconds: a little after the commit. */
async function toggled(rig: Rig, report: Report, name: string, there: readonly ClusterUpdate[], gone: readonly ClusterUpdate[]): Promise<number> {
  const times: number[] = [];
  const run = async (rounds: number): Promise<void> => {
    for (let i = 0; i < rounds; i += 1) {
      const step = await rig.sync.change(...(i % 2 === 0 ? there : gone));
      if (step === null) throw new Error(`${name}: the change did not concern the node`);
      times.push(Number(step.ackedAt - step.writtenAt) / 1_000);
    }
  };
  await run(WARM_UP);
  times.length = 0;
  const before = await rig.felix.metrics();
  const cpu = rig.felix.cpuSeconds();
  await run(ROUNDS);
  const cpuUs = ((rig.felix.cpuSeconds() - cpu) / ROUNDS) * 1e6;
  const after = await rig.felix.metrics();
  const grown = (metric: string): number => ((after.get(metric) ?? 0) - (before.get(metric) ?? 0)) / ROUNDS;
  report.add(name, "to ack", median(times), "us");
  report.add(name, "apply", grown("felix_int_dataplane_apply_time_seconds_sum") * 1e6, "us");
  report.add(name, "CPU", cpuUs, "us");
  report.add(name, "commands", grown("felix_nft_commands"), "per change");
  return median(times);
}

/** The part that needs no other process than the table's: felix' own benchmark. */
export async function onTheTable(part: "sets" | "resync", report: Report): Promise<void> {
  const child = spawn(nodeBinary, ["--disable-warning=ExperimentalWarning", join(repositoryRoot, "services", "felix", "src", "bench", "main.ts"), part], { stdio: ["ignore", "pipe", "inherit"] });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) {
    const { name, metric, value, unit } = JSON.parse(line) as Figure;
    report.add(name, metric, value, unit);
  }
  const [code] = (await ended) as [number | null];
  process.off("exit", kill);
  if (code !== 0) throw new Error(`felix' benchmark of ${part} ended with ${code}`);
}
