/** The shape of a request: what is left when names are taken out. */

/** Values that mean something; of others only that they are there. */
const MEANT = ["watch", "fieldValidation", "dryRun", "force", "resourceVersionMatch", "sendInitialEvents", "allowWatchBookmarks", "includeObject", "propagationPolicy"];
/** What no answer depends on. */
const IGNORED = ["timeout", "timeoutSeconds", "fieldManager", "hash"];
const KINDS_WITHOUT_SHAPE = /^\/(version|healthz|livez|readyz|openapi)/;

/** "PATCH /apis/projectcalico.org/v3/ippools/{name}/status merge-patch+json ?fieldValidation=Strict as=Table". */
export function shapeOf({ method, path, contentType, accept }: { readonly method: string; readonly path: string; readonly contentType?: string | undefined; readonly accept?: string | undefined }): string {
  const url = new URL(path, "http://server");
  const query = [...url.searchParams.keys()].filter((key) => !IGNORED.includes(key)).map((key) => (MEANT.includes(key) ? `${key}=${url.searchParams.get(key)}` : key === "resourceVersion" && url.searchParams.get(key) === "0" ? "resourceVersion=0" : key));
  const type = contentType?.split(";")[0]?.replace("application/", "");
  const as = /as=(\w+)/.exec(accept ?? "")?.[1];
  return [method, pathShape(url.pathname), ...(method === "GET" || method === "DELETE" || type === undefined ? [] : [type]), ...(query.length === 0 ? [] : [`?${[...new Set(query)].toSorted().join("&")}`]), ...(as === undefined ? [] : [`as=${as}`])].join(" ");
}

function pathShape(path: string): string {
  if (KINDS_WITHOUT_SHAPE.test(path)) return path.replace(/^(\/openapi\/v3)\/.+/, "$1/{document}");
  const [root = "", ...rest] = path.split("/").filter((part) => part !== "");
  const group = rest.splice(0, root === "api" ? 1 : 2);
  if (rest[0] === "namespaces" && rest.length > 2) rest.splice(0, 2, "namespaces", "{namespace}");
  const at = rest[0] === "namespaces" && rest[1] === "{namespace}" ? 2 : 0;
  if (rest[at + 1] !== undefined) rest[at + 1] = "{name}";
  return `/${[root, ...group, ...rest].join("/")}`;
}
