/** The logs of a lab: of its processes, and of the containers on its nodes. */
import { globSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "./arguments.ts";
import type { LabPaths } from "./paths.ts";

export type Log = { readonly component: string; readonly node: string | null };
export type LogFile = Log & { readonly path: string };

/** Lines of the logs that were asked for, each with its label. Throws with what there is when it is none. */
export const labLogs = (paths: LabPaths, component: string | null, node: string | null): string[] =>
  chooseLogs(logFiles(paths), component, node).flatMap((file) => readFileSync(file.path, "utf8").split("\n").filter(Boolean).map((line) => `${labelOf(file)}  ${withoutRuntimePrefix(line)}`));

/** Those of a component and of a node; null: of every one. Throws with what there is when it is none. */
export function chooseLogs<T extends Log>(all: readonly T[], component: string | null, node: string | null): T[] {
  const chosen = all.filter((log) => (component === null || log.component === component) && (node === null || log.node === node));
  if (chosen.length === 0) throw new UsageError(`no log of ${component ?? "any component"}${node ? ` on ${node}` : ""}; there are ${[...new Set(all.map(labelOf))].sort().join(", ")}`);
  return chosen;
}

/** Sorted by component and node. A container counts under its own name. */
function logFiles(paths: LabPaths): LogFile[] {
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
export const labelOf = ({ component, node }: Log): string => (node === null ? component : `${component}@${node}`);

/** A line without what a container runtime writes before it: time, stream and whether it is whole. */
const withoutRuntimePrefix = (line: string): string => line.replace(/^\S+ (?:stdout|stderr) [FP] /, "");
