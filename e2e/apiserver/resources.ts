/** Reading and writing objects, as the API defines it. */
import { randomUUID } from "node:crypto";
import { admit, type CustomCheck } from "./admission.ts";
import { NAMESPACE, SERVICE_ACCOUNT } from "./core/pod.ts";
import { apiVersionOf, clone, isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { apply, recordUpdate } from "./managed-fields.ts";
import { applyPatch } from "./patch.ts";
import type { Registry } from "./registry.ts";
import { ApiError, notFound } from "./status.ts";
import type { Store } from "./store.ts";

export type WriteOptions = {
  readonly strict: boolean;
  readonly dryRun: boolean;
  /** Who writes. */
  readonly manager: string;
  /** An apply takes fields that others own. */
  readonly force?: boolean;
};

export interface Resources {
  get(type: ResourceType, namespace: string | undefined, name: string): ApiObject;
  create(type: ResourceType, namespace: string | undefined, body: unknown, options: WriteOptions): ApiObject;
  update(type: ResourceType, namespace: string | undefined, name: string, body: unknown, subresource: string | undefined, options: WriteOptions): ApiObject;
  /** Server-side apply creates what is not there. */
  patch(type: ResourceType, namespace: string | undefined, name: string, patch: unknown, contentType: string, subresource: string | undefined, options: WriteOptions): ApiObject;
  /** The object as it was; one with finalizers or a grace period is only marked. */
  remove(type: ResourceType, namespace: string | undefined, name: string, options: Json): ApiObject;
}

const POD_GRACE_SECONDS = 30;

export function createResources({ store, registry, check, now }: { store: Store; registry: Registry; check: CustomCheck; now: () => Date }): Resources {
  const timestamp = (): string => `${now().toISOString().slice(0, 19)}Z`;

  function existing(type: ResourceType, namespace: string | undefined, name: string): ApiObject {
    const found = store.get(type, namespace, name);
    if (found === undefined) throw notFound(groupResource(type), name);
    return found;
  }

  /** The body as an object of the kind; names and namespaces in it must not contradict the path. */
  function incoming(type: ResourceType, namespace: string | undefined, body: unknown, name?: string): ApiObject {
    if (!isObject(body)) throw new ApiError(400, "the body of the request is no object");
    const metadata = isObject(body["metadata"]) ? { ...body["metadata"] } : {};
    if (body["kind"] !== undefined && body["kind"] !== type.kind) throw new ApiError(400, `the object provided is a ${String(body["kind"] as string)}, expected ${type.kind}`);
    if (type.namespaced) {
      if (metadata["namespace"] !== undefined && metadata["namespace"] !== namespace) throw new ApiError(400, "the namespace of the provided object does not match the namespace sent on the request");
      metadata["namespace"] = namespace;
    } else delete metadata["namespace"];
    if (metadata["name"] === undefined && typeof metadata["generateName"] === "string") metadata["name"] = `${metadata["generateName"]}${randomUUID().slice(0, 5)}`;
    if (name !== undefined && metadata["name"] !== undefined && metadata["name"] !== name) throw new ApiError(400, `the name of the object (${String(metadata["name"] as string)}) does not match the name on the URL (${name})`);
    if (name !== undefined) metadata["name"] = name;
    if (typeof metadata["name"] !== "string") throw new ApiError(422, `${type.kind} "" is invalid: metadata.name: Required value: name or generateName is required`, { causes: [{ field: "metadata.name", reason: "FieldValueRequired", message: "Required value: name or generateName is required" }] });
    return { ...body, apiVersion: apiVersionOf(type), kind: type.kind, metadata } as unknown as ApiObject;
  }

  function conflict(type: ResourceType, name: string): ApiError {
    return new ApiError(409, `Operation cannot be fulfilled on ${groupResource(type)} "${name}": the object has been modified; please apply your changes to the latest version and try again`);
  }

  /** Replaces an object by its successor, which keeps what clients may not change. An apply has said already whose the fields are. */
  function store_(type: ResourceType, before: ApiObject, next: ApiObject, subresource: string | undefined, options: WriteOptions, isApply = false): ApiObject {
    const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation } = before.metadata;
    const wanted = next.metadata.resourceVersion as string | undefined;
    if (wanted !== undefined && wanted !== "" && wanted !== before.metadata.resourceVersion) throw conflict(type, before.metadata.name);
    if (typeof next.metadata["uid"] === "string" && next.metadata.uid !== uid) throw new ApiError(409, `Precondition failed: UID in precondition: ${next.metadata.uid}, UID in object meta: ${uid}`);
    const merged = clone(next);
    merged.metadata = {
      ...merged.metadata, uid, creationTimestamp, resourceVersion: before.metadata.resourceVersion, ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    };
    if (subresource === "status") {
      const status = merged["status"];
      for (const key of Object.keys(merged)) if (key !== "metadata") delete merged[key];
      Object.assign(merged, clone({ ...before, metadata: merged.metadata }), status === undefined ? {} : { status });
    } else if (type.status && before["status"] !== undefined && type.schema !== null) merged["status"] = clone(before["status"]);
    else if (type.schema === null && merged["status"] === undefined && before["status"] !== undefined) merged["status"] = clone(before["status"]);
    admit(type, merged, { strict: options.strict, check, before });
    const specChanged = JSON.stringify(merged["spec"]) !== JSON.stringify(before["spec"]);
    if (generation !== undefined) merged.metadata.generation = specChanged ? generation + 1 : generation;
    if (!isApply) recordUpdate(type, before, merged, { name: options.manager, operation: "Update", subresource }, timestamp());
    if (sameExceptRevision(before, merged)) return before;
    if (options.dryRun) return merged;
    if (deletionTimestamp !== undefined && (merged.metadata.finalizers ?? []).length === 0 && type.kind !== "Pod") return finish(type, merged);
    const stored = store.replace(type, merged);
    if (type.plural === "customresourcedefinitions") define(stored);
    return stored;
  }

  function define(definition: ApiObject): void {
    try {
      registry.define(definition);
    } catch (error) {
      throw new ApiError(422, `CustomResourceDefinition "${definition.metadata.name}" is invalid: ${(error as Error).message}`);
    }
  }

  function finish(type: ResourceType, object: ApiObject): ApiObject {
    const removed = store.remove(type, object);
    if (type.plural === "customresourcedefinitions") registry.remove(object);
    if (type.plural === "namespaces") for (const inner of registry.all()) if (inner.namespaced) for (const each of store.list(inner, { namespace: object.metadata.name, matches: null })) store.remove(inner, each);
    return removed;
  }

  /** The object with a configuration applied to it. */
  function applied(type: ResourceType, before: ApiObject | undefined, patch: unknown, subresource: string | undefined, options: WriteOptions): Json {
    if (!isObject(patch)) throw new ApiError(400, "the body of the request is no object");
    if (isObject(patch["metadata"]) && Array.isArray(patch["metadata"]["managedFields"]) && patch["metadata"]["managedFields"].length > 0) throw new ApiError(400, "metadata.managedFields must be nil");
    const { status, ...rest } = patch;
    const config = subresource === "status" ? { ...(patch["metadata"] === undefined ? {} : { metadata: patch["metadata"] }), status } : type.status && type.schema !== null ? rest : patch;
    return apply(type, before, config, { name: options.manager, operation: "Apply", subresource }, { force: options.force === true, time: timestamp() });
  }

  function create(type: ResourceType, namespace: string | undefined, body: unknown, options: WriteOptions, isApply = false): ApiObject {
    const object = incoming(type, namespace, clone(body));
    if (type.namespaced && store.list(NAMESPACES, { namespace: undefined, matches: ({ metadata }) => metadata.name === namespace }).length === 0) throw notFound("namespaces", namespace ?? "");
    object.metadata = { ...object.metadata, uid: randomUUID(), creationTimestamp: timestamp(), resourceVersion: "", generation: 1 };
    delete object.metadata.deletionTimestamp;
    if (type.schema !== null && type.status) delete object["status"];
    admit(type, object, { strict: options.strict, check });
    if (!isApply) recordUpdate(type, undefined, object, { name: options.manager, operation: "Update", subresource: undefined }, timestamp());
    if (options.dryRun) return object;
    if (type.plural === "customresourcedefinitions") {
      define(object);
      object["status"] = { conditions: [{ type: "Established", status: "True", reason: "InitialNamesAccepted" }], acceptedNames: object["spec"] === undefined ? {} : (object["spec"] as Json)["names"], storedVersions: ["v3"] };
    }
    const stored = store.create(type, object);
    if (type.plural === "namespaces" && type.group === "") resources.create(SERVICE_ACCOUNTS, object.metadata.name, { metadata: { name: "default" } }, options);
    return stored;
  }

  const resources: Resources = {
    get: existing,
    create: (type, namespace, body, options) => create(type, namespace, body, options),
    update(type, namespace, name, body, subresource, options) {
      return store_(type, existing(type, namespace, name), incoming(type, namespace, body, name), subresource, options);
    },
    patch(type, namespace, name, patch, contentType, subresource, options) {
      if (contentType !== "application/apply-patch+yaml") {
        const before = existing(type, namespace, name);
        return store_(type, before, incoming(type, namespace, applyPatch(type, before, patch, contentType), name), subresource, options);
      }
      const before = store.get(type, namespace, name);
      const next = incoming(type, namespace, applied(type, before, patch, subresource, options), name);
      if (before !== undefined) return store_(type, before, next, subresource, options, true);
      if (subresource !== undefined) throw notFound(groupResource(type), name);
      return create(type, namespace, next, options, true);
    },
    remove(type, namespace, name, options) {
      const object = existing(type, namespace, name);
      const preconditions = isObject(options["preconditions"]) ? options["preconditions"] : {};
      if (typeof preconditions["uid"] === "string" && preconditions["uid"] !== object.metadata.uid) throw new ApiError(409, `Precondition failed: UID in precondition: ${preconditions["uid"]}, UID in object meta: ${object.metadata.uid}`);
      if (typeof preconditions["resourceVersion"] === "string" && preconditions["resourceVersion"] !== object.metadata.resourceVersion) throw conflict(type, name);
      const grace = type.kind === "Pod" ? Number(options["gracePeriodSeconds"] ?? POD_GRACE_SECONDS) : 0;
      const scheduled = isObject(object["spec"]) && typeof object["spec"]["nodeName"] === "string";
      const held = (object.metadata.finalizers ?? []).length > 0;
      if (!held && (grace === 0 || !scheduled)) return finish(type, object);
      if (object.metadata.deletionTimestamp !== undefined) return object;
      const marked = clone(object);
      marked.metadata.deletionTimestamp = timestamp();
      marked.metadata.deletionGracePeriodSeconds = grace;
      return store.replace(type, marked);
    },
  };
  return resources;
}

/** "ippools.projectcalico.org": as error messages name a kind. */
function groupResource({ plural, group }: ResourceType): string {
  return group === "" ? plural : `${plural}.${group}`;
}

const NAMESPACES = { group: "", version: "v1", kind: "Namespace", plural: "namespaces", singular: "namespace", shortNames: [], categories: [], namespaced: false, status: true, schema: null, fields: NAMESPACE, columns: [] } as const satisfies ResourceType;
const SERVICE_ACCOUNTS = { ...NAMESPACES, kind: "ServiceAccount", plural: "serviceaccounts", singular: "serviceaccount", namespaced: true, fields: SERVICE_ACCOUNT } as const satisfies ResourceType;

function sameExceptRevision(a: ApiObject, b: ApiObject): boolean {
  return JSON.stringify(sortKeys(a)) === JSON.stringify(sortKeys(b));
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sortKeys(item)]));
}
