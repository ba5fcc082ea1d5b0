/** HTTP/1.1 to one API server, with kept connections. */
import type { ClientRequest, IncomingMessage, RequestOptions as HttpOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Connection } from "./connection.ts";
import { DatastoreError, errorFromStatus } from "./errors.ts";

// Not an import: that reads every export, and one of them, WebSocket, loads 16 MB of a client that is not used here.
const { Agent: HttpAgent, request: httpRequest } = process.getBuiltinModule("node:http");

/** Requests at a time on kept connections; more wait for one. Watches have connections of their own. */
const MAX_CONNECTIONS = 32;

export interface HttpCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path and query. */
  readonly path: string;
  readonly body?: unknown;
  readonly contentType?: string;
  /** What the call does, for error messages: "get ippools/default". */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  /** The whole answer has to be there by then. */
  readonly timeoutMs: number;
}

/** Receives a streamed answer; `onEnd` comes once and last. */
export interface StreamSink {
  onData(chunk: Buffer): void;
  onEnd(error: DatastoreError | undefined): void;
}

export interface HttpClient {
  /** The parsed JSON of a 2xx answer. Rejects with a {@link DatastoreError}. */
  json(call: HttpCall): Promise<unknown>;
  /** Streams a 2xx answer; the returned function ends it without a call to `onEnd`. `timeoutMs` covers the headers. */
  stream(call: HttpCall, sink: StreamSink): () => void;
  close(): void;
}

/** Opens no connection before the first call. */
export function openHttpClient(connection: Connection, userAgent: string): HttpClient {
  const base = new URL(connection.server);
  const secure = base.protocol === "https:";
  const prefix = base.pathname.replace(/\/+$/, "");
  const { insecure, ...tls } = connection.tls;
  const kept = { keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: MAX_CONNECTIONS, scheduling: "lifo" as const };
  const agent = secure ? new HttpsAgent({ ...kept, ...tls, rejectUnauthorized: !insecure }) : new HttpAgent(kept);
  const streamAgent = secure ? new HttpsAgent({ ...tls, rejectUnauthorized: !insecure, keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const running = new Set<(error: DatastoreError) => void>();
  let closed = false;

  async function open(call: HttpCall, agentToUse: InstanceType<typeof HttpAgent>, onRequest: (request: ClientRequest) => void): Promise<IncomingMessage> {
    let headers: Record<string, string>;
    let pluginTls: { cert?: string; key?: string } = {};
    try {
      headers = await connection.credentials.headers();
      if (secure && connection.pluginTls) pluginTls = await connection.pluginTls();
    } catch (error) {
      throw new DatastoreError("Unauthorized", `${call.what}: no credentials: ${(error as Error).message}`, { cause: error });
    }
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const options: HttpOptions = {
      agent: agentToUse,
      method: call.method,
      host: base.hostname.replace(/^\[|\]$/g, ""),
      port: base.port === "" ? (secure ? 443 : 80) : Number(base.port),
      path: prefix + call.path,
      headers: {
        ...headers,
        accept: "application/json",
        "user-agent": userAgent,
        ...(body === undefined ? {} : { "content-type": call.contentType ?? "application/json", "content-length": String(body.length) }),
      },
      ...pluginTls,
    };
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const request = (secure ? httpsRequest : httpRequest)(options, resolve);
      request.on("error", reject);
      request.setNoDelay(true);
      onRequest(request);
      request.end(body);
    });
  }

  async function once(call: HttpCall): Promise<{ status: number; body: unknown; retryAfter: string | undefined }> {
    if (closed) throw new DatastoreError("Aborted", `${call.what}: the datastore is closed`);
    if (call.signal?.aborted) throw new DatastoreError("Aborted", `${call.what}: aborted`);
    let request: ClientRequest | undefined;
    let stopped: DatastoreError | undefined;
    const stop = (error: DatastoreError): void => {
      stopped ??= error;
      request?.destroy(error);
    };
    const onAbort = (): void => stop(new DatastoreError("Aborted", `${call.what}: aborted`));
    const timer = setTimeout(() => stop(new DatastoreError("Unavailable", `${call.what}: no answer from ${connection.server} within ${call.timeoutMs} ms`)), call.timeoutMs);
    call.signal?.addEventListener("abort", onAbort, { once: true });
    running.add(stop);
    try {
      const response = await open(call, agent, (opened) => {
        request = opened;
        if (stopped) opened.destroy(stopped);
      });
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return { status: response.statusCode ?? 0, body: parseBody(Buffer.concat(chunks), response, call), retryAfter: response.headers["retry-after"] };
    } catch (error) {
      if (stopped) throw stopped;
      if (error instanceof DatastoreError) throw error;
      // RFC 9110 9.2.2: only a safe request may be sent again when the server closed the idle connection meanwhile.
      if (call.method === "GET" && request?.reusedSocket && (error as NodeJS.ErrnoException).code === "ECONNRESET") return await once(call);
      throw unreachable(call, error);
    } finally {
      clearTimeout(timer);
      running.delete(stop);
      call.signal?.removeEventListener("abort", onAbort);
    }
  }

  const unreachable = (call: HttpCall, error: unknown): DatastoreError =>
    new DatastoreError("Unavailable", `${call.what}: ${connection.server}: ${(error as Error).message}`, { cause: error });

  return {
    async json(call) {
      let answer = await once(call);
      if (answer.status === 401 && connection.credentials.refresh()) answer = await once(call);
      if (answer.status >= 200 && answer.status < 300) return answer.body;
      throw errorFromStatus(answer.status, answer.body, call.what, answer.retryAfter);
    },

    stream(call, sink) {
      let request: ClientRequest | undefined;
      let over = false;
      const end = (error: DatastoreError | undefined): void => {
        if (over) return;
        leave();
        sink.onEnd(error);
      };
      const leave = (): void => {
        over = true;
        clearTimeout(timer);
        running.delete(end);
        request?.destroy();
      };
      const timer = setTimeout(() => end(new DatastoreError("Unavailable", `${call.what}: no answer from ${connection.server} within ${call.timeoutMs} ms`)), call.timeoutMs);
      running.add(end);

      const run = async (): Promise<void> => {
        if (closed) throw new DatastoreError("Aborted", `${call.what}: the datastore is closed`);
        const response = await open(call, streamAgent, (opened) => {
          request = opened;
          if (over) opened.destroy();
        });
        if (over) return;
        clearTimeout(timer);
        if (response.statusCode !== 200) {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk as Buffer);
          if (response.statusCode === 401) connection.credentials.refresh();
          return end(errorFromStatus(response.statusCode ?? 0, parseBody(Buffer.concat(chunks), response, call), call.what, response.headers["retry-after"]));
        }
        response.on("data", (chunk: Buffer) => {
          if (!over) sink.onData(chunk);
        });
        response.on("end", () => end(undefined));
        response.on("error", (error) => end(unreachable(call, error)));
        response.on("close", () => end(new DatastoreError("Unavailable", `${call.what}: the connection was lost`)));
      };
      run().catch((error: unknown) => end(error instanceof DatastoreError ? error : unreachable(call, error)));
      return () => {
        if (!over) leave();
      };
    },

    close() {
      closed = true;
      const error = new DatastoreError("Aborted", "the datastore is closed");
      for (const stop of [...running]) stop(error);
      agent.destroy();
      streamAgent.destroy();
    },
  };
}

/** Answers that are not JSON (a proxy's page, plain text) become a message. */
function parseBody(bytes: Buffer, response: IncomingMessage, call: HttpCall): unknown {
  const text = bytes.toString("utf8");
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const status = response.statusCode ?? 0;
    if (status >= 400) return { message: text.slice(0, 200).trim() };
    throw new DatastoreError("Unavailable", `${call.what}: the answer is not JSON`, { status, cause: error });
  }
}
