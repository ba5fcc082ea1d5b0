/** OpenAPI v3 documents, one per group and version: what `kubectl explain` shows, and that fields are validated by the server. */
import { VERSION } from "./discovery.ts";
import { isObject, type Json, type ResourceType } from "./object.ts";

/** Paths of the documents. */
export function openApiIndex(types: readonly ResourceType[]): Json {
  const paths = new Set(types.map(rootPath));
  return { paths: Object.fromEntries([...paths].map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }])) };
}

/** The document of "api/v1" or "apis/GROUP/VERSION"; null: there is no such group. */
export function openApiDocument(root: string, types: readonly ResourceType[]): Json | null {
  const own = types.filter((type) => rootPath(type) === root);
  if (own.length === 0) return null;
  return {
    openapi: "3.0.0", info: { title: "Kubernetes", version: VERSION }, paths: Object.fromEntries(own.flatMap((type) => pathsOf(root, type))),
    components: { schemas: { ...Object.fromEntries(own.map((type) => [schemaName(type), schemaOfKind(type)])), [INT_OR_STRING]: { description: "An integer or a text.", format: "int-or-string", oneOf: [{ type: "integer" }, { type: "string" }] } } },
  };
}

function pathsOf(root: string, type: ResourceType): [string, Json][] {
  const { group, version, kind, plural, namespaced } = type;
  const collection = `/${root}${namespaced ? "/namespaces/{namespace}" : ""}/${plural}`;
  const content = { "application/json": { schema: { $ref: `#/components/schemas/${schemaName(type)}` } } };
  const operation = (action: string, parameters: readonly string[] = []): Json => ({
    "x-kubernetes-action": action, "x-kubernetes-group-version-kind": { group, version, kind }, parameters: parameters.map((name) => ({ name, in: "query", schema: { type: "string" } })), responses: { 200: { description: "OK", content } },
  });
  const writes = ["dryRun", "fieldManager", "fieldValidation"];
  return [
    [collection, { get: operation("list"), post: operation("post", writes) }],
    [`${collection}/{name}`, { get: operation("get"), put: operation("put", writes), patch: operation("patch", [...writes, "force"]), delete: operation("delete") }],
  ];
}

/** "io.k8s.api.core.v1.Pod", "org.projectcalico.v3.IPPool". */
function schemaName({ group, version, kind }: ResourceType): string {
  const place = group === "" || group.endsWith(".k8s.io") ? `io.k8s.api.${group === "" ? "core" : group.replace(/\.k8s\.io$/, "")}` : group.split(".").reverse().join(".");
  return `${place}.${version}.${kind}`;
}

function schemaOfKind({ group, version, kind, fields }: ResourceType): Json {
  return { ...(published(fields) as Json), "x-kubernetes-group-version-kind": [{ group, version, kind }] };
}

const INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/** OpenAPI v3 refers to a schema of its own for what is an integer or a text. */
function published(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(published);
  if (!isObject(schema)) return schema;
  const { "x-kubernetes-int-or-string": either, ...rest } = schema;
  const inner = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, published(value)]));
  return either === true ? { ...inner, allOf: [{ $ref: `#/components/schemas/${INT_OR_STRING}` }] } : inner;
}

function rootPath({ group, version }: ResourceType): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}

/**
 * The OpenAPI v2 document, which kubectl before 1.30 reads at every start although it then asks for v3. It names no
 * definitions; kubectl wants it as protobuf: swagger (1), info (2) with title (1) and version (2), paths (8).
 */
export function openApiV2(): Buffer {
  const field = (number: number, value: string | Buffer): Buffer => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  };
  return Buffer.concat([field(1, "2.0"), field(2, Buffer.concat([field(1, "Kubernetes"), field(2, VERSION)])), field(8, "")]);
}

export const OPENAPI_V2_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
