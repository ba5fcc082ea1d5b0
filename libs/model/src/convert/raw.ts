/** Reading objects of unknown shape: whatever stands in a field, the answer has the type that was asked for. */

export type Raw = Readonly<Record<string, unknown>>;

const EMPTY: Raw = {};

export function isRecord(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object field; an empty object when it is absent or something else. */
export function recordAt(raw: Raw, key: string): Raw {
  const value = own(raw, key);
  return isRecord(value) ? value : EMPTY;
}

/** The items of a list field; none when it is absent or something else. */
export function listAt(raw: Raw, key: string): readonly unknown[] {
  const value = own(raw, key);
  return Array.isArray(value) ? value : [];
}

export function recordsAt(raw: Raw, key: string): readonly Raw[] {
  return listAt(raw, key).filter(isRecord);
}

export function textAt(raw: Raw, key: string): string | null {
  const value = own(raw, key);
  return typeof value === "string" ? value : null;
}

export function numberAt(raw: Raw, key: string): number | null {
  const value = own(raw, key);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function flagAt(raw: Raw, key: string): boolean {
  return own(raw, key) === true;
}

/** The entries of a map of texts; other values are left out. The result has no prototype, so that any key is a key. */
export function textsAt(raw: Raw, key: string): Record<string, string> {
  const texts = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(recordAt(raw, key))) if (typeof value === "string") texts[name] = value;
  return texts;
}

/** True when the field was written, whatever stands in it (null counts as not written, as in the API). */
export function isSet(raw: Raw, key: string): boolean {
  const value = own(raw, key);
  return value !== undefined && value !== null;
}

function own(raw: Raw, key: string): unknown {
  return Object.hasOwn(raw, key) ? raw[key] : undefined;
}

/** Metadata that every conversion needs. */
export function metadataOf(raw: Raw): { name: string; namespace: string; uid: string; revision: string; labels: Record<string, string>; annotations: Record<string, string>; terminating: boolean } {
  const metadata = recordAt(raw, "metadata");
  return {
    name: textAt(metadata, "name") ?? "", namespace: textAt(metadata, "namespace") ?? "", uid: textAt(metadata, "uid") ?? "", revision: textAt(metadata, "resourceVersion") ?? "",
    labels: textsAt(metadata, "labels"), annotations: textsAt(metadata, "annotations"), terminating: isSet(metadata, "deletionTimestamp"),
  };
}
