/** The logs of a lab: of its processes, and of the containers on its nodes. */
import { globSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { LabPaths } from "./paths.ts";

export type LogFile = { readonly component: string; readonly node: string | null; readonly path: string };

/** Sorted by component and node. A container counts under its own name. */
export function logFiles(paths: LabPaths): LogFile[] {
  const processes = readdirSync(paths.logs).filter((file) => file.endsWith(".log")).map((file): LogFile => {
    const [component = "", node = null] = file.replace(/\.log$/, "").split("@");
    return { component, node, path: join(paths.logs, file) };
  });
  const containers = globSync("*/log-pods/*/*/*.log", { cwd: paths.node("") }).map((file): LogFile => {
    const [node = "", , , component = ""] = file.split("/");
    return { component, node, path: join(paths.node(""), file) };
  });
  return [...processes, ...containers].sort((one, other) => (labelOf(one) < labelOf(other) ? -1 : 1));
}

/** "felix@node-1". */
export const labelOf = ({ component, node }: LogFile): string => (node === null ? component : `${component}@${node}`);

/** A line without what a container runtime writes before it: time, stream and whether it is whole. */
export const withoutRuntimePrefix = (line: string): string => line.replace(/^\S+ (?:stdout|stderr) [FP] /, "");
