import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { startTestCluster, type TestCluster } from "./testing.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startTestCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

/** Runs the built program, as `npx calicoctl` does. */
async function calicoctl(args: string[], input?: unknown): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(nodeBinary, [join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), ...args], { env: { PATH: process.env["PATH"], KUBECONFIG: cluster.kubeconfig }, timeout: 20_000 });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) child[stream].on("data", (chunk: Buffer) => (output[stream] += chunk.toString()));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input === undefined ? "" : JSON.stringify(input));
  const [status] = (await once(child, "close")) as [number | null];
  return { status, ...output };
}
const pool = (name: string, spec: object) => ({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec });

describe("calicoctl", () => {
  it("creates, shows, replaces, patches and deletes", async () => {
    expect(await calicoctl(["create", "-f", "-"], pool("a", { cidr: "10.0.0.0/16", natOutgoing: true }))).toEqual({ status: 0, stdout: "Successfully created 1 'IPPool' resource(s)\n", stderr: "" });
    expect(await calicoctl(["get", "ippool", "-o", "wide"])).toEqual({
      status: 0, stderr: "",
      stdout: "NAME   CIDR          NAT    IPIPMODE   VXLANMODE   DISABLED   DISABLEBGPEXPORT   SELECTOR   ASSIGNMENTMODE\na      10.0.0.0/16   true   Never      Never                                     all()      Automatic\n",
    });
    expect((await calicoctl(["create", "-f", "-"], pool("a", { cidr: "10.0.0.0/16" }))).status).toBe(1);
    expect((await calicoctl(["create", "--skip-exists", "-f", "-"], pool("a", { cidr: "10.0.0.0/16" }))).status).toBe(0);
    expect((await calicoctl(["apply", "-f", "-"], pool("a", { cidr: "10.0.0.0/16", disabled: true }))).stdout).toBe("Successfully applied 1 'IPPool' resource(s)\n");
    expect(JSON.parse((await calicoctl(["get", "ippool", "a", "-o", "json"])).stdout)).toMatchObject({ kind: "IPPool", spec: { disabled: true } });
    expect((await calicoctl(["patch", "ippool", "a", "-p", '{"spec":{"disabled":false}}'])).stdout).toBe("Successfully patched 1 'IPPool' resource\n");
    expect((await calicoctl(["get", "ippools", "-o", "yaml"])).stdout).toMatch(/^kind: IPPoolList\napiVersion: projectcalico\.org\/v3\nitems:\n {2}- apiVersion[\s\S]*disabled: false/);
    expect((await calicoctl(["delete", "ippool", "a"])).stdout).toBe("Successfully deleted 1 'IPPool' resource(s)\n");
    expect(await calicoctl(["get", "ippool", "a"])).toEqual({ status: 1, stdout: "", stderr: "there is no IPPool a\n" });
  });

  it("writes nothing of a file in which something is wrong", async () => {
    const list = { apiVersion: "projectcalico.org/v3", kind: "IPPoolList", items: [pool("good", { cidr: "10.0.0.0/16" }), pool("bad", { cidr: "10.1.0.0/16", ipipMode: "Always", vxlanMode: "Always" })] };
    expect(await calicoctl(["apply", "-f", "-"], list)).toEqual({ status: 1, stdout: "", stderr: "standard input:1: IPPool bad: spec.vxlanMode: a pool uses IPIP or VXLAN, not both: set one of ipipMode and vxlanMode to Never\n" });
    expect((await calicoctl(["get", "ippools", "-o", "name"])).stdout).toBe("");
  });

  it("shows nodes and workloads, which are Kubernetes' own, and leaves them alone", async () => {
    await cluster.datastore.create(coreTypes.nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "n1", annotations: { "projectcalico.org/IPv4Address": "192.0.2.1/24" } }, spec: {} } as KubeObject);
    await cluster.datastore.create(coreTypes.pods, { apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name: "web" }, spec: { nodeName: "n1", containers: [{ name: "c", image: "i" }] } } as KubeObject);
    await cluster.datastore.patch(coreTypes.pods, { namespace: "default", name: "web" }, { status: { podIP: "10.0.0.1" } }, { type: "merge", subresource: "status" });
    expect((await calicoctl(["get", "nodes", "-o", "wide"])).stdout).toBe("NAME   ASN         IPV4           IPV6\nn1     (default)   192.0.2.1/24\n");
    expect((await calicoctl(["get", "wep"])).stdout).toBe("NAMESPACE   WORKLOAD   NODE   NETWORKS\ndefault     web        n1     10.0.0.1\n");
    expect(await calicoctl(["delete", "node", "n1"])).toMatchObject({ status: 1, stderr: "a Node is a view on an object of Kubernetes; delete that with kubectl\n" });
    expect(await calicoctl(["patch", "node", "n1", "-p", "{}"])).toMatchObject({ status: 1 });
  });

  it("says which cluster does not answer", async () => {
    await cluster.server.close();
    const { status, stderr } = await calicoctl(["get", "ippools"]);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^the API server http:\/\/127\.0\.0\.1:\d+ does not answer: /)]);
    cluster = await startTestCluster();
  });
});
