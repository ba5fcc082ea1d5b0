/** The shape of a request: what is left when names are taken out. */

/** Values that mean something; of others only that they are there. */
const MEANT = ["watch", "fieldValidation", "dryRun", "force", "resourceVersionMatch", "sendInitialEvents", "allowWatchBookmarks", "includeObject", "propagationPolicy"];
/** What no answer depends on. */
const IGNORED = ["timeout", "timeoutSeconds", "fieldManager", "hash"];
const KINDS_WITHOUT_SHAPE = /^\/(version|healthz|livez|readyz|openapi)/;

/** "PATCH /own/{kind}/{name}/status merge-patch+json ?fieldValidation=Strict". */
export function shapeOf({ method, path, contentType, accept }: { readonly method: string; readonly path: string; readonly contentType?: string | undefined; readonly accept?: string | undefined }): string {
  const url = new URL(path, "http://server");
  const query = [...url.searchParams.keys()].filter((key) => !IGNORED.includes(key)).map((key) => (MEANT.includes(key) ? `${key}=${url.searchParams.get(key)}` : key === "resourceVersion" && url.searchParams.get(key) === "0" ? "resourceVersion=0" : key));
  const type = contentType?.split(";")[0]?.replace("application/", "");
  const as = /as=(\w+)/.exec(accept ?? "")?.[1];
  return [method, pathShape(url.pathname), ...(method === "GET" || method === "DELETE" || type === undefined ? [] : [type]), ...(query.length === 0 ? [] : [`?${[...new Set(query)].toSorted().join("&")}`]), ...(as === undefined ? [] : [`as=${as}`])].join(" ");
}

/** A kind is one that is built in, or one of the project's: within each, all go the same way. What the discovery and reviews are asked keeps its path. */
function pathShape(path: string): string {
  if (KINDS_WITHOUT_SHAPE.test(path)) return path.replace(/^(\/openapi\/v3)\/.+/, "$1/{document}");
  const [root = "", ...rest] = path.split("/").filter((part) => part !== "");
  const [group = ""] = root === "api" ? [""] : rest.splice(0, 1);
  const [version] = rest.splice(0, 1);
  if (version === undefined || rest.length === 0) return `/${[root, ...(root === "apis" && group !== "" ? ["{group}"] : []), ...(version === undefined ? [] : ["{version}"])].join("/")}`;
  if (/^auth/.test(group)) return path;
  const isInside = rest[0] === "namespaces" && rest.length > 2;
  const [, name, subresource] = isInside ? rest.slice(2) : rest;
  return `/${[group.endsWith("projectcalico.org") ? "own" : "core", ...(isInside ? ["{namespace}"] : []), "{kind}", ...(name === undefined ? [] : ["{name}"]), ...(subresource === undefined ? [] : [subresource])].join("/")}`;
}
