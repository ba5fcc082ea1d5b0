/** Takes from an answer what differs from run to run: identities, times, revisions. */
import { isObject, valueAt, type Json } from "../object.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** Of a table's cell. */
const AGE = /^\d+[smhd]$/;
const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** The same value with words in the place of what is never the same. Absence stays: a field that is missing is seen. */
export function normalised(value: unknown, key = ""): unknown {
  if (Array.isArray(value) && key === "body") return value.filter((event) => !isProgress(event)).map((event) => normalised(event));
  if (Array.isArray(value)) return key === "managedFields" ? value.map((item) => normalised(item)).toSorted(byManager) : value.map((item) => normalised(item));
  if (isObject(value)) return inOrder(Object.entries(value["kind"] === "Status" ? withoutWords(value) : value).filter(([name, item]) => !isNothing(name, item)).map(([name, item]) => [name, normalised(item, name)]));
  if (typeof value !== "string") return value;
  if (key === "resourceVersion" && value !== "") return "(revision)";
  if (key === "continue") return "(token)";
  if (AGE.test(value)) return "(age)";
  if (TIME.test(value)) return "(time)";
  return value.replaceAll(UID, "(uid)").replaceAll(/(resource version:? )\d+( \(\d+\))?/g, "$1(revision)").replaceAll(/(current: )\d+/g, "$1(revision)");
}

/** Go writes some empty things and leaves out others; no client tells them apart. */
function isNothing(name: string, value: unknown): boolean {
  if (name === "description" || name === "storageVersionHash" || (name === "continue" && value === "")) return true;
  return value === null || ((name === "metadata" || name === "details") && isObject(value) && Object.keys(value).length === 0);
}

/** A bookmark that only says how far the server is: it may come at any time. */
function isProgress(event: unknown): boolean {
  return isObject(event) && event["type"] === "BOOKMARK" && valueAt(event, ["object", "metadata", "annotations"]) === undefined;
}

const inOrder = (entries: [string, unknown][]): Json => Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));

/** A refusal without what is there for people only: programs go by code, reason and the causes' fields, whose order is no one's promise. */
function withoutWords(refusal: Json): Json {
  const status = Object.fromEntries(Object.entries(refusal).filter(([name]) => name !== "message"));
  const { details } = status;
  if (!isObject(details)) return status;
  const causes = (Array.isArray(details["causes"]) ? details["causes"] : []).filter(isObject).map(({ field, reason }) => `${String(reason as string)} ${String((field as string | undefined) ?? "")}`);
  return { ...status, details: { ...details, ...(causes.length === 0 ? {} : { causes: [...new Set(causes)].toSorted() }) } };
}

function byManager(a: unknown, b: unknown): number {
  const text = (value: unknown): string => (isObject(value) ? [value["manager"], value["operation"], value["subresource"]].map(String).join(" ") : "");
  return text(a) < text(b) ? -1 : 1;
}

/** Where two values differ, by path: "metadata.labels.a", "items[0].spec". */
export type Difference = { readonly at: string; readonly embedded: unknown; readonly kubernetes: unknown };

export function differencesOf(embedded: unknown, kubernetes: unknown, at = ""): Difference[] {
  if (JSON.stringify(embedded) === JSON.stringify(kubernetes)) return [];
  if (isObject(embedded) && isObject(kubernetes)) return keysOf(embedded, kubernetes).flatMap((key) => differencesOf(embedded[key], kubernetes[key], at === "" ? key : `${at}.${key}`));
  if (Array.isArray(embedded) && Array.isArray(kubernetes) && embedded.length === kubernetes.length) return embedded.flatMap((item, i) => differencesOf(item, kubernetes[i], `${at}[${i}]`));
  return [{ at, embedded, kubernetes }];
}

const keysOf = (a: Json, b: Json): string[] => [...new Set([...Object.keys(a), ...Object.keys(b)])];
