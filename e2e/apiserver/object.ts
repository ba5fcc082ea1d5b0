/** Objects of the API as the server holds them. */

export type Json = Record<string, unknown>;

export type ApiObject = Json & {
  apiVersion: string;
  kind: string;
  metadata: Json & {
    name: string; namespace?: string; uid: string; resourceVersion: string; generation?: number; creationTimestamp: string; deletionTimestamp?: string | undefined; deletionGracePeriodSeconds?: number; finalizers?: string[];
    labels?: Record<string, string>; annotations?: Record<string, string>; generateName?: string;
  };
};

/** A kind that the server knows. */
export type ResourceType = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  /** Words that stand for several kinds: `kubectl get calico`. */
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly status: boolean;
  /** Whether metadata.generation counts the changes of what is wanted. */
  readonly generation: boolean;
  /** Structural schema of a custom resource; null: the object is taken as it is. */
  readonly schema: Json | null;
  /** What the fields are, for merging and explaining; of a core kind those that the product and kubectl rely on. */
  readonly fields: Json;
  readonly columns: readonly Column[];
};

/** A column of `kubectl get`; `path` as in additionalPrinterColumns: ".spec.cidr". */
export type Column = { readonly name: string; readonly type: string; readonly path: string; /** Above 0: only with -o wide. */ readonly priority?: number; /** Instead of what stands at the path. */ readonly read?: (object: ApiObject) => unknown };

export function typeKey({ group, plural }: Pick<ResourceType, "group" | "plural">): string {
  return `${group}/${plural}`;
}

export function apiVersionOf({ group, version }: Pick<ResourceType, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A copy that shares nothing. */
export function clone<T>(value: T): T {
  return structuredClone(value);
}

/** What stands at a path of keys, or undefined. */
export function valueAt(object: unknown, path: readonly string[]): unknown {
  let at = object;
  for (const key of path) at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return at;
}
