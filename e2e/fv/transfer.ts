/** Traffic between pods of a lab, from small programs inside them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Lab } from "../lab/lab.ts";
import { nodeBinary } from "../lab/paths.ts";

const PORT = 9_800;
const RECEIVER = `require("node:net").createServer((socket) => {
  let bytes = 0;
  socket.on("data", (chunk) => (bytes += chunk.length)).on("end", () => socket.end(String(bytes), () => process.exit()));
}).listen(${PORT}, () => console.log("listening"))`;
const SENDER = `const [address, bytes] = process.argv.slice(1);
const socket = require("node:net").connect({ host: address, port: ${PORT}, allowHalfOpen: true }, () => socket.end(Buffer.alloc(Number(bytes))));
socket.on("data", (chunk) => process.stdout.write(chunk))`;

/** Sends bytes over one TCP connection between two pods; how many the receiver says that it got. Rejects after `timeoutMs`. */
export async function transfer(lab: Lab, from: string, to: string, bytes: number, timeoutMs = 15_000): Promise<number> {
  const start = (target: string, ...command: string[]): ReturnType<typeof spawn> => {
    const [program = "", ...args] = lab.execCommand(target, command);
    return spawn(program, args, { timeout: timeoutMs, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "inherit"] });
  };
  const receiver = start(to, nodeBinary, "-e", RECEIVER);
  try {
    if (receiver.stdout === null) throw new Error("no output of the receiver");
    await once(receiver.stdout, "data");
    const sender = start(from, nodeBinary, "-e", SENDER, "--", lab.pods().get(to)?.addresses[0] ?? "", String(bytes));
    let said = "";
    sender.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(sender, "close")) as [number | null];
    if (code !== 0) throw new Error(`${from} could not send ${bytes} bytes to ${to} in ${timeoutMs} ms`);
    return Number(said);
  } finally {
    receiver.kill("SIGKILL");
  }
}

/** Echo requests every 20 ms while `work` goes on; how many were sent and how many answered. */
export async function pinging(lab: Lab, from: string, address: string, work: () => Promise<void>): Promise<{ readonly sent: number; readonly received: number }> {
  const [program = "", ...args] = lab.execCommand(from, ["ping", "-n", "-i", "0.02", "-W", "1", address]);
  const ping = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  ping.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const closed = once(ping, "close");
  try {
    await work();
  } finally {
    ping.kill("SIGINT");
    await closed;
  }
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said) ?? [];
  return { sent: Number(sent), received: Number(received) };
}
