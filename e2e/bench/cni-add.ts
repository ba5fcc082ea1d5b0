/** CNI ADD and DEL in sequence, beside the reference plugins ptp and host-local: each turn does one of each. */
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import type { Conflist } from "../lab/kubelet/cni-runtime.ts";
import type { Lab } from "../lab/lab.ts";
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
  const measured = (all: readonly Attached[]): number[] => all.slice(WARM_UP).map(({ milliseconds }) => milliseconds);
  const add = report.percentiles("cni-add calico", measured(ours), "ms");
  const reference = report.percentiles("cni-add ptp+host-local", measured(theirs), "ms");
  report.add("cni-add", "ratio p50", add.p50 / reference.p50, "calico/reference");
  report.add("cni-add", "ratio p99", add.p99 / reference.p99, "calico/reference");
  await reportApiPart(lab, add.p50, report);
  await reportStages(host.plan.address, report);
  const removed = { ours: [] as number[], theirs: [] as number[] };
  for (const [i, attached] of ours.entries()) {
    removed.ours.push(await detach(lab, host, attached));
    const other = theirs[i];
    if (other !== undefined) removed.theirs.push(await detach(lab, host, other, REFERENCE));
  }
  const del = report.percentiles("cni-del calico", removed.ours, "ms");
  report.add("cni-del", "ratio p50", del.p50 / report.percentiles("cni-del ptp+host-local", removed.theirs, "ms").p50, "calico/reference");
}

/** An ADD waits for two calls of the API: it reads the pod and writes the block. The same two, alone. */
async function reportApiPart(lab: Lab, addMs: number, report: Report): Promise<void> {
  const { items: [first] } = await lab.datastore.list<KubeObject & { spec: { sequenceNumber: number } }>(calicoTypes.ipamBlocks);
  if (first === undefined) return;
  let block = first;
  const samples: number[] = [];
  for (let i = 0; i < ROUNDS; i += 1) {
    const started = performance.now();
    await lab.datastore.get(coreTypes.pods, { namespace: "default", name: "add-0" });
    block = await lab.datastore.update(calicoTypes.ipamBlocks, { ...block, spec: { ...block.spec, sequenceNumber: block.spec.sequenceNumber + 1 } });
    samples.push(performance.now() - started);
  }
  const { p50 } = report.percentiles("cni-add, the API's own part", samples, "ms");
  report.add("cni-add, beyond the API's part", "p50", addMs - p50, "ms");
}

/** Where the time of an ADD goes, by the daemon's own histogram. */
async function reportStages(address: string, report: Report): Promise<void> {
  const text = await (await fetch(`http://${address}:9096/metrics`)).text();
  const values = new Map([...text.matchAll(/^(\w*stage\w*_(?:sum|count))\{([^}]*)\} (\S+)$/gm)].map(([, name = "", labels = "", value]) => [`${name} ${/stage="(\w+)"/.exec(labels)?.[1] ?? ""}`, Number(value)]));
  for (const [key, sum] of values) {
    const [name = "", stage = ""] = key.split(" ");
    if (!name.endsWith("_sum")) continue;
    report.add(`cni-add stage ${stage}`, "mean", (sum / (values.get(`${name.replace(/_sum$/, "_count")} ${stage}`) ?? 1)) * 1000, "ms");
  }
}
