/** Who set which fields: metadata.managedFields, kept at every write, and what an apply may change because of it. */
import { apiVersionOf, clone, isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { describeField, elementOf, elementsOf, fieldsOf, fromFieldsV1, holdersOf, toFieldsV1, type FieldPath, type Fields } from "./fields.ts";
import { isAtomicMap, itemsOf, listKindOf, schemaOf } from "./schema-path.ts";
import { ApiError, type Cause } from "./status.ts";

/** Whose write it is: an apply and an update by one name are two managers. */
export type Manager = { readonly name: string; readonly operation: "Apply" | "Update"; readonly subresource: string | undefined };
type Entry = Manager & { readonly apiVersion: string; readonly time: string; readonly fields: ReadonlySet<FieldPath> };

const same = (a: Manager, b: Manager): boolean => a.name === b.name && a.operation === b.operation && (a.subresource ?? "") === (b.subresource ?? "");

/** Notes in `after` that this manager set what differs from `before`, and that nobody owns what is gone. */
export function recordUpdate(type: ResourceType, before: ApiObject | undefined, after: ApiObject, manager: Manager, time: string): void {
  // Fields that were never tracked are not tracked from the middle on: only an apply begins.
  if (before !== undefined && entriesOf(before.metadata["managedFields"]).length === 0) return write(after, []);
  const then = withHolders(type, before === undefined ? new Map<FieldPath, string>() : fieldsOf(before, type.fields));
  const now = withHolders(type, fieldsOf(after, type.fields));
  const set = [...now].filter(([path, value]) => then.get(path) !== value).map(([path]) => path);
  const entries = entriesOf(after.metadata["managedFields"] ?? before?.metadata["managedFields"]);
  const own = entries.find((entry) => same(entry, manager));
  const kept = own === undefined ? [] : without([own], new Set(), now);
  const next: Entry[] = set.length === 0 ? kept : [{ ...manager, apiVersion: apiVersionOf(type), time, fields: new Set([...(kept[0]?.fields ?? []), ...set]) }];
  const others = without(entries.filter((entry) => entry !== own), new Set(set), now);
  write(after, own === undefined ? [...others, ...next] : others.toSpliced(entries.indexOf(own), 0, ...next));
}

/** What holds the fields of a core kind is there before anybody writes into it. */
const GIVEN = ["f:spec", "f:status", "f:spec\tf:containers", "f:source", "f:spec\tf:podSelector"];

function withHolders(type: ResourceType, fields: Fields): Fields {
  return new Map([...holdersOf(fields), ...fields].filter(([path, value]) => type.schema !== null || value !== "{}" || !GIVEN.includes(path)));
}

/** What an apply of `config` makes of an object (absent: nothing was there). Throws an ApiError 409 that names the managers whose fields it would change, unless forced. */
export function apply(type: ResourceType, before: ApiObject | undefined, config: Json, manager: Manager, options: { readonly force: boolean; readonly time: string }): Json {
  const live: Json = before ?? {};
  const entries = entriesOf(before?.metadata["managedFields"]);
  const wanted = fieldsOf(config, type.fields);
  const present = fieldsOf(live, type.fields);
  const changed = [...wanted].filter(([path, value]) => present.get(path) !== value).map(([path]) => path);
  const conflicts = entries.filter((entry) => !same(entry, manager) && !isEarlierSelf(entry, manager)).flatMap((entry) => changed.filter((path) => entry.fields.has(path)).map((path) => ({ entry, path })));
  if (conflicts.length > 0 && !options.force) throw conflictOf(conflicts);
  const merged = mergeConfig(live, config, type.fields) as Json;
  const ofOthers = new Set(entries.filter((entry) => !same(entry, manager)).flatMap(({ fields }) => [...fields]));
  const abandoned = [...(entries.find((entry) => same(entry, manager))?.fields ?? [])].filter((path) => !wanted.has(path) && !ofOthers.has(path) && ![...wanted.keys()].some((kept) => kept.startsWith(`${path}\t`)));
  for (const path of abandoned) removeAt(merged, elementsOf(path), type.fields);
  const result = merged as ApiObject;
  const own = entries.find((entry) => same(entry, manager));
  const repeated = own !== undefined && own.fields.size === wanted.size && [...wanted.keys()].every((path) => own.fields.has(path));
  const next: Entry = { ...manager, apiVersion: apiVersionOf(type), time: repeated ? own.time : options.time, fields: new Set(wanted.keys()) };
  const others = without(entries.filter((entry) => entry !== own), new Set(changed), withHolders(type, fieldsOf(merged, type.fields)));
  result.metadata = { ...result.metadata };
  write(result, own === undefined ? [...others, next] : others.toSpliced(entries.indexOf(own), 0, next));
  return result;
}

/** What kubectl applied before it was told to apply on the server is its own. */
function isEarlierSelf({ name, operation }: Entry, manager: Manager): boolean {
  return manager.name === "kubectl" && name === "kubectl-client-side-apply" && operation === "Update";
}

/** The entries when others lost `set` to somebody, and everybody what is no longer there. */
function without(entries: readonly Entry[], set: ReadonlySet<FieldPath>, now: Fields): Entry[] {
  return entries.flatMap((entry): Entry[] => {
    const fields = new Set([...entry.fields].filter((path) => now.has(path) && !set.has(path)));
    return fields.size === 0 ? [] : [fields.size === entry.fields.size ? entry : { ...entry, fields }];
  });
}

function conflictOf(conflicts: readonly { readonly entry: Entry; readonly path: FieldPath }[]): ApiError {
  const nameOf = ({ name, operation, subresource, apiVersion }: Entry): string => `"${name}"${subresource === undefined ? "" : ` with subresource "${subresource}"`}${operation === "Update" ? ` using ${apiVersion}` : ""}`;
  const causes: Cause[] = conflicts.map(({ entry, path }) => ({ reason: "FieldManagerConflict", field: describeField(path), message: `conflict with ${nameOf(entry)}` }));
  const names = [...new Set(conflicts.map(({ entry }) => nameOf(entry)))];
  const fields = [...new Set(causes.map(({ field }) => field))];
  const text = fields.length === 1 && names.length === 1 ? `conflict with ${names[0]}: ${fields[0]}` : `conflicts with ${names.join(" and ")}:\n${fields.map((field) => `- ${field}`).join("\n")}`;
  return new ApiError(409, `Apply failed with ${causes.length} ${causes.length === 1 ? "conflict" : "conflicts"}: ${text}`, { causes });
}

/** Both together; where they differ, the configuration. */
function mergeConfig(live: unknown, config: unknown, schema: Json): unknown {
  if (isObject(config) && isObject(live) && !isAtomicMap(schema)) {
    const result: Json = { ...live };
    for (const [name, value] of Object.entries(config)) result[name] = mergeConfig(live[name], value, schemaOf(schema, name));
    return result;
  }
  const list = listKindOf(schema);
  if (!Array.isArray(config) || !Array.isArray(live) || list.kind === "atomic") return clone(config);
  const byElement = new Map(live.map((item: unknown) => [elementOf(item, schema), item]));
  for (const item of config) byElement.set(elementOf(item, schema), mergeConfig(byElement.get(elementOf(item, schema)), item, itemsOf(schema)));
  return [...byElement.values()];
}

/** Takes a field away, and what is empty without it. */
function removeAt(value: unknown, [element = "", ...rest]: readonly string[], schema: Json): void {
  if (isObject(value)) {
    const name = element.slice(2);
    if (rest.length > 0) value[name] = clone(value[name]);
    if (rest.length > 0) removeAt(value[name], rest, schemaOf(schema, name));
    const inner = value[name];
    if (rest.length === 0 || (isObject(inner) && Object.keys(inner).length === 0) || (Array.isArray(inner) && inner.length === 0)) delete value[name];
  } else if (Array.isArray(value)) {
    const at = value.findIndex((item) => elementOf(item, schema) === element);
    if (at < 0) return;
    if (rest.length === 0) value.splice(at, 1);
    else removeAt(value[at], rest, itemsOf(schema));
  }
}

function entriesOf(managedFields: unknown): Entry[] {
  return (Array.isArray(managedFields) ? managedFields : []).filter(isObject).flatMap((entry): Entry[] => {
    const { manager, operation, subresource, apiVersion, time, fieldsV1 } = entry as Record<string, string | undefined> & { fieldsV1?: unknown };
    if (manager === undefined) return [];
    return [{ name: manager, operation: operation === "Apply" ? "Apply" : "Update", subresource: subresource === "" ? undefined : subresource, apiVersion: apiVersion ?? "", time: time ?? "", fields: new Set(fromFieldsV1(fieldsV1)) }];
  });
}

function write(object: ApiObject, entries: readonly Entry[]): void {
  delete object.metadata["managedFields"];
  if (entries.length === 0) return;
  object.metadata["managedFields"] = entries.map(({ name, operation, subresource, apiVersion, time, fields }) => ({
    manager: name, operation, apiVersion, time, fieldsType: "FieldsV1", fieldsV1: toFieldsV1(fields), ...(subresource === undefined ? {} : { subresource }),
  }));
}
