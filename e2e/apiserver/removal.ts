/** How an object goes: at once, after its grace, or when its last finalizer is gone. */
import { clone, isObject, valueAt, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { conflict } from "./status.ts";

/** Kinds whose removal is answered with the object; others are answered with a Status. */
const ANSWERED_WITH_OBJECT = ["Pod", "Service", "ServiceAccount", "Namespace"];
const FINISHED = ["Succeeded", "Failed"];

/** Throws an ApiError 409 when the object is not the one that is meant. */
export function checkPreconditions(type: ResourceType, object: ApiObject, options: Json): void {
  const { uid, resourceVersion } = (isObject(options["preconditions"]) ? options["preconditions"] : {}) as Record<string, unknown>;
  const { name } = object.metadata;
  for (const [what, wanted, is] of [["UID", uid, object.metadata.uid], ["ResourceVersion", resourceVersion, object.metadata.resourceVersion]] as const) {
    if (typeof wanted === "string" && wanted !== is) throw conflict(type.schema === null ? type : { ...type, plural: type.kind }, name, `Precondition failed: ${what} in precondition: ${wanted}, ${what} in object meta: ${is}`);
  }
}

/** Seconds until a pod that runs goes; 0 for everything else. */
export function graceOf({ kind, group }: ResourceType, object: ApiObject, options: Json): number {
  if (kind !== "Pod" || group !== "") return 0;
  const isScheduled = (valueAt(object, ["spec", "nodeName"]) ?? "") !== "";
  if (!isScheduled || FINISHED.includes(String(valueAt(object, ["status", "phase"]) as string))) return 0;
  const asked = options["gracePeriodSeconds"] ?? valueAt(object, ["spec", "terminationGracePeriodSeconds"]);
  return Math.max(0, Number(asked ?? 30));
}

/** The object as it is while it goes; null: it is marked so already. */
export function marked(object: ApiObject, graceSeconds: number, now: Date): ApiObject | null {
  const { deletionTimestamp, deletionGracePeriodSeconds } = object.metadata;
  if (deletionTimestamp !== undefined && graceSeconds >= (deletionGracePeriodSeconds ?? 0)) return null;
  const result = clone(object);
  const asked = deletionTimestamp === undefined ? now.getTime() : Date.parse(deletionTimestamp) - (deletionGracePeriodSeconds ?? 0) * 1_000;
  result.metadata.deletionTimestamp = `${new Date(asked + graceSeconds * 1_000).toISOString().slice(0, 19)}Z`;
  result.metadata.deletionGracePeriodSeconds = graceSeconds;
  if (deletionTimestamp === undefined && result.metadata.generation !== undefined) result.metadata.generation += 1;
  return result;
}

/** What a DELETE is answered with. */
export function answerOf({ kind, group, plural }: ResourceType, object: ApiObject, isGone: boolean): Json {
  if (!isGone || (group === "" && ANSWERED_WITH_OBJECT.includes(kind))) return object;
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details: { name: object.metadata.name, ...(group === "" ? {} : { group }), kind: plural, uid: object.metadata.uid } };
}
