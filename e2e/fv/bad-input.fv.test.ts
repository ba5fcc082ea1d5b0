import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT, SERVER_IMAGE } from "../lab/demo.ts";
import { bundleOf, nodeBinary } from "../lab/paths.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { hasKubectl, kubectl, run, startDemoLab, stopLab } from "./cluster.ts";

const pod = (name: string, annotations: Record<string, string> = {}): KubeObject => ({
  apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name, annotations }, spec: { nodeName: "node-1", containers: [{ name: "server", image: SERVER_IMAGE, ports: [{ containerPort: DEMO_PORT, protocol: "TCP" }] }] },
} as KubeObject);

const environment = { CNI_COMMAND: "ADD", CNI_CONTAINERID: "0123456789", CNI_NETNS: "/run/netns/nowhere", CNI_IFNAME: "eth0", CNI_PATH: "/opt/cni/bin", CNI_ARGS: "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=nobody" };
const config = { cniVersion: "1.0.0", name: "k8s-pod-network", type: "calico", ipam: { type: "calico-ipam" } };

describe("bad input", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvbad", 25);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  async function plugin(env: Record<string, string>, stdin: string): Promise<{ status: number; answer: { code?: number; msg?: string; details?: string } }> {
    const [program = "", ...args] = lab.execCommand("node/node-1", ["/opt/cni/bin/calico"]);
    const child = spawn(program, args, { env: { PATH: process.env["PATH"], ...env } });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stdin.on("error", () => undefined);
    child.stdin.end(stdin);
    const [status] = (await once(child, "close")) as [number];
    return { status, answer: output.trim() === "" ? {} : (JSON.parse(output) as object) };
  }

  it.each<[string, Record<string, string>, string, { code: number; msg: string }]>([
    ["text that is not JSON", environment, "{", { code: 6, msg: "the network configuration on standard input is not JSON" }],
    ["no name", environment, JSON.stringify({ ...config, name: undefined }), { code: 7, msg: "network configuration: name: Invalid input: expected string, received undefined" }],
    ["a version of the future", environment, JSON.stringify({ ...config, cniVersion: "9.0.0" }), { code: 1, msg: "cniVersion 9.0.0 is not supported" }],
    ["no container", { ...environment, CNI_CONTAINERID: "" }, JSON.stringify(config), { code: 4, msg: "CNI_CONTAINERID is missing" }],
    ["a hostile interface name", { ...environment, CNI_IFNAME: "../eth0" }, JSON.stringify(config), { code: 4, msg: 'CNI_IFNAME is "../eth0"' }],
    ["a namespace that does not exist", environment, JSON.stringify(config), { code: 3, msg: "the network namespace /run/netns/nowhere does not exist" }],
    ["an unknown command", { ...environment, CNI_COMMAND: "JUMP" }, JSON.stringify(config), { code: 4, msg: 'CNI_COMMAND is "JUMP"' }],
  ])("the CNI plugin answers %s with the specification's code", async (_, env, stdin, expected) => {
    expect(await plugin(env, stdin)).toMatchObject({ status: 1, answer: expected });
  });

  it("the CNI plugin deletes what was never there", async () => {
    expect(await plugin({ ...environment, CNI_COMMAND: "DEL" }, JSON.stringify(config))).toEqual({ status: 0, answer: {} });
  });

  it("without its daemon the plugin says: try again later; a DEL is kept and replayed", async () => {
    const pods = await lab.datastore.list(coreTypes.pods);
    expect(pods.items.length).toBeGreaterThan(0);
    await lab.supervisor.stop("cni@node-1");
    expect(await plugin(environment, JSON.stringify(config))).toMatchObject({ status: 1, answer: { code: 11 } });
    expect(await plugin({ ...environment, CNI_COMMAND: "DEL" }, JSON.stringify(config))).toMatchObject({ status: 0 });
    const spooled = (): string => run(lab, "node/node-1", "find", "/var/lib/calico/cni", "-type", "f", "-path", "*spool*");
    expect(spooled()).not.toBe("");
    lab.supervisor.resume("cni@node-1");
    await untilTrue("the kept DEL to be replayed", async () => spooled() === "", 10_000);
  });

  it("a pool without free addresses: the pod waits, says why, and runs when one is free", async () => {
    await lab.apply([{ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "tiny" }, spec: { cidr: "10.99.0.0/31", blockSize: 32, assignmentMode: "Manual", nodeSelector: "all()" } }]);
    const annotations = { "cni.projectcalico.org/ipv4pools": '["tiny"]' };
    for (const name of ["one", "two"]) await lab.apply([pod(name, annotations)]);
    await lab.untilRunning(["shop/one", "shop/two"]);
    await lab.apply([pod("three", annotations)]);
    await untilTrue("the third pod to be refused", async () => /tiny|free|exhausted|no more/i.test(lab.waiting().get("shop/three") ?? ""), 15_000);
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: "one" }, { gracePeriodSeconds: 0 });
    await lab.untilRunning(["shop/three"], 30_000);
    expect(["two", "three"].map((name) => lab.pods().get(`shop/${name}`)?.addresses[0] ?? "").toSorted((a, b) => a.localeCompare(b))).toEqual(["10.99.0.0", "10.99.0.1"]);
    for (const name of ["two", "three"]) await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 });
  });

  it.skipIf(!hasKubectl)("kubectl is told the field and the remedy", async () => {
    const answer = await kubectl(lab, ["apply", "-f", "-"], { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { namespace: "shop", name: "bad" }, spec: { selector: "all()", ingress: [{ from: [{ namespaceSelector: { matchLabels: { app: "frontend" } } }] }] } });
    expect(answer.status).toBe(1);
    expect(answer.stderr).toContain("spec.ingress[0].from");
    expect(answer.stderr).toContain("here a rule has an action, and a source");
  });

  it("a service whose port is taken says which, and what to change", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const child = spawn(nodeBinary, [bundleOf("kube-controllers")], { env: { PATH: process.env["PATH"], KUBECONFIG: lab.api.kubeconfig, NODENAME: "n", KUBECONTROLLERS_HTTPHOST: "127.0.0.1", KUBECONTROLLERS_HTTPPORT: String(port) } });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [status] = (await once(child, "close")) as [number];
    other.close();
    expect(status).toBe(1);
    expect(output).toContain(`port ${port} on 127.0.0.1 is in use by another process; free it or set KUBECONTROLLERS_HTTPPORT`);
  });

  it("felix without root ends with code 2 and says why", () => {
    const result = spawnSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", nodeBinary, bundleOf("felix")], { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", FELIX_TYPHAADDR: "127.0.0.1:1" }, timeout: 20_000 });
    expect(result.status).toBe(2);
    expect(`${result.stdout}${result.stderr}`).toContain("must run as root");
  });

  it("a service with a wrong parameter ends with code 2 and names it", () => {
    const result = spawnSync(nodeBinary, [bundleOf("felix")], { encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", FELIX_HEALTHPORT: "none", FELIX_TYPHAADDR: "127.0.0.1:1" }, timeout: 20_000 });
    expect(result.status).toBe(2);
    expect(`${result.stdout}${result.stderr}`).toMatch(/FELIX_HEALTHPORT/);
  });
});
