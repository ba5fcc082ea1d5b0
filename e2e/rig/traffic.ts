/** Traffic between the pods of a rig, by the program in `traffic.c`. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { outputOf } from "../lab/run-program.ts";
import { repositoryRoot } from "../lab/paths.ts";
import type { PodInterface } from "./node-network.ts";

const SOURCE = join(import.meta.dirname, "traffic.c");
const PROGRAM = join(repositoryRoot, "node_modules", ".cache", "calico-rig", "traffic");

/** Path of the program; built when it is older than its source. */
export function trafficProgram(): string {
  const built = statSync(PROGRAM, { throwIfNoEntry: false });
  if (built === undefined || built.mtimeMs < statSync(SOURCE).mtimeMs) {
    mkdirSync(join(PROGRAM, ".."), { recursive: true });
    execFileSync("gcc", ["-O2", "-Wall", "-Wextra", "-pthread", "-o", PROGRAM, SOURCE], { stdio: "inherit" });
  }
  return PROGRAM;
}

export type Flow = { readonly from: PodInterface; readonly to: PodInterface; readonly port: number };

/** What became of a flow's packets. `edges`: the first packet, and each whose outcome differs from that of the one before it; times are process.hrtime's. */
export type Outcome = { readonly sent: number; readonly passed: number; readonly edges: readonly { readonly at: bigint; readonly passed: boolean }[] };

export interface Probe {
  /** Ends the probe; what became of each flow, in their order. */
  stop(): Promise<Outcome[]>;
}

/** UDP packets of each flow in every period, unanswered: policy sees each of them. Resolves when the probe has begun. */
export async function startProbe(flows: readonly Flow[], periodUs: number, limitMs: number): Promise<Probe> {
  const child = spawn(trafficProgram(), ["probe", String(periodUs), String(limitMs), ...flows.map(({ from, to, port }) => [from.namespace, to.namespace, to.address, port].join(","))], { stdio: ["pipe", "pipe", "inherit"] });
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, "close");
  await Promise.race([once(child.stdout, "data"), ended.then(([code]) => Promise.reject(new Error(`the probe ended with ${String(code)}`)))]);
  return {
    async stop() {
      child.stdin.end();
      const [code] = (await ended) as [number | null];
      process.off("exit", kill);
      if (code !== 0) throw new Error(`the probe ended with ${code}`);
      return flows.map((_, i) => outcomeOf(output, i));
    },
  };
}

function outcomeOf(output: string, flow: number): Outcome {
  const [, sent, passed] = new RegExp(`^flow ${flow} (\\d+) (\\d+)$`, "m").exec(output) ?? [];
  const edges = [...output.matchAll(new RegExp(`^edge ${flow} (\\d+) ([01])$`, "gm"))].map(([, at, state]) => ({ at: BigInt(at ?? 0), passed: state === "1" }));
  return { sent: Number(sent), passed: Number(passed), edges };
}

/**
 * Connections that are made, asked, answered and closed, one after the other: as many in a second as the median of them lets expect, so that
 * what else the machine does between two of them does not count.
 */
export async function connectionRate({ from, to, port }: Flow, seconds: number): Promise<number> {
  const { p50 = 0 } = await measured("crr", from.namespace, to.namespace, to.address, String(port), String(seconds));
  return 1e9 / p50;
}

/** Bits per second of one TCP connection. */
export async function streamRate({ from, to, port }: Flow, seconds: number): Promise<number> {
  const { bytes = 0, seconds: took = 1 } = await measured("stream", from.namespace, to.namespace, to.address, String(port), String(seconds));
  return (bytes * 8) / took;
}

/** Median time of the first packet of a connection from one pod to the other, or to where it is dropped, in microseconds. */
export async function firstPacketUs({ from, to, port }: Flow, count: number, limitMs: number): Promise<number> {
  const { p50 = 0 } = await measured("syn", from.namespace, from.address, to.address, String(port), String(count), String(limitMs));
  return p50 / 1_000;
}

async function measured(...args: readonly string[]): Promise<Record<string, number>> {
  const words = (await outputOf(`traffic ${args[0]}`, [trafficProgram(), ...args], { timeoutMs: 60_000 })).trim().split(" ");
  return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 ? [[word, Number(words[i + 1])]] : [])));
}
