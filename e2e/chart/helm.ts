/** The real helm, built once with Go into a folder outside of the checkout, and the chart rendered by it. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { repositoryRoot } from "../lab/paths.ts";

export const HELM_VERSION = "v3.22.0";
/** Capabilities that a rendering without a cluster is given. */
export const KUBE_VERSION = "1.36.3";
export const chartFolder = join(repositoryRoot, "charts", "calico");

const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "calico-lab", "bin");
const program = join(folder, "helm");

/** Whether helm is there or can be built. */
export const canHaveHelm = (): boolean => existsSync(program) || spawnSync("go", ["version"]).status === 0;

/** The program; builds it when it is not there, which takes some minutes. Throws when Go is missing or fails. */
export function helmProgram(): string {
  if (existsSync(program)) return program;
  const built = spawnSync("go", ["install", `helm.sh/helm/v3/cmd/helm@${HELM_VERSION}`], { encoding: "utf8", env: { ...process.env, GOBIN: folder, CGO_ENABLED: "0" } });
  if (built.status !== 0) throw new Error(`helm ${HELM_VERSION} cannot be built: ${(built.stderr ?? "Go is missing").trim().split("\n").slice(-5).join("; ")}`);
  return program;
}

export type Values = Readonly<Record<string, unknown>>;
export type Rendering = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

/** Runs helm with the values on standard input. */
export function helm(parameters: readonly string[], values: Values = {}): Rendering {
  const { status, stdout, stderr } = spawnSync(helmProgram(), [...parameters, "-f", "-"], { encoding: "utf8", input: JSON.stringify(values), maxBuffer: 64 << 20 });
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
