/** Words for writing down the schemas of core kinds: what merges how stands beside the field, as in Kubernetes' own OpenAPI documents. */
import type { Json } from "../object.ts";

type Fields = Readonly<Record<string, Json>>;

export const text = (description: string, more: Json = {}): Json => ({ type: "string", description, ...more });
export const time = (description: string): Json => text(description, { format: "date-time" });
export const whole = (description: string, more: Json = {}): Json => ({ type: "integer", description, ...more });
export const flag = (description: string, more: Json = {}): Json => ({ type: "boolean", description, ...more });
export const intOrText = (description: string): Json => ({ "x-kubernetes-int-or-string": true, description });
/** An object whose inside is not written down here: it is merged field by field all the same. */
export const open = (description: string, more: Json = {}): Json => ({ type: "object", description, ...more });
export const record = (description: string, properties: Fields, required: readonly string[] = [], more: Json = {}): Json => ({ type: "object", description, properties, ...(required.length === 0 ? {} : { required }), ...more });
/** An object that one manager owns as a whole. */
export const atom = (description: string, properties: Fields): Json => ({ ...record(description, properties), "x-kubernetes-map-type": "atomic" });
export const textMap = (description: string): Json => ({ type: "object", description, additionalProperties: { type: "string" } });

/** A list that is replaced as a whole. */
export const list = (description: string, items: Json): Json => ({ type: "array", description, items, "x-kubernetes-list-type": "atomic" });
/** A list without order or repetition. */
export const set = (description: string, items: Json = { type: "string" }): Json => ({ type: "array", description, items, "x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge" });
/** A list of objects known by keys; a strategic merge patch knows them by `patchKey`, the first key when absent. */
export const mapList = (description: string, items: Json, keys: readonly string[], patchKey = keys[0]): Json => ({
  type: "array", description, items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": patchKey,
});
