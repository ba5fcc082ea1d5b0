/** What is shown. Pure. */
import type { KubeObject } from "@calico/datastore";
import { stringify } from "yaml";
import type { Output } from "./arguments.ts";
import type { Columns, CtlKind } from "./kinds.ts";
import { printable } from "./printable.ts";

/** The answer to a `get`: one object as it is, several as a list. */
export function render(kind: CtlKind, objects: readonly KubeObject[], output: Output, single: boolean): string {
  const shown = objects.map(withoutNoise);
  const value = single && shown.length === 1 ? shown[0] : { kind: `${kind.kind}List`, apiVersion: kind.type.group === "" ? kind.type.version : `${kind.type.group}/${kind.type.version}`, items: shown };
  switch (output) {
    case "json": return `${JSON.stringify(value, null, 2)}\n`;
    case "yaml": return stringify(value);
    case "name": return objects.map(({ metadata }) => `${kind.kind.toLowerCase()}/${metadata.name}\n`).join("");
    default: return table(output === "wide" ? kind.wide : kind.columns, objects);
  }
}

function table(columns: Columns, objects: readonly KubeObject[]): string {
  return grid(Object.keys(columns), objects.map((object) => Object.values(columns).map((cell) => cell(object))));
}

/** Rows under their headings, in columns. */
export function grid(headings: readonly string[], cells: readonly (readonly string[])[]): string {
  const rows = [headings, ...cells].map((row) => row.map(printable));
  const widths = headings.map((_, i) => rows.reduce((widest, row) => Math.max(widest, row[i]?.length ?? 0), 0));
  return rows.map((row) => `${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join("   ").trimEnd()}\n`).join("");
}

/** The server's own bookkeeping says nothing to people. */
function withoutNoise(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata as KubeObject["metadata"] & { managedFields?: unknown };
  return { ...object, metadata } as KubeObject;
}
