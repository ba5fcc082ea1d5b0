import { readdirSync } from "node:fs";
import { calicoTypes, coreTypes } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allowPolicies, defaultDeny } from "../lab/demo.ts";
import { PORTS } from "../lab/components.ts";
import type { Lab } from "../lab/lab.ts";
import { patient } from "../lab/patience.ts";
import { untilTrue } from "../lab/wait.ts";
import { hasKubectl, onCluster, healthOf, kubectl, rules, run, startDemoLab, stopLab, untilHealthy, untilReach } from "./cluster.ts";

describe("the main job", () => {
  let lab: Lab;
  const began = performance.now();
  let up = 0;
  beforeAll(async () => {
    lab = await startDemoLab("fvmain", 21);
    up = performance.now() - began;
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  it.skipIf(onCluster)("is up within twenty seconds", () => expect(up).toBeLessThan(patient(20_000)));

  it("gives a pod a /32, the gateway 169.254.1.1 and nothing else", () => {
    const [address = ""] = lab.pods().get("shop/frontend")?.addresses ?? [];
    expect(run(lab, "shop/frontend", "ip", "-4", "-o", "addr", "show", "eth0")).toContain(`inet ${address}/32`);
    expect(run(lab, "shop/frontend", "ip", "route").trim().split("\n").map((line) => line.trim())).toEqual(["default via 169.254.1.1 dev eth0", "169.254.1.1 dev eth0 scope link"]);
  });

  it("routes to other nodes by BGP, and keeps its own block from looping", async () => {
    await untilTrue("BGP routes to both other nodes", async () => run(lab, "node/node-1", "ip", "route").split("\n").filter((line) => line.includes("proto bird")).length === 2, 20_000);
    const routes = run(lab, "node/node-1", "ip", "route");
    expect(routes).toMatch(/^blackhole 10\.65\.\d+\.\d+\/26 proto 80/m);
    expect(run(lab, "node/node-1", "birdc", "-s", "/run/calico/bird.ctl", "show", "protocols")).toMatch(/Mesh_172_21_0_12.*Established/);
  });

  it("reaches the machine's address through masquerade", async () => {
    expect((await lab.probe("shop/frontend", lab.plan.controlAddress, 6443)).reached).toBe(true);
  });

  it.skipIf(onCluster)("answers on the metrics and health ports of every service", async () => {
    for (const [component, { metrics, health }] of Object.entries(PORTS)) {
      await untilHealthy(lab, "node-1", health);
      const { status, text } = await healthOf(lab, "node-1", metrics, "/metrics");
      expect(status, component).toBe(200);
      expect(text, component).toMatch(/^process_cpu_user_seconds_total/m);
    }
  });

  it("enforces the demo's policies, one after the other", async () => {
    await lab.apply([defaultDeny]);
    await untilReach(lab, (_, to) => !to.startsWith("shop/"));
    await lab.apply(allowPolicies);
    const allowed = new Set(["shop/frontend>shop/backend", "monitoring/scraper>shop/frontend", "monitoring/scraper>shop/backend", "monitoring/scraper>shop/database"]);
    await untilReach(lab, (from, to) => !to.startsWith("shop/") || allowed.has(`${from}>${to}`));
  });

  it.skipIf(!hasKubectl)("takes a policy of kubectl's, shows it, and forgets it when it is deleted", async () => {
    const policy = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "monitoring", name: "mine" }, spec: { podSelector: { matchLabels: { app: "curious" } }, policyTypes: ["Ingress"] } };
    expect(await kubectl(lab, ["apply", "-f", "-"], policy)).toMatchObject({ status: 0, stdout: "networkpolicy.networking.k8s.io/mine created\n" });
    await untilTrue("curious to be closed", async () => !(await lab.probe("monitoring/scraper", "monitoring/curious", 8080, "tcp", 200)).reached, 5_000);
    expect((await kubectl(lab, ["delete", "-f", "-"], policy)).status).toBe(0);
    await untilTrue("curious to be open", async () => (await lab.probe("monitoring/scraper", "monitoring/curious", 8080, "tcp", 200)).reached, 5_000);
  });

  it("takes a deleted pod out of the kernel and gives its address back", async () => {
    const pod = lab.pods().get("monitoring/curious");
    await lab.datastore.delete(coreTypes.pods, { namespace: "monitoring", name: "curious" }, { gracePeriodSeconds: 1 });
    await untilTrue("the pod to be gone", async () => !lab.pods().has("monitoring/curious"), 10_000);
    
    const node = pod?.host.plan.name ?? "";
    const [address = ""] = pod?.addresses ?? [];
    await untilTrue("the pod's chains to go", async () => !rules(lab, node).includes(address), 10_000);
    expect(run(lab, `node/${node}`, "ip", "route")).not.toContain(`${address} dev`);
    await untilTrue("the address to be free", async () => !JSON.stringify(await lab.datastore.list(calicoTypes.ipamBlocks)).includes('"pod":"curious"'), 10_000);
    expect(readdirSync("/run/netns")).not.toContain(pod?.netns);
  });
});
