/** Memory and processor time of containers and programs, as the kernel counts them for their processes. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as after } from "node:timers/promises";

export type Consumption = {
  /** Pages that are in memory, those shared with others counted in full. */
  readonly rssMb: number;
  /** Shared pages counted by their share. */
  readonly pssMb: number;
  /** Of one core. */
  readonly cpuPercent: number;
};

/** Clock ticks of /proc in a second, on every architecture that Linux runs on here. */
const TICKS = 100;

/** Pids of a container's processes, by its id. */
export function processesOfContainer(id: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cgroup`).includes(id)).map(Number);
}

/** What each group of processes uses over the time. A process that ends meanwhile counts with what was seen of it. */
export async function measureConsumption(groups: ReadonlyMap<string, readonly number[]>, seconds: number): Promise<Map<string, Consumption>> {
  const before = new Map([...groups].map(([name, pids]) => [name, sum(pids, cpuSeconds)]));
  await after(seconds * 1_000);
  return new Map([...groups].map(([name, pids]) => [name, {
    rssMb: sum(pids, (pid) => kilobytes(read(`/proc/${pid}/status`), "VmRSS")) / 1_024,
    pssMb: sum(pids, (pid) => kilobytes(read(`/proc/${pid}/smaps_rollup`), "Pss")) / 1_024,
    cpuPercent: ((sum(pids, cpuSeconds) - (before.get(name) ?? 0)) / seconds) * 100,
  }]));
}

const sum = (pids: readonly number[], of: (pid: number) => number): number => pids.reduce((total, pid) => total + of(pid), 0);

const kilobytes = (text: string, field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0);

/** User and system time; the name before them may have spaces. */
function cpuSeconds(pid: number): number {
  const fields = read(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS;
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return ""; // ended meanwhile
  }
}
