/** The patches of the API: RFC 7396, RFC 6902, strategic merge for core kinds. Apply is in managed-fields.ts. */
import { clone, isObject, type Json, type ResourceType } from "./object.ts";
import { ApiError } from "./status.ts";
import { strategicMerge } from "./strategic-merge.ts";

/** The patched object; the original is not changed. Throws an ApiError. */
export function applyPatch(type: ResourceType, original: Json, patch: unknown, contentType: string): Json {
  if (contentType === "application/merge-patch+json") return mergePatch(original, patch) as Json;
  if (contentType === "application/json-patch+json") return jsonPatch(original, patch);
  // The keys of lists are not in the definition of a custom resource, so that nothing could be merged strategically.
  if (contentType === "application/strategic-merge-patch+json" && type.schema === null) return strategicMerge(original, patch, type.fields) as Json;
  const accepted = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml", ...(type.schema === null ? ["application/strategic-merge-patch+json"] : [])];
  throw new ApiError(415, `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`);
}

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return clone(patch);
  const result: Json = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** RFC 6902: add, remove, replace, test, copy, move. */
function jsonPatch(original: Json, patch: unknown): Json {
  if (!Array.isArray(patch)) throw new ApiError(400, "a JSON patch is a list of operations");
  let document: unknown = clone(original);
  for (const operation of patch) {
    if (!isObject(operation) || typeof operation["op"] !== "string" || typeof operation["path"] !== "string") throw new ApiError(422, "a JSON patch operation has op and path");
    const path = pointer(operation["path"]);
    const from = typeof operation["from"] === "string" ? pointer(operation["from"]) : [];
    switch (operation["op"]) {
      case "add": document = write(document, path, clone(operation["value"]), "add"); break;
      case "replace": document = write(document, path, clone(operation["value"]), "replace"); break;
      case "remove": document = write(document, path, undefined, "remove"); break;
      case "copy": document = write(document, path, clone(readPointer(document, from)), "add"); break;
      case "move": {
        const value = readPointer(document, from);
        document = write(write(document, from, undefined, "remove"), path, value, "add");
        break;
      }
      case "test":
        if (JSON.stringify(readPointer(document, path)) !== JSON.stringify(operation["value"])) throw new ApiError(422, `the test of ${operation["path"]} failed`);
        break;
      default: throw new ApiError(422, `unknown JSON patch operation ${operation["op"]}`);
    }
  }
  return document as Json;
}

function pointer(text: string): string[] {
  return text.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function readPointer(document: unknown, path: readonly string[]): unknown {
  let at = document;
  for (const part of path) at = Array.isArray(at) ? at[Number(part)] : isObject(at) ? at[part] : undefined;
  if (at === undefined) throw new ApiError(422, `there is nothing at /${path.join("/")}`);
  return at;
}

function write(document: unknown, path: readonly string[], value: unknown, how: "add" | "replace" | "remove"): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = readPointer(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === "-" ? parent.length : Number(last);
    if (!(index >= 0 && index <= parent.length - (how === "add" ? 0 : 1))) throw new ApiError(422, `there is no index ${last} at /${path.slice(0, -1).join("/")}`);
    if (how === "add") parent.splice(index, 0, value);
    else if (how === "replace") parent[index] = value;
    else parent.splice(index, 1);
  } else if (isObject(parent)) {
    if (how === "remove" && parent[last] === undefined) throw new ApiError(422, `there is nothing at /${path.join("/")}`);
    if (how === "remove") delete parent[last];
    else parent[last] = value;
  }
  return document;
}
