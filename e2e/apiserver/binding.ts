/** Bindings, as a scheduler sends them. */
import { valueAt, type Json, type ResourceType } from "./object.ts";
import type { Target } from "./requests.ts";
import type { Resources, WriteOptions } from "./resources.ts";
import { ApiError, notFound } from "./status.ts";

/** Throws an ApiError for a binding to something else than a node, and for a pod that has a node already. */
export function bind(resources: Resources, type: ResourceType, { namespace, name }: Target, body: unknown, options: WriteOptions): Json {
  if (name === undefined) throw notFound(type, "");
  const node = valueAt(body, ["target", "name"]);
  const kind = valueAt(body, ["target", "kind"]) ?? "Node";
  if (typeof node !== "string" || node === "" || kind !== "Node") throw new ApiError(500, "the binding names no node: target.name is required, and target.kind is Node", { reason: "" });
  resources.bind(type, namespace, name, node, options);
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };
}
