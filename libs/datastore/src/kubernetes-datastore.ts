/** The datastore that is a Kubernetes API server. */
import { systemClock, type Clock } from "./clock.ts";
import { resolveConnection, type ConnectOptions } from "./connect-options.ts";
import type { Connection } from "./connection.ts";
import type { Datastore, ListOptions, ListPage, PatchOptions, SelectOptions, TokenReviewResult, UpdateOptions, WatchEvent, WriteOptions } from "./datastore.ts";
import { DatastoreError, errorFromStatus } from "./errors.ts";
import { openHttpClient, type HttpClient } from "./http-client.ts";
import { createLineSplitter } from "./ndjson.ts";
import { apiVersionOf, keyOf, keyText, type KubeObject, type ObjectKey, type ResourceType } from "./object.ts";
import { resourcePath } from "./resource-types.ts";

export interface KubernetesDatastoreOptions extends ConnectOptions {
  /** Sent with every request, for example `felix/1.0`. */
  readonly userAgent: string;
  /** A single request fails with `Unavailable` after this time; 30 s when absent. */
  readonly requestTimeoutMs?: number;
  readonly clock?: Clock;
  /** An identity and address that are already known; nothing else is then looked at. */
  readonly connection?: Connection;
}

/** Where and as whom a Kubernetes datastore talks; for messages and for a context's default namespace. */
export interface KubernetesDatastore extends Datastore {
  readonly server: string;
  readonly namespace: string;
}

const DEFAULT_PAGE_SIZE = 500;
const DEFAULT_TIMEOUT_MS = 30_000;

const CONTENT_TYPE: Record<PatchOptions["type"], string> = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  // JSON is YAML.
  apply: "application/apply-patch+yaml",
};

/**
 * Opens the datastore; no connection is made before the first request.
 * @throws ConnectionError when the kubeconfig or service account cannot be used.
 */
export function openKubernetesDatastore(opts: KubernetesDatastoreOptions): KubernetesDatastore {
  const clock = opts.clock ?? systemClock;
  const connection = opts.connection ?? resolveConnection(opts, clock);
  const timeoutMs = opts.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  return createKubernetesDatastore(connection, openHttpClient(connection, opts.userAgent), timeoutMs);
}

function createKubernetesDatastore(connection: Connection, http: HttpClient, timeoutMs: number): KubernetesDatastore {
  async function* listPages<T extends KubeObject>(type: ResourceType, opts: ListOptions = {}): AsyncGenerator<ListPage<T>> {
    let token = "";
    do {
      const query = selectQuery(opts);
      query.set("limit", String(opts.pageSize ?? DEFAULT_PAGE_SIZE));
      // The token carries the resource version of the first page.
      if (token !== "") query.set("continue", token);
      else if (opts.notOlderThan !== undefined) {
        query.set("resourceVersion", opts.notOlderThan);
        query.set("resourceVersionMatch", "NotOlderThan");
      }
      const answer = (await http.json({
        method: "GET", path: `${resourcePath(type, opts)}?${query.toString()}`, what: `list ${type.plural}`, signal: opts.signal, timeoutMs,
      })) as { metadata?: { resourceVersion?: string; continue?: string }; items?: T[] | null };
      token = answer.metadata?.continue ?? "";
      yield { items: withTypeMeta(type, answer.items ?? []), resourceVersion: answer.metadata?.resourceVersion ?? "" };
    } while (token !== "");
  }

  return {
    server: connection.server,
    namespace: connection.namespace,
    listPages,

    async get<T extends KubeObject>(type: ResourceType, key: ObjectKey, opts: { signal?: AbortSignal } = {}) {
      const what = `get ${type.plural} ${keyText(key)}`;
      return (await http.json({ method: "GET", path: resourcePath(type, key), what, signal: opts.signal, timeoutMs })) as T;
    },

    async list<T extends KubeObject>(type: ResourceType, opts: ListOptions = {}) {
      const items: T[] = [];
      let resourceVersion = "";
      for await (const page of listPages<T>(type, opts)) {
        for (const item of page.items) items.push(item);
        resourceVersion = page.resourceVersion;
      }
      return { items, resourceVersion };
    },

    watch<T extends KubeObject>(type: ResourceType, opts: Parameters<Datastore["watch"]>[1], sink: Parameters<Datastore["watch"]>[2]) {
      const query = selectQuery(opts);
      query.set("watch", "true");
      query.set("resourceVersion", opts.resourceVersion);
      query.set("allowWatchBookmarks", "true");
      if (opts.timeoutSeconds !== undefined) query.set("timeoutSeconds", String(opts.timeoutSeconds));
      const what = `watch ${type.plural}`;
      let over = false;
      const end = (error: DatastoreError | undefined): void => {
        if (over) return;
        over = true;
        opts.signal?.removeEventListener("abort", onAbort);
        stop();
        sink.onEnd(error);
      };
      const lines = createLineSplitter((line) => {
        if (over) return;
        let event: WatchEvent<T> | { type: "ERROR"; object: unknown };
        try {
          event = JSON.parse(line) as typeof event;
        } catch (error) {
          return end(new DatastoreError("Unavailable", `${what}: an event is not JSON`, { cause: error }));
        }
        if (event.type === "ERROR") return end(errorFromStatus(500, event.object, what));
        sink.onEvent(event);
      });
      const onAbort = (): void => end(new DatastoreError("Aborted", `${what}: aborted`));
      const stop = http.stream(
        { method: "GET", path: `${resourcePath(type, opts)}?${query.toString()}`, what, timeoutMs },
        {
          onData: (chunk) => lines.push(chunk),
          onEnd: (error) => end(error ?? (lines.pending ? new DatastoreError("Unavailable", `${what}: the stream ended inside an event`) : undefined)),
        },
      );
      opts.signal?.addEventListener("abort", onAbort, { once: true });
      if (opts.signal?.aborted) queueMicrotask(onAbort);
      return {
        close() {
          over = true;
          opts.signal?.removeEventListener("abort", onAbort);
          stop();
        },
      };
    },

    async create<T extends KubeObject>(type: ResourceType, object: T, opts: UpdateOptions = {}) {
      const { namespace } = keyOf(object);
      const { subresource } = opts;
      const path = subresource !== undefined ? resourcePath(type, keyOf(object), subresource) : resourcePath(type, namespace === undefined ? {} : { namespace });
      return (await http.json({
        method: "POST", path: withQuery(path, writeQuery(opts)), body: subresource !== undefined ? object : withType(type, object),
        what: `create ${type.plural} ${nameOf(object)}${subresource === undefined ? "" : ` ${subresource}`}`, signal: opts.signal, timeoutMs,
      })) as T;
    },

    async update<T extends KubeObject>(type: ResourceType, object: T, opts: UpdateOptions = {}) {
      const what = `update ${type.plural} ${nameOf(object)}`;
      if (!object.metadata.resourceVersion) throw new DatastoreError("BadRequest", `${what}: metadata.resourceVersion is needed to compare and swap`);
      return (await http.json({
        method: "PUT", path: withQuery(resourcePath(type, keyOf(object), opts.subresource), writeQuery(opts)),
        body: withType(type, object), what, signal: opts.signal, timeoutMs,
      })) as T;
    },

    async patch<T extends KubeObject>(type: ResourceType, key: ObjectKey, patch: unknown, opts: PatchOptions) {
      const query = writeQuery(opts);
      if (opts.force) query.set("force", "true");
      return (await http.json({
        method: "PATCH", path: withQuery(resourcePath(type, key, opts.subresource), query), body: patch,
        contentType: CONTENT_TYPE[opts.type], what: `patch ${type.plural} ${keyText(key)}`, signal: opts.signal, timeoutMs,
      })) as T;
    },

    async delete(type, key, opts = {}) {
      const preconditions = { ...(opts.uid === undefined ? {} : { uid: opts.uid }), ...(opts.resourceVersion === undefined ? {} : { resourceVersion: opts.resourceVersion }) };
      const body = {
        apiVersion: "v1", kind: "DeleteOptions",
        ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
        ...(opts.propagation === undefined ? {} : { propagationPolicy: opts.propagation }),
        ...(opts.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: opts.gracePeriodSeconds }),
      };
      await http.json({ method: "DELETE", path: resourcePath(type, key), body, what: `delete ${type.plural} ${keyText(key)}`, signal: opts.signal, timeoutMs });
    },

    async createTokenReview(token, audiences = [], opts = {}) {
      const spec = { token, ...(audiences.length === 0 ? {} : { audiences }) };
      const answer = await http.json({
        method: "POST", path: "/apis/authentication.k8s.io/v1/tokenreviews", what: "create tokenreviews", signal: opts.signal, timeoutMs,
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", metadata: {}, spec },
      });
      return tokenReviewResult(answer);
    },

    close: () => http.close(),
  };
}

/** Items of a list carry no type of their own in the core API; everywhere else in this program an object has one. */
function withTypeMeta<T extends KubeObject>(type: ResourceType, items: T[]): T[] {
  const apiVersion = apiVersionOf(type);
  for (const item of items) {
    item.apiVersion ??= apiVersion;
    item.kind ??= type.kind;
  }
  return items;
}

const withType = (type: ResourceType, object: KubeObject): KubeObject => ({ ...object, apiVersion: apiVersionOf(type), kind: type.kind });

const nameOf = (object: KubeObject): string => keyText(keyOf(object));

const withQuery = (path: string, query: URLSearchParams): string => (query.size === 0 ? path : `${path}?${query.toString()}`);

function selectQuery(opts: SelectOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (opts.labelSelector) query.set("labelSelector", opts.labelSelector);
  if (opts.fieldSelector) query.set("fieldSelector", opts.fieldSelector);
  return query;
}

function writeQuery(opts: WriteOptions): URLSearchParams {
  const query = new URLSearchParams();
  if (opts.fieldManager) query.set("fieldManager", opts.fieldManager);
  if (opts.dryRun) query.set("dryRun", "All");
  if (opts.fieldValidation) query.set("fieldValidation", opts.fieldValidation);
  return query;
}

function tokenReviewResult(answer: unknown): TokenReviewResult {
  const status = (answer as { status?: Record<string, unknown> }).status ?? {};
  const user = (status["user"] ?? {}) as { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> };
  return {
    authenticated: status["authenticated"] === true,
    username: user.username ?? "",
    uid: user.uid ?? "",
    groups: user.groups ?? [],
    extra: user.extra ?? {},
    audiences: (status["audiences"] as string[] | undefined) ?? [],
    error: (status["error"] as string | undefined) ?? "",
  };
}
