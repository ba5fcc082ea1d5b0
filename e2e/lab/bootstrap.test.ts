import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryRoot } from "./paths.ts";

const BOOTSTRAP = join(repositoryRoot, "tools", "bootstrap.mjs");
const isRoot = process.getuid?.() === 0;

function run(program: string, ...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8", cwd: repositoryRoot, timeout: 60_000 });
  return { status, stderr };
}

describe("the entry of npm run lab and npm test", () => {
  it("names what it can do", () => {
    expect(run(process.execPath, BOOTSTRAP, "fly")).toEqual({ status: 2, stderr: expect.stringContaining("usage: bootstrap.mjs lab|test|e2e:kubernetes|e2e:network-policy-api|bench|images") as string });
  });

  it.skipIf(!isRoot)("says that it needs root, and how", () => {
    expect(run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, BOOTSTRAP, "lab")).toEqual({
      status: 2, stderr: "calico: This needs root: it makes network namespaces and nftables tables. Try: sudo npm run lab\n",
    });
  });

  it.skipIf(!isRoot)("needs no root for a cluster whose nodes are elsewhere", () => {
    const { status, stderr } = run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "CALICO_LAB_DIR=/tmp/calico-lab-nobody", process.execPath, BOOTSTRAP, "lab", "up", "--kubeconfig", "/absent");
    rmSync("/tmp/calico-lab-nobody", { recursive: true, force: true });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/absent|kubectl is missing|helm is missing/) as string]);
  });

  it.skipIf(!isRoot)("names the packages that are missing where it cannot install them", () => {
    const hide = "for file in /usr/sbin/bird /usr/bin/apt-get; do test ! -e $file || mount --bind /dev/null $file; done";
    expect(run("unshare", "--mount", "sh", "-c", `${hide}; exec "$0" "$@"`, process.execPath, BOOTSTRAP, "lab")).toEqual({
      status: 2, stderr: "calico: These packages are missing, and there is no apt-get to install them with: bird2\n",
    });
  });
});
