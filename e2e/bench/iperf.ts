/** One run of iperf3 between two pods. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { untilTrue } from "../lab/wait.ts";
import { addressOf, type Attached } from "./sandboxes.ts";

/** What the receiver counted. `packets` and what was lost of them are of UDP alone. */
export type Received = { readonly seconds: number; readonly bits_per_second: number; readonly packets?: number; readonly lost_packets?: number };

/** Sends for `seconds` as `flags` of iperf3's client say (TCP without any). */
export async function iperf(client: Attached, server: Attached, seconds: number, flags: readonly string[] = []): Promise<Received> {
  const listener = spawn("nsenter", [`--net=${server.sandbox.netnsPath}`, "iperf3", "-s", "-1", "-J", "-p", "5201"], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  listener.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(listener, "close");
  await untilTrue("iperf3 to listen", async () => spawnSync("nsenter", [`--net=${server.sandbox.netnsPath}`, "ss", "-ltnH", "sport = :5201"], { encoding: "utf8" }).stdout !== "", 5_000);
  const sender = spawn("nsenter", [`--net=${client.sandbox.netnsPath}`, "iperf3", "-c", addressOf(server), ...flags, "-t", String(seconds), "-p", "5201"], { stdio: "ignore" });
  await once(sender, "close");
  await ended;
  const { end } = JSON.parse(output) as { end: { sum?: Received; sum_received?: Received } };
  const received = end.sum_received ?? end.sum;
  if (received === undefined) throw new Error(`iperf3 from ${addressOf(client)} to ${addressOf(server)} counted nothing`);
  return received;
}
