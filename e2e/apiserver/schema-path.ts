/** Steps down a schema. What a schema does not describe has an empty one: objects are merged, lists are replaced. */
import { isObject, type Json } from "./object.ts";

/** The schema of a field. */
export function schemaOf(schema: Json, name: string): Json {
  const { properties, additionalProperties } = schema;
  if (isObject(properties) && Object.hasOwn(properties, name) && isObject(properties[name])) return properties[name];
  return isObject(additionalProperties) ? additionalProperties : {};
}

/** The schema of a list's items. */
export function itemsOf({ items }: Json): Json {
  return isObject(items) ? items : {};
}

/** How the fields of different managers come together in a list. */
export type ListKind = { readonly kind: "atomic" | "set" } | { readonly kind: "map"; readonly keys: readonly string[] };

export function listKindOf(schema: Json): ListKind {
  const keys = schema["x-kubernetes-list-map-keys"];
  switch (schema["x-kubernetes-list-type"]) {
    case "map": return Array.isArray(keys) ? { kind: "map", keys: keys.map(String) } : { kind: "atomic" };
    case "set": return { kind: "set" };
    default: return { kind: "atomic" };
  }
}

export function isAtomicMap(schema: Json): boolean {
  return schema["x-kubernetes-map-type"] === "atomic";
}

/** An item's keys, with the defaults of its schema: what tells it from its neighbours. */
export function keysOf(item: Json, keys: readonly string[], schema: Json): Json {
  return Object.fromEntries(keys.flatMap((key) => {
    const value = item[key] ?? schemaOf(schema, key)["default"];
    return value === undefined ? [] : [[key, value]];
  }));
}
