/** What kubectl asks before it does anything: groups, kinds, version, and that field validation is supported. */
import { apiVersionOf, type Json, type ResourceType } from "./object.ts";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

export const VERSION: Json = { major: "1", minor: "32", gitVersion: "v1.32.0-calico-lab", gitCommit: "", gitTreeState: "clean", buildDate: "2026-01-01T00:00:00Z", goVersion: "none", compiler: "none", platform: "linux/amd64" };

export function coreVersions(): Json {
  return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
}

export function groupList(types: readonly ResourceType[]): Json {
  const groups = new Map<string, Set<string>>();
  for (const { group, version } of types) if (group !== "") groups.set(group, (groups.get(group) ?? new Set()).add(version));
  return { kind: "APIGroupList", apiVersion: "v1", groups: [...groups].map(([name, versions]) => groupOf(name, [...versions])) };
}

export function groupOf(name: string, versions: readonly string[]): Json {
  const list = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { kind: "APIGroup", apiVersion: "v1", name, versions: list, preferredVersion: list[0] };
}

export function resourceList(group: string, version: string, types: readonly ResourceType[]): Json {
  const resources = types.filter((type) => type.group === group && type.version === version).flatMap((type) => [
    { name: type.plural, singularName: type.singular, namespaced: type.namespaced, kind: type.kind, verbs: VERBS, shortNames: type.shortNames },
    ...(type.status ? [{ name: `${type.plural}/status`, singularName: "", namespaced: type.namespaced, kind: type.kind, verbs: ["get", "patch", "update"] }] : []),
  ]);
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: apiVersionOf({ group, version }), resources };
}

/** Paths of the OpenAPI v3 documents, one per group and version. */
export function openApiIndex(types: readonly ResourceType[]): Json {
  const paths = new Set(types.map((type) => rootPath(type)));
  return { paths: Object.fromEntries([...paths].map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}` }])) };
}

/** As much of a document as kubectl reads: which operations take `fieldValidation`. */
export function openApiDocument(root: string, types: readonly ResourceType[]): Json {
  const own = types.filter((type) => rootPath(type) === root);
  const parameters = [{ name: "fieldValidation", in: "query", schema: { type: "string" } }];
  const paths = own.map((type) => {
    const operation = { parameters, "x-kubernetes-group-version-kind": { group: type.group, version: type.version, kind: type.kind }, responses: {} };
    const namespaced = type.namespaced ? "/namespaces/{namespace}" : "";
    return [`/${root}${namespaced}/${type.plural}/{name}`, { patch: { ...operation, "x-kubernetes-action": "patch" }, put: operation }] as const;
  });
  return { openapi: "3.0.0", info: { title: "Kubernetes", version: "v1.32.0" }, paths: Object.fromEntries(paths), components: { schemas: {} } };
}

/** "api/v1", "apis/projectcalico.org/v3". */
function rootPath({ group, version }: ResourceType): string {
  return group === "" ? `api/${version}` : `apis/${group}/${version}`;
}
