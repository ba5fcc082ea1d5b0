/** The tables that `kubectl get` asks for. */
import { valueAt, type ApiObject, type Column, type Json, type ResourceType } from "./object.ts";

const NAME: Column = { name: "Name", type: "string", path: ".metadata.name" };
const AGE: Column = { name: "Age", type: "date", path: ".metadata.creationTimestamp" };

/** What a row carries beside its cells. */
export type Include = "Metadata" | "Object" | "None";

export function toTable(type: ResourceType, objects: readonly ApiObject[], metadata: Json, { now, include }: { readonly now: number; readonly include: Include }): Json {
  const definition = ({ name, type: columnType, priority = 0 }: Column, format = ""): Json => ({ name, type: type.schema === null && columnType === "date" ? "string" : columnType, format, description: "", priority });
  // A kind that has a column for the name or for a time needs no other.
  const before = type.columns.some(({ name }) => name === "Name") ? [] : [NAME];
  const after = type.columns.some(({ type: columnType }) => columnType === "date") ? [] : [AGE];
  const columns = [...before, ...type.columns, ...after];
  const definitions = columns.map((column) => definition(column, column === NAME ? "name" : ""));
  const carried = (object: ApiObject): Json => (include === "Object" ? object : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata });
  const rows = objects.map((object) => ({ cells: columns.map((column) => cell(object, column, now, type.schema !== null)), object: include === "None" ? null : carried(object) }));
  return { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: definitions, rows };
}

function cell(object: ApiObject, { path, type, read }: Column, now: number, isCustom: boolean): unknown {
  if (read !== undefined) return read(object);
  const parts = path.replace(/^\./, "").split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
  const value = valueAt(object, parts);
  if (value === undefined || value === null) return isCustom ? null : type === "date" ? "<unknown>" : "<none>";
  if (type === "date" && typeof value === "string") return age(value, now);
  return typeof value === "object" ? JSON.stringify(value) : isCustom && type === "string" ? String(value as string) : value;
}

function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
