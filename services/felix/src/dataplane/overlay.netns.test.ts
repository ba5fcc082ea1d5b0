import type { LocalNode, NodePool, RemoteRoute, Vtep } from "@calico/calc";
import type { Cidr, IpAddress } from "@calico/model";
import { readTxChecksum } from "@calico/kernel";
import { createTestNetns, eventually, type TestNetns } from "@calico/kernel/testing";
import { createFakeClock, createLogger } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDataplane, type Dataplane, type DataplaneConfig } from "./dataplane.ts";

const config: DataplaneConfig = {
  interfacePrefix: "cali", defaultEndpointToHostAction: "Accept", iptablesFilterDenyAction: "Drop", natPortRange: "", natOutgoingAddress: "", disableConntrackInvalidCheck: false,
  allowVXLANPacketsFromWorkloads: false, allowIPIPPacketsFromWorkloads: false, ipv6Support: true, logPrefix: "calico-packet", logActionRateLimit: "", logActionRateLimitBurst: 5, failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [], workloadSourceSpoofing: "Disabled", nftablesRefreshInterval: 0, routeRefreshInterval: 90_000,
  mtu: 0, mtuIfacePattern: "^eth", vxlanEnabled: "Auto", vxlanVNI: 4096, vxlanPort: 4789, vxlanMTU: 0, featureDetectOverride: "",
};
const pool = (vxlanMode: string): NodePool => ({ name: "pool", cidr: "10.65.0.0/16" as Cidr, ipipMode: "Never", vxlanMode, natOutgoing: true, disableBgpExport: false, disabled: false });
const local: LocalNode = { address: "192.0.2.1/24" as Cidr, vxlan: { address: "10.65.1.1" as IpAddress, mac: "66:00:00:00:00:01" } };
const vtep = (n: number, address = `192.0.2.${n}`): Vtep => ({ node: `n${n}`, nodeAddress: address as IpAddress, tunnelAddress: `10.65.${n}.1` as IpAddress, mac: `66:00:00:00:00:0${n}` });
const tunnel = (n: number): RemoteRoute => ({ destination: `10.65.${n}.0/26` as Cidr, node: `n${n}`, through: "tunnel", gateway: `10.65.${n}.1` as IpAddress });
const subnet = (n: number): RemoteRoute => ({ destination: `10.65.${n}.0/26` as Cidr, node: `n${n}`, through: "subnet", gateway: `192.0.2.${n}` as IpAddress });

let netns: TestNetns;
let open: Dataplane[];
let drifts: number;
let mtus: number[];
beforeEach(() => {
  netns = createTestNetns();
  netns.exec("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far");
  for (const name of ["eth0", "far"]) netns.exec("ip", "link", "set", name, "up");
  netns.exec("ip", "addr", "add", "192.0.2.1/24", "dev", "eth0");
  open = [];
  drifts = 0;
  mtus = [];
});
afterEach(async () => {
  for (const dataplane of open) await dataplane.stop();
  netns[Symbol.dispose]();
});

const apply = (dataplane: Dataplane): Promise<void> => netns.runAsync(() => dataplane.apply());
async function start(): Promise<Dataplane> {
  const dataplane = createDataplane({ config, onDrift: () => (drifts += 1), onPodMtu: (mtu) => mtus.push(mtu), clock: createFakeClock(), log: createLogger("felix", "Fatal", { write: () => {} }) });
  open.push(dataplane);
  await netns.runAsync(() => dataplane.start());
  return dataplane;
}
/** A node with two others, one behind the tunnel and one in the own subnet. */
function feed({ sink }: Dataplane, mode = "CrossSubnet"): void {
  sink.onPoolUpdate(pool(mode));
  sink.onLocalNodeUpdate(local);
  for (const n of [2, 3]) sink.onVtepUpdate(vtep(n));
  sink.onRemoteRouteUpdate(tunnel(2));
  sink.onRemoteRouteUpdate(subnet(3));
}
async function running(): Promise<Dataplane> {
  const dataplane = await start();
  feed(dataplane);
  await apply(dataplane);
  return dataplane;
}

const device = (): string => netns.exec("ip", "-d", "link", "show", "vxlan.calico");
const hasDevice = (): boolean => netns.exec("ip", "-o", "link").includes("vxlan.calico");
/** Everything of the overlay that the kernel has, without the device's number. */
function kernel(): object {
  const lines = (...command: [string, ...string[]]): string[] => netns.exec(...command).trim().split("\n").map((line) => line.trim()).filter(Boolean).toSorted();
  return {
    device: hasDevice() ? device().replace(/^\d+/, "").replace(/ numtxqueues.*/, "") : null,
    address: hasDevice() ? lines("ip", "-4", "-o", "addr", "show", "vxlan.calico").map((line) => /inet (\S+)/.exec(line)?.[1]) : [],
    forwarding: hasDevice() ? lines("bridge", "fdb", "show", "dev", "vxlan.calico") : [],
    neighbours: hasDevice() ? lines("ip", "-4", "neigh", "show", "dev", "vxlan.calico", "nud", "permanent") : [],
    routes: lines("ip", "route", "show", "proto", "80"),
  };
}
/** Applies as long as something in the kernel is not as it was. */
async function untilMended(dataplane: Dataplane, before: object): Promise<void> {
  for (let attempt = 0; attempt < 50 && JSON.stringify(kernel()) !== JSON.stringify(before); attempt += 1) {
    const seen = drifts;
    await eventually("the change to be noticed", () => drifts > seen || JSON.stringify(kernel()) === JSON.stringify(before), 2_000);
    await apply(dataplane);
  }
  expect(kernel()).toEqual(before);
}

describe("the overlay on the kernel", () => {
  it("is a device with its address, entries for each node, and routes", async () => {
    const dataplane = await running();
    expect(device()).toMatch(/mtu 1450 .*\n.*link\/ether 66:00:00:00:00:01 .*\n\s+vxlan id 4096 local 192\.0\.2\.1 dev eth0 .*dstport 4789 nolearning/);
    expect(kernel()).toMatchObject({
      address: ["10.65.1.1/32"], forwarding: ["66:00:00:00:00:02 dst 192.0.2.2 self permanent", "66:00:00:00:00:03 dst 192.0.2.3 self permanent"],
      neighbours: ["10.65.2.1 lladdr 66:00:00:00:00:02 PERMANENT", "10.65.3.1 lladdr 66:00:00:00:00:03 PERMANENT"],
      routes: ["10.65.2.0/26 via 10.65.2.1 dev vxlan.calico onlink", "10.65.3.0/26 via 192.0.2.3 dev eth0"],
    });
    expect(netns.exec("ip", "route", "get", "10.65.2.9")).toContain("src 10.65.1.1");
    expect([mtus, dataplane.overlay(), dataplane.obstacles()]).toEqual([[1450], "VXLAN 10.65.1.1 on eth0, MTU 1450, 2 other nodes, 2 routes", []]);
  });

  it("writes nothing again after a restart with the same input", async () => {
    const first = await running();
    const before = [kernel(), netns.exec("ip", "-o", "link", "show", "vxlan.calico").split(":")[0]];
    await first.stop();
    open = [];
    expect([kernel(), netns.exec("ip", "-o", "link", "show", "vxlan.calico").split(":")[0]]).toEqual(before);
    await running();
    expect([kernel(), netns.exec("ip", "-o", "link", "show", "vxlan.calico").split(":")[0]]).toEqual(before);
  });

  it.each<[string, string[][]]>([
    ["the device", [["ip", "link", "del", "vxlan.calico"]]],
    ["a device of other parameters in its place", [["ip", "link", "del", "vxlan.calico"], ["ip", "link", "add", "vxlan.calico", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "eth0"]]],
    ["another MTU and MAC address", [["ip", "link", "set", "vxlan.calico", "mtu", "1400"], ["ip", "link", "set", "vxlan.calico", "address", "66:00:00:00:00:99"]]],
    ["a device that is down", [["ip", "link", "set", "vxlan.calico", "down"]]],
    ["its address", [["ip", "addr", "del", "10.65.1.1/32", "dev", "vxlan.calico"]]],
    ["an address too many", [["ip", "addr", "add", "10.9.9.9/32", "dev", "vxlan.calico"]]],
    ["a forwarding entry", [["bridge", "fdb", "del", "66:00:00:00:00:02", "dev", "vxlan.calico"]]],
    ["a forwarding entry that leads elsewhere", [["bridge", "fdb", "replace", "66:00:00:00:00:02", "dst", "192.0.2.77", "dev", "vxlan.calico"]]],
    ["a forwarding entry of nobody", [["bridge", "fdb", "add", "66:00:00:00:00:77", "dst", "192.0.2.77", "dev", "vxlan.calico"]]],
    ["a neighbour", [["ip", "neigh", "del", "10.65.2.1", "dev", "vxlan.calico"]]],
    ["a neighbour with another MAC address", [["ip", "neigh", "replace", "10.65.2.1", "lladdr", "66:00:00:00:00:77", "dev", "vxlan.calico", "nud", "permanent"]]],
    ["a neighbour of nobody", [["ip", "neigh", "add", "10.65.9.1", "lladdr", "66:00:00:00:00:77", "dev", "vxlan.calico", "nud", "permanent"]]],
    ["a route into the tunnel", [["ip", "route", "del", "10.65.2.0/26"]]],
    ["a route in the subnet", [["ip", "route", "del", "10.65.3.0/26"]]],
    ["a flap of the uplink", [["ip", "link", "set", "eth0", "down"], ["ip", "link", "set", "eth0", "up"]]],
  ])("mends what somebody did: %s", async (_, commands) => {
    const dataplane = await running();
    const before = kernel();
    for (const [program = "", ...args] of commands) netns.exec(program, ...args);
    await untilMended(dataplane, before);
  });

  it("follows a node's address, its tunnel address, and its end", async () => {
    const dataplane = await running();
    dataplane.sink.onVtepUpdate({ ...vtep(2, "198.51.100.2"), tunnelAddress: "10.65.2.7" as IpAddress });
    dataplane.sink.onRemoteRouteUpdate({ ...tunnel(2), gateway: "10.65.2.7" as IpAddress });
    dataplane.sink.onRemoteRouteRemove("10.65.3.0/26");
    dataplane.sink.onVtepRemove("n3");
    await apply(dataplane);
    expect(kernel()).toMatchObject({
      forwarding: ["66:00:00:00:00:02 dst 198.51.100.2 self permanent"], neighbours: ["10.65.2.7 lladdr 66:00:00:00:00:02 PERMANENT"], routes: ["10.65.2.0/26 via 10.65.2.7 dev vxlan.calico onlink"],
    });
  });

  it("finds an end whose own tunnel address is borrowed from another node's block, and an address of this node's block that is elsewhere", async () => {
    const dataplane = await running();
    dataplane.sink.onBlockUpdate({ cidr: "10.65.1.0/26" as Cidr, node: "n1" });
    dataplane.sink.onVtepUpdate({ ...vtep(3), tunnelAddress: "10.65.2.9" as IpAddress });
    for (const destination of ["10.65.2.9/32", "10.65.1.7/32"]) dataplane.sink.onRemoteRouteUpdate({ destination: destination as Cidr, node: "n3", through: "tunnel", gateway: "10.65.2.9" as IpAddress });
    await apply(dataplane);
    expect(kernel()).toMatchObject({ routes: [
      "10.65.1.7 via 10.65.2.9 dev vxlan.calico onlink", "10.65.2.0/26 via 10.65.2.1 dev vxlan.calico onlink", "10.65.2.9 via 10.65.2.9 dev vxlan.calico onlink", "10.65.3.0/26 via 192.0.2.3 dev eth0", "blackhole 10.65.1.0/26",
    ] });
    expect(dataplane.obstacles()).toEqual([]);
  });

  it("follows this node's own address to another interface", async () => {
    const dataplane = await running();
    netns.exec("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0");
    netns.exec("ip", "link", "set", "far", "name", "eth1");
    netns.exec("ip", "addr", "add", "192.0.2.5/24", "dev", "eth1");
    netns.exec("ip", "link", "set", "eth1", "mtu", "1400");
    dataplane.sink.onLocalNodeUpdate({ ...local, address: "192.0.2.5/24" as Cidr });
    await apply(dataplane);
    expect(device()).toMatch(/mtu 1350 [\s\S]*local 192\.0\.2\.5 dev eth1/);
    expect(kernel()).toMatchObject({ forwarding: [expect.stringContaining("192.0.2.2"), expect.stringContaining("192.0.2.3")], routes: ["10.65.2.0/26 via 10.65.2.1 dev vxlan.calico onlink", "10.65.3.0/26 via 192.0.2.3 dev eth1"] });
    expect(mtus).toEqual([1450, 1350]);
  });

  it("holds still while no interface has the node's address, and says so", async () => {
    const dataplane = await running();
    const before = device();
    netns.exec("ip", "addr", "del", "192.0.2.1/24", "dev", "eth0");
    await eventually("the change to be noticed", () => drifts > 0);
    await apply(dataplane);
    expect([device(), dataplane.obstacles()]).toEqual([before, ["VXLAN: no interface has the node's address 192.0.2.1"]]);
  });

  it("goes when no pool has VXLAN any more, and is refused strangers while it is there", async () => {
    const dataplane = await running();
    const rules = (): string => netns.exec("nft", "-s", "list", "table", "inet", "calico");
    expect(rules()).toMatch(/udp dport 4789 ip saddr @vxlan-senders-v4 counter accept[\s\S]*udp dport 4789 counter drop/);
    expect(rules()).toMatch(/set vxlan-senders-v4 \{[^}]*192\.0\.2\.2, 192\.0\.2\.3/);
    expect(rules().match(/udp dport 4789 notrack/g)?.length).toBe(2);
    expect(rules()).toMatch(/oifname "vxlan\.calico" .*fib saddr type local fib saddr \. oif type != local counter masquerade/);
    dataplane.sink.onPoolUpdate(pool("Never"));
    for (const n of [2, 3]) dataplane.sink.onRemoteRouteRemove(`10.65.${n}.0/26`);
    await apply(dataplane);
    expect(kernel()).toEqual({ device: null, address: [], forwarding: [], neighbours: [], routes: [] });
    // While there is a device strangers are kept out of it.
    expect([rules().includes("VXLAN from a stranger"), drifts > 0]).toEqual([true, true]);
    await apply(dataplane);
    expect(rules()).not.toMatch(/4789.*(accept|notrack)|vxlan-senders|vxlan\.calico/);
    expect([mtus, dataplane.overlay()]).toEqual([[1450, 1500], ""]);
    feed(dataplane);
    await apply(dataplane);
    expect(kernel()).toMatchObject({ forwarding: [expect.anything(), expect.anything()], routes: [expect.anything(), expect.anything()] });
    expect(rules()).toMatch(/set vxlan-senders-v4 \{[^}]*192\.0\.2\.2, 192\.0\.2\.3/);
  });

  it("removes what an earlier run left and nobody wants now", async () => {
    const first = await running();
    await first.stop();
    open = [];
    const second = await start();
    await apply(second);
    expect(kernel()).toEqual({ device: null, address: [], forwarding: [], neighbours: [], routes: [] });
  });

  it("begins at an address on the loopback interface, by whichever link leads to the other node", async () => {
    netns.exec("ip", "addr", "add", "198.51.100.1/32", "dev", "lo");
    const dataplane = await start();
    feed(dataplane);
    dataplane.sink.onLocalNodeUpdate({ ...local, address: "198.51.100.1/32" as Cidr });
    await apply(dataplane);
    expect(device()).toMatch(/mtu 1450 [\s\S]*vxlan id 4096 local 198\.51\.100\.1 srcport/);
    expect([dataplane.obstacles(), mtus]).toEqual([[], [1450]]);
  });

  it("waits without a tunnel address, and goes without VXLAN when the configuration says so", async () => {
    const dataplane = await start();
    feed(dataplane);
    dataplane.sink.onLocalNodeUpdate({ ...local, vxlan: null });
    await apply(dataplane);
    expect(hasDevice()).toBe(false);
    expect(dataplane.obstacles()).toEqual([expect.stringContaining("this node has no tunnel address yet")]);
    expect(kernel()).toMatchObject({ routes: ["10.65.3.0/26 via 192.0.2.3 dev eth0"] });
    dataplane.sink.onLocalNodeUpdate(local);
    await apply(dataplane);
    expect(hasDevice()).toBe(true);
    dataplane.reconfigure({ ...config, vxlanEnabled: "false" });
    await apply(dataplane);
    expect(kernel()).toEqual({ device: null, address: [], forwarding: [], neighbours: [], routes: [] });
  });

  it("takes other parameters from the configuration; an MTU that does not fit is cut to what does", async () => {
    const dataplane = await running();
    dataplane.reconfigure({ ...config, vxlanVNI: 5, vxlanPort: 8472, vxlanMTU: 9_000, featureDetectOverride: "ChecksumOffloadBroken=true" });
    await apply(dataplane);
    expect(device()).toMatch(/mtu 1450 [\s\S]*vxlan id 5 .*dstport 8472/);
    expect(netns.run(() => readTxChecksum(netns.sys, "vxlan.calico"))).toBe(false);
    expect(netns.exec("nft", "-s", "list", "table", "inet", "calico")).toMatch(/udp dport 8472 ip saddr @vxlan-senders-v4 counter accept/);
    dataplane.reconfigure({ ...config, vxlanMTU: 1_300 });
    await apply(dataplane);
    expect(device()).toMatch(/mtu 1300 [\s\S]*vxlan id 4096 .*dstport 4789/);
    expect([mtus, kernel()]).toMatchObject([[1450, 1300], { forwarding: [expect.anything(), expect.anything()] }]);
  });

  it("says what the kernel refuses, keeps the rest, and comes when it can", async () => {
    netns.exec("ip", "link", "add", "other", "type", "vxlan", "id", "4096", "dstport", "4789", "dev", "eth0", "local", "192.0.2.1");
    const dataplane = await running();
    expect(dataplane.obstacles()).toEqual([expect.stringMatching(/^VXLAN: create VXLAN device vxlan\.calico: E/)]);
    expect(kernel()).toMatchObject({ device: null, routes: ["10.65.3.0/26 via 192.0.2.3 dev eth0"] });
    netns.exec("ip", "link", "del", "other");
    await apply(dataplane);
    expect(dataplane.obstacles()).toEqual([]);
    expect(kernel()).toMatchObject({ routes: [expect.stringContaining("vxlan.calico"), expect.stringContaining("eth0")] });
  });
});
