/** Watches: events as they happen, bookmarks in between. */
import type { ServerResponse } from "node:http";
import type { Faults } from "./faults.ts";
import { apiVersionOf, type ApiObject, type ResourceType } from "./object.ts";
import { ApiError, expired } from "./status.ts";
import type { Scope, Store } from "./store.ts";
import { toTable } from "./table.ts";

const bookmarked = new WeakMap<object, { type: ResourceType; write: (line: Buffer) => void }>();

/** Answers with a stream of events until the client or the timeout ends it. Throws an ApiError 410 for what was compacted. */
export function watch({ store, faults }: { store: Store; faults: Faults }, type: ResourceType, scope: Scope, query: URLSearchParams, table: boolean, response: ServerResponse): void {
  if (faults.expireWatches) throw expired("too old resource version");
  const from = Number(query.get("resourceVersion") ?? "0") || 0;
  // Between the end of the answer and its close, events may still come.
  const write = (line: Buffer): void => {
    if (!faults.silentWatches && !response.writableEnded) response.write(table ? asTableEvent(type, line) : line);
  };
  const end = (): void => void response.end();
  const watcher = { scope, write, end };
  const opened = { from: from === 0 ? store.revision : from, initial: from === 0 ? store.list(type, scope) : [] };
  response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
  response.flushHeaders();
  let subscription: Disposable;
  try {
    for (const object of opened.initial) write(Buffer.from(`${JSON.stringify({ type: "ADDED", object })}\n`));
    subscription = store.watch(type, opened.from, watcher);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    response.end(`${JSON.stringify({ type: "ERROR", object: error.toStatus() })}\n`);
    return;
  }
  if (query.get("allowWatchBookmarks") === "true") bookmarked.set(watcher, { type, write });
  const seconds = Number(query.get("timeoutSeconds") ?? "0");
  const timer = seconds > 0 ? setTimeout(end, seconds * 1000) : undefined;
  response.once("close", () => {
    clearTimeout(timer);
    subscription[Symbol.dispose]();
  });
}

/** Tells every watch that asked for it how far the store is. */
export function sendBookmarks(store: Store): void {
  for (const watcher of store.watchers) {
    const found = bookmarked.get(watcher);
    if (found === undefined) continue;
    found.write(Buffer.from(`${JSON.stringify({ type: "BOOKMARK", object: { kind: found.type.kind, apiVersion: apiVersionOf(found.type), metadata: { resourceVersion: String(store.revision) } } })}\n`));
  }
}

function asTableEvent(type: ResourceType, line: Buffer): Buffer {
  const event = JSON.parse(line.toString()) as { type: string; object: ApiObject };
  if (event.type === "ERROR" || event.type === "BOOKMARK") return line;
  return Buffer.from(`${JSON.stringify({ type: event.type, object: toTable(type, [event.object], { resourceVersion: event.object.metadata.resourceVersion }, Date.now()) })}\n`);
}
