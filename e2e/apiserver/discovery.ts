/** What kubectl asks before it does anything: groups, kinds, version, and that field validation is supported. */
import { apiVersionOf, type Json, type ResourceType } from "./object.ts";

/** The release whose API this server speaks. */
export const VERSION = "v1.36.0-calico-lab";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/** Namespaces go one by one. */
const verbsOf = ({ group, plural }: ResourceType): string[] => VERBS.filter((verb) => verb !== "deletecollection" || group !== "" || plural !== "namespaces");
const STATUS_VERBS = ["get", "patch", "update"];

export const VERSION_INFO: Json = { major: "1", minor: "36", emulationMajor: "1", emulationMinor: "36", minCompatibilityMajor: "1", minCompatibilityMinor: "35", gitVersion: VERSION, gitCommit: "", gitTreeState: "clean", buildDate: "2026-01-01T00:00:00Z", goVersion: "none", compiler: "none", platform: "linux/amd64" };

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
  return { name, versions: list, preferredVersion: list[0] };
}

export function resourceList(group: string, version: string, types: readonly ResourceType[]): Json {
  const resources = types.filter((type) => type.group === group && type.version === version).flatMap((type) => [
    { name: type.plural, singularName: type.singular, namespaced: type.namespaced, kind: type.kind, verbs: verbsOf(type), ...aliasesOf(type) },
    ...(type.status ? [{ name: `${type.plural}/status`, singularName: "", namespaced: type.namespaced, kind: type.kind, verbs: STATUS_VERBS }] : []),
  ]);
  return { kind: "APIResourceList", ...(group === "" ? {} : { apiVersion: "v1" }), groupVersion: apiVersionOf({ group, version }), resources };
}

/** Names that stand for a kind, where it has any. */
function aliasesOf({ shortNames, categories }: ResourceType): Json {
  return { ...(shortNames.length === 0 ? {} : { shortNames }), ...(categories.length === 0 ? {} : { categories }) };
}

/** Media types of aggregated discovery, newest first; v2beta1 is what kubectl before 1.30 knows. */
const AGGREGATED = ["v2", "v2beta1"] as const;

/** The version of aggregated discovery that an Accept header prefers, as media type; null: none. */
export function aggregatedTypeOf(accept: string): string | null {
  const asked = accept.split(",").map((entry) => entry.replaceAll(" ", ""));
  const version = AGGREGATED.find((candidate) => asked.some((entry) => entry.startsWith(`application/json;g=apidiscovery.k8s.io;v=${candidate};as=APIGroupDiscoveryList`)));
  return version === undefined ? null : `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
}

/** Everything about the core group, or about all others, in one answer. */
export function aggregated(mediaType: string, isCore: boolean, types: readonly ResourceType[]): Json {
  const own = types.filter(({ group }) => (group === "") === isCore);
  const items = [...new Set(own.map(({ group }) => group))].map((group) => ({
    metadata: group === "" ? {} : { name: group },
    versions: [...new Set(own.filter((type) => type.group === group).map(({ version }) => version))].map((version) => ({
      version, freshness: "Current", resources: own.filter((type) => type.group === group && type.version === version).map(discovered),
    })),
  }));
  return { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${/;v=(\w+);/.exec(mediaType)?.[1] ?? "v2"}`, metadata: {}, items };
}

function discovered(type: ResourceType): Json {
  const { group, version, kind, plural, singular, namespaced, status } = type;
  const responseKind = { group, version, kind };
  return {
    resource: plural, singularResource: singular, responseKind, scope: namespaced ? "Namespaced" : "Cluster", verbs: verbsOf(type), ...aliasesOf(type),
    ...(status ? { subresources: [{ subresource: "status", responseKind, verbs: STATUS_VERBS }] } : {}),
  };
}
