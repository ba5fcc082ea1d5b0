/**
 * The plugin driven by libcni, the library of container runtimes, through its own command line. It is built by Go where
 * there is one; elsewhere these tests are skipped.
 */
import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { calicoTypes, coreTypes } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createPod } from "../bench/sandboxes.ts";
import { readConflist, type Sandbox } from "../lab/kubelet/cni-runtime.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { repositoryRoot } from "../lab/paths.ts";
import { run, startDemoLab, stopLab } from "./cluster.ts";

const VERSION = "v1.3.0";
const folder = join(repositoryRoot, "node_modules", ".cache", `cnitool-${VERSION}`);
const cnitool = join(folder, "cnitool");

function build(): boolean {
  if (existsSync(cnitool)) return true;
  mkdirSync(folder, { recursive: true });
  return spawnSync("go", ["install", `github.com/containernetworking/cni/cnitool@${VERSION}`], { env: { ...process.env, GOBIN: folder, CGO_ENABLED: "0" }, timeout: 60_000, stdio: "ignore" }).status === 0;
}

describe.skipIf(!build())(`the plugin and libcni ${VERSION}`, () => {
  let lab: Lab;
  let host: NodeHost;
  beforeAll(async () => {
    lab = await startDemoLab("fvlib", 27);
    host = lab.hosts[0] as NodeHost;
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  /** Runs a verb with the node's own configuration in a version of the specification. */
  async function call(version: string, verb: string, sandbox: Sandbox | null): Promise<string> {
    const dir = join(host.dir, "etc-cni", `libcni-${version}`);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "10-calico.conflist"), JSON.stringify({ ...readConflist(host), cniVersion: version }));
    const pod = sandbox === null ? "" : `;K8S_POD_NAMESPACE=${sandbox.namespace};K8S_POD_NAME=${sandbox.pod};K8S_POD_UID=${sandbox.uid};K8S_POD_INFRA_CONTAINER_ID=${sandbox.containerId}`;
    const variables = [`NETCONFPATH=/etc/cni/libcni-${version}`, "CNI_PATH=/opt/cni/bin", `CNI_ARGS=IgnoreUnknown=1${pod}`, `CNI_CONTAINERID=${sandbox?.containerId ?? "nobody"}`];
    const [program = "", ...args] = lab.execCommand("node/node-1", ["env", ...variables, cnitool, verb, "k8s-pod-network", sandbox?.netnsPath ?? "/run/netns/nobody"]);
    return (await promisify(execFile)(program, args)).stdout;
  }

  it.each(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])("2.4 Spec: ADD, CHECK and DEL in version %s", async (version) => {
    const sandbox = await createPod(lab, host, `lib-${version.replaceAll(".", "-")}`);
    const result = JSON.parse(await call(version, "add", sandbox)) as { cniVersion: string; ips: { address: string }[] };
    const address = result.ips[0]?.address ?? "";
    expect([result.cniVersion, address]).toEqual([version, expect.stringMatching(/^10\.65\.\d+\.\d+\/32$/)]);
    expect(run(lab, "node/node-1", "ip", "route")).toContain(`${address.replace("/32", "")} dev cali`);
    // CHECK came with 0.4.0.
    if (!version.startsWith("0.3")) await call(version, "check", sandbox);
    for (let times = 0; times < 2; times += 1) await call(version, "del", sandbox);
    expect(run(lab, "node/node-1", "ip", "route")).not.toContain(`${address.replace("/32", "")} dev`);
    lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
  });

  it("2.4 Spec: STATUS says whether pods can be served", async () => {
    await call("1.1.0", "status", null);
    await lab.supervisor.stop("ipam@node-1");
    await expect(call("1.1.0", "status", null)).rejects.toMatchObject({ stderr: expect.stringContaining("pods cannot be served") as string });
    lab.supervisor.resume("ipam@node-1");
  });

  it("an ADD without a pod of that name is refused in words and leaves nothing", async () => {
    const sandbox = await createPod(lab, host, "vanishing");
    await lab.datastore.delete(coreTypes.pods, { namespace: "default", name: "vanishing" }, { gracePeriodSeconds: 0 });
    await expect(call("1.0.0", "add", sandbox)).rejects.toMatchObject({ stderr: expect.stringContaining("pod default/vanishing does not exist") as string });
    expect(JSON.stringify((await lab.datastore.list(calicoTypes.ipamBlocks)).items)).not.toContain("vanishing");
    lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
  });
});
