/** The HTTP listener of a service: metrics and health. */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import type { Health } from "./health.ts";

// Not an import: that reads every export, and one of them, WebSocket, loads 16 MB of a client that is not used here.
const { createServer } = process.getBuiltinModule("node:http");

export type Route = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export type HttpOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly routes: Readonly<Record<string, Route>>;
  /** The parameter that sets the port, named in the error when it is taken. */
  readonly portParameter: string;
};

export interface HttpListener {
  readonly port: number;
  close(): Promise<void>;
}

/** A port that is taken: the message names it and the parameter to change. */
export class PortInUseError extends Error {
  readonly code = "EADDRINUSE";

  constructor(host: string, port: number, parameter: string, cause: unknown) {
    super(`port ${port} on ${host} is in use by another process; free it or set ${parameter}`, { cause });
    this.name = "PortInUseError";
  }
}

/** Listens and serves `routes` by path (without query). Rejects with PortInUseError. */
export async function startHttp(options: HttpOptions): Promise<HttpListener> {
  const server = createServer((request, response) => void dispatch(options.routes, request, response));
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  await listen(server, options);
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : options.port,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

function listen(server: Server, { host, port, portParameter }: HttpOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(error.code === "EADDRINUSE" ? new PortInUseError(host, port, portParameter, error) : error));
    server.listen(port, host, resolve);
  });
}

async function dispatch(routes: HttpOptions["routes"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) return respond(response, 404, `nothing at ${path}; there is ${Object.keys(routes).join(", ")}\n`);
  try {
    await route(request, response);
  } catch {
    if (!response.headersSent) respond(response, 500, "internal error\n");
    else response.destroy();
  }
}

export function respond(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type }).end(body);
}

/** GET /metrics in Prometheus' text format. */
export function metricsRoutes(registry: Registry): Record<string, Route> {
  return {
    "/metrics": async (_, response) => {
      respond(response, 200, await registry.metrics(), registry.contentType);
    },
  };
}

/** GET /liveness and /readiness: 200 or 503 and the reasons; GET /health: every reporter, as JSON. */
export function healthRoutes(health: Health): Record<string, Route> {
  const answer = (summary: () => ReturnType<Health["live"]>, good: string): Route => (_, response) => {
    const { ok, reasons } = summary();
    respond(response, ok ? 200 : 503, ok ? `${good}\n` : `${reasons.join("\n")}\n`);
  };
  return {
    "/liveness": answer(() => health.live(), "live"),
    "/readiness": answer(() => health.ready(), "ready"),
    "/health": (_, response) => respond(response, 200, `${JSON.stringify(health.detail(), null, 2)}\n`, "application/json"),
  };
}
