/**
 * Kubernetes' own programs, built once from their pinned Go module: one program that is each of the cluster's by the name
 * it is called by, and the two of its end-to-end tests.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, go, requireGo } from "./go.ts";

export const KUBERNETES_VERSION = "v1.36.3";

const CLUSTER_PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"] as const;
const TEST_PROGRAMS = ["agnhost", "e2e.test"] as const;

export type ClusterPrograms = Readonly<Record<(typeof CLUSTER_PROGRAMS)[number], string>>;
export type TestPrograms = Readonly<Record<(typeof TEST_PROGRAMS)[number], string>>;

const MAIN = `package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
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

/** Imports that keep the test programs' packages in the module file. */
const TESTS = `//go:build never

package main

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
`;

/** Where the programs are kept; another version has another folder. */
const clusterFolder = join(cacheFolder, `kubernetes-${KUBERNETES_VERSION}-cluster`);
const testFolder = join(cacheFolder, `kubernetes-${KUBERNETES_VERSION}-tests`);

export const hasKubernetes = (): boolean => existsSync(clusterFolder);

/** The cluster's programs; builds them when they are not there, which takes some minutes. Throws when Go is missing or fails. */
export async function clusterPrograms(onProgress: (line: string) => void): Promise<ClusterPrograms> {
  if (!existsSync(clusterFolder)) {
    onProgress(`building Kubernetes ${KUBERNETES_VERSION}: about five minutes, once`);
    await inModule({ "main.go": MAIN }, clusterFolder, async (source, out) => {
      const version = "k8s.io/component-base/version";
      await go(source, ["build", "-trimpath", "-ldflags", `-s -w -X ${version}.gitVersion=${KUBERNETES_VERSION} -X ${version}.gitTreeState=clean`, "-o", join(out, "kubernetes"), "."]);
      for (const name of CLUSTER_PROGRAMS) symlinkSync("kubernetes", join(out, name));
    });
  }
  return programsIn(clusterFolder, CLUSTER_PROGRAMS);
}

/** The programs of Kubernetes' own end-to-end tests, built like those of the cluster. */
export async function testPrograms(onProgress: (line: string) => void): Promise<TestPrograms> {
  if (!existsSync(testFolder)) {
    onProgress(`building the end-to-end tests of Kubernetes ${KUBERNETES_VERSION}: about five minutes, once`);
    await inModule({ "main.go": MAIN, "tests.go": TESTS }, testFolder, async (source, out) => {
      await go(source, ["build", "-trimpath", "-ldflags", "-s -w", "-o", join(out, "agnhost"), "k8s.io/kubernetes/test/images/agnhost"]);
      await go(source, ["test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", join(out, "e2e.test"), "k8s.io/kubernetes/test/e2e"]);
    });
  }
  return programsIn(testFolder, TEST_PROGRAMS);
}

const programsIn = <Name extends string>(folder: string, names: readonly Name[]): Readonly<Record<Name, string>> => Object.fromEntries(names.map((name) => [name, join(folder, name)])) as Record<Name, string>;

/** Makes a module with the files, lets it be built, and puts what was built in its place when all of it is there. */
async function inModule(files: Readonly<Record<string, string>>, target: string, build: (source: string, out: string) => Promise<void>): Promise<void> {
  requireGo("Kubernetes");
  const source = `${target}.build-${process.pid}`;
  const out = join(source, "out");
  mkdirSync(out, { recursive: true });
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(source, name), text);
    writeFileSync(join(source, "go.mod"), await moduleFile(source));
    await go(source, ["mod", "tidy"]);
    await build(source, out);
    renameSync(out, target);
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

/** Kubernetes' own module file names its parts without a version: each part is the release of the same number. */
async function moduleFile(dir: string): Promise<string> {
  const { GoMod } = JSON.parse(await go(dir, ["mod", "download", "-json", `k8s.io/kubernetes@${KUBERNETES_VERSION}`])) as { GoMod: string };
  const upstream = readFileSync(GoMod, "utf8");
  const parts = [...new Set([...upstream.matchAll(/^\s*(k8s\.io\/[a-z0-9-]+) v0\.0\.0$/gm)].map(([, name]) => name ?? ""))];
  const release = KUBERNETES_VERSION.replace("v1.", "v0.");
  const goVersion = /^go (\S+)$/m.exec(upstream)?.[1] ?? "1.26.0";
  return `module lab\n\ngo ${goVersion}\n\nrequire k8s.io/kubernetes ${KUBERNETES_VERSION}\n\n${parts.map((name) => `replace ${name} => ${name} ${release}`).join("\n")}\n`;
}
