/** A server on a node itself, for tests of what host endpoints let in. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Lab } from "../lab/lab.ts";

/** Longer than any suite takes: it ends by itself, too. */
const LIFETIME_MS = 900_000;

/** Accepts connections on a port of "node/node-2" until it is stopped. Resolves when it listens. */
export async function startHostServer(lab: Lab, node: string, port: number): Promise<{ stop(): void }> {
  const source = `const server = require("node:net").createServer((socket) => socket.end()).listen(${port}, "0.0.0.0", () => console.log("listening")); setTimeout(() => server.close(), ${LIFETIME_MS});`;
  const [program = "", ...args] = lab.execCommand(node, [process.execPath, "-e", source]);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return { stop: () => void child.kill() };
}
