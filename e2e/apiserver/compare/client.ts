/** Plain HTTP to an API server: what was sent is known to the byte, and what came back is not interpreted. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";

export type Exchange = { readonly method: string; readonly path: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };
export type Answer = { readonly status: number; readonly contentType: string; readonly warnings: readonly string[]; readonly text: string };

export interface Client {
  /** Sends the request and reads the answer to its end; without a token of its own it goes as the administrator. */
  send(exchange: Exchange): Promise<Answer>;
  close(): void;
}

const TIMEOUT_MS = 30_000;

export function openClient({ url, caFile, token }: { url: string; caFile: string; token: string }): Client {
  const agent = new Agent({ keepAlive: true, ca: readFileSync(caFile) });
  return {
    send: ({ method, path, headers = {}, body }) => new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, url), { agent, method, headers: { accept: "application/json", ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }), authorization: `Bearer ${token}`, "user-agent": "compare", ...headers }, timeout: TIMEOUT_MS }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const warning = response.headers["warning"];
          resolve({ status: response.statusCode ?? 0, contentType: response.headers["content-type"] ?? "", warnings: warning === undefined ? [] : [warning].flat(), text: Buffer.concat(chunks).toString("utf8") });
        });
      });
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer within ${TIMEOUT_MS / 1000} s`)));
      outgoing.on("error", reject);
      outgoing.end(body);
    }),
    close: () => agent.destroy(),
  };
}
