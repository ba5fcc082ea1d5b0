/** Reading and writing objects, as the API defines it. */
import { randomUUID } from "node:crypto";
import { admit, type AdmissionPolicies, type CustomCheck } from "./admission.ts";
import { giveCore, hasFirstStatus } from "./core/defaults.ts";
import { createNamespaces } from "./namespaces.ts";
import { apiVersionOf, clone, isObject, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { apply, recordUpdate } from "./managed-fields.ts";
import { applyPatch } from "./patch.ts";
import type { Registry } from "./registry.ts";
import { answerOf, checkPreconditions, graceOf, marked } from "./removal.ts";
import { prune } from "./schema.ts";
import { ApiError, conflict, forbidden, invalid, notFound, type Cause } from "./status.ts";
import type { Store } from "./store.ts";

export type WriteOptions = {
  /** Unknown fields are refused. */
  readonly strict: boolean;
  readonly dryRun: boolean;
  /** Who writes. */
  readonly manager: string;
  /** An apply takes fields that others own. */
  readonly force?: boolean;
};

/** A written object; `unknown`: paths of the fields that were left out. */
export type Written = { readonly object: ApiObject; readonly isNew: boolean; readonly unknown: readonly string[] };

export interface Resources {
  get(type: ResourceType, namespace: string | undefined, name: string): ApiObject;
  create(type: ResourceType, namespace: string | undefined, body: unknown, options: WriteOptions): Written;
  update(type: ResourceType, namespace: string | undefined, name: string, body: unknown, subresource: string | undefined, options: WriteOptions): Written;
  /** Server-side apply creates what is not there. */
  patch(type: ResourceType, namespace: string | undefined, name: string, patch: unknown, contentType: string, subresource: string | undefined, options: WriteOptions): Written;
  /** Gives a pod its node, as from a scheduler. Throws an ApiError 409 for a pod that has one already. */
  bind(pods: ResourceType, namespace: string | undefined, name: string, node: string, options: Pick<WriteOptions, "dryRun">): void;
  /** What the removal is answered with; an object with finalizers or a grace period is only marked. */
  remove(type: ResourceType, namespace: string | undefined, name: string, options: Json & { readonly dryRun?: boolean }): Json;
}

/** How a successor came about. */
type Write = { readonly subresource: string | undefined; readonly by: "put" | "patch" | "apply" };

const MODIFIED = "the object has been modified; please apply your changes to the latest version and try again";

export function createResources({ store, registry, check, policies, now }: { store: Store; registry: Registry; check: CustomCheck; policies: AdmissionPolicies; now: () => Date }): Resources {
  const timestamp = (): string => `${now().toISOString().slice(0, 19)}Z`;
  const namespaces = createNamespaces({ store, registry, remove: (type, namespace, name) => void resources.remove(type, namespace, name, {}) });

  function existing(type: ResourceType, namespace: string | undefined, name: string): ApiObject {
    const found = store.get(type, namespace, name);
    if (found === undefined) throw notFound(type, name);
    return found;
  }

  /** The body as an object of the kind; names and namespaces in it must not contradict the path. */
  function incoming(type: ResourceType, namespace: string | undefined, body: unknown, name?: string): ApiObject {
    if (!isObject(body)) throw new ApiError(400, `the object provided is unrecognized (must be of type ${type.kind}): it is no object`);
    const { kind, apiVersion } = body;
    const metadata = isObject(body["metadata"]) ? Object.fromEntries(Object.entries(body["metadata"]).filter(([, value]) => value !== null)) : {};
    if (type.schema !== null && typeof kind !== "string") throw new ApiError(400, `the object provided is unrecognized (must be of type ${type.kind}): Object 'Kind' is missing`);
    if (type.schema !== null && apiVersion !== apiVersionOf(type)) throw new ApiError(400, `the API version in the data (${String(apiVersion as string)}) does not match the expected API version (${apiVersionOf(type)})`);
    if (kind !== undefined && kind !== type.kind) {
      if (type.schema === null) throw new ApiError(400, `${String(kind as string)} in version "${type.version}" cannot be handled as a ${type.kind}`);
      throw invalid({ ...type, kind: String(kind as string) }, String(metadata["name"] as string), [{ field: "kind", reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(kind)}: must be ${type.kind}` }]);
    }
    if (type.namespaced) {
      if (metadata["namespace"] !== undefined && metadata["namespace"] !== namespace) throw new ApiError(400, "the namespace of the provided object does not match the namespace sent on the request");
      metadata["namespace"] = namespace;
    } else delete metadata["namespace"];
    if (metadata["name"] === undefined && typeof metadata["generateName"] === "string") metadata["name"] = `${metadata["generateName"]}${randomUUID().slice(0, 5)}`;
    if (name !== undefined && metadata["name"] !== undefined && metadata["name"] !== name) throw new ApiError(400, `the name of the object (${String(metadata["name"] as string)}) does not match the name on the URL (${name})`);
    if (name !== undefined) metadata["name"] = name;
    if (typeof metadata["name"] !== "string") throw invalid(type, "", [{ field: "metadata.name", reason: "FieldValueRequired", message: "Required value: name or generateName is required" }]);
    return { ...body, apiVersion: apiVersionOf(type), kind: type.kind, metadata } as unknown as ApiObject;
  }

  /** Lets the admission policies fill in the object, in place. Throws an ApiError 403. */
  function askPolicies(type: ResourceType, operation: "CREATE" | "UPDATE", object: ApiObject): void {
    Object.assign(object, policies.filledIn(object));
    checkPolicies(type, operation, object);
  }

  function checkPolicies(type: ResourceType, operation: "CREATE" | "UPDATE" | "DELETE", object: ApiObject): void {
    const refusal = policies.refusal(operation, object);
    if (refusal !== null) throw forbidden(type, object.metadata.name, `ValidatingAdmissionPolicy '${refusal.by}' with binding '${refusal.by}' denied request: ${refusal.message}`);
  }

  /** Replaces an object by its successor, which keeps what clients may not change. An apply has said already whose the fields are. */
  function succeed(type: ResourceType, before: ApiObject, next: ApiObject, { subresource, by }: Write, options: WriteOptions): Written {
    const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation, name } = before.metadata;
    const wanted = next.metadata.resourceVersion as string | undefined;
    if (wanted !== undefined && wanted !== "" && wanted !== before.metadata.resourceVersion) throw conflict(type, name, MODIFIED);
    if (type.schema !== null && by === "put" && (wanted ?? "") === "") throw invalid({ ...type, kind: type.plural }, name, [{ field: "metadata.resourceVersion", reason: "FieldValueInvalid", message: "Invalid value: 0: must be specified for an update" }]);
    const changed = changedByClient(before, next, by);
    if (changed.length > 0) throw invalid(type, name, changed);
    if (typeof next.metadata["uid"] === "string" && next.metadata.uid !== uid) throw conflict(type, name, `Precondition failed: UID in precondition: ${next.metadata.uid}, UID in object meta: ${uid}`);
    const merged = clone(next);
    merged.metadata = { ...merged.metadata, uid, creationTimestamp, resourceVersion: before.metadata.resourceVersion };
    setOrDelete(merged.metadata, { deletionTimestamp, deletionGracePeriodSeconds, generation });
    keepOtherSide(type, before, merged, subresource);
    const unknown = admit(type, merged, { strict: options.strict, check, before, isPatch: by !== "put" });
    if (by !== "apply") recordUpdate(type, before, merged, { name: options.manager, operation: "Update", subresource }, timestamp());
    if (subresource === undefined) askPolicies(type, "UPDATE", merged);
    if (generation !== undefined && JSON.stringify(sortKeys(merged["spec"])) !== JSON.stringify(sortKeys(before["spec"]))) merged.metadata.generation = generation + 1;
    if (type.schema === null) giveCore(type, merged, false);
    const written = (object: ApiObject): Written => ({ object, isNew: false, unknown });
    if (JSON.stringify(sortKeys(before)) === JSON.stringify(sortKeys(merged))) return written(before);
    if (options.dryRun) return written(merged);
    if (deletionTimestamp !== undefined && (merged.metadata.finalizers ?? []).length === 0 && (deletionGracePeriodSeconds ?? 0) === 0 && type.plural !== "namespaces") {
      const { resourceVersion } = finish(type, clone(before)).metadata;
      return written({ ...merged, metadata: { ...merged.metadata, resourceVersion } });
    }
    const stored = store.replace(type, merged);
    if (type.plural === "customresourcedefinitions") define(stored);
    return written(stored);
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
    namespaces.onRemoved(object.metadata.namespace);
    return removed;
  }

  /** A pod that was ending already is seen with its shorter grace before it is gone. */
  function tell(type: ResourceType, before: ApiObject, next: ApiObject): ApiObject {
    return before.metadata.deletionTimestamp === undefined ? next : store.replace(type, next);
  }

  /** The object with a configuration applied to it. */
  function applied(type: ResourceType, before: ApiObject | undefined, patch: unknown, subresource: string | undefined, options: WriteOptions): Json {
    if (!isObject(patch) || typeof patch["kind"] !== "string" || typeof patch["apiVersion"] !== "string") throw new ApiError(400, "invalid object type: the configuration has no apiVersion and kind");
    const metadata = isObject(patch["metadata"]) ? patch["metadata"] : {};
    if (Array.isArray(metadata["managedFields"]) && metadata["managedFields"].length > 0) throw new ApiError(400, "metadata.managedFields must be nil");
    if (before === undefined && typeof metadata["uid"] === "string") throw conflict(type, String(metadata["name"] as string), `uid mismatch: the provided object specified uid ${metadata["uid"]}, and no existing object was found`);
    const [unknown] = type.schema === null ? [] : prune(clone(patch), type.schema);
    if (unknown !== undefined) throw new ApiError(500, `failed to create typed patch object: .${unknown}: field not declared in schema`, { reason: "" });
    const { status, ...rest } = patch;
    const config = subresource === "status" ? { ...(patch["metadata"] === undefined ? {} : { metadata: patch["metadata"] }), status } : type.status ? rest : patch;
    return { apiVersion: patch["apiVersion"], kind: patch["kind"], ...apply(type, before, config, { name: options.manager, operation: "Apply", subresource }, { force: options.force === true, time: timestamp() }) };
  }

  function create(type: ResourceType, namespace: string | undefined, body: unknown, options: WriteOptions, isApply = false): Written {
    const object = incoming(type, namespace, clone(body));
    if (type.namespaced) namespaces.admit(type, namespace ?? "", object.metadata.name);
    object.metadata = { ...object.metadata, uid: randomUUID(), creationTimestamp: timestamp(), resourceVersion: "" };
    setOrDelete(object.metadata, { deletionTimestamp: undefined, deletionGracePeriodSeconds: undefined, generation: type.generation ? 1 : undefined });
    if (type.status && (type.schema !== null || hasFirstStatus(type))) delete object["status"];
    const unknown = admit(type, object, { strict: options.strict, check });
    if (!isApply) recordUpdate(type, undefined, object, { name: options.manager, operation: "Update", subresource: undefined }, timestamp());
    askPolicies(type, "CREATE", object);
    if (type.schema === null) giveCore(type, object, true);
    if (options.dryRun) return { object: withoutRevision(object), isNew: true, unknown };
    if (type.plural === "customresourcedefinitions") {
      define(object);
      object["status"] = { conditions: [{ type: "Established", status: "True", reason: "InitialNamesAccepted" }], acceptedNames: object["spec"] === undefined ? {} : (object["spec"] as Json)["names"], storedVersions: ["v3"] };
    }
    const stored = store.create(type, object);
    const accounts = registry.find("", "v1", "serviceaccounts");
    if (type.plural === "namespaces" && type.group === "" && accounts !== null) resources.create(accounts, object.metadata.name, { metadata: { name: "default" } }, options);
    return { object: stored, isNew: true, unknown };
  }

  const resources: Resources = {
    get: existing,
    create: (type, namespace, body, options) => create(type, namespace, body, options),
    update(type, namespace, name, body, subresource, options) {
      return succeed(type, existing(type, namespace, name), incoming(type, namespace, body, name), { subresource, by: "put" }, options);
    },
    patch(type, namespace, name, patch, contentType, subresource, options) {
      if (contentType !== "application/apply-patch+yaml") {
        const before = existing(type, namespace, name);
        return succeed(type, before, incoming(type, namespace, applyPatch(type, before, patch, contentType), name), { subresource, by: "patch" }, options);
      }
      const before = store.get(type, namespace, name);
      const next = incoming(type, namespace, applied(type, before, patch, subresource, options), name);
      if (before !== undefined) return succeed(type, before, next, { subresource, by: "apply" }, options);
      if (subresource !== undefined) throw notFound(type, name);
      return create(type, namespace, next, options, true);
    },
    bind(pods, namespace, name, node, { dryRun }) {
      const pod = clone(existing(pods, namespace, name));
      const spec = pod["spec"] as Json;
      if ((spec["nodeName"] ?? "") !== "") throw conflict({ ...pods, plural: "pods/binding" }, name, `pod ${name} is already assigned to node "${String(spec["nodeName"] as string)}"`);
      spec["nodeName"] = node;
      const status = (pod["status"] ??= {}) as Json;
      status["conditions"] = [...(Array.isArray(status["conditions"]) ? status["conditions"] : []), { type: "PodScheduled", status: "True", lastTransitionTime: timestamp() }];
      if (!dryRun) store.replace(pods, pod);
    },
    remove(type, namespace, name, options) {
      const object = existing(type, namespace, name);
      checkPreconditions(type, object, options);
      const isNamespace = type.plural === "namespaces" && type.group === "";
      if (isNamespace) namespaces.checkRemovable(name);
      checkPolicies(type, "DELETE", object);
      const isHeld = (object.metadata.finalizers ?? []).length > 0;
      const grace = graceOf(type, object, options);
      if (options.dryRun === true) return answerOf(type, object, !isHeld && grace === 0);
      if (isNamespace) return object.metadata.deletionTimestamp === undefined ? namespaces.end(object, { deletionTimestamp: timestamp() }) : object;
      const next = marked(object, grace, now());
      if (!isHeld && grace === 0) return answerOf(type, finish(type, next !== null && type.kind === "Pod" ? tell(type, object, next) : object), true);
      return answerOf(type, next === null ? object : store.replace(type, next), false);
    },
  };
  return resources;
}

/** What only the server sets, where a client set it otherwise; an update that leaves it out means no change. */
function changedByClient({ metadata: before }: ApiObject, { metadata: next }: ApiObject, by: Write["by"]): Cause[] {
  const fields = ["deletionTimestamp", "deletionGracePeriodSeconds", "uid"] as const;
  const causes = fields.filter((field) => by === "patch" && next[field] !== undefined && next[field] !== before[field]).map((field): Cause => ({ field: `metadata.${field}`, reason: "FieldValueInvalid", message: `Invalid value: ${JSON.stringify(next[field])}: field is immutable` }));
  const added = before.deletionTimestamp === undefined ? [] : (next.finalizers ?? []).filter((name) => !(before.finalizers ?? []).includes(name));
  return [...causes, ...(added.length === 0 ? [] : [{ field: "metadata.finalizers", reason: "FieldValueForbidden", message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}` }])];
}

/** A write of the status leaves the rest as it is, a write of the rest the status. Core kinds take metadata with a status, custom ones do not. */
function keepOtherSide(type: ResourceType, before: ApiObject, merged: ApiObject, subresource: string | undefined): void {
  if (!type.status) return;
  if (subresource !== "status") return setOrDelete(merged, { status: clone(before["status"]) });
  const { status } = merged;
  const metadata = type.schema === null ? merged.metadata : { ...clone(before.metadata), managedFields: merged.metadata["managedFields"] };
  for (const key of Object.keys(merged)) if (key !== "metadata") delete merged[key];
  Object.assign(merged, clone(before), { metadata }, status === undefined ? {} : { status });
}

function withoutRevision(object: ApiObject): ApiObject {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return { ...object, metadata } as ApiObject;
}

function setOrDelete(target: Json, values: Json): void {
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) delete target[key];
    else target[key] = value;
  }
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, item]) => [key, sortKeys(item)]));
}
