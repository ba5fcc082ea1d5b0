/** The real helm, built once with Go into a folder outside of the checkout, and the chart rendered by it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { repositoryRoot } from "../lab/paths.ts";
import { goTool, goToolPath } from "../lab/programs/go.ts";

/** Capabilities that a rendering without a cluster is given. */
export const KUBE_VERSION = "1.36.3";
export const chartFolder = join(repositoryRoot, "charts", "calico");

const program = goToolPath("helm");

/** Whether helm is there; builds it where Go is, which takes two minutes, once. What keeps it from being built is told. */
export async function haveHelm(): Promise<boolean> {
  try {
    await goTool("helm", () => undefined);
  } catch (error) {
    console.warn(`the chart is not tested: ${(error as Error).message}`);
  }
  return existsSync(program);
}

export type Values = Readonly<Record<string, unknown>>;
export type Rendering = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

/** Runs helm, with values on standard input where it takes some. */
export function helm(parameters: readonly string[], values?: Values): Rendering {
  const input = values === undefined ? [] : ["-f", "-"];
  const { status, stdout, stderr } = spawnSync(program, [...parameters, ...input], { encoding: "utf8", input: JSON.stringify(values ?? {}), maxBuffer: 64 << 20 });
  return { status, stdout, stderr };
}

/** The chart's manifests as text. */
export function template(values: Values = {}, ...flags: readonly string[]): Rendering {
  return helm(["template", "calico", chartFolder, "--namespace", "calico-system", "--kube-version", KUBE_VERSION, ...flags], values);
}

export type Manifest = { readonly apiVersion: string; readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string }; readonly [field: string]: unknown };

/** The chart's objects. Throws what helm says when it refuses. */
export function render(values: Values = {}, ...flags: readonly string[]): Manifest[] {
  const { status, stdout, stderr } = template(values, ...flags);
  if (status !== 0) throw new Error(stderr.trim());
  return parseAllDocuments(stdout).flatMap((document) => (document.toJS() === null ? [] : [document.toJS() as Manifest]));
}
