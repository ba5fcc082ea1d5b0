import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { coreTypes } from "@calico/datastore";
import { interfaceNameForPod } from "@calico/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, run, startDemoLab, stopLab } from "./cluster.ts";

const PLUGINS = ["portmap", "bandwidth", "tuning"].map((name) => `/usr/lib/cni/${name}`);
const HOST_PORT = 8_088;

describe.skipIf(!PLUGINS.every((path) => existsSync(path)))("plugins of others behind ours", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvchain", 26, { plugins: PLUGINS, parameters: { cni: { CNI_SYSCTLS: "net.core.somaxconn=511" } } });
    const spec = { nodeName: "node-1", containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT, hostPort: HOST_PORT, protocol: "TCP" }] }] };
    await lab.apply([{ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: "published", labels: { app: "published" }, annotations: { "kubernetes.io/ingress-bandwidth": "10M" } }, spec }]);
    await lab.untilRunning(["shop/published"]);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  /** The first line that the port of node-1 answers to node-2; "" for no answer. */
  const answer = async (): Promise<string> => {
    const script = `exec 3<>/dev/tcp/${lab.plan.nodes[0]?.address ?? ""}/${HOST_PORT}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3`;
    const [program = "", ...args] = lab.execCommand("node/node-2", ["timeout", "1", "bash", "-c", script]);
    return promisify(execFile)(program, args).then(({ stdout }) => stdout, () => "");
  };
  const mappings = (): string => run(lab, "node/node-1", "iptables-save", "-t", "nat");
  const links = (): string => run(lab, "node/node-1", "ip", "-o", "link");

  it("portmap: a port of the node leads to the pod, as far as policy allows", async () => {
    expect([await answer(), mappings()]).toEqual([expect.stringContaining("200"), expect.stringContaining(String(HOST_PORT))]);
    await lab.datastore.create(coreTypes.networkPolicies, denyInto("shop"));
    await untilTrue("the policy to close the port", async () => (await answer()) === "", 10_000);
    await lab.datastore.delete(coreTypes.networkPolicies, { namespace: "shop", name: "deny" });
  });

  it("bandwidth: the pod's interface has a token bucket", () => {
    expect(run(lab, "node/node-1", "tc", "qdisc", "show", "dev", interfaceNameForPod("shop", "published"))).toContain("tbf");
  });

  it("tuning: the setting holds inside the pod", () => {
    expect(run(lab, "shop/published", "cat", "/proc/sys/net/core/somaxconn").trim()).toBe("511");
  });

  it("all of it goes with the pod", async () => {
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: "published" }, { gracePeriodSeconds: 0 });
    await untilTrue("the interface to be gone", async () => !links().includes(interfaceNameForPod("shop", "published")), 10_000);
    expect(mappings()).not.toContain(String(HOST_PORT));
  });
});
