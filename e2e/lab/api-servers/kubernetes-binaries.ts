/**
 * Kubernetes' own programs, built once from their pinned Go module into a folder outside of the checkout: one program that
 * is each of them by the name it is called by.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export const KUBERNETES_VERSION = "v1.36.3";

export type KubernetesBinaries = { readonly apiserver: string; readonly controllerManager: string };

const NAMES = ["kube-apiserver", "kube-controller-manager"] as const;
const MAIN = `package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
}

func main() {
	program, known := programs[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintln(os.Stderr, "call this program by the name of one of Kubernetes' own")
		os.Exit(2)
	}
	os.Exit(cli.Run(program()))
}
`;

/** Where the programs are kept; another version has another folder. */
export const kubernetesFolder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "calico-lab", `kubernetes-${KUBERNETES_VERSION}`);

export const hasKubernetes = (): boolean => existsSync(join(kubernetesFolder, NAMES[0]));

/** The programs; builds them when they are not there, which takes some minutes. Throws when Go is missing or fails. */
export async function kubernetesBinaries(onProgress: (line: string) => void): Promise<KubernetesBinaries> {
  if (!hasKubernetes()) await build(onProgress);
  return { apiserver: join(kubernetesFolder, "kube-apiserver"), controllerManager: join(kubernetesFolder, "kube-controller-manager") };
}

async function build(onProgress: (line: string) => void): Promise<void> {
  const go = spawnSync("go", ["env", "GOVERSION"], { encoding: "utf8" });
  if (go.status !== 0) throw new Error("Go is missing; a real Kubernetes is built with Go 1.26 or newer (https://go.dev/dl)");
  onProgress(`building Kubernetes ${KUBERNETES_VERSION} with ${go.stdout.trim()}: some minutes, once`);
  const source = `${kubernetesFolder}.build-${process.pid}`;
  mkdirSync(source, { recursive: true });
  try {
    writeFileSync(join(source, "main.go"), MAIN);
    writeFileSync(join(source, "go.mod"), await moduleFile(source));
    await run(source, "go", "mod", "tidy");
    const version = "k8s.io/component-base/version";
    await run(source, "go", "build", "-trimpath", "-ldflags", `-s -w -X ${version}.gitVersion=${KUBERNETES_VERSION} -X ${version}.gitTreeState=clean`, "-o", join(source, "out", "kubernetes"), ".");
    for (const name of NAMES) symlinkSync("kubernetes", join(source, "out", name));
    renameSync(join(source, "out"), kubernetesFolder);
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

/** Kubernetes' own module file names its parts without a version: each part is the release of the same number. */
async function moduleFile(dir: string): Promise<string> {
  const { GoMod } = JSON.parse(await run(dir, "go", "mod", "download", "-json", `k8s.io/kubernetes@${KUBERNETES_VERSION}`)) as { GoMod: string };
  const upstream = readFileSync(GoMod, "utf8");
  const parts = [...new Set([...upstream.matchAll(/^\s*(k8s\.io\/[a-z0-9-]+) v0\.0\.0$/gm)].map(([, name]) => name ?? ""))];
  const release = KUBERNETES_VERSION.replace("v1.", "v0.");
  const goVersion = /^go (\S+)$/m.exec(upstream)?.[1] ?? "1.26.0";
  return `module lab\n\ngo ${goVersion}\n\nrequire k8s.io/kubernetes ${KUBERNETES_VERSION}\n\n${parts.map((name) => `replace ${name} => ${name} ${release}`).join("\n")}\n`;
}

async function run(cwd: string, program: string, ...args: string[]): Promise<string> {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod -buildvcs=false" } });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`${program} ${args[0] ?? ""} ${args[1] ?? ""}: ${errors.trim().split("\n").slice(-5).join("; ")}`);
  return output;
}
