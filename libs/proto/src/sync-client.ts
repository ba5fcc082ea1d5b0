/** A node's end of the sync stream: connects, resumes, hands over whole steps, acknowledges. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Metadata, type ClientDuplexStream, type ClientOptions } from "@grpc/grpc-js";
import type { NodeUpdate } from "@calico/calc";
import { clientCredentials, createBackoff, delay, grpcClientOptions, type Clock, type Logger, type TlsFiles } from "@calico/service-kit";
import { SyncServiceClient, type ClientKind, type SyncRequest, type SyncResponse } from "./gen/calico/sync/v1/sync.ts";
import { fromWireUpdate, PROTOCOL_VERSION } from "./sync-codec.ts";
import { explainConnection } from "./tls-trouble.ts";

export type ReceivedUpdate = { readonly update: NodeUpdate; /** Of the change behind it; "" when not known. */ readonly traceparent: string };

/** A step is applied as a whole. */
export type SyncStep = {
  readonly epoch: string;
  readonly sequence: bigint;
  /** The step is a full snapshot: what it does not repeat is gone. */
  readonly snapshot: boolean;
  readonly updates: readonly ReceivedUpdate[];
  /** Highest resourceVersion that is reflected, by plural name of the kind. */
  readonly revisions: Readonly<Record<string, string>>;
  /** Wall clock, milliseconds with fractions, when the last message of the step arrived. */
  readonly receivedAt: number;
};

export type SyncClientOptions = {
  /** "host:port" of every typha, asked before each connection. */
  readonly addresses: () => Promise<readonly string[]>;
  readonly tls: TlsFiles | "insecure";
  /** Common name of typha's certificate. */
  readonly serverName: string;
  /** File with a bearer token, read for each connection; "": none. */
  readonly tokenFile: string;
  readonly node: string;
  readonly client: ClientKind;
  readonly programVersion: string;
  /** Revisions kept from an earlier run: typha answers only when it is as new. */
  readonly revisions: Readonly<Record<string, string>>;
  /** Applies a step. The stream waits for its promise; when it rejects, the stream starts over with a snapshot. */
  readonly onStep: (step: SyncStep) => void | Promise<void>;
  /** In words, on each change: for health. */
  readonly onStatus: (connected: boolean, detail: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
};

export interface SyncClient {
  start(): void;
  stop(): Promise<void>;
}

/** Steps of a snapshot may have any size; a message has not. A step with more updates than this is refused. */
const MAX_STEP_UPDATES = 4_000_000;

export function createSyncClient(options: SyncClientOptions): SyncClient {
  const { clock, log, random = Math.random } = options;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let resume: { epoch: string; sequence: bigint } | undefined;
  let revisions = options.revisions;

  async function run(): Promise<void> {
    const backoff = createBackoff({ firstMs: 200, maxMs: 10_000, random });
    while (!stopping.signal.aborted) {
      const addresses = shuffle(await options.addresses(), random);
      if (addresses.length === 0) options.onStatus(false, "no address of typha is known");
      for (const address of addresses) {
        if (stopping.signal.aborted) return;
        const ended = explainConnection(await session(address, () => backoff.reset()), options, clock.now());
        if (stopping.signal.aborted) return;
        options.onStatus(false, `typha ${address}: ${ended}`);
        log.warn("Sync stream ended", { typha: address, reason: ended });
      }
      await delay(clock, backoff.next(), stopping.signal);
    }
  }

  /** One stream; resolves to the reason of its end. */
  async function session(address: string, onAlive: () => void): Promise<string> {
    let client: SyncServiceClient;
    let metadata: Metadata;
    try {
      client = new SyncServiceClient(address, clientCredentials(options.tls), clientOptionsFor(address, options));
      metadata = tokenMetadata(options.tokenFile);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    const call = client.sync(metadata);
    const cut = (): void => call.cancel();
    stopping.signal.addEventListener("abort", cut, { once: true });
    try {
      call.write({
        body: {
          $case: "hello",
          value: { node: options.node, protocolVersion: PROTOCOL_VERSION, client: options.client, resume, revisions: { ...revisions }, programVersion: options.programVersion },
        },
      });
      return await receive(call, address, onAlive);
    } finally {
      stopping.signal.removeEventListener("abort", cut);
      call.cancel();
      client.close();
    }
  }

  function receive(call: ClientDuplexStream<SyncRequest, SyncResponse>, address: string, onAlive: () => void): Promise<string> {
    const ended = Promise.withResolvers<string>();
    let pending: ReceivedUpdate[] = [];
    let snapshot = false;
    let first = true;

    async function onFlush(message: SyncResponse): Promise<void> {
      const step: SyncStep = {
        epoch: message.epoch, sequence: message.sequence, snapshot, updates: pending, revisions: message.revisions, receivedAt: performance.timeOrigin + performance.now(),
      };
      pending = [];
      snapshot = false;
      call.pause();
      try {
        await options.onStep(step);
      } catch (error) {
        resume = undefined;
        log.error("A step could not be applied, asking for a snapshot", { error });
        call.cancel();
        return ended.resolve("a step could not be applied");
      }
      resume = { epoch: step.epoch, sequence: step.sequence };
      revisions = step.revisions;
      call.write({ body: { $case: "ack", value: { sequence: step.sequence } } });
      call.resume();
    }

    call.on("data", (message: SyncResponse) => {
      if (first) {
        first = false;
        onAlive();
        options.onStatus(true, `following typha ${address}`);
        log.info("Sync stream open", { typha: address, epoch: message.epoch, resumed: !message.snapshotStart });
      }
      if (message.snapshotStart) {
        pending = [];
        snapshot = true;
      }
      for (const wire of message.updates) {
        const update = fromWireUpdate(wire);
        if (update === null) log.warn("Typha sent an update that this version does not know", { typha: address });
        else pending.push({ update, traceparent: wire.traceparent });
      }
      if (pending.length > MAX_STEP_UPDATES) {
        call.cancel();
        ended.resolve("a step is too large");
      } else if (message.flush) void onFlush(message);
    });
    call.on("error", (error) => ended.resolve(error.message));
    call.on("end", () => ended.resolve("typha closed the stream"));
    return ended.promise;
  }

  return {
    start() {
      running = run().catch((error: unknown) => log.error("Sync client failed", { error }));
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

function clientOptionsFor(address: string, { serverName }: SyncClientOptions): ClientOptions {
  const host = address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
  return isIP(host) !== 0 || serverName !== host ? { ...grpcClientOptions, "grpc.ssl_target_name_override": serverName, "grpc.default_authority": serverName } : grpcClientOptions;
}

function tokenMetadata(tokenFile: string): Metadata {
  const metadata = new Metadata();
  if (tokenFile !== "") metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "utf8").trim()}`);
  return metadata;
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    const [a, b] = [out[i], out[j]];
    if (a !== undefined && b !== undefined) [out[i], out[j]] = [b, a];
  }
  return out;
}
