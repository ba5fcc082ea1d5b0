/** 30 pods of one node at once, and pods that come and go: how long a burst takes, what it writes, whether memory grows. */
import { PORTS } from "../lab/components.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { residentMb } from "./dispatch.ts";
import type { Report } from "./report.ts";
import { attach, createPod, detach } from "./sandboxes.ts";

const BURST = 30;
const BURSTS = 10;
/** Minutes of churn unless BENCH_CHURN_MINUTES says otherwise. */
const MINUTES = 2;
/** The first part of the churn is not looked at: caches fill, code is compiled. */
const SETTLING = 0.25;

export async function benchBurst(lab: Lab, report: Report): Promise<void> {
  const host = hostOf(lab);
  const before = await writes(lab);
  const adds: number[] = [];
  const wholes: number[] = [];
  const dels: number[] = [];
  for (let round = 0; round < BURSTS; round += 1) {
    const sandboxes = await Promise.all(Array.from({ length: BURST }, (_, i) => createPod(lab, host, `burst-${round}-${i}`)));
    const began = performance.now();
    const attached = await Promise.all(sandboxes.map((sandbox) => attach(host, sandbox)));
    wholes.push(performance.now() - began);
    adds.push(...attached.map(({ milliseconds }) => milliseconds));
    dels.push(...(await Promise.all(attached.map((each) => detach(lab, host, each)))));
  }
  report.percentiles(`burst of ${BURST} ADDs, the whole burst`, wholes, "ms");
  report.percentiles(`burst of ${BURST} ADDs, each`, adds, "ms");
  report.percentiles(`burst of ${BURST} DELs, each`, dels, "ms");
  for (const [kind, count] of await writes(lab)) report.add(`writes of ${kind} per pod that came and went`, "mean", (count - (before.get(kind) ?? 0)) / (BURST * BURSTS), "writes");
}

export async function benchChurn(lab: Lab, report: Report): Promise<void> {
  const host = hostOf(lab);
  const minutes = Number(process.env["BENCH_CHURN_MINUTES"] ?? MINUTES);
  if (!Number.isFinite(minutes) || minutes <= 0) throw new Error(`BENCH_CHURN_MINUTES is ${JSON.stringify(process.env["BENCH_CHURN_MINUTES"])}; a number of minutes is needed`);
  const services = lab.supervisor.states().map(({ id }) => id).filter((id) => !id.startsWith("nats") && id !== "apiserver" && (id.endsWith(`@${host.plan.name}`)));
  const samples = new Map(services.map((id) => [id, [] as Sample[]]));
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 60_000;
  let pods = 0;
  while (elapsed() < minutes) {
    const sandboxes = await Promise.all(Array.from({ length: BURST }, () => createPod(lab, host, `churn-${(pods += 1)}`)));
    const attached = await Promise.all(sandboxes.map((sandbox) => attach(host, sandbox)));
    await Promise.all(attached.map((each) => detach(lab, host, each)));
    for (const [id, of] of samples) of.push({ minute: elapsed(), mb: residentMb(lab, id), heapMb: await heapMb(host, id) });
  }
  report.add(`pods that came and went in ${minutes} min`, "count", pods, "pods");
  for (const [id, of] of samples) {
    const settled = of.filter(({ minute }) => minute > minutes * SETTLING);
    const name = `${id.split("@")[0]} under churn`;
    report.add(name, "RSS at the end", of.at(-1)?.mb ?? 0, "MB");
    const perThousand = pods / minutes / 1_000;
    report.add(name, "slope of RSS", slope(settled.map(({ minute, mb }) => ({ minute, mb }))) / perThousand, "MB per 1,000 pods");
    report.add(name, "slope of heap", slope(lowest(settled, minutes)) / perThousand, "MB per 1,000 pods");
  }
}

type Sample = { readonly minute: number; readonly mb: number; readonly heapMb: number };
/** Parts of the churn of which the smallest heap counts: what garbage collection leaves. */
const PARTS = 10;

function lowest(samples: readonly Sample[], minutes: number): { minute: number; mb: number }[] {
  const parts = Map.groupBy(samples, ({ minute }) => Math.floor((minute / minutes) * PARTS));
  return [...parts.values()].map((part) => part.reduce((least, each) => (each.heapMb < least.heapMb ? each : least))).map(({ minute, heapMb }) => ({ minute, mb: heapMb }));
}

async function heapMb(host: NodeHost, id: string): Promise<number> {
  const port = PORTS[id.split("@")[0] ?? ""]?.metrics;
  const text = await (await fetch(`http://${host.plan.address}:${port}/metrics`)).text();
  return Number(/^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1] ?? 0) / 2 ** 20;
}

function hostOf(lab: Lab): NodeHost {
  const [host] = lab.hosts;
  if (host === undefined) throw new Error("the lab has no node");
  return host;
}

/** Successful writes of the ipam service of the first node, by kind of object. */
async function writes(lab: Lab): Promise<Map<string, number>> {
  const text = await (await fetch(`http://${hostOf(lab).plan.address}:9097/metrics`)).text();
  const counts = new Map<string, number>();
  for (const [, kind = "", outcome, count] of text.matchAll(/^calico_ipam_writes_total\{kind="(\w+)",outcome="(\w+)"[^}]*\} (\d+)$/gm)) if (outcome !== "conflict") counts.set(kind, (counts.get(kind) ?? 0) + Number(count));
  return counts;
}

/** Megabytes per minute: the slope of the line that is nearest to the samples. */
function slope(samples: readonly { readonly minute: number; readonly mb: number }[]): number {
  const mean = (of: (sample: (typeof samples)[number]) => number): number => samples.reduce((sum, each) => sum + of(each), 0) / Math.max(1, samples.length);
  const [x, y] = [mean(({ minute }) => minute), mean(({ mb }) => mb)];
  const spread = samples.reduce((sum, { minute }) => sum + (minute - x) ** 2, 0);
  return spread === 0 ? 0 : samples.reduce((sum, { minute, mb }) => sum + (minute - x) * (mb - y), 0) / spread;
}
