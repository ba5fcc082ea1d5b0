/** Follows all objects of a kind: one list, then a watch that is kept alive. */
import { createBackoff } from "./backoff.ts";
import { sleep, systemClock, type Clock, type Random } from "./clock.ts";
import type { Datastore, SelectOptions, WatchEvent } from "./datastore.ts";
import { DatastoreError, isDatastoreError, isRevisionTooLarge } from "./errors.ts";
import { silentLog, type Log } from "./log.ts";
import { compareRevisions, keyOf, keyText, parseKeyText, type KubeObject, type ObjectKey, type ResourceType } from "./object.ts";

/** Receives the objects. Calls are synchronous and in the order of the changes. */
export interface InformerHandler<M> {
  /** The object appeared or changed; `revision` is its resourceVersion. */
  onUpsert(key: ObjectKey, value: M, revision: string): void;
  onDelete(key: ObjectKey): void;
  /** The first list is through; later again after every relist. */
  onSynced(revision: string): void;
}

export interface InformerOptions<T extends KubeObject, M> extends Pick<SelectOptions, "namespace" | "labelSelector" | "fieldSelector"> {
  readonly datastore: Datastore;
  readonly type: ResourceType;
  /** Keeps what is needed of an object; the rest is not held. null: as if the object were not there. */
  readonly transform: (raw: T) => M | null;
  readonly handler: InformerHandler<M>;
  /** A watch without data and bookmark for this long is opened anew; 90 s when absent. */
  readonly silenceMs?: number;
  /**
   * A kind that a cluster need not have: as long as the server does not know it, there are none, and it is asked for again every three seconds. One
   * of which objects are known has to be unknown for half a minute.
   */
  readonly isOptional?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
}

export interface Informer {
  start(): void;
  stop(): void;
  /** Fulfilled when the first list is through. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  /** Highest resource version seen; "" before the first list. */
  readonly revision: string;
  /** Objects that are there. */
  readonly size: number;
  /** Why the informer is not following, in words; null while it is. */
  readonly trouble: string | null;
}

const SILENCE_MS = 90_000;
/** The answer about a kind that nobody defined costs a server next to nothing, and people wait for the first object of a new one. */
const ABSENT_MS = 3_000;
/** A server that is older than what was seen for this long was set back: its own state counts then. */
const SET_BACK_MS = 30_000;
/** A watch that ends sooner, without anything new, is no reason to open the next one at once. */
const SHORT_WATCH_MS = 1_000;
/** How often it is logged that a kind is absent. */
const ABSENCE_TOLD_MS = 60_000;
/** A relist that loses more than half of at least so many objects is confirmed by a second, consistent read. */
const SUSPICIOUS_LOSS = 20;

/**
 * Follows a kind with bookmarks, paging, 410 and back-off, which only something new ends. A relist is never older than what was seen, delivers only
 * differences, and is confirmed before it takes away more than half of the objects. An object whose transform throws is
 * reported and keeps its last value; the others go on.
 */
export function createInformer<T extends KubeObject, M>(opts: InformerOptions<T, M>): Informer {
  const { datastore, type, handler } = opts;
  const clock = opts.clock ?? systemClock;
  const random = opts.random ?? Math.random;
  const log = opts.log ?? silentLog;
  const select = { ...(opts.namespace === undefined ? {} : { namespace: opts.namespace }), ...(opts.labelSelector === undefined ? {} : { labelSelector: opts.labelSelector }),
    ...(opts.fieldSelector === undefined ? {} : { fieldSelector: opts.fieldSelector }) };
  /** Resource version of every object that was listed or watched, by key. */
  const known = new Map<string, string>();
  /** Those of them that the transform left out. */
  const withheld = new Set<string>();
  const abort = new AbortController();
  const synced = Promise.withResolvers<void>();
  const backoff = createBackoff({ firstMs: 250, maxMs: 30_000, random });
  let revision = "";
  let isSynced = false;
  let trouble: string | null = "has not listed yet";
  let delivered = 0;
  /** The present watch told something newer than what was seen. */
  let hasProgressed = false;
  /** Answers that the history is gone since a watch told something new. */
  let goneInARow = 0;

  function upsert(raw: T): void {
    const key = keyOf(raw);
    const text = keyText(key);
    const objectRevision = raw.metadata.resourceVersion ?? "";
    const before = known.get(text);
    if (before === objectRevision && objectRevision !== "") return;
    const wasDelivered = before !== undefined && !withheld.has(text);
    let value: M | null;
    try {
      value = opts.transform(raw);
    } catch (error) {
      log.error("An object could not be read", { kind: type.kind, object: text, error: error as Error });
      known.set(text, objectRevision);
      if (before === undefined) withheld.add(text);
      return;
    }
    known.set(text, objectRevision);
    if (value !== null) {
      withheld.delete(text);
      if (!wasDelivered) delivered += 1;
      handler.onUpsert(key, value, objectRevision);
      return;
    }
    withheld.add(text);
    if (!wasDelivered) return;
    delivered -= 1;
    handler.onDelete(key);
  }

  function remove(text: string): void {
    const wasDelivered = known.delete(text) && !withheld.delete(text);
    if (!wasDelivered) return;
    delivered -= 1;
    handler.onDelete(parseKeyText(text));
  }

  async function list(consistent: boolean): Promise<Set<string>> {
    const present = new Set<string>();
    const from = consistent || revision === "" ? {} : { notOlderThan: revision };
    for await (const page of datastore.listPages<T>(type, { ...select, ...from, signal: abort.signal })) {
      for (const item of page.items) {
        present.add(keyText(keyOf(item)));
        upsert(item);
      }
      revision = page.resourceVersion;
    }
    return present;
  }

  async function relist(consistent: boolean): Promise<void> {
    let present = await list(consistent);
    const missing = [...known.keys()].filter((text) => !present.has(text));
    if (!consistent && missing.length >= SUSPICIOUS_LOSS && missing.length * 2 > known.size) {
      log.warn("A list lacks more than half of the objects, reading again", { kind: type.kind, missing: missing.length, known: known.size });
      present = await list(true);
    }
    for (const text of [...known.keys()]) if (!present.has(text)) remove(text);
    trouble = null;
    isSynced = true;
    handler.onSynced(revision);
    synced.resolve();
  }

  function absent(): void {
    revision = "";
    trouble = null;
    if (isSynced) return;
    isSynced = true;
    log.info("The cluster has no such kind", { kind: type.kind });
    handler.onSynced("");
    synced.resolve();
  }

  /** Watches until the stream ends; resolves to the error that ended it, if one did. */
  function watch(): Promise<DatastoreError | undefined> {
    return new Promise((resolve) => {
      let cancelTimer = (): void => {};
      const arm = (): void => {
        cancelTimer();
        cancelTimer = clock.schedule(opts.silenceMs ?? SILENCE_MS, () => {
          // No news: Kubernetes sends no bookmarks of a kind of which nothing changed since it started.
          log.debug("A watch was silent, opening it anew", { kind: type.kind, silentForMs: opts.silenceMs ?? SILENCE_MS });
          handle.close();
          resolve(undefined);
        });
      };
      const finish = (error: DatastoreError | undefined): void => {
        cancelTimer();
        resolve(error);
      };
      const handle = datastore.watch<T>(type, { ...select, resourceVersion: revision, timeoutSeconds: 300 + Math.floor(random() * 300), signal: abort.signal }, {
        onEvent(event) {
          arm();
          onEvent(event);
        },
        onEnd: finish,
      });
      arm();
    });
  }

  function onEvent({ type: eventType, object }: WatchEvent<T>): void {
    trouble = null;
    if (eventType === "DELETED") remove(keyText(keyOf(object)));
    else if (eventType !== "BOOKMARK") upsert(object);
    const seen = object.metadata.resourceVersion ?? "";
    if (compareRevisions(seen, revision) <= 0) return;
    revision = seen;
    hasProgressed = true;
    goneInARow = 0;
    backoff.reset();
  }

  /** The definition has been gone for long: so are the objects. */
  function takeAway(): void {
    if (known.size === 0) return;
    log.warn("The cluster no longer has a kind, its objects are gone with it", { kind: type.kind, objects: known.size });
    for (const text of [...known.keys()]) remove(text);
  }

  async function run(): Promise<void> {
    let listed = false;
    let olderSince: number | null = null;
    let consistent = false;
    let absentSince: number | null = null;
    /** When it was last logged that the kind is absent. */
    let absenceToldAt: number | null = null;
    while (!abort.signal.aborted) {
      try {
        if (!listed) {
          await relist(consistent);
          if (absenceToldAt !== null) log.info("A kind is there again", { kind: type.kind });
          [listed, consistent, olderSince, absentSince, absenceToldAt] = [true, false, null, null, null];
        }
        hasProgressed = false;
        const openedAt = clock.nowMs();
        const error = await watch();
        if (abort.signal.aborted) return;
        if (error !== undefined) throw error;
        if (!hasProgressed && clock.nowMs() - openedAt < SHORT_WATCH_MS) await sleep(clock, backoff.nextMs(), abort.signal);
      } catch (error) {
        if (abort.signal.aborted) return;
        const now = clock.nowMs();
        const isAbsent = isDatastoreError(error, "NotFound");
        absentSince = isAbsent ? (absentSince ?? now) : null;
        if (isAbsent) listed = false;
        // What is known goes by a watch before its kind does: a server that does not know the kind meanwhile is not believed at once.
        if (opts.isOptional === true && absentSince !== null && (known.size === 0 || now - absentSince >= SET_BACK_MS)) {
          takeAway();
          absent();
          await sleep(clock, ABSENT_MS, abort.signal);
          continue;
        }
        if (isDatastoreError(error, "Gone")) {
          log.info("The history of a watch is gone, listing again", { kind: type.kind });
          listed = false;
          goneInARow += 1;
          if (revision === "") consistent = true;
          else if (goneInARow === 1) {
            trouble = "the history is gone";
            continue;
          }
        }
        if (isRevisionTooLarge(error)) {
          olderSince ??= now;
          consistent = now - olderSince >= SET_BACK_MS;
        }
        trouble = error instanceof Error ? error.message : String(error);
        const nextMs = backoff.nextMs(error instanceof DatastoreError ? error.retryAfterMs : undefined);
        // Asking whether a definition is back costs next to nothing.
        const waitMs = isAbsent ? Math.min(nextMs, ABSENT_MS) : nextMs;
        if (!isAbsent || absenceToldAt === null || now - absenceToldAt >= ABSENCE_TOLD_MS) {
          log.warn("Following a kind was interrupted", { kind: type.kind, reason: trouble, retryInMs: Math.round(waitMs) });
          absenceToldAt = isAbsent ? now : null;
        }
        await sleep(clock, waitMs, abort.signal);
      }
    }
  }

  return {
    start: () => void run().catch((error: unknown) => log.error("An informer failed", { kind: type.kind, error: error as Error })),
    stop: () => abort.abort(),
    synced: synced.promise,
    get isSynced() {
      return isSynced;
    },
    get revision() {
      return revision;
    },
    get size() {
      return delivered;
    },
    get trouble() {
      return trouble;
    },
  };
}
