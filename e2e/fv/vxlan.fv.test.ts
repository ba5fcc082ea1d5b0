import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, run, startDemoLab, stopLab, untilHealthy, untilReach, untilRestarted, withoutPolicies } from "./cluster.ts";
import { pinging, transfer } from "./transfer.ts";

const NODES = ["node-1", "node-2", "node-3", "node-4"];
const TUNNEL_ANNOTATION = "projectcalico.org/IPv4VXLANTunnelAddr";
const PARAMETERS = { "kube-controllers": { KUBECONTROLLERS_LEAKGRACEPERIOD: "1s", KUBECONTROLLERS_LEAKSCANINTERVAL: "500ms" }, felix: { FELIX_IPAUTODETECTIONINTERVAL: "1s" } };

let lab: Lab;
/** What a node's kernel has of the overlay. */
const routesOf = (node: string): string[] => run(lab, `node/${node}`, "ip", "route", "show", "proto", "80").split("\n").map((line) => line.trim()).filter((line) => / via /.test(line)).toSorted();
const forwardingOf = (node: string): string[] => run(lab, `node/${node}`, "bridge", "fdb", "show").split("\n").filter((line) => line.includes("vxlan.calico") && line.includes(" dst ")).map((line) => line.trim()).toSorted();
const neighboursOf = (node: string): string[] => run(lab, `node/${node}`, "ip", "-4", "neigh", "show", "dev", "vxlan.calico", "nud", "permanent").split("\n").map((line) => line.trim()).filter(Boolean).toSorted();
const birdRoutesOf = (node: string): string[] => run(lab, `node/${node}`, "ip", "route", "show", "proto", "bird").split("\n").map((line) => line.trim()).filter(Boolean);
const hasDevice = (node: string): boolean => run(lab, `node/${node}`, "ip", "-o", "link").includes("vxlan.calico");
/** Whole, with the device's number. */
const overlayOf = (node: string): object => ({ device: run(lab, `node/${node}`, "ip", "-o", "-d", "link", "show", "vxlan.calico"), routes: routesOf(node), forwarding: forwardingOf(node), neighbours: neighboursOf(node) });
const tunnelPackets = (node: string): number => (JSON.parse(run(lab, `node/${node}`, "ip", "-j", "-s", "link", "show", "dev", "vxlan.calico")) as [{ stats64: { tx: { packets: number } } }])[0].stats64.tx.packets;
/** Packets that nodes took apart because they were too large. */
const fragmented = (): number[] => NODES.map((node) => {
  const [names = "", values = ""] = run(lab, `node/${node}`, "cat", "/proc/net/snmp").split("\n").filter((line) => line.startsWith("Ip:"));
  return Number(values.split(" ")[names.split(" ").indexOf("FragCreates")]);
});
const tunnelAddresses = async (): Promise<Record<string, string | undefined>> => Object.fromEntries((await lab.datastore.list<KubeObject>(coreTypes.nodes)).items.map(({ metadata }) => [metadata.name, metadata.annotations?.[TUNNEL_ANNOTATION]]));
const handles = async (): Promise<string[]> => (await lab.datastore.list<KubeObject>(calicoTypes.ipamHandles)).items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith("vxlan-tunnel-addr-")).toSorted();
const setMode = (vxlanMode: string): Promise<unknown> => lab.datastore.patch(calicoTypes.ipPools, { name: "default-ipv4-ippool" }, { spec: { vxlanMode } }, { type: "merge" });
const addressOf = (pod: string): string => lab.pods().get(pod)?.addresses[0] ?? "";
const nodeOf = (pod: string): string => lab.pods().get(pod)?.host.plan.name ?? "";
const blockOf = async (node: string): Promise<string[]> => (await lab.datastore.list<KubeObject & { spec: { cidr: string; affinity: string } }>(calicoTypes.ipamBlocks)).items.filter(({ spec }) => spec.affinity === `host:${node}`).map(({ spec }) => spec.cidr);
const onNode = (node: string): string => [...lab.pods().keys()].find((pod) => nodeOf(pod) === node) ?? "";
const ping = (from: string, to: string, ...flags: string[]): string => {
  const [program = "", ...args] = lab.execCommand(from, ["ping", "-n", "-c", "5", "-i", "0.02", "-W", "1", ...flags, to]);
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 10_000 });
  return stdout + stderr;
};
/** Whose blocks each of a node's overlay routes leads to, and how. */
async function waysOf(node: string): Promise<Record<string, string>> {
  const addresses = await tunnelAddresses();
  const ways: Record<string, string> = {};
  for (const other of NODES.filter((name) => name !== node)) {
    for (const block of await blockOf(other)) {
      const route = routesOf(node).find((line) => line.startsWith(`${block} `)) ?? "none";
      const plan = lab.plan.nodes.find(({ name }) => name === other);
      ways[other] = route === `${block} via ${addresses[other]} dev vxlan.calico onlink` ? "tunnel" : route === `${block} via ${plan?.address} dev eth0` ? "subnet" : route;
    }
  }
  return ways;
}

describe("CrossSubnet: four nodes in two subnets", () => {
  beforeAll(async () => {
    lab = await startDemoLab("vxcross", 24, { nodes: 4, subnets: 2, encapsulation: "vxlan-crosssubnet", parameters: PARAMETERS });
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  it("goes through the tunnel to the other subnet and without it in the own one, and BIRD keeps out of it", async () => {
    for (const [node, near] of [["node-1", "node-3"], ["node-2", "node-4"], ["node-3", "node-1"], ["node-4", "node-2"]] as const) {
      expect(await waysOf(node)).toEqual(Object.fromEntries(NODES.filter((other) => other !== node).map((other) => [other, other === near ? "subnet" : "tunnel"])));
      expect(birdRoutesOf(node)).toEqual([]);
    }
    const [here, near, far] = [onNode("node-1"), onNode("node-3"), onNode("node-2")];
    const before = tunnelPackets("node-1");
    expect(ping(here, addressOf(near))).toContain("5 received");
    expect(tunnelPackets("node-1")).toBe(before);
    expect(ping(here, addressOf(far))).toContain("5 received");
    expect(tunnelPackets("node-1")).toBe(before + 5);
  });

  it("carries packets as large as pods may send, whole, and megabytes of them", async () => {
    const [here, near, far] = [onNode("node-1"), onNode("node-3"), onNode("node-2")];
    expect(run(lab, here, "ip", "-o", "link", "show", "eth0")).toContain("mtu 1450 ");
    const before = fragmented();
    for (const other of [near, far]) {
      expect(ping(here, addressOf(other), "-M", "do", "-s", String(1_450 - 28))).toContain("5 received");
      expect(ping(here, addressOf(other), "-M", "do", "-s", String(1_450 - 27))).toContain("message too long");
      expect(await transfer(lab, here, other, 8_000_000)).toBe(8_000_000);
    }
    expect(fragmented()).toEqual(before);
  });

  it("obeys policy across the tunnel", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, (_, to) => !to.startsWith("shop/"));
    await withoutPolicies(lab);
  });

  it("nodes reach pods of others from their tunnel's address, whatever address they begin with, and pods reach nodes", async () => {
    const far = onNode("node-2");
    const addresses = await tunnelAddresses();
    expect(run(lab, "node/node-1", "ip", "route", "get", addressOf(far))).toContain(`src ${addresses["node-1"]}`);
    await untilTrue("the node to reach the pod", async () => (await lab.probe("node/node-1", far, DEMO_PORT)).reached, 5_000);
    const renamed = (): number => Number(/counter packets (\d+) bytes \d+ masquerade fully-random comment "into the tunnel with its own address"/.exec(run(lab, "node/node-1", "nft", "list", "chain", "inet", "calico", "nat-postrouting"))?.[1]);
    const before = renamed();
    expect(ping("node/node-1", addressOf(far), "-I", lab.plan.nodes[0]?.address ?? "")).toContain("5 received");
    expect(renamed()).toBe(before + 1);
    expect((await lab.probe(onNode("node-1"), "node/node-2", 9099)).reached).toBe(true);
    expect((await lab.probe(onNode("node-1"), addresses["node-2"] ?? "", 9099)).reached).toBe(true);
  });

  it("opens no tunnel packet of a stranger, and tracks none at all", async () => {
    const strangers = (): number => Number(/counter packets (\d+) bytes \d+ drop comment "VXLAN from a stranger"/.exec(run(lab, "node/node-1", "nft", "list", "chain", "inet", "calico", "filter-input"))?.[1]);
    const before = strangers();
    const socket = createSocket("udp4");
    await new Promise((resolve) => socket.send(Buffer.alloc(60), 4789, lab.plan.nodes[0]?.address ?? "", resolve));
    socket.close();
    await untilTrue("the packet to be dropped", async () => strangers() === before + 1, 5_000);
    expect(ping(onNode("node-1"), addressOf(onNode("node-2")))).toContain("5 received");
    expect(run(lab, "node/node-1", "cat", "/proc/net/nf_conntrack")).not.toMatch(/dport=4789/);
  });

  it("the device deleted by hand returns", async () => {
    const before = { ...overlayOf("node-1"), device: "" };
    run(lab, "node/node-1", "ip", "link", "del", "vxlan.calico");
    await untilTrue("the overlay to be as before", async () => JSON.stringify({ ...overlayOf("node-1"), device: "" }) === JSON.stringify(before), 10_000);
    await untilReach(lab, () => true);
  });

  it("felix killed: no packet is lost, and its restart leaves everything as it is", async () => {
    const before = overlayOf("node-1");
    const restarts = lab.supervisor.states().find(({ id }) => id === "felix@node-1")?.restarts ?? 0;
    const { sent, received } = await pinging(lab, onNode("node-1"), addressOf(onNode("node-2")), async () => {
      lab.supervisor.kill("felix@node-1", "SIGKILL");
      await untilRestarted(lab, "felix@node-1", restarts);
      await untilHealthy(lab, "node-1", 9099);
    });
    expect(sent).toBeGreaterThan(10);
    expect(received).toBe(sent);
    expect(overlayOf("node-1")).toEqual(before);
  });

  it("an address borrowed from another node's block is found where it is", async () => {
    const address = addressOf(onNode("node-2")).replace(/\d+$/, (last) => String((Number(last) & ~63) + 40));
    await lab.apply([{
      apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: "borrower", annotations: { "cni.projectcalico.org/ipAddrs": JSON.stringify([address]) } },
      spec: { nodeName: "node-3", containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT }] }] },
    }]);
    await lab.untilRunning(["shop/borrower"]);
    const routeTo = (node: string): string => routesOf(node).find((line) => line.startsWith(`${address} `)) ?? "none";
    const addresses = await tunnelAddresses();
    await untilTrue("the ways to the borrowed address", async () => routeTo("node-2") === `${address} via ${addresses["node-3"]} dev vxlan.calico onlink` && routeTo("node-1") === `${address} via ${lab.plan.nodes[2]?.address} dev eth0`, 10_000);
    await untilReach(lab, () => true);
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: "borrower" }, { gracePeriodSeconds: 0 });
    await untilTrue("the ways to be gone", async () => NODES.every((node) => routeTo(node) === "none"), 15_000);
  });

  it("a node that is gone takes its entries, routes and tunnel address with it", async () => {
    const held = await handles();
    expect(held).toEqual(NODES.map((node) => `vxlan-tunnel-addr-${node}`));
    const gone = "node-4";
    const address = lab.plan.nodes[3]?.address ?? "";
    const pods = [...lab.pods().keys()].filter((pod) => nodeOf(pod) === gone);
    for (const pod of pods) {
      const [namespace = "", name = ""] = pod.split("/");
      await lab.datastore.delete(coreTypes.pods, { namespace, name }, { gracePeriodSeconds: 0 });
    }
    await untilTrue("its pods to be gone", async () => pods.every((pod) => !lab.pods().has(pod)), 15_000);
    for (const component of ["felix", "ipam", "bird", "cni"]) await lab.supervisor.stop(`${component}@${gone}`);
    const blocks = await blockOf(gone);
    expect(forwardingOf("node-1").filter((line) => line.includes(address))).toHaveLength(1);
    await lab.datastore.delete(coreTypes.nodes, { name: gone });
    await untilTrue("its entries and routes to be gone", async () => ["node-1", "node-2", "node-3"].every((node) => !forwardingOf(node).some((line) => line.includes(address)) && neighboursOf(node).length === 2 && !routesOf(node).some((line) => blocks.some((block) => line.startsWith(`${block} `)))), 20_000);
    await untilTrue("its tunnel address to be released", async () => !(await handles()).includes(`vxlan-tunnel-addr-${gone}`), 20_000);
    expect((await handles())).toEqual(held.filter((name) => !name.endsWith(gone)));
    await untilReach(lab, () => true);
  });
});

describe("Always, and other modes on a running cluster", () => {
  const always = (node: string): Record<string, string> => Object.fromEntries(NODES.filter((other) => other !== node).map((other) => [other, "tunnel"]));
  /** Waits until every node's ways are as expected. */
  const untilWays = (expected: (node: string) => Record<string, string>): Promise<void> => untilTrue("the routes to be as the mode says", async () => {
    for (const node of NODES) {
      const ways = JSON.stringify(await waysOf(node));
      if (ways !== JSON.stringify(expected(node))) throw new Error(`${node}: ${ways}`);
    }
    return true;
  }, 30_000);

  beforeAll(async () => {
    lab = await startDemoLab("vxalways", 25, { nodes: 4, subnets: 2, encapsulation: "vxlan", parameters: PARAMETERS });
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  it("everything goes through the tunnel, also within a subnet", async () => {
    for (const node of NODES) expect([await waysOf(node), birdRoutesOf(node)]).toEqual([always(node), []]);
    const before = tunnelPackets("node-1");
    expect(ping(onNode("node-1"), addressOf(onNode("node-3")))).toContain("5 received");
    expect(tunnelPackets("node-1")).toBe(before + 5);
    expect(await transfer(lab, onNode("node-1"), onNode("node-3"), 4_000_000)).toBe(4_000_000);
  });

  it("every node has a tunnel address of its own, which nobody takes for a leak, and gets it back when somebody edits the Node", async () => {
    const before = await tunnelAddresses();
    expect(new Set(Object.values(before)).size).toBe(4);
    await lab.datastore.patch(coreTypes.nodes, { name: "node-2" }, { metadata: { annotations: { [TUNNEL_ANNOTATION]: null } } }, { type: "merge" });
    await untilTrue("the address to be announced again", async () => (await tunnelAddresses())["node-2"] === before["node-2"], 10_000);
    expect([await tunnelAddresses(), await handles()]).toEqual([before, NODES.map((node) => `vxlan-tunnel-addr-${node}`)]);
    await untilReach(lab, () => true);
  });

  it("CrossSubnet, Never and Always again: nothing stale is left of the mode before", async () => {
    const mtuOf = (node: string): string => run(lab, `node/${node}`, "cat", "/var/lib/calico/mtu").trim();
    await setMode("CrossSubnet");
    await untilWays((node) => Object.fromEntries(NODES.filter((other) => other !== node).map((other) => [other, (Number(other.at(-1)) - Number(node.at(-1))) % 2 === 0 ? "subnet" : "tunnel"])));
    await untilReach(lab, () => true);
    await setMode("Never");
    await untilTrue("the overlay to be gone", async () => NODES.every((node) => !hasDevice(node) && routesOf(node).length === 0 && birdRoutesOf(node).length > 0 && mtuOf(node) === "1500"), 30_000);
    await untilTrue("the tunnel addresses to be given back", async () => (await handles()).length === 0 && Object.values(await tunnelAddresses()).every((address) => address === undefined), 20_000);
    const [here, near] = [onNode("node-1"), onNode("node-3")];
    await untilTrue("BGP to lead to the pods of the own subnet", async () => (await lab.probe(here, near, DEMO_PORT)).reached, 20_000);
    expect(NODES.map((node) => /4789|vxlan/.test(run(lab, `node/${node}`, "nft", "list", "chain", "inet", "calico", "filter-input")))).toEqual([false, false, false, false]);
    await setMode("Always");
    await untilWays(always);
    await untilReach(lab, () => true, 30_000);
    expect(NODES.map((node) => [birdRoutesOf(node), mtuOf(node)])).toEqual(NODES.map(() => [[], "1450"]));
  });

  it("another port, MTU and network identifier take effect on every node, without a restart", async () => {
    const configure = (spec: object): Promise<unknown> => lab.datastore.patch(calicoTypes.felixConfigurations, { name: "default" }, { spec }, { type: "merge" });
    const device = (node: string): string => run(lab, `node/${node}`, "ip", "-o", "-d", "link", "show", "vxlan.calico");
    const untilDevices = (mtu: number, vni: number, port: number): Promise<void> => untilTrue("the devices to be as configured", async () => NODES.every((node) => new RegExp(` mtu ${mtu} .* vxlan id ${vni} .* dstport ${port} `).test(device(node))), 20_000);
    await configure({ vxlanPort: 4790, vxlanMTU: 1400, vxlanVNI: 7 });
    await untilDevices(1400, 7, 4790);
    await untilReach(lab, () => true);
    await configure({ vxlanPort: null, vxlanMTU: null, vxlanVNI: null });
    await untilDevices(1450, 4096, 4789);
    await untilReach(lab, () => true);
  });

  it("a node that gets another address is found at the new one", async () => {
    const [node, old, address] = ["node-4", lab.plan.nodes[3]?.address ?? "", "172.25.1.77"];
    run(lab, `node/${node}`, "ip", "addr", "del", `${old}/24`, "dev", "eth0");
    run(lab, `node/${node}`, "ip", "addr", "add", `${address}/24`, "dev", "eth0");
    run(lab, `node/${node}`, "ip", "route", "replace", "default", "via", "172.25.1.1");
    await untilTrue("everybody to know the new address", async () => ["node-1", "node-2", "node-3"].every((other) => forwardingOf(other).some((line) => line.includes(` dst ${address} `)) && !forwardingOf(other).some((line) => line.includes(` dst ${old} `))), 60_000);
    await untilTrue("its own tunnel to begin there", async () => run(lab, `node/${node}`, "ip", "-d", "link", "show", "vxlan.calico").includes(`local ${address} `), 60_000);
    await untilReach(lab, () => true, 30_000);
  });
});
