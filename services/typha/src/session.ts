/** One stream to one node: sends what changed whenever the node has taken what came before. */
import { encodeMessage } from "@calico/proto";
import type { Hub } from "./hub.ts";
import { createPendingChanges, kindOf } from "./pending.ts";

/** Writes a message; false: wait for `onDrain` before the next. */
export interface MessageSink {
  write(message: Buffer): boolean;
  /** Calls back once when more may be written. */
  onDrain(run: () => void): void;
}

export type SessionOptions = {
  readonly hub: Hub;
  readonly node: string;
  readonly epoch: string;
  /** Kinds of objects that this client uses. */
  readonly kinds: ReadonlySet<string>;
  /** Sequence that the client has applied, of this epoch; null: it starts afresh. */
  readonly resumeAt: number | null;
  readonly revisions: () => Record<string, string>;
  readonly sink: MessageSink;
  /** The stream cannot go on: it has to be ended. */
  readonly onFailure: (error: unknown) => void;
  readonly onStep: (updates: number, bytes: number, snapshot: boolean) => void;
};

export interface Session extends Disposable {
  /** Keys that wait to be sent. */
  readonly backlog: number;
  readonly resumed: boolean;
}

const UPDATES_PER_MESSAGE = 100;
/** gRPC messages should stay well below the 16 MiB that a client takes. */
const BYTES_PER_MESSAGE = 1024 * 1024;

export function createSession(options: SessionOptions): Session {
  const { hub, node, kinds, sink } = options;
  const pending = createPendingChanges();
  const wanted = (key: string): boolean => kinds.has(kindOf(key));
  let closed = false;
  let wake: (() => void) | null = null;

  function notify(): void {
    wake?.();
    wake = null;
  }

  const opened = hub.open(node, {
    onValue(key, isNew) {
      if (!wanted(key)) return;
      pending.onValue(key, isNew);
      notify();
    },
    onDelta(key, entry) {
      if (!wanted(key)) return;
      pending.onDelta(key, entry);
      notify();
    },
    onRemove(key) {
      if (!wanted(key)) return;
      pending.onRemove(key);
      notify();
    },
  });
  const missed = options.resumeAt === null ? null : opened.view.changesSince(options.resumeAt);
  const values = missed?.values ?? [...opened.view.keys()];
  // A client that goes on where it stopped may have any of them already.
  for (const key of values.filter(wanted)) pending.onValue(key, missed === null);
  for (const key of (missed?.removed ?? []).filter(wanted)) pending.onRemove(key);

  async function send(first: boolean): Promise<void> {
    const sequence = BigInt(hub.sequence);
    const revisions = options.revisions();
    const updates = pending.drain((key) => hub.valueOf(node, key));
    const snapshot = first && missed === null;
    let bytes = 0;
    const chunks = chunksOf(updates);
    for (const [i, chunk] of chunks.entries()) {
      const last = i === chunks.length - 1;
      const message = encodeMessage({ epoch: options.epoch, sequence, snapshotStart: snapshot && i === 0, inSync: first && last, flush: last, revisions: last ? revisions : {} }, chunk);
      bytes += message.length;
      if (closed) return;
      if (!sink.write(message)) await new Promise<void>((resolve) => sink.onDrain(resolve));
    }
    options.onStep(updates.length, bytes, snapshot);
  }

  async function run(): Promise<void> {
    await send(true);
    while (!closed) {
      if (pending.size === 0) await new Promise<void>((resolve) => (wake = resolve));
      // Everything that one event of the API caused goes in one step.
      await new Promise((resolve) => setImmediate(resolve));
      if (!closed && pending.size > 0) await send(false);
    }
  }
  run().catch(options.onFailure);

  return {
    get backlog() {
      return pending.size;
    },
    resumed: missed !== null,
    [Symbol.dispose]() {
      closed = true;
      opened[Symbol.dispose]();
      notify();
    },
  };
}

/** Never empty: a step without updates is one message. */
function chunksOf(updates: readonly Uint8Array[]): Uint8Array[][] {
  const chunks: Uint8Array[][] = [[]];
  let bytes = 0;
  for (const update of updates) {
    let chunk = chunks.at(-1) ?? [];
    if (chunk.length >= UPDATES_PER_MESSAGE || bytes + update.length > BYTES_PER_MESSAGE) {
      chunks.push((chunk = []));
      bytes = 0;
    }
    chunk.push(update);
    bytes += update.length;
  }
  return chunks;
}
