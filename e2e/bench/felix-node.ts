/** What the benchmarks of felix share: a node with 110 pods in a large cluster, and the machine's own noise. */
import { readFileSync } from "node:fs";
import { openRig, type Rig } from "../rig/rig.ts";
import { appName, changesOf, namespaceName, population, type PopulationWish } from "../rig/population.ts";
import type { Report } from "./report.ts";

export const LOCAL_PODS = 110;
export const LOCAL_NAMESPACES = 10;
export const SEED = 20_261_121;

/** A number from the environment, or what it is without one. */
export function setting(name: string, otherwise: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return otherwise;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${name} is ${JSON.stringify(text)}; a number above 0 is needed`);
  return value;
}

export const localAddress = (n: number): string => `10.65.${Math.floor(n / 200)}.${(n % 200) + 2}`;
export const localName = (n: number): string => `pod-${n}`;

/** The node with its local pods spread over its namespaces and apps, in a cluster as wished. felix is not started. */
export async function openLargeNode(wish: Partial<PopulationWish>, options: Parameters<typeof openRig>[0] = {}): Promise<Rig> {
  const rig = await openRig(options);
  try {
    rig.sync.feed(changesOf(population({ seed: SEED, pods: 10_000, policies: 10_000, activePolicies: 1_000, localNamespaces: LOCAL_NAMESPACES, ...wish })));
    for (let n = 0; n < LOCAL_PODS; n += 1) rig.addPod(localName(n), localAddress(n), { app: appName(Math.floor(n / LOCAL_NAMESPACES)), local: localName(n) }, namespaceName(n % LOCAL_NAMESPACES));
    return rig;
  } catch (error) {
    await rig.close();
    throw error;
  }
}

/** How busy the machine was with other work since the call: in percent of all its cores. */
export function watchMachine(ownSeconds: () => number): () => number {
  const read = (): { busy: number; all: number } => {
    const fields = (/^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "").split(" ").map(Number);
    const all = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
    return { all, busy: all - (fields[3] ?? 0) - (fields[4] ?? 0) };
  };
  const [before, own] = [read(), ownSeconds()];
  return () => {
    const now = read();
    return (Math.max(0, now.busy - before.busy - (ownSeconds() - own) * 100) / Math.max(1, now.all - before.all)) * 100;
  };
}

/** CPU seconds of this process and those of its children that it has waited for. */
export function ownCpuSeconds(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

/** How a cost grows with the size: 0, not at all; 1, in proportion. */
export function exponent(small: { size: number; cost: number }, large: { size: number; cost: number }): number {
  return Math.log(large.cost / small.cost) / Math.log(large.size / small.size);
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};

/** Median, least and greatest of pairs' ratios. */
export function ratios(report: Report, name: string, values: readonly number[], unit: string): number {
  report.add(name, "ratio", median(values), unit);
  report.add(name, "least", Math.min(...values), unit);
  report.add(name, "most", Math.max(...values), unit);
  return median(values);
}
