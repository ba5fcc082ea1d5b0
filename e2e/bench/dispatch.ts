/** A thousand workload endpoints on one node: packets per second between two of them, with the table and without it. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { iperf } from "./iperf.ts";
import type { Report } from "./report.ts";
import { attach, createPod, type Attached } from "./sandboxes.ts";

const ENDPOINTS = 1_000;
const AT_ONCE = 8;
const TURNS = 5;
const SECONDS = 2;

export async function benchDispatch(lab: Lab, report: Report): Promise<void> {
  const host = lab.hosts[1];
  if (host === undefined) return;
  const felix = `felix@${host.plan.name}`;
  const attached: Attached[] = [];
  let next = 0;
  const began = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < ENDPOINTS) attached.push(await attach(host, await createPod(lab, host, `many-${(next += 1)}`)));
  }));
  report.add(`${ENDPOINTS} pods on one node, ${AT_ONCE} at once`, "rate", ENDPOINTS / ((performance.now() - began) / 1000), "pods/s");
  report.add(`felix with ${ENDPOINTS} endpoints`, "RSS", residentMb(lab, felix), "MB");
  const [client, server] = [attached.at(0), attached.at(-1)];
  if (client === undefined || server === undefined) return;
  const rates = { dispatched: [] as number[], bare: [] as number[] };
  for (let turn = 0; turn < TURNS; turn += 1) {
    rates.dispatched.push(await packetsPerSecond(client, server));
    // The table stays when felix ends; without it nothing filters.
    await lab.supervisor.stop(felix);
    inNode(lab, host.plan.name, "nft", "delete", "table", "inet", "calico");
    rates.bare.push(await packetsPerSecond(client, server));
    lab.supervisor.resume(felix);
    await untilTrue("felix to be ready again", async () => (await fetch(`http://${host.plan.address}:9099/readiness`)).status === 200, 60_000);
  }
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  report.add(`packets of 64 bytes, ${ENDPOINTS} endpoints dispatched`, "median", median(rates.dispatched), "packets/s");
  report.add("packets of 64 bytes, no table", "median", median(rates.bare), "packets/s");
  report.add("packets of 64 bytes", "ratio", median(rates.dispatched.map((rate, i) => rate / (rates.bare[i] ?? 1))), "dispatched/no table");
}

/** UDP as fast as one sender can: what arrived, per second. */
async function packetsPerSecond(client: Attached, server: Attached): Promise<number> {
  const { packets = 0, lost_packets: lost = 0, seconds } = await iperf(client, server, SECONDS, ["-u", "-b", "0", "-l", "64"]);
  return (packets - lost) / seconds;
}

function inNode(lab: Lab, node: string, ...command: string[]): void {
  const [program = "", ...args] = lab.execCommand(`node/${node}`, command);
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

/** Resident memory of a process of the lab, in megabytes. */
export function residentMb(lab: Lab, id: string): number {
  const pid = lab.supervisor.states().find((state) => state.id === id)?.pid;
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}
