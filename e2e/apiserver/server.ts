/** An API server in memory that kubectl and the product's services take for a real one. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { parse as parseYaml } from "yaml";
import type { CustomCheck } from "./admission.ts";
import { createAuthenticator, type Token } from "./auth.ts";
import { aggregated, aggregatedTypeOf, coreVersions, groupList, groupOf, resourceList, VERSION } from "./discovery.ts";
import { noFaults, type FaultCommand, type Faults } from "./faults.ts";
import { apiVersionOf, isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { OPENAPI_V2_TYPE, openApiDocument, openApiIndex, openApiV2 } from "./openapi.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { decodeContinue, encodeContinue, parsePath, type Target } from "./requests.ts";
import { createResources, type Resources, type WriteOptions } from "./resources.ts";
import { fieldMatcher, labelMatcher, type Matcher } from "./selectors.ts";
import { ApiError } from "./status.ts";
import { createStore, type Scope, type Store } from "./store.ts";
import { toTable } from "./table.ts";
import { sendBookmarks, watch } from "./watch.ts";

export type ApiServerOptions = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Empty: everybody may do everything. */
  readonly tokens?: readonly Token[];
  /** Definitions that are there from the start. */
  readonly crds?: readonly Json[];
  readonly check?: CustomCheck;
  /** Changes kept for watches, per kind. */
  readonly historyLimit?: number;
};

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  readonly faults: Faults;
  inject(command: FaultCommand): Promise<void>;
  close(): Promise<void>;
}

const BOOKMARK_MS = 5_000;
const MAX_BODY = 8 * 1024 * 1024;
const NAMESPACES = ["default", "kube-system", "kube-public"];

type Context = { readonly store: Store; readonly registry: Registry; readonly resources: Resources; readonly faults: Faults };
type Answer = { readonly status: number; readonly body: unknown };

/** Starts listening. Rejects when the port is taken. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const store = createStore(options.historyLimit);
  const registry = createRegistry();
  const faults = noFaults();
  const check: CustomCheck = (object, before) => (faults.skipChecks ? [] : (options.check?.(object, before) ?? []));
  const resources = createResources({ store, registry, check, now: () => new Date() });
  const context: Context = { store, registry, resources, faults };
  const authenticator = createAuthenticator(options.tokens ?? []);
  seed(context, options.crds ?? []);

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => void handle(request, response).catch((error: unknown) => fail(response, error));
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.socket.setNoDelay(true);
    if (faults.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, faults.latencyMs));
    const url = new URL(request.url ?? "/", "http://server");
    const user = authenticator.user(request.headers.authorization);
    if ((options.tokens ?? []).length > 0 && user === null && !/^\/(healthz|livez|readyz|version)/.test(url.pathname)) throw new ApiError(401, "Unauthorized");
    takeFault(faults);
    if (url.pathname === "/apis/authentication.k8s.io/v1/tokenreviews") return send(response, 201, authenticator.review(await readBody(request)));
    const mediaType = aggregatedTypeOf(request.headers.accept ?? "");
    if (mediaType !== null && (url.pathname === "/api" || url.pathname === "/apis")) return send(response, 200, aggregated(mediaType, url.pathname === "/api", registry.all()), mediaType);
    if (url.pathname === "/openapi/v2") return send(response, 200, openApiV2(), OPENAPI_V2_TYPE);
    const meta = metaAnswer(url.pathname, registry);
    if (meta !== null) return send(response, 200, meta);
    const target = parsePath(url.pathname);
    const type = target === null ? null : registry.find(target.group, target.version, target.plural);
    if (target === null || type === null) throw new ApiError(404, "the server could not find the requested resource");
    if (request.method === "GET" && target.name === undefined && ["true", "1"].includes(url.searchParams.get("watch") ?? "")) return watch(context, type, scopeOf(target, url.searchParams), url.searchParams, wantsTable(request), response);
    const body = request.method === "GET" ? undefined : await readBody(request);
    const answer = carryOut(context, request, type, target, url.searchParams, body);
    send(response, answer.status, wantsTable(request) ? asTable(type, answer.body) : answer.body);
  }

  const listen = async (port: number): Promise<Server> => {
    const server = options.tls === undefined ? createHttpServer(onRequest) : createHttpsServer(options.tls, onRequest);
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, options.host, resolve);
    });
    return server;
  };
  let server = await listen(options.port);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  const bookmarks = setInterval(() => sendBookmarks(store), BOOKMARK_MS);

  const stop = async (which: Server): Promise<void> => {
    const closed = new Promise<void>((resolve) => which.close(() => resolve()));
    which.closeAllConnections();
    await closed;
  };
  return {
    url: `${options.tls === undefined ? "http" : "https"}://${options.host}:${port}`, port, faults,
    async inject({ dropWatches, compact, awayMs, ...settings }) {
      Object.assign(faults, settings);
      if (compact === true) store.compact();
      if (dropWatches === true) for (const { end } of store.watchers) end();
      if (awayMs === undefined) return;
      await stop(server);
      setTimeout(() => void listen(port).then((again) => (server = again)), awayMs);
    },
    async close() {
      clearInterval(bookmarks);
      await stop(server);
    },
  };
}

function seed({ resources, registry }: Context, crds: readonly Json[]): void {
  const options = { strict: false, dryRun: false, manager: "apiserver" };
  const create = (plural: string, group: string, version: string, body: Json): void => {
    const type = registry.find(group, version, plural);
    if (type !== null) resources.create(type, undefined, body, options);
  };
  for (const name of NAMESPACES) create("namespaces", "", "v1", { metadata: { name } });
  for (const crd of crds) create("customresourcedefinitions", "apiextensions.k8s.io", "v1", crd);
}

/** Health, version, discovery; null for another path. */
function metaAnswer(path: string, registry: Registry): Json | string | null {
  if (/^\/(healthz|livez|readyz)$/.test(path)) return "ok";
  if (path === "/version") return VERSION;
  if (path === "/api") return coreVersions();
  if (path === "/apis") return groupList(registry.all());
  if (path === "/openapi/v3") return openApiIndex(registry.all());
  const document = /^\/openapi\/v3\/(.+)$/.exec(path)?.[1];
  if (document !== undefined) return openApiDocument(document, registry.all());
  if (path === "/api/v1") return resourceList("", "v1", registry.all());
  const [, group, version, more] = /^\/apis\/([^/]+)(?:\/([^/]+))?(\/.*)?$/.exec(path) ?? [];
  if (group === undefined || more !== undefined) return null;
  const versions = [...new Set(registry.all().filter((type) => type.group === group).map((type) => type.version))];
  if (versions.length === 0) return null;
  return version === undefined ? groupOf(group, versions) : resourceList(group, version, registry.all());
}

function carryOut(context: Context, request: IncomingMessage, type: ResourceType, target: Target, query: URLSearchParams, body: unknown): Answer {
  const { resources, faults } = context;
  const { namespace, name, subresource } = target;
  const options = { strict: query.get("fieldValidation") === "Strict", dryRun: query.get("dryRun") === "All", manager: managerOf(request, query), force: query.get("force") === "true" };
  if (request.method === "POST" && subresource === "binding" && type.plural === "pods") return { status: 201, body: bind(resources, type, target, body, options) };
  if (subresource !== undefined && subresource !== "status") throw refusalOf(type, target);
  switch (request.method) {
    case "GET": return { status: 200, body: name === undefined ? list(context, type, target, query) : resources.get(type, namespace, name) };
    case "POST": return { status: 201, body: resources.create(type, namespace, body, options) };
    case "PUT":
      takeConflict(faults, type);
      return { status: 200, body: resources.update(type, namespace, named(name), body, subresource, options) };
    case "PATCH": {
      takeConflict(faults, type);
      const contentType = (request.headers["content-type"] ?? "").split(";")[0] ?? "";
      if (contentType === "application/apply-patch+yaml" && !query.has("fieldManager")) throw new ApiError(400, "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch");
      return { status: 200, body: resources.patch(type, namespace, named(name), body, contentType, subresource, options) };
    }
    case "DELETE": {
      const how = { ...(isObject(body) ? body : {}), ...(query.has("gracePeriodSeconds") ? { gracePeriodSeconds: Number(query.get("gracePeriodSeconds")) } : {}) };
      if (name !== undefined) return { status: 200, body: resources.remove(type, namespace, name, how) };
      const removed = context.store.list(type, scopeOf(target, query)).map((object) => resources.remove(type, object.metadata.namespace, object.metadata.name, how));
      return { status: 200, body: { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: {}, items: removed } };
    }
    default: throw new ApiError(405, "the server does not allow this method on the requested resource");
  }
}

/** Gives a pod its node, once: as a scheduler does. */
function bind(resources: Resources, type: ResourceType, { namespace, name }: Target, body: unknown, options: WriteOptions): Json {
  const node = isObject(body) && isObject(body["target"]) ? body["target"]["name"] : undefined;
  if (typeof node !== "string" || node === "") throw new ApiError(422, "the binding names no node: target.name: Required value");
  const pod = resources.get(type, namespace, named(name));
  const bound = isObject(pod["spec"]) ? pod["spec"]["nodeName"] : undefined;
  if (typeof bound === "string" && bound !== "") throw new ApiError(409, `Operation cannot be fulfilled on pods/binding "${pod.metadata.name}": pod ${pod.metadata.name} is already assigned to node "${bound}"`);
  resources.patch(type, namespace, pod.metadata.name, { metadata: { resourceVersion: pod.metadata.resourceVersion }, spec: { nodeName: node } }, "application/merge-patch+json", undefined, options);
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };
}

/** Who writes, as managedFields names him. */
function managerOf(request: IncomingMessage, query: URLSearchParams): string {
  return query.get("fieldManager") ?? (request.headers["user-agent"] ?? "unknown").split("/")[0] ?? "unknown";
}

/** What to do instead of that for which a container would have to run. */
const INSTEAD: Readonly<Record<string, string>> = {
  log: "there are no logs of containers; npm run lab -- logs shows those of the services", exec: "use npm run lab -- exec NAMESPACE/POD -- COMMAND", attach: "use npm run lab -- exec NAMESPACE/POD -- COMMAND",
  portforward: "use npm run lab -- probe FROM TO PORT, or npm run lab -- exec NAMESPACE/POD -- COMMAND",
};

function refusalOf({ plural, group }: ResourceType, { subresource = "", namespace, name }: Target): ApiError {
  const instead = group === "" && plural === "pods" ? INSTEAD[subresource] : undefined;
  if (instead === undefined) return new ApiError(404, "the server could not find the requested resource");
  return new ApiError(405, `pod ${namespace ?? ""}/${name ?? ""} is a network namespace of the lab in which no container runs: ${instead}`);
}

function named(name: string | undefined): string {
  if (name === undefined) throw new ApiError(405, "the server does not allow this method on the requested resource");
  return name;
}

function scopeOf({ namespace }: Target, query: URLSearchParams): Scope {
  const matchers: Matcher[] = [];
  const labels = query.get("labelSelector") ?? "";
  const fields = query.get("fieldSelector") ?? "";
  if (labels !== "") matchers.push(labelMatcher(labels));
  if (fields !== "") matchers.push(fieldMatcher(fields));
  return { namespace, matches: matchers.length === 0 ? null : (object) => matchers.every((matches) => matches(object)) };
}

function list({ store }: Context, type: ResourceType, target: Target, query: URLSearchParams): Json {
  const token = query.get("continue") ?? "";
  const wanted = Number(query.get("resourceVersion") ?? "0");
  if (wanted > store.revision) {
    throw new ApiError(504, `Too large resource version: ${wanted}, current: ${store.revision}`, { reason: "Timeout", causes: [{ field: "", reason: "ResourceVersionTooLarge", message: "Too large resource version" }], retryAfterSeconds: 1 });
  }
  const from = token === "" ? null : decodeContinue(token);
  const limit = Number(query.get("limit") ?? "0") || Number.POSITIVE_INFINITY;
  const keyOf = ({ metadata }: ApiObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
  const all = store.list(type, scopeOf(target, query)).filter((object) => from === null || keyOf(object) > from.after);
  const items = all.slice(0, limit);
  const last = items.at(-1);
  const revision = from?.revision ?? store.revision;
  const more = all.length > items.length && last !== undefined ? { continue: encodeContinue(revision, keyOf(last)), remainingItemCount: all.length - items.length } : {};
  return { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: { resourceVersion: String(revision), ...more }, items };
}

function takeFault(faults: Faults): void {
  if (faults.tooManyRequests > 0) {
    faults.tooManyRequests -= 1;
    throw new ApiError(429, "Too many requests, please try again later.", { retryAfterSeconds: 1 });
  }
  if (faults.internalErrors > 0) {
    faults.internalErrors -= 1;
    throw new ApiError(500, "Internal error occurred: injected");
  }
}

function takeConflict(faults: Faults, type: ResourceType): void {
  const left = faults.conflicts[type.plural] ?? 0;
  if (left <= 0) return;
  faults.conflicts[type.plural] = left - 1;
  throw new ApiError(409, `Operation cannot be fulfilled on ${type.plural}: the object has been modified; injected`);
}

function wantsTable(request: IncomingMessage): boolean {
  return (request.headers.accept ?? "").includes("as=Table");
}

function asTable(type: ResourceType, body: unknown): unknown {
  if (!isObject(body) || body["kind"] === "Status") return body;
  const items = (Array.isArray(body["items"]) ? body["items"] : [body]) as ApiObject[];
  return toTable(type, items, (body["items"] === undefined ? {} : body["metadata"]) as Json, Date.now());
}

async function readBody(request: IncomingMessage): Promise<Json> {
  if (/protobuf/.test(request.headers["content-type"] ?? "")) throw new ApiError(415, "this API server of the lab reads JSON and YAML, not protobuf: write the object to a file and use kubectl apply -f");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new ApiError(400, "the body is too large");
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return {};
  try {
    return (/yaml/.test(request.headers["content-type"] ?? "") && !text.trimStart().startsWith("{") ? parseYaml(text) : JSON.parse(text)) as Json;
  } catch (error) {
    throw new ApiError(400, `the body of the request cannot be read: ${(error as Error).message}`);
  }
}

function send(response: ServerResponse, status: number, body: unknown, mediaType = typeof body === "string" ? "text/plain" : "application/json"): void {
  const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": mediaType, "content-length": Buffer.byteLength(text) }).end(text);
}

function fail(response: ServerResponse, error: unknown): void {
  const refusal = error instanceof ApiError ? error : new ApiError(500, `Internal error occurred: ${String(error)}`);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (refusal.retryAfterSeconds !== undefined) response.setHeader("retry-after", String(refusal.retryAfterSeconds));
  send(response, refusal.status, refusal.toStatus());
}
