/** The daemon's unix socket: one HTTP request per call of the plugin. */
import { chmodSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import { clearSocket } from "@calico/service-kit";
import { CniError, CODE, renderError } from "./errors.ts";

// Not an import: that reads every export, and one of them, WebSocket, loads 16 MB of a client that is not used here.
const { createServer } = process.getBuiltinModule("node:http");

export type CniCall = { readonly env: Readonly<Record<string, string>>; readonly stdin: string };
/** Answers with the JSON that the plugin prints; throws a CniError. */
export type CallHandler = (call: CniCall) => Promise<string>;

export interface CniServer {
  close(): Promise<void>;
}

const MAX_BODY = 1 << 20;

/** Listens for the owner only (mode 0600). A socket that a dead process left is taken over. */
export async function startCniServer(path: string, handle: CallHandler): Promise<CniServer> {
  await clearSocket(path);
  const server = createServer((request, response) => {
    answer(request, handle).then(({ status, body }) => response.writeHead(status, { "content-type": "application/json", connection: "close" }).end(`${body}\n`), () => response.destroy());
  });
  server.requestTimeout = 10_000;
  await listen(server, path);
  return {
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    }),
  };
}

async function listen(server: Server, path: string): Promise<void> {
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
}

async function answer(request: IncomingMessage, handle: CallHandler): Promise<{ status: number; body: string }> {
  let version = "1.0.0";
  try {
    if (request.method !== "POST" || request.url !== "/cni") throw new CniError(CODE.io, `${request.method} ${request.url} is not a call of the plugin`);
    const stdin = await readBody(request);
    version = requestedVersion(stdin);
    return { status: 200, body: await handle({ env: variables(request), stdin }) };
  } catch (error) {
    const failure = error instanceof CniError ? error : new CniError(CODE.failed, error instanceof Error ? error.message : String(error));
    return { status: 500, body: renderError(failure, version) };
  }
}

/** X-CNI_COMMAND and the like; header names arrive in lower case. */
function variables(request: IncomingMessage): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (name.startsWith("x-cni_") && typeof value === "string") env[name.slice(2).toUpperCase()] = value;
  }
  return env;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new CniError(CODE.decode, "the network configuration is larger than 1 MiB");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function requestedVersion(stdin: string): string {
  try {
    const version = (JSON.parse(stdin) as { cniVersion?: unknown }).cniVersion;
    return typeof version === "string" ? version : "1.0.0";
  } catch {
    return "1.0.0";
  }
}
