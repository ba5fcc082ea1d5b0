/**
 * Reading of raw API objects, of which nothing is known: they may come from an older or a newer API server.
 * Nothing here throws and nothing walks deeper than it is asked to.
 */
import type { Labels } from "../labels.ts";

export type RawObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is RawObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object, or an empty one. */
export function objectOf(value: unknown): RawObject {
  return isObject(value) ? value : {};
}

/** The list, or an empty one. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The text, or "". */
export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** True for what the API treats as "not given". */
export function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/** The entries that are text; "__proto__" is a key like any other. */
export function labelsOf(value: unknown): Labels {
  return Object.fromEntries(Object.entries(objectOf(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** One annotation, or undefined. */
export function annotationOf(metadata: RawObject, name: string): string | undefined {
  const annotations = objectOf(metadata["annotations"]);
  const value = Object.hasOwn(annotations, name) ? annotations[name] : undefined;
  return typeof value === "string" ? value : undefined;
}

export type Metadata = {
  readonly raw: RawObject;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly revision: string;
  readonly labels: Labels;
  readonly isDeleting: boolean;
};

/** The metadata of an object; null when it has no name. */
export function metadataOf(object: unknown): Metadata | null {
  const raw = objectOf(objectOf(object)["metadata"]);
  const name = textOf(raw["name"]);
  if (name === "") return null;
  return {
    raw, name, namespace: textOf(raw["namespace"]), uid: textOf(raw["uid"]), revision: textOf(raw["resourceVersion"]),
    labels: labelsOf(raw["labels"]), isDeleting: !isAbsent(raw["deletionTimestamp"]),
  };
}

/** The spec of an object, or an empty one. */
export function specOf(object: unknown): RawObject {
  return objectOf(objectOf(object)["spec"]);
}

/** A value for a message: short, and nothing that is nested. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  if (value === undefined) return "nothing";
  if (typeof value !== "string") return typeof value === "number" || typeof value === "boolean" ? String(value) : "null";
  return JSON.stringify(value.length > 64 ? `${value.slice(0, 61)}...` : value);
}

/** Keys of an object that are none of `known`. */
export function unknownKeys(value: RawObject, known: readonly string[]): string[] {
  return Object.keys(value).filter((key) => !known.includes(key) && !isAbsent(value[key]));
}
