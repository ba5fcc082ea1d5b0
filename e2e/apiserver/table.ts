/** The tables that `kubectl get` asks for. */
import { valueAt, type ApiObject, type Json, type ResourceType } from "./object.ts";

export function toTable(type: ResourceType, objects: readonly ApiObject[], metadata: Json, now: number): Json {
  const hasAge = type.columns.some(({ name }) => name === "Age");
  const definitions = [
    { name: "Name", type: "string", format: "name", description: "", priority: 0 }, ...type.columns.map(({ name, type: columnType }) => ({ name, type: columnType, format: "", description: "", priority: 0 })),
    ...(hasAge ? [] : [{ name: "Age", type: "string", format: "", description: "", priority: 0 }]),
  ];
  const rows = objects.map((object) => ({
    cells: [object.metadata.name, ...type.columns.map(({ path, type: columnType }) => (columnType === "date" ? age(object, now) : cell(object, path))), ...(hasAge ? [] : [age(object, now)])],
    object: { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: object.metadata },
  }));
  return { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: definitions, rows };
}

function cell(object: ApiObject, path: string): unknown {
  const parts = path.replace(/^\./, "").split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
  const value = valueAt(object, parts);
  if (value === undefined || value === null) return "<none>";
  return typeof value === "object" ? JSON.stringify(value) : value;
}

function age(object: ApiObject, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(object.metadata.creationTimestamp)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
