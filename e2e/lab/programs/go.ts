/** Programs of others, built by Go from pinned modules into a folder outside of the checkout. Once built they are used as they are. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { runProgram } from "../run-program.ts";

/** Folder of everything that is built once for all checkouts. */
export const cacheFolder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "calico-lab");

const OLDEST = { major: 1, minor: 26 };

/** Throws in one line, with the remedy, when Go cannot build what the lab needs. */
export function requireGo(what: string): void {
  const { status, stdout } = spawnSync("go", ["env", "GOVERSION"], { encoding: "utf8" });
  const [, major = "0", minor = "0"] = /^go(\d+)\.(\d+)/.exec(stdout ?? "") ?? [];
  const remedy = `${what} is built with Go ${OLDEST.major}.${OLDEST.minor} or newer (https://go.dev/dl)`;
  if (status !== 0) throw new Error(`Go is missing; ${remedy}`);
  if (Number(major) < OLDEST.major || (Number(major) === OLDEST.major && Number(minor) < OLDEST.minor)) throw new Error(`${stdout.trim()} is too old; ${remedy}`);
}

/** Runs Go in a folder and returns what it printed. Throws with the last lines of what it said. */
export async function go(cwd: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { status, stdout, stderr } = await runProgram(["go", ...args], { cwd, env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod -buildvcs=false", ...env } });
  if (status !== 0) throw new Error(`go ${args.slice(0, 2).join(" ")}: ${stderr.trim().split("\n").slice(-5).join("; ")}`);
  return stdout;
}

type Tool = { readonly name: string; readonly package: string; readonly version: string; readonly minutes: number };

const TOOLS = {
  helm: { name: "helm", package: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0", minutes: 2 },
  coredns: { name: "coredns", package: "github.com/coredns/coredns", version: "v1.15.0", minutes: 4 },
  // The version that Kubernetes' own tests are written with.
  ginkgo: { name: "ginkgo", package: "github.com/onsi/ginkgo/v2/ginkgo", version: "v2.28.1", minutes: 1 },
} as const satisfies Record<string, Tool>;

/** Path of a program that is one Go package; built when it is not there. */
export async function goTool(which: keyof typeof TOOLS, onProgress: (line: string) => void): Promise<string> {
  const { name, package: path, version, minutes } = TOOLS[which];
  const program = goToolPath(which);
  if (existsSync(program)) return program;
  requireGo(name);
  onProgress(`building ${name} ${version}: about ${minutes} minutes, once`);
  const folder = `${program}.build-${process.pid}`;
  mkdirSync(folder, { recursive: true });
  try {
    await go(folder, ["install", "-trimpath", "-ldflags", "-s -w", `${path}@${version}`], { GOBIN: folder });
    renameSync(join(folder, name), program);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return program;
}

/** Where the program is, or will be. */
export const goToolPath = (which: keyof typeof TOOLS): string => join(cacheFolder, "bin", `${TOOLS[which].name}-${TOOLS[which].version}`);
