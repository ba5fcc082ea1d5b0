/**
 * The bus: what is worth telling others but nobody waits for. A service never depends on it: without NATS
 * messages are dropped and counted, requests fail, everything else goes on.
 */
import { readFileSync } from "node:fs";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { createBackoff } from "./backoff.ts";
import { delay, type Clock } from "./clock.ts";
import type { Logger } from "./log.ts";
import { traceparentOf } from "./tracing.ts";

export type BusOptions = {
  /** "tls://host:4222" or "nats://..."; empty: no bus. */
  readonly url: string;
  /** Shown in the server's list of connections: component and node. */
  readonly name: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly caFile?: string | undefined;
  /** Name that the server's certificate must have; empty: the host of the URL. */
  readonly serverName?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
};

export type BusMessage = { readonly subject: string; readonly data: Uint8Array; readonly traceparent: string };

export interface Bus {
  readonly connected: boolean;
  /** Messages that were dropped because NATS was away. */
  readonly dropped: number;
  /** In words, for health: what is lost while NATS is away. */
  readonly detail: string;
  publish(subject: string, data: Uint8Array): void;
  /** Calls `handler` for each message, also of later connections. What a handler throws is logged. */
  subscribe(subject: string, handler: (message: BusMessage) => void): Disposable;
  /** Answers requests. What a responder throws is answered as an error header. */
  respond(subject: string, responder: (message: BusMessage) => Uint8Array | Promise<Uint8Array>): Disposable;
  /** Rejects when nobody answers in time or NATS is away. */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

type Registration = { readonly subject: string; readonly deliver: (message: Msg) => void; live: Subscription | null };

/** Unanswered messages that a subscription holds before new ones are passed over. */
const SUBSCRIPTION_LIMIT = 4096;

/** Returns at once and connects in the background, again and again with jitter. */
export function connectBus(options: BusOptions): Bus {
  const { log } = options;
  const registrations = new Set<Registration>();
  const closing = new AbortController();
  let connection: NatsConnection | null = null;
  let dropped = 0;
  let lastError = "not tried yet";

  const attach = (registration: Registration): void => {
    registration.live = connection?.subscribe(registration.subject, {
      callback: (error, message) => {
        if (error !== null) log.warn("NATS subscription failed", { subject: registration.subject, error });
        else if ((registration.live?.getPending() ?? 0) < SUBSCRIPTION_LIMIT) registration.deliver(message);
      },
    }) ?? null;
  };
  const register = (subject: string, deliver: (message: Msg) => void): Disposable => {
    const registration: Registration = { subject, deliver, live: null };
    registrations.add(registration);
    attach(registration);
    return {
      [Symbol.dispose]: () => {
        registrations.delete(registration);
        registration.live?.unsubscribe();
      },
    };
  };

  async function stayConnected(): Promise<void> {
    const backoff = createBackoff({ firstMs: 500, maxMs: 15_000 });
    while (!closing.signal.aborted) {
      try {
        const opened = await open(options);
        connection = opened;
        backoff.reset();
        log.info("NATS connected", { server: opened.getServer() });
        for (const registration of registrations) attach(registration);
        void watchStatus(opened, log);
        const ended = await opened.closed();
        lastError = ended instanceof Error ? ended.message : "the connection was closed";
      } catch (error) {
        lastError = error instanceof Error ? error.message : String(error);
      }
      connection = null;
      if (!closing.signal.aborted) {
        log.warn("NATS not connected, enforcement is unaffected", { reason: lastError });
        await delay(options.clock, backoff.next(), closing.signal);
      }
    }
  }
  const running = options.url === "" ? Promise.resolve() : stayConnected();
  if (options.url === "") lastError = "no server is configured";

  return {
    get connected() {
      return connection !== null;
    },
    get dropped() {
      return dropped;
    },
    get detail() {
      return connection === null ? `NATS not connected: ${lastError} (enforcement unaffected)` : `NATS connected to ${connection.getServer()}`;
    },
    publish(subject, data) {
      if (connection === null) {
        dropped += 1;
        return;
      }
      try {
        const traceparent = traceparentOf();
        connection.publish(subject, data, traceparent === "" ? {} : { headers: headersOf(traceparent) });
      } catch (error) {
        dropped += 1;
        log.debug("NATS message dropped", { subject, error });
      }
    },
    subscribe: (subject, handler) => register(subject, (message) => {
      try {
        handler(plain(message));
      } catch (error) {
        log.error("A NATS message could not be handled", { subject, error });
      }
    }),
    respond: (subject, responder) => register(subject, (message) => void answer(message, responder, log)),
    async request(subject, data, timeoutMs) {
      if (connection === null) throw new Error(`NATS not connected: ${lastError}`);
      return (await connection.request(subject, data, { timeout: timeoutMs })).data;
    },
    async close() {
      closing.abort();
      await connection?.close();
      await running;
    },
  };
}

let makeHeaders: ((traceparent: string) => ReturnType<typeof import("@nats-io/transport-node").headers>) | undefined;

function headersOf(traceparent: string): ReturnType<typeof import("@nats-io/transport-node").headers> {
  if (makeHeaders === undefined) throw new Error("NATS was not loaded");
  return makeHeaders(traceparent);
}

async function open({ url, name, user, password, caFile, serverName }: BusOptions): Promise<NatsConnection> {
  const { connectNats, headers } = await import("./nats-transport.ts");
  makeHeaders = (traceparent) => {
    const made = headers();
    made.set("traceparent", traceparent);
    return made;
  };
  return connectNats({ url, name, user, password, serverName, ca: caFile === undefined || caFile === "" ? undefined : readFileSync(caFile, "utf8") });
}

async function watchStatus(connection: NatsConnection, log: Logger): Promise<void> {
  for await (const event of connection.status()) {
    if (event.type === "error") log.warn("NATS refused something", { reason: event.error.message });
  }
}

function plain(message: Msg): BusMessage {
  return { subject: message.subject, data: message.data, traceparent: message.headers?.get("traceparent") ?? "" };
}

async function answer(message: Msg, responder: (message: BusMessage) => Uint8Array | Promise<Uint8Array>, log: Logger): Promise<void> {
  try {
    message.respond(await responder(plain(message)));
  } catch (error) {
    log.error("A NATS request could not be answered", { subject: message.subject, error });
  }
}
