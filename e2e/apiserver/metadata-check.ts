/** What may stand in the metadata of an object of any kind. */
import { isObject, type Json, type ResourceType } from "./object.ts";
import { ApiError, type Cause } from "./status.ts";

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const NAME_PART = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const KNOWN = new Set(["name", "generateName", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences", "managedFields", "selfLink"]);

const wrong = (field: string, value: unknown, message: string): Cause => ({ field, reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(value)}: ${message}` });

/** Removes fields that no metadata has, in place; their paths. Throws an ApiError 400 for a label or an annotation that is no text. */
export function pruneMetadata({ kind, version }: ResourceType, metadata: Json): string[] {
  for (const field of ["labels", "annotations"] as const) {
    for (const value of Object.values(isObject(metadata[field]) ? metadata[field] : {})) {
      if (typeof value !== "string" && value !== null) throw new ApiError(400, `${kind} in version "${version}" cannot be handled as a ${kind}: json: cannot unmarshal ${typeof value} into Go struct field ObjectMeta.${field} of type string`);
    }
  }
  const unknown = Object.keys(metadata).filter((name) => !KNOWN.has(name));
  for (const name of unknown) delete metadata[name];
  // What is empty is not stored.
  for (const field of ["labels", "annotations", "finalizers", "ownerReferences"]) if (Object.keys(metadata[field] ?? { "": "" }).length === 0) delete metadata[field];
  delete metadata["selfLink"];
  return unknown.map((name) => `metadata.${name}`);
}

export function checkMetadata(type: ResourceType, metadata: Json): Cause[] {
  return [...nameCauses(type, String(metadata["name"] as string)), ...labelCauses(metadata), ...finalizerCauses(metadata["finalizers"]), ...ownerCauses(metadata["ownerReferences"])];
}

function nameCauses({ kind, group }: ResourceType, name: string): Cause[] {
  if (group === "" && kind === "Namespace" && name.includes(".")) return [wrong("metadata.name", name, "must not contain dots")];
  if ((group === "" && kind === "Namespace" ? LABEL : SUBDOMAIN).test(name) && name.length <= 253) return [];
  return [wrong("metadata.name", name, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'")];
}

function labelCauses({ labels, annotations }: Json): Cause[] {
  const entries = Object.entries(isObject(labels) ? labels : {});
  return [
    ...entries.filter(([key]) => !isQualifiedName(key)).map(([key]) => wrong("metadata.labels", key, "a name of letters, digits, '-', '_' and '.' is needed, with a prefix and '/' before it or not")),
    ...entries.filter(([, value]) => typeof value !== "string" || value.length > 63 || !VALUE.test(value)).map(([, value]) => wrong("metadata.labels", value, "a valid label value is empty or consists of letters, digits, '-', '_' and '.'")),
    ...Object.keys(isObject(annotations) ? annotations : {}).filter((key) => !isQualifiedName(key.toLowerCase())).map((key) => wrong("metadata.annotations", key, "a name of letters, digits, '-', '_' and '.' is needed, with a prefix and '/' before it or not")),
  ];
}

/** A finalizer is known by its prefix, but for those of Kubernetes itself. */
function finalizerCauses(finalizers: unknown): Cause[] {
  const own = ["orphan", "foregroundDeletion", "kubernetes"];
  return (Array.isArray(finalizers) ? finalizers : []).flatMap((name: unknown, i): Cause[] => {
    if (typeof name !== "string" || !isQualifiedName(name)) return [wrong("metadata.finalizers", name, "a name of letters, digits, '-', '_' and '.' is needed, with a prefix and '/' before it"), ...(String(name).includes("/") ? [] : [wrong(`metadata.finalizers[${i}]`, name, "name is neither a standard finalizer name nor is it fully qualified")])];
    return name.includes("/") || own.includes(name) ? [] : [wrong(`metadata.finalizers[${i}]`, name, "name is neither a standard finalizer name nor is it fully qualified")];
  });
}

function ownerCauses(owners: unknown): Cause[] {
  return (Array.isArray(owners) ? owners : []).filter(isObject).flatMap((owner) => ["apiVersion", "kind", "name", "uid"].filter((field) => (owner[field] ?? "") === "").map((field) => wrong(`metadata.ownerReferences.${field}`, "", "must not be empty")));
}

/** "name" or "prefix.example.org/name". */
export function isQualifiedName(key: string): boolean {
  const [first = "", second, ...more] = key.split("/");
  if (more.length > 0) return false;
  const name = second ?? first;
  return name.length <= 63 && NAME_PART.test(name) && (second === undefined || (first.length <= 253 && SUBDOMAIN.test(first)));
}

export const isLabelValue = (value: string): boolean => value.length <= 63 && VALUE.test(value);
