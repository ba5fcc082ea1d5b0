/** The two programs with which the lab speaks to a cluster that is not its own making. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { goTool, goToolPath } from "../programs/go.ts";
import { clusterPrograms, hasKubernetes } from "../programs/kubernetes.ts";

export type OwnPrograms = { readonly kubectl: string; readonly helm: string };

/** Those that are installed, else those that the lab once built; helm is built when Go is there. Throws with what to install. */
export async function ownPrograms(onProgress: (line: string) => void): Promise<OwnPrograms> {
  return { kubectl: hasKubernetes() ? (await clusterPrograms(onProgress)).kubectl : installed("kubectl", "https://kubernetes.io/docs/tasks/tools"), helm: await helmProgram(onProgress) };
}

async function helmProgram(onProgress: (line: string) => void): Promise<string> {
  const found = inPath("helm");
  if (found !== null && !existsSync(goToolPath("helm"))) return found;
  return goTool("helm", onProgress).catch((error: unknown) => {
    throw new Error(`helm is missing: install it (https://helm.sh/docs/intro/install), or Go to build it (${error instanceof Error ? error.message : String(error)})`);
  });
}

function installed(name: string, where: string): string {
  const found = inPath(name);
  if (found === null) throw new Error(`${name} is missing; install it: ${where}`);
  return found;
}

const inPath = (name: string): string | null => (process.env["PATH"] ?? "").split(delimiter).map((dir) => join(dir, name)).find(existsSync) ?? null;
