/** The part that every kind has, and how a kind is put together. */
import type { Json } from "../object.ts";
import { flag, list, mapList, open, record, set, text, textMap, time, whole } from "./words.ts";

export const OBJECT_META: Json = record("Standard object's metadata.", {
  name: text("Name, unique within a namespace and kind."),
  generateName: text("Prefix of a name that the server makes up."),
  namespace: text("Space within which the name must be unique."),
  labels: textMap("Keys and values by which objects are selected."),
  annotations: textMap("Keys and values that tools keep with the object."),
  uid: text("Identity in time and space; given by the server."),
  resourceVersion: text("Opaque version of the object; an update with an old one is refused."),
  generation: whole("Number of the desired state."),
  creationTimestamp: time("When the object was made."),
  deletionTimestamp: time("When the object will be, or was asked to be, removed."),
  deletionGracePeriodSeconds: whole("Seconds given to end gracefully."),
  finalizers: set("Must be empty before the object goes."),
  ownerReferences: mapList("Objects that this one depends on.", record("An owner.", {
    apiVersion: text("API version of the owner."), kind: text("Kind of the owner."), name: text("Name of the owner."), uid: text("UID of the owner."), controller: flag("It manages this object."),
    blockOwnerDeletion: flag("The owner stays until this object is gone."),
  }, ["apiVersion", "kind", "name", "uid"]), ["uid"]),
  managedFields: list("Who set which fields.", open("One manager's fields.")),
});

/** The schema of a kind: `fields` beside apiVersion, kind and metadata. */
export function kindSchema(description: string, fields: Readonly<Record<string, Json>>): Json {
  return record(description, { apiVersion: text("Version of the schema of this object."), kind: text("Kind of the object."), metadata: OBJECT_META, ...fields });
}

/** What a definition leaves to the server: the metadata of a custom resource. */
export function withMetadata(schema: Json): Json {
  const properties = (schema["properties"] ?? {}) as Record<string, Json>;
  return { ...schema, properties: { ...properties, apiVersion: text("Version of the schema of this object."), kind: text("Kind of the object."), metadata: OBJECT_META } };
}

export const conditions = (description: string): Json => mapList(description, record("One condition.", {
  type: text("What it is about."), status: text("True, False or Unknown."), reason: text("One word why."), message: text("For people."), observedGeneration: whole("Generation that was looked at."),
  lastTransitionTime: time("When status changed."), lastHeartbeatTime: time("When it was last confirmed."), lastProbeTime: time("When it was last looked at."),
}, ["type", "status"]), ["type"]);
