/** How a second terminal speaks to a running lab: JSON over HTTP on a unix socket. */
import { existsSync, chmodSync } from "node:fs";
import { createServer, request, type Server } from "node:http";

export type Handlers = Readonly<Record<string, (body: never) => Promise<unknown>>>;

/** A question that the lab answered with an error, or a lab that is not there. */
export class RemoteError extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Serves each handler at POST /<name>; a thrown error becomes its message with status 400. */
export async function serveRemote(socket: string, handlers: Handlers): Promise<Server> {
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const handler = handlers[(incoming.url ?? "/").slice(1)];
      const answer = (status: number, body: unknown): void => {
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body ?? null));
      };
      if (!handler) return answer(404, { error: `the lab has no ${incoming.url}` });
      const text = Buffer.concat(chunks).toString();
      Promise.resolve()
        .then(() => handler((text === "" ? {} : JSON.parse(text)) as never))
        .then((result) => answer(200, result), (error: unknown) => answer(400, { error: error instanceof Error ? error.message : String(error) }));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socket, resolve);
  });
  chmodSync(socket, 0o600);
  return server;
}

/** Asks the lab behind the socket. Throws RemoteError: no lab runs (exit code 2), or the lab said no. */
export function askLab<T>(socket: string, name: string, body: unknown = {}): Promise<T> {
  return new Promise((resolve, reject) => {
    if (!existsSync(socket)) return reject(new RemoteError("no lab is running here; start one with: npm run lab", 2));
    const outgoing = request({ socketPath: socket, path: `/${name}`, method: "POST" }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const answer = JSON.parse(Buffer.concat(chunks).toString()) as T & { error?: string };
        if (response.statusCode === 200) resolve(answer);
        else reject(new RemoteError(answer.error ?? "the lab refused", 2));
      });
    });
    outgoing.on("error", () => reject(new RemoteError("the lab does not answer; what is left of it goes away with: npm run lab -- down", 2)));
    outgoing.end(JSON.stringify(body));
  });
}
