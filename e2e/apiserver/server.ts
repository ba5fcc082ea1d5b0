/** An API server in memory that kubectl and the product's services take for a real one. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { noPolicies, type AdmissionPolicies, type CustomCheck } from "./admission.ts";
import { createAuthenticator, type Token } from "./auth.ts";
import { bind } from "./binding.ts";
import { mediaTypeOf, readBody } from "./body.ts";
import { aggregated, aggregatedTypeOf, coreVersions, groupList, groupOf, resourceList, VERSION_INFO } from "./discovery.ts";
import { noFaults, takeConflict, takeFault, type FaultCommand, type Faults } from "./faults.ts";
import { asItem, list, scopeOf } from "./lists.ts";
import { apiVersionOf, isObject, type Json, type ResourceType } from "./object.ts";
import { OPENAPI_V2_TYPE, openApiDocument, openApiIndex, openApiV2 } from "./openapi.ts";
import { deleteOptionsOf, watchOptionsOf, writeOptionsOf } from "./options.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { representationOf } from "./representation.ts";
import { parsePath, type Target } from "./requests.ts";
import { createResources, type Resources, type Written } from "./resources.ts";
import { review } from "./reviews.ts";
import { aboutObject, ApiError, notFound, NoSuchPath } from "./status.ts";
import { createStore, type Store } from "./store.ts";
import { sendBookmarks, tooNew, watch } from "./watch.ts";

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
  readonly policies?: AdmissionPolicies;
  /** Changes kept for watches, per kind. */
  readonly historyLimit?: number;
  /** Told of every request. */
  readonly onRequest?: (request: IncomingMessage) => void;
};

export interface ApiServer {
  readonly url: string;
  readonly port: number;
  readonly faults: Faults;
  inject(command: FaultCommand): Promise<void>;
  close(): Promise<void>;
}

const BOOKMARK_MS = 5_000;
const NAMESPACES = ["default", "kube-system", "kube-public"];

type Context = { readonly store: Store; readonly registry: Registry; readonly resources: Resources; readonly faults: Faults };
type Answer = { readonly status: number; readonly body: unknown; readonly warnings?: readonly string[] };

/** Starts listening. Rejects when the port is taken. */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const store = createStore(options.historyLimit);
  const registry = createRegistry();
  const faults = noFaults();
  const check: CustomCheck = (object, before) => (faults.skipChecks ? [] : (options.check?.(object, before) ?? []));
  const policies: AdmissionPolicies = {
    filledIn: (object) => (faults.skipChecks ? noPolicies : (options.policies ?? noPolicies)).filledIn(object),
    refusal: (operation, object) => (faults.skipChecks ? noPolicies : (options.policies ?? noPolicies)).refusal(operation, object),
  };
  const resources = createResources({ store, registry, check, policies, now: () => new Date() });
  const context: Context = { store, registry, resources, faults };
  const authenticator = createAuthenticator(options.tokens ?? []);
  seed(context, options.crds ?? []);

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => void handle(request, response).catch((error: unknown) => fail(response, error));
  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.socket.setNoDelay(true);
    options.onRequest?.(request);
    if (faults.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, faults.latencyMs));
    const url = new URL(request.url ?? "/", "http://server");
    const user = authenticator.user(request.headers.authorization);
    if ((options.tokens ?? []).length > 0 && user === null && !/^\/(healthz|livez|readyz|version)/.test(url.pathname)) throw new ApiError(401, "Unauthorized");
    takeFault(faults);
    const method = request.method ?? "GET";
    const body = method === "GET" ? undefined : await readBody(request);
    const reviewed = review(authenticator, user, method, url.pathname, body);
    if (reviewed !== null) return send(response, 201, reviewed);
    const accept = request.headers.accept ?? "";
    const mediaType = aggregatedTypeOf(accept);
    if (mediaType !== null && (url.pathname === "/api" || url.pathname === "/apis")) return send(response, 200, aggregated(mediaType, url.pathname === "/api", registry.all()), mediaType);
    if (url.pathname === "/openapi/v2") return send(response, 200, openApiV2(), OPENAPI_V2_TYPE);
    const meta = metaAnswer(url.pathname, registry);
    if (meta !== null) return send(response, 200, meta);
    const { target, type } = found(registry, method, url.pathname);
    const query = url.searchParams;
    const representation = representationOf(accept, query);
    if (method === "GET" && target.name === undefined && ["true", "1"].includes(query.get("watch") ?? "")) {
      return watch(context, type, scopeOf(type, target, query), { ...watchOptionsOf(query), asksForEnd: query.get("sendInitialEvents") === "true" }, representation, response);
    }
    const answer = carryOut(context, request, type, target, query, body);
    if (answer.warnings !== undefined && answer.warnings.length > 0) response.setHeader("warning", answer.warnings.map((warning) => `299 - ${JSON.stringify(warning)}`));
    send(response, answer.status, representation.body(type, answer.body));
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
  if (path === "/version") return VERSION_INFO;
  if (path === "/api") return coreVersions();
  if (path === "/apis") return groupList(registry.all());
  if (path === "/openapi/v3") return openApiIndex(registry.all());
  const document = /^\/openapi\/v3\/(.+)$/.exec(path)?.[1];
  if (document !== undefined) return openApiDocument(document, registry.all());
  if (path === "/api/v1") return resourceList("", "v1", registry.all());
  const [, group, version, more] = /^\/apis\/([^/]+)(?:\/([^/]+))?(\/.*)?$/.exec(path) ?? [];
  if (group === undefined || more !== undefined) return null;
  const versions = [...new Set(registry.all().filter((type) => type.group === group).map((type) => type.version))];
  if (versions.length === 0 || (version !== undefined && !versions.includes(version))) return null;
  return version === undefined ? { kind: "APIGroup", apiVersion: "v1", ...groupOf(group, versions) } : resourceList(group, version, registry.all());
}

/** The kind that a path is about. Throws an ApiError for a path under which there is nothing. */
function found(registry: Registry, method: string, path: string): { target: Target; type: ResourceType } {
  const target = parsePath(path);
  const type = target === null ? null : registry.find(target.group, target.version, target.plural);
  if (target === null || type === null) throw target !== null && (target.group === "" || registry.all().some(({ group, schema }) => group === target.group && schema === null)) ? new ApiError(404, "the server could not find the requested resource") : new NoSuchPath();
  const isNamed = target.name !== undefined;
  const isElsewhere = type.namespaced ? target.namespace === undefined && (isNamed || method !== "GET") : target.namespace !== undefined;
  if (!isElsewhere) return { target, type };
  if (type.schema !== null) throw new NoSuchPath();
  throw type.namespaced && !isNamed ? notAllowed() : new ApiError(404, "the server could not find the requested resource");
}

const notAllowed = (): ApiError => new ApiError(405, "the server does not allow this method on the requested resource");

function carryOut(context: Context, request: IncomingMessage, type: ResourceType, target: Target, query: URLSearchParams, body: unknown): Answer {
  const { resources, faults, store } = context;
  const { namespace, name, subresource } = target;
  const method = request.method ?? "GET";
  const contentType = mediaTypeOf(request);
  const options = writeOptionsOf(method, contentType, request.headers["user-agent"] ?? "", query);
  if (method === "POST" && subresource === "binding" && type.plural === "pods") return { status: 201, body: bind(resources, type, target, body, options) };
  if (subresource !== undefined && !(subresource === "status" && type.status)) throw refusalOf(type, target);
  const written = ({ object, isNew, unknown }: Written): Answer => ({ status: isNew ? 201 : 200, body: object, warnings: options.warn ? unknown.map((field) => `unknown field "${field}"`) : [] });
  switch (method) {
    case "GET":
      if (name === undefined) return { status: 200, body: list(store, type, target, query) };
      if (Number(query.get("resourceVersion") ?? "0") > store.revision) throw tooNew(Number(query.get("resourceVersion")), store.revision);
      return { status: 200, body: resources.get(type, namespace, name) };
    case "POST":
      if (name !== undefined && type.schema === null) throw notAllowed();
      return written(resources.create(type, namespace, body, options));
    case "PUT":
      takeConflict(faults, type);
      return written(resources.update(type, namespace, named(name, type), body, subresource, options));
    case "PATCH":
      takeConflict(faults, type);
      return written(resources.patch(type, namespace, named(name, type), body, contentType, subresource, options));
    case "DELETE": {
      if (body !== undefined && (!isObject(body) || !["DeleteOptions", undefined].includes(body["kind"] as string | undefined))) throw new ApiError(400, "the body of a DELETE is a DeleteOptions");
      const how = deleteOptionsOf(body ?? {}, query);
      if (name !== undefined) return { status: 200, body: resources.remove(type, namespace, name, how) };
      const chosen = store.list(type, scopeOf(type, target, query));
      for (const object of chosen) resources.remove(type, object.metadata.namespace, object.metadata.name, how);
      return { status: 200, body: { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: { resourceVersion: String(store.revision) }, items: chosen.map((object) => asItem(type, object)) } };
    }
    default: throw notAllowed();
  }
}

/** What to do instead of that for which a container would have to run. */
const INSTEAD: Readonly<Record<string, string>> = {
  log: "there are no logs of containers; npm run lab -- logs shows those of the services", exec: "use npm run lab -- exec NAMESPACE/POD -- COMMAND", attach: "use npm run lab -- exec NAMESPACE/POD -- COMMAND",
  portforward: "use npm run lab -- probe FROM TO PORT, or npm run lab -- exec NAMESPACE/POD -- COMMAND",
};

function refusalOf(type: ResourceType, { subresource = "", namespace, name = "" }: Target): ApiError {
  const instead = type.group === "" && type.plural === "pods" ? INSTEAD[subresource] : undefined;
  if (instead !== undefined) return new ApiError(405, `pod ${namespace ?? ""}/${name} is a network namespace of the lab in which no container runs: ${instead}`);
  return type.schema === null ? new ApiError(404, "the server could not find the requested resource", { about: aboutObject(type, "") }) : notFound(type, name);
}

function named(name: string | undefined, { schema }: ResourceType): string {
  if (name === undefined) throw schema === null ? notAllowed() : new ApiError(400, "name must be provided");
  return name;
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
  if (refusal instanceof NoSuchPath) return send(response, 404, `${refusal.message}\n`);
  if (refusal.retryAfterSeconds !== undefined) response.setHeader("retry-after", String(refusal.retryAfterSeconds));
  send(response, refusal.status, refusal.toStatus());
}
