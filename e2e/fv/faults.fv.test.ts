import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { attach, createPod, detach } from "../bench/sandboxes.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { cniAdd } from "../lab/kubelet/cni-runtime.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, inject, rules, run, startDemoLab, stopLab, untilHealthy, untilReach, withoutPolicies } from "./cluster.ts";

const intoShop = (_: string, to: string): boolean => !to.startsWith("shop/");
const podRoutes = (lab: Lab, node: string): string[] => [...run(lab, `node/${node}`, "ip", "route").matchAll(/^(\S+) dev cali\S+ proto 80/gm)].map(([, address = ""]) => address).toSorted((a, b) => (a < b ? -1 : 1));
const podsOf = (lab: Lab, node: string): string[] => [...lab.pods().values()].filter(({ host }) => host.plan.name === node).flatMap(({ addresses }) => addresses).toSorted((a, b) => (a < b ? -1 : 1));
const allocated = async (lab: Lab): Promise<string[]> => (await lab.datastore.list<KubeObject & { spec: { attributes: { secondary?: { pod?: string } }[] } }>(calicoTypes.ipamBlocks)).items.flatMap(({ spec }) => spec.attributes.flatMap(({ secondary }) => secondary?.pod ?? []));

describe("what happens to nodes", () => {
  let lab: Lab;
  let host: NodeHost;
  beforeAll(async () => {
    lab = await startDemoLab("fvfault", 28, { parameters: { "kube-controllers": { KUBECONTROLLERS_LEAKGRACEPERIOD: "2s", KUBECONTROLLERS_LEAKSCANINTERVAL: "1s" } } });
    host = lab.hosts[0] as NodeHost;
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));
  afterEach(() => withoutPolicies(lab));

  const health = async (): Promise<string> => (await fetch(`http://${host.plan.address}:9099/health`)).text();

  it("somebody flushes the ruleset: nothing of ours goes", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, intoShop);
    const before = rules(lab, "node-1");
    run(lab, "node/node-1", "nft", "flush", "ruleset");
    expect(rules(lab, "node-1")).toBe(before);
    await untilReach(lab, intoShop);
  });

  it("a table of others drops: felix says which, and traffic is back with its end", async () => {
    run(lab, "node/node-1", "nft", "add table inet other; add chain inet other forward { type filter hook forward priority 10; policy drop; }");
    await untilTrue("felix to say so", async () => (await health()).includes("chain forward of table inet other drops at forward"), 10_000);
    const onNode = (key: string): boolean => lab.pods().get(key)?.host.plan.name === "node-1";
    await untilReach(lab, (from, to) => !onNode(from) && !onNode(to));
    run(lab, "node/node-1", "nft", "delete", "table", "inet", "other");
    await untilReach(lab, () => true);
    await untilTrue("felix to be content", async () => !(await health()).includes("table inet other"), 10_000);
  });

  it("links flap: a pod's and the node's own", async () => {
    const [pod] = [...lab.pods().values()].filter(({ host: { plan } }) => plan.name === "node-1");
    const [, link = ""] = new RegExp(`^${pod?.addresses[0] ?? ""} dev (\\S+)`, "m").exec(run(lab, "node/node-1", "ip", "route")) ?? [];
    run(lab, "node/node-1", "sh", "-c", `ip link set ${link} down; ip link set ${link} up`);
    await untilTrue("the pods' routes to be back", async () => podRoutes(lab, "node-1").join() === podsOf(lab, "node-1").join(), 10_000);
    // The default route is the business of who manages the machine's network.
    run(lab, "node/node-1", "sh", "-c", "route=$(ip route show default); ip link set eth0 down; ip link set eth0 up; ip route add $route");
    await untilReach(lab, () => true, 40_000);
  });

  it("the disk is full: an ADD fails in words and leaves nothing; with room again it succeeds", async () => {
    run(lab, "node/node-1", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/var/lib/calico/cni/containers");
    const dir = `/proc/${host.pid()}/root/var/lib/calico/cni/containers`;
    try {
      const { bavail, bsize } = statfsSync(dir);
      writeFileSync(`${dir}/filler`, Buffer.alloc(bavail * bsize));
      const sandbox = await createPod(lab, host, "crowded");
      await expect(cniAdd(host, sandbox)).rejects.toThrow(/ENOSPC|no space/);
      expect([podRoutes(lab, "node-1"), (await allocated(lab)).includes("crowded")]).toEqual([podsOf(lab, "node-1"), false]);
      rmSync(`${dir}/filler`);
      await detach(lab, host, await attach(host, sandbox));
    } finally {
      run(lab, "node/node-1", "umount", "/var/lib/calico/cni/containers");
    }
    expect((await allocated(lab)).includes("crowded")).toBe(false);
  });

  it("blocks that always change and a slow API server: pods wait and run", async () => {
    await inject(lab, { conflicts: { ipamblocks: 8 }, latencyMs: 150 });
    const names = [0, 1, 2, 3, 4, 5].map((n) => `slow-${n}`);
    await lab.apply(names.map((name) => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name, labels: { app: "slow" } }, spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT }] }] } })));
    await lab.untilRunning(names.map((name) => `shop/${name}`), 30_000);
    await inject(lab, { latencyMs: 0 });
    const addresses = [...lab.pods().values()].flatMap((pod) => pod.addresses);
    expect(new Set(addresses).size).toBe(addresses.length);
    for (const name of names) await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 });
    await untilTrue("their addresses to be free", async () => (await allocated(lab)).every((name) => !name.startsWith("slow-")), 20_000);
  });

  it("30 pods of a node come and go at once: nothing is left of them", async () => {
    const before = podRoutes(lab, "node-1");
    for (let round = 0; round < 2; round += 1) {
      const names = Array.from({ length: 30 }, (_, n) => `burst-${round}-${n}`);
      await lab.apply(names.map((name) => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name }, spec: { nodeName: "node-1", containers: [{ name: "c", image: "i" }] } })));
      await lab.untilRunning(names.map((name) => `shop/${name}`), 30_000);
      expect(podRoutes(lab, "node-1")).toHaveLength(before.length + 30);
      await Promise.all(names.map((name) => lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 })));
    }
    await untilTrue("the routes to be as before", async () => podRoutes(lab, "node-1").join() === before.join(), 20_000);
    await untilTrue("the addresses to be free", async () => (await allocated(lab)).every((name) => !name.startsWith("burst-")), 20_000);
    expect(rules(lab, "node-1")).not.toContain("burst-");
  });

  it("a node is removed and returns: the others forget it and take it up again", async () => {
    const node = await lab.datastore.get<KubeObject & { status?: object }>(coreTypes.nodes, { name: "node-3" });
    const blockOf = (name: string): string => /^blackhole (\S+)/m.exec(run(lab, `node/${name}`, "ip", "route"))?.[1] ?? "";
    const block = blockOf("node-3");
    await lab.datastore.delete(coreTypes.nodes, { name: "node-3" });
    await untilTrue("the session to end", async () => !run(lab, "node/node-1", "ip", "route").includes(`${block} via`), 20_000);
    const { resourceVersion, uid, ...metadata } = node.metadata;
    void [resourceVersion, uid];
    await lab.datastore.create(coreTypes.nodes, { ...node, metadata });
    await lab.datastore.patch(coreTypes.nodes, { name: "node-3" }, { status: node.status }, { type: "merge", subresource: "status" });
    await untilHealthy(lab, "node-3", 9099);
    await untilReach(lab, () => true, 40_000);
  });
});
