/** Watches: events as they happen, bookmarks in between. */
import type { ServerResponse } from "node:http";
import type { Faults } from "./faults.ts";
import { apiVersionOf, type ApiObject, type Json, type ResourceType } from "./object.ts";
import type { WatchOptions } from "./options.ts";
import type { Representation } from "./representation.ts";
import { ApiError, expired } from "./status.ts";
import type { Scope, Store } from "./store.ts";

const bookmarked = new WeakMap<object, { type: ResourceType; write: (line: Buffer) => void }>();

/** Says that everything was told that was there when the watch began. */
const INITIAL_EVENTS_END = { "k8s.io/initial-events-end": "true" };

/** Answers with a stream of events until the client or the timeout ends it. Throws an ApiError 410 for what was compacted. */
export function watch({ store, faults }: { store: Store; faults: Faults }, type: ResourceType, scope: Scope, options: WatchOptions & { readonly asksForEnd: boolean }, representation: Representation, response: ServerResponse): void {
  if (faults.expireWatches) throw expired("too old resource version");
  const shown = representation.events();
  // Between the end of the answer and its close, events may still come.
  const write = (line: Buffer): void => {
    if (!faults.silentWatches && !response.writableEnded) response.write(shown(type, line));
  };
  const end = (): void => void response.end();
  const watcher = { scope, write, end };
  const { from, initialEvents } = options;
  const initial = initialEvents ? store.list(type, scope) : [];
  response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
  response.flushHeaders();
  const fail = (error: ApiError): void => void response.end(lineOf("ERROR", error.toStatus()));
  let subscription: Disposable;
  try {
    for (const object of initial) write(lineOf("ADDED", object));
    if (options.asksForEnd) write(bookmarkOf(type, store.revision, { annotations: INITIAL_EVENTS_END }));
    subscription = store.watch(type, initialEvents || from === 0 ? store.revision : from, watcher);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return fail(error);
  }
  if (options.bookmarks) bookmarked.set(watcher, { type, write });
  const timer = options.seconds > 0 ? setTimeout(end, options.seconds * 1000) : undefined;
  response.once("close", () => {
    clearTimeout(timer);
    subscription[Symbol.dispose]();
  });
}

/** Tells every watch that asked for it how far the store is. */
export function sendBookmarks(store: Store): void {
  for (const watcher of store.watchers) {
    const found = bookmarked.get(watcher);
    found?.write(bookmarkOf(found.type, store.revision));
  }
}

/** The client knows of a later state than this server. */
export function tooNew(wanted: number, current: number): ApiError {
  return new ApiError(504, `Too large resource version: ${wanted}, current: ${current}`, { reason: "Timeout", causes: [{ field: "", reason: "ResourceVersionTooLarge", message: "Too large resource version" }], retryAfterSeconds: 1 });
}

function bookmarkOf(type: ResourceType, revision: number, more: Json = {}): Buffer {
  return lineOf("BOOKMARK", { kind: type.kind, apiVersion: apiVersionOf(type), metadata: { resourceVersion: String(revision), ...more } });
}

const lineOf = (type: string, object: ApiObject | Json): Buffer => Buffer.from(`${JSON.stringify({ type, object })}\n`);
