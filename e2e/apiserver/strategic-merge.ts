/** Strategic merge patch: like a merge patch, but lists of core kinds are merged as their schema says, and directives say the rest. */
import { clone, isObject, type Json } from "./object.ts";
import { itemsOf, schemaOf } from "./schema-path.ts";
import { ApiError } from "./status.ts";

const DELETE_ITEMS = "$deleteFromPrimitiveList/";
const ORDER = "$setElementOrder/";

/** The patched value; the original is not changed. Throws an ApiError 400 for a directive that is not known. */
export function strategicMerge(target: unknown, patch: unknown, schema: Json): unknown {
  if (Array.isArray(patch)) return mergeLists(target, patch, schema);
  if (!isObject(patch)) return clone(patch);
  const directive = patch["$patch"];
  if (directive !== undefined && directive !== "replace" && directive !== "delete" && directive !== "merge") throw new ApiError(400, `Unrecognized value "${String(directive as string)}" for directive $patch; there are delete, merge and replace`);
  if (directive === "replace") return withoutDirectives(patch);
  if (directive === "delete") return {};
  const result: Json = isObject(target) ? { ...target } : {};
  retainKeys(result, patch["$retainKeys"]);
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith(DELETE_ITEMS)) deleteItems(result, name.slice(DELETE_ITEMS.length), value);
    else if (name.startsWith("$")) continue;
    else if (value === null) delete result[name];
    else result[name] = strategicMerge(result[name], value, schemaOf(schema, name));
  }
  for (const [name, order] of Object.entries(patch)) if (name.startsWith(ORDER)) setOrder(result, name.slice(ORDER.length), order, schema);
  return result;
}

function mergeLists(target: unknown, patch: readonly unknown[], schema: Json): unknown[] {
  const present = Array.isArray(target) ? target : [];
  const wanted = patch.filter((item) => !(isObject(item) && item["$patch"] === "replace" && Object.keys(item).length === 1));
  if (wanted.length < patch.length || !String((schema["x-kubernetes-patch-strategy"] as string | undefined) ?? "").includes("merge")) return wanted.map(withoutDirectives);
  const key = schema["x-kubernetes-patch-merge-key"];
  if (typeof key !== "string") return [...present, ...wanted.filter((item) => !present.includes(item))];
  const kept = present.map(clone);
  const patched: Json[] = [];
  for (const item of wanted) {
    if (!isObject(item) || item[key] === undefined) throw new ApiError(400, `map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const at = kept.findIndex((candidate) => isObject(candidate) && candidate[key] === item[key]);
    const [before] = at < 0 ? [{}] : kept.splice(at, 1);
    if (item["$patch"] !== "delete") patched.push(strategicMerge(before, item, itemsOf(schema)) as Json);
  }
  const placeOf = (item: unknown): number => present.findIndex((candidate) => isObject(candidate) && isObject(item) && candidate[key] === item[key]);
  return interleaved(kept, patched, placeOf);
}

/** Patched items in their order; what was not patched stands before a patched item only where it stood before it already. */
function interleaved(kept: readonly unknown[], patched: readonly unknown[], placeOf: (item: unknown) => number): unknown[] {
  const result: unknown[] = [];
  let next = 0;
  for (const item of patched) {
    const place = placeOf(item);
    for (; place >= 0 && next < kept.length && placeOf(kept[next]) < place; next += 1) result.push(kept[next]);
    result.push(item);
  }
  return [...result, ...kept.slice(next)];
}

/** Keys that are not listed go: of a union, whose other member was chosen. */
function retainKeys(result: Json, keys: unknown): void {
  if (!Array.isArray(keys)) return;
  for (const key of Object.keys(result)) if (!keys.includes(key)) delete result[key];
}

function deleteItems(result: Json, name: string, items: unknown): void {
  const present = result[name];
  if (!Array.isArray(items)) throw new ApiError(400, `${DELETE_ITEMS}${name} is no list`);
  if (Array.isArray(present)) result[name] = present.filter((item) => !items.includes(item));
}

/** What the order does not name keeps its place behind the item that it stood behind. */
function setOrder(result: Json, name: string, order: unknown, schema: Json): void {
  const present = result[name];
  if (!Array.isArray(order) || !Array.isArray(present)) return;
  const key = schemaOf(schema, name)["x-kubernetes-patch-merge-key"];
  const identity = (item: unknown): unknown => (typeof key === "string" && isObject(item) ? item[key] : item);
  const rank = new Map(order.map((item, i) => [identity(item), i]));
  let last = -1;
  const ranked = present.map((item: unknown, i) => ({ item, i, rank: (last = rank.get(identity(item)) ?? last) }));
  result[name] = ranked.toSorted((a, b) => a.rank - b.rank || a.i - b.i).map(({ item }) => item);
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !name.startsWith("$")).map(([name, item]) => [name, withoutDirectives(item)]));
}
