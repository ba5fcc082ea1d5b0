/** 30 pods of one node at once, and pods that come and go: how long a burst takes, what it writes, whether memory grows. */
import { readdirSync } from "node:fs";
import { PORTS } from "../lab/components.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { untilTrue } from "../lab/wait.ts";
import { residentMb } from "./dispatch.ts";
import type { Report } from "./report.ts";
import { attach, createPod, detach } from "./sandboxes.ts";

const BURST = 30;
const BURSTS = 10;
/** Minutes of churn unless BENCH_CHURN_MINUTES says otherwise. */
const MINUTES = 2;
/** After this part of the churn caches are filled and code is compiled. */
const SETTLED = 0.25;

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
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 60_000;
  let pods = 0;
  const churnUntil = async (minute: number): Promise<void> => {
    while (elapsed() < minute) {
      const sandboxes = await Promise.all(Array.from({ length: BURST }, () => createPod(lab, host, `churn-${(pods += 1)}`)));
      const attached = await Promise.all(sandboxes.map((sandbox) => attach(host, sandbox)));
      await Promise.all(attached.map((each) => detach(lab, host, each)));
    }
  };
  const heaps = async (): Promise<Map<string, number>> => {
    const found = new Map<string, number>();
    for (const id of services) found.set(id, await collectedHeapMb(lab, host, id));
    return found;
  };
  await churnUntil(minutes * SETTLED);
  // Now: taking a snapshot makes a process larger.
  for (const id of services) report.add(`${id.split("@")[0]} under churn`, "RSS", residentMb(lab, id), "MB");
  const [podsThen, then] = [pods, await heaps()];
  await churnUntil(minutes);
  const now = await heaps();
  report.add(`pods that came and went in ${minutes} min`, "count", pods, "pods");
  for (const id of services) {
    const name = `${id.split("@")[0]} after churn`;
    report.add(name, "heap", now.get(id) ?? 0, "MB after collection");
    report.add(name, "growth", ((now.get(id) ?? 0) - (then.get(id) ?? 0)) / ((pods - podsThen) / 1_000), "MB per 1,000 pods");
  }
}

/** What is left of a service's heap when the garbage is collected, as it is for the snapshot that the signal asks for. */
async function collectedHeapMb(lab: Lab, host: NodeHost, id: string): Promise<number> {
  const pid = lab.supervisor.states().find((state) => state.id === id)?.pid ?? 0;
  const taken = (): number => readdirSync(lab.paths.logs).filter((file) => file.endsWith(".heapsnapshot") && file.includes(`.${pid}.`)).length;
  const before = taken();
  process.kill(pid, "SIGUSR2");
  await untilTrue(`a heap snapshot of ${id}`, async () => taken() > before, 20_000);
  // The answer waits until the snapshot is written.
  const text = await (await fetch(`http://${host.plan.address}:${PORTS[id.split("@")[0] ?? ""]?.metrics}/metrics`)).text();
  return Number(/^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)$/m.exec(text)?.[1] ?? 0) / 2 ** 20;
}

/** What a lab's services need in their environment so that `benchChurn` can look into them; snapshots are kept among the logs. */
export const nodeOptionsFor = (logs: string): string => `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${logs}`;

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
