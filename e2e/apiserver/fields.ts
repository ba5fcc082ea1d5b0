/**
 * The fields of an object as a flat map, and as FieldsV1, the form in which managedFields keeps them. A path is a list of
 * FieldsV1 elements ("f:spec", 'k:{"name":"a"}', 'v:"x"') joined by tabs, which JSON escapes.
 */
import { isObject, type Json } from "./object.ts";
import { isAtomicMap, itemsOf, keysOf, listKindOf, schemaOf } from "./schema-path.ts";

export type FieldPath = string;
/** Leaves by path, each with its value as JSON; an item of a list with keys stands for itself too. */
export type Fields = ReadonlyMap<FieldPath, string>;

/** Metadata that is the server's, and what names the object. */
const SERVERS = new Set(["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "generateName", "selfLink"]);

const join = (path: FieldPath, element: string): FieldPath => (path === "" ? element : `${path}\t${element}`);
export const elementsOf = (path: FieldPath): string[] => path.split("\t");

/** The fields that somebody can own. */
export function fieldsOf(object: Json, schema: Json): Fields {
  const fields = new Map<FieldPath, string>();
  for (const [name, value] of Object.entries(object)) {
    if (name === "apiVersion" || name === "kind") continue;
    const own = name === "metadata" && isObject(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => !SERVERS.has(key))) : value;
    if (name !== "metadata" || Object.keys(own as Json).length > 0) collect(fields, own, schemaOf(schema, name), `f:${name}`);
  }
  return fields;
}

/** The objects and lists that hold fields: who makes one by an update owns it too. */
export function holdersOf(fields: Fields): Fields {
  const holders = new Map<FieldPath, string>();
  for (const path of fields.keys()) {
    const elements = elementsOf(path);
    for (let end = elements.length - 1; end > 0; end -= 1) holders.set(elements.slice(0, end).join("\t"), "{}");
  }
  holders.delete("f:metadata");
  return holders;
}

function collect(fields: Map<FieldPath, string>, value: unknown, schema: Json, path: FieldPath): void {
  if (isObject(value) && !isAtomicMap(schema) && Object.keys(value).length > 0) {
    for (const [name, item] of Object.entries(value)) collect(fields, item, schemaOf(schema, name), join(path, `f:${name}`));
    return;
  }
  const list = listKindOf(schema);
  if (!Array.isArray(value) || list.kind === "atomic" || value.length === 0) {
    fields.set(path, JSON.stringify(value) ?? "null");
    return;
  }
  for (const item of value) {
    const at = join(path, elementOf(item, schema));
    fields.set(at, list.kind === "set" ? JSON.stringify(item) : "{}");
    if (list.kind === "map" && isObject(item)) collect(fields, item, itemsOf(schema), at);
  }
}

/** How FieldsV1 names an item of a set or of a list with keys. */
export function elementOf(item: unknown, schema: Json): string {
  const list = listKindOf(schema);
  return list.kind === "map" && isObject(item) ? `k:${JSON.stringify(keysOf(item, list.keys, itemsOf(schema)))}` : `v:${JSON.stringify(item)}`;
}

/** {"f:spec":{"f:cidr":{}}}; a node that is a field itself holds ".". */
export function toFieldsV1(paths: Iterable<FieldPath>): Json {
  const root: Json = {};
  for (const path of [...paths].sort()) {
    let node = root;
    let parentIsField = false;
    for (const element of elementsOf(path)) {
      if (parentIsField && Object.keys(node).length === 0) node["."] = {};
      parentIsField = isObject(node[element]);
      node = (node[element] ??= {}) as Json;
    }
  }
  return root;
}

export function fromFieldsV1(tree: unknown, path: FieldPath = ""): FieldPath[] {
  if (!isObject(tree)) return [];
  const entries = Object.entries(tree);
  if (entries.length === 0) return path === "" ? [] : [path];
  return entries.flatMap(([element, inner]) => (element === "." ? (path === "" ? [] : [path]) : fromFieldsV1(inner, join(path, element))));
}

/** ".spec.containers[name=\"a\"].image": as messages name a field. */
export function describeField(path: FieldPath): string {
  return elementsOf(path).map((element) => {
    const rest = element.slice(2);
    if (element.startsWith("f:")) return `.${rest}`;
    if (element.startsWith("v:")) return `[=${rest}]`;
    return `[${Object.entries(JSON.parse(rest) as Json).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}]`;
  }).join("");
}
