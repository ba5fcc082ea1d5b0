/** The tables that `kubectl get` asks for. */
import { valueAt, type ApiObject, type Column, type Json, type ResourceType } from "./object.ts";

const NAME: Column = { name: "Name", type: "string", path: ".metadata.name" };
const AGE: Column = { name: "Age", type: "date", path: ".metadata.creationTimestamp" };

export function toTable(type: ResourceType, objects: readonly ApiObject[], metadata: Json, now: number): Json {
  const definition = ({ name, type: columnType, priority = 0 }: Column, format = ""): Json => ({ name, type: columnType, format, description: "", priority });
  // A kind that has a column for the name or for a time needs no other.
  const before = type.columns.some(({ name }) => name === "Name") ? [] : [NAME];
  const after = type.columns.some(({ type: columnType }) => columnType === "date") ? [] : [AGE];
  const columns = [...before, ...type.columns, ...after];
  const definitions = columns.map((column) => definition(column, column === NAME ? "name" : ""));
  const rows = objects.map((object) => ({ cells: columns.map((column) => cell(object, column, now)), object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata } }));
  return { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: definitions, rows };
}

function cell(object: ApiObject, { path, type, read }: Column, now: number): unknown {
  if (read !== undefined) return read(object);
  const parts = path.replace(/^\./, "").split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
  const value = valueAt(object, parts);
  if (value === undefined || value === null) return type === "date" ? "<unknown>" : "<none>";
  if (type === "date" && typeof value === "string") return age(value, now);
  return typeof value === "object" ? JSON.stringify(value) : value;
}

function age(since: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
