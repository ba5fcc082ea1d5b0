/** The options of requests, from their queries: what is not known is refused. */
import type { WriteOptions } from "./resources.ts";
import { ApiError, invalidOptions, type Cause } from "./status.ts";
import type { Json } from "./object.ts";

const VALIDATIONS = ["", "Ignore", "Strict", "Warn"];
const PROPAGATIONS = ["Foreground", "Background", "Orphan"];
const KINDS: Readonly<Record<string, string>> = { POST: "CreateOptions", PUT: "UpdateOptions", PATCH: "PatchOptions", DELETE: "DeleteOptions" };

const unsupported = (field: string, value: string, choices: readonly string[]): Cause => ({ field, reason: "FieldValueNotSupported", message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${choices.map((choice) => JSON.stringify(choice)).join(", ")}` });

const forbidden = (field: string, message: string): Cause => ({ field, reason: "FieldValueForbidden", message: `Forbidden: ${message}` });

/** How to write. Throws an ApiError 422. */
export function writeOptionsOf(method: string, contentType: string, userAgent: string, query: URLSearchParams): WriteOptions & { readonly warn: boolean } {
  const kind = KINDS[method] ?? "";
  const validation = query.get("fieldValidation") ?? "";
  if (!VALIDATIONS.includes(validation)) throw invalidOptions(kind, unsupported("fieldValidation", validation, VALIDATIONS));
  const isApply = contentType === "application/apply-patch+yaml";
  if (method === "PATCH" && isApply && !query.has("fieldManager")) throw invalidOptions(kind, { field: "fieldManager", reason: "FieldValueRequired", message: "Required value: is required for apply patch" });
  if (method === "PATCH" && !isApply && query.has("force")) throw invalidOptions(kind, forbidden("force", "may not be specified for non-apply patch"));
  return { strict: validation === "Strict", warn: validation === "" || validation === "Warn", dryRun: isDryRun(kind, query.getAll("dryRun")), manager: query.get("fieldManager") ?? (userAgent.split("/")[0] || "unknown"), force: query.get("force") === "true" };
}

function isDryRun(kind: string, stages: readonly string[]): boolean {
  const wrong = stages.find((stage) => stage !== "All");
  if (wrong !== undefined) throw invalidOptions(kind, unsupported("dryRun", wrong, ["All"]));
  return stages.length > 0;
}

/** How to delete: the body's options, and those of the query. */
export function deleteOptionsOf(body: Json, query: URLSearchParams): Json & { readonly dryRun: boolean } {
  const propagation = body["propagationPolicy"] ?? query.get("propagationPolicy") ?? "Background";
  if (!PROPAGATIONS.includes(String(propagation as string))) throw invalidOptions("DeleteOptions", unsupported("propagationPolicy", String(propagation as string), [...PROPAGATIONS, "nil"]));
  const stages = Array.isArray(body["dryRun"]) ? body["dryRun"].map(String) : [];
  return { ...body, ...(query.has("gracePeriodSeconds") ? { gracePeriodSeconds: Number(query.get("gracePeriodSeconds")) } : {}), dryRun: isDryRun("DeleteOptions", [...stages, ...query.getAll("dryRun")]) };
}

const MATCHES = ["Exact", "NotOlderThan"];

/** From which state to list. Throws an ApiError 422 or 400 for what contradicts itself. */
export function listOptionsOf(query: URLSearchParams): { readonly limit: number; readonly revision: number; readonly continues: string } {
  const text = (name: string): string => query.get(name) ?? "";
  const match = text("resourceVersionMatch");
  const revision = text("resourceVersion");
  const refuse = (message: string): ApiError => invalidOptions("ListOptions", forbidden("resourceVersionMatch", message));
  const limit = text("limit");
  if (!/^-?\d*$/.test(limit)) throw new ApiError(400, `strconv.ParseInt: parsing ${JSON.stringify(limit)}: invalid syntax`);
  if (query.has("sendInitialEvents")) throw invalidOptions("ListOptions", forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"), ...(match !== "" && revision === "" ? [forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")] : []));
  if (match !== "") {
    if (revision === "") throw refuse("resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (text("continue") !== "") throw refuse("resourceVersionMatch is forbidden when continue is provided");
    if (!MATCHES.includes(match)) throw invalidOptions("ListOptions", unsupported("resourceVersionMatch", match, MATCHES));
    if (match === "Exact" && revision === "0") throw refuse('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"');
  }
  if (text("continue") !== "" && revision !== "" && revision !== "0") throw new ApiError(400, "specifying resource version is not allowed when using continue");
  if (!/^\d*$/.test(revision)) throw new ApiError(400, `Invalid value: ${JSON.stringify(revision)}: resourceVersion is no number`);
  return { limit: Number(limit) > 0 ? Number(limit) : Number.POSITIVE_INFINITY, revision: Number(revision), continues: text("continue") };
}

export type WatchOptions = { readonly from: number; readonly initialEvents: boolean; readonly bookmarks: boolean; readonly seconds: number };

/** From where to watch, and what to be told. Throws an ApiError 422 or 400. */
export function watchOptionsOf(query: URLSearchParams): WatchOptions {
  const revision = query.get("resourceVersion") ?? "";
  const match = query.get("resourceVersionMatch") ?? "";
  const wanted = query.get("sendInitialEvents");
  const bookmarks = query.get("allowWatchBookmarks") === "true";
  const refuse = (field: string, message: string): ApiError => invalidOptions("ListOptions", forbidden(field, message));
  if (wanted === null && match !== "") throw refuse("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  if (wanted !== null && match !== "NotOlderThan") throw refuse("resourceVersionMatch", 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (!/^\d*$/.test(revision)) throw new ApiError(400, `Invalid value: ${JSON.stringify(revision)}: resourceVersion is no number`);
  return { from: Number(revision), initialEvents: wanted === "true" || (wanted === null && Number(revision) === 0), bookmarks, seconds: Number(query.get("timeoutSeconds") ?? "0") };
}
