/**
 * A sync server for one felix, in this process: the real cluster half behind the real protocol. It is fed with parsed objects,
 * without a datastore and its watches, and says when a change was written and when felix had it in the kernel.
 */
import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { createClusterHalf, type ClusterStats, type ClusterUpdate, type ObjectKey } from "@calico/calc";
import { encodeMessage, encodeUpdate, sync } from "@calico/proto";
import { startGrpcServer } from "@calico/service-kit";
import { createOutbox } from "./outbox.ts";

type Stream = ServerDuplexStream<sync.SyncRequest, Buffer>;

/** A step that felix has acknowledged. Times are process.hrtime's. */
export type Step = { readonly sequence: number; readonly writtenAt: bigint; readonly ackedAt: bigint; readonly updates: number; readonly bytes: number; readonly isSnapshot: boolean };

export interface SyncServer {
  readonly address: string;
  /**
   * Takes changes of the cluster. Resolves to the step with which felix acknowledged them; to null when its node has nothing to do
   * with them. While felix is away it waits for the snapshot after its return.
   */
  change(...updates: readonly ClusterUpdate[]): Promise<Step | null>;
  /** The same without waiting. */
  feed(updates: Iterable<ClusterUpdate>): void;
  /** Every step as it is acknowledged. */
  onStep(listener: (step: Step) => void): Disposable;
  stats(): ClusterStats;
  close(): Promise<void>;
}

type Waiter = (step: Step | null) => void;
type Sent = Omit<Step, "ackedAt"> & { readonly waiters: readonly Waiter[] };

const UPDATES_PER_MESSAGE = 100;

/** Listens on `host`, any port; serves the node `node`. */
export async function startSyncServer(host: string, node: string): Promise<SyncServer> {
  const outbox = createOutbox(node);
  const half = createClusterHalf(outbox.sink);
  const listeners = new Set<(step: Step) => void>();
  const epoch = `rig-${process.pid}`;
  let sequence = 0;
  let waiters: Waiter[] = [];
  let unacked: Sent[] = [];
  let stream: Stream | null = null;
  let wake: () => void = () => {};

  const encode = (key: ObjectKey): Uint8Array | null => {
    const value = half.valueOf(key);
    return value === undefined ? null : encodeUpdate(value);
  };

  async function send(to: Stream, entries: readonly Uint8Array[], isSnapshot: boolean): Promise<void> {
    sequence += 1;
    const taken = waiters;
    waiters = [];
    const chunks = Array.from({ length: Math.max(1, Math.ceil(entries.length / UPDATES_PER_MESSAGE)) }, (_, i) => entries.slice(i * UPDATES_PER_MESSAGE, (i + 1) * UPDATES_PER_MESSAGE));
    const messages = chunks.map((chunk, i) => {
      const isLast = i === chunks.length - 1;
      return encodeMessage({ epoch, sequence: BigInt(sequence), snapshotStart: isSnapshot && i === 0, inSync: isSnapshot && isLast, flush: isLast, revisions: {} }, chunk);
    });
    unacked.push({ sequence, writtenAt: process.hrtime.bigint(), updates: entries.length, bytes: messages.reduce((sum, { length }) => sum + length, 0), isSnapshot, waiters: taken });
    for (const message of messages) if (!to.write(message) && !to.cancelled) await new Promise<void>((resolve) => {
      const go = (): void => {
        to.off("drain", go).off("cancelled", go);
        resolve();
      };
      to.on("drain", go).on("cancelled", go);
    });
  }

  async function serve(to: Stream): Promise<void> {
    outbox.reset(half.interestOf(node));
    await send(to, outbox.drain(encode), true);
    while (stream === to) {
      if (outbox.size === 0) await new Promise<void>((resolve) => (wake = resolve));
      // As typha does: what one turn of the loop changes goes in one step.
      await new Promise((resolve) => setImmediate(resolve));
      if (stream === to && outbox.size > 0) await send(to, outbox.drain(encode), false);
    }
  }

  function acknowledge(upTo: number): void {
    const ackedAt = process.hrtime.bigint();
    const done = unacked.filter(({ sequence: of }) => of <= upTo);
    unacked = unacked.filter(({ sequence: of }) => of > upTo);
    for (const { waiters: told, ...sent } of done) {
      const step = { ...sent, ackedAt };
      for (const listener of listeners) listener(step);
      for (const waiter of told) waiter(step);
    }
  }

  function ended(of: Stream): void {
    if (stream !== of) return;
    stream = null;
    // What was not acknowledged is in the snapshot that comes next.
    waiters = [...unacked.flatMap((sent) => sent.waiters), ...waiters];
    unacked = [];
    wake();
  }

  const handler: handleBidiStreamingCall<sync.SyncRequest, Buffer> = (call) => {
    call.on("error", () => ended(call));
    call.once("cancelled", () => ended(call));
    call.once("end", () => ended(call));
    call.on("data", ({ body }: sync.SyncRequest) => {
      if (body?.$case === "ack") return acknowledge(Number(body.value.sequence));
      if (stream !== null) ended(stream);
      stream = call;
      void serve(call);
    });
  };
  const server = await startGrpcServer({ host, port: 0, portParameter: "", tls: "insecure" }, [
    { definition: { sync: { ...sync.SyncServiceService.sync, responseSerialize: (message: Buffer) => message } }, implementation: { sync: handler } },
  ]);

  return {
    address: `${host}:${server.port}`,
    change(...updates) {
      const before = outbox.changes;
      for (const update of updates) half.onUpdate(update);
      if (outbox.changes === before) return Promise.resolve(null);
      return new Promise((resolve) => {
        waiters.push(resolve);
        wake();
      });
    },
    feed(updates) {
      for (const update of updates) half.onUpdate(update);
      wake();
    },
    onStep(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    stats: () => half.stats(),
    async close() {
      stream?.end();
      await server.close(0);
    },
  };
}
