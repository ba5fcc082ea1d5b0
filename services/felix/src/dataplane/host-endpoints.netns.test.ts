import type { EndpointTier, NodePolicy, NodeRule, ResolvedEndpoint, ResolvedHostEndpoint } from "@calico/calc";
import type { Cidr, EndpointId, IpAddress, PolicyId, ProfileId } from "@calico/model";
import { createTestNetns, eventually, type TestNetns } from "@calico/kernel/testing";
import { createFakeClock, createLogger } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FailsafePort } from "@calico/calc";
import { echoes, reaches, serve, type Closable } from "../testing/traffic.ts";
import { createDataplane, type Dataplane, type DataplaneConfig } from "./dataplane.ts";

const tcp = (port: number, net: string | null = null): FailsafePort => ({ protocol: 6, port, net: net as Cidr | null });
const config: DataplaneConfig = {
  interfacePrefix: "cali", defaultEndpointToHostAction: "Accept", iptablesFilterDenyAction: "Drop", natPortRange: "", natOutgoingAddress: "", disableConntrackInvalidCheck: false,
  allowVXLANPacketsFromWorkloads: false, allowIPIPPacketsFromWorkloads: false, ipv6Support: true, logPrefix: "calico-packet", logActionRateLimit: "", logActionRateLimitBurst: 5,
  failsafeInboundHostPorts: [tcp(22), tcp(23, "198.51.100.0/24")], failsafeOutboundHostPorts: [tcp(179)], workloadSourceSpoofing: "Disabled", nftablesRefreshInterval: 0, routeRefreshInterval: 90_000,
  mtu: 0, mtuIfacePattern: "^eth", vxlanEnabled: "Auto", vxlanVNI: 4096, vxlanPort: 4789, vxlanMTU: 0, featureDetectOverride: "",
};
const NODE = "192.0.2.1";
const OUT = "192.0.2.2";
const NODE_FAR = "198.51.100.1";
const POD = "10.65.0.1";

const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };
const ports = (...numbers: number[]) => numbers.map((port) => ({ first: port, last: port }));
const rule = (action: NodeRule["action"], over: Partial<NodeRule> = {}): NodeRule => ({ action, ipVersion: 0, protocol: 6, notProtocol: null, icmp: null, notIcmp: null, source: side, destination: side, index: 0, ...over });
const to = (action: NodeRule["action"], ...numbers: number[]): NodeRule => rule(action, { destination: { ...side, ports: ports(...numbers) } });
const answering = (...numbers: number[]): NodeRule => rule("Allow", { source: { ...side, ports: ports(...numbers) } });
const any = (action: NodeRule["action"]): NodeRule => rule(action, { protocol: null });

type Kind = "tiers" | "forward" | "preDnat" | "untracked";
const policy = (name: string, inbound: readonly NodeRule[], outbound: readonly NodeRule[] = [], kind: Kind = "tiers"): NodePolicy => ({
  id: name as PolicyId, kind: "GlobalNetworkPolicy", namespace: "", name, tier: "default", order: null, selector: "all()", ingress: true, egress: true, inbound, outbound, doNotTrack: kind === "untracked", preDnat: kind === "preDnat",
  applyOnForward: kind !== "tiers", revision: "1",
});
const tier = (ingress: readonly string[], egress: readonly string[] = []): EndpointTier => ({ name: "default", defaultAction: "Deny", ingress: ingress as PolicyId[], egress: egress as PolicyId[] });
const host = (name: string, over: Partial<ResolvedHostEndpoint> = {}): ResolvedHostEndpoint => ({ id: `hep/${name}` as EndpointId, name, interfaceName: name, expectedIps: [], tiers: [], untracked: [], preDnat: [], forward: [], profiles: [], ...over });
const pod: ResolvedEndpoint = { id: "wep/1" as EndpointId, uid: "u1", namespace: "a", pod: "p1", interfaceName: "cali1", addresses: [POD as IpAddress], tiers: [], profiles: ["kns.a" as ProfileId] };

let node: TestNetns;
let out: TestNetns;
let far: TestNetns;
let inPod: TestNetns;
let dataplane: Dataplane;
let drifts: number;
let closables: Closable[];

beforeEach(() => {
  [node, out, far, inPod] = [createTestNetns(), createTestNetns(), createTestNetns(), createTestNetns()];
  const script = (at: TestNetns, ...lines: string[]): string => at.exec("sh", "-ec", ["ip link set lo up", ...lines].join("\n"));
  script(node,
    `ip link add eth0 type veth peer name eth0 netns ${out.name}`, `ip link add eth1 type veth peer name eth0 netns ${far.name}`, `ip link add cali1 type veth peer name eth0 netns ${inPod.name}`,
    "ip link set cali1 address ee:ee:ee:ee:ee:ee", "for i in eth0 eth1 cali1; do ip link set $i up; done", `ip addr add ${NODE}/24 dev eth0`, "ip addr add fd00::1/64 dev eth0 nodad", `ip addr add ${NODE_FAR}/24 dev eth1`);
  script(out, "ip link set eth0 up", `ip addr add ${OUT}/24 dev eth0`, "ip addr add fd00::2/64 dev eth0 nodad", `ip route add default via ${NODE}`);
  script(far, "ip link set eth0 up", "ip addr add 198.51.100.2/24 dev eth0", `ip route add default via ${NODE_FAR}`);
  script(inPod, "ip link set eth0 up", `ip addr add ${POD}/32 dev eth0`, "ip route add 169.254.1.1 dev eth0", "ip route add default via 169.254.1.1", "ip neigh add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0");
  closables = [...serve(node, 22, 23, 80, 8080), ...serve(out, 80, 179, 8080), ...serve(inPod, 80, 8080)];
  drifts = 0;
});
afterEach(async () => {
  await dataplane.stop();
  for (const each of closables) each.close();
  for (const each of [node, out, far, inPod]) each[Symbol.dispose]();
});

const apply = (): Promise<void> => node.runAsync(() => dataplane.apply());
/** A node with one pod, which lets everything in and out. */
async function start(over: Partial<DataplaneConfig> = {}, tell: (sink: Dataplane["sink"]) => void = () => {}): Promise<void> {
  dataplane = createDataplane({ config: { ...config, ...over }, onDrift: () => (drifts += 1), onPodMtu: () => {}, clock: createFakeClock(), log: createLogger("felix", "Fatal", { write: () => {} }) });
  await node.runAsync(() => dataplane.start());
  dataplane.sink.onProfileUpdate({ id: "kns.a" as ProfileId, inbound: [any("Allow")], outbound: [any("Allow")] });
  dataplane.sink.onEndpointUpdate(pod);
  tell(dataplane.sink);
  await apply();
}
const listing = (): string => node.exec("nft", "-s", "list", "table", "inet", "calico");
const gauge = (name: string): number => dataplane.gauges().find(([found]) => found === name)?.[2]() ?? -1;

type Probe = readonly [from: "node" | "out" | "far" | "pod", address: string, port: number];
/** Whether each probe arrives; probes that should are repeated for a while, as long as they do not. */
async function expectReach(wanted: readonly (readonly [...Probe, boolean])[]): Promise<void> {
  const from = { node, out, far, pod: inPod };
  const found = await Promise.all(wanted.map(async ([at, address, port, should]) => {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const reached = await reaches(from[at], address, port);
      if (reached === should || !should || Date.now() > deadline) return [at, address, port, reached];
    }
  }));
  expect(found).toEqual(wanted);
}

describe("a host endpoint", () => {
  it("without policy and profile closes its interface, except for failsafes, what the host says to itself and its own pods", async () => {
    await start({}, (sink) => sink.onHostEndpointUpdate(host("eth0")));
    expect(dataplane.isReady("hep/eth0")).toBe(true);
    await expectReach([
      ["out", NODE, 22, true], ["out", NODE, 23, false], ["out", NODE, 80, false], ["node", OUT, 80, false], ["node", OUT, 179, true],
      // Neighbours are found in IPv6 too.
      ["out", "fd00::1", 22, true], ["out", "fd00::1", 80, false], ["node", "fd00::2", 80, false],
      // No policy is for what is forwarded, for another interface, for oneself or for one's own pod.
      ["out", POD, 80, true], ["pod", OUT, 80, true], ["far", NODE_FAR, 80, true], ["node", NODE, 80, true], ["node", "127.0.0.1", 80, true], ["node", POD, 80, true], ["pod", NODE, 80, true],
    ]);
    expect([await echoes(out, NODE, 80), await echoes(out, POD, 80)]).toEqual([false, true]);
  });

  it("lets in and out what policies of its tiers and then profiles allow", async () => {
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("web", [to("Allow", 80), to("Pass", 8080)], [rule("Allow", { destination: { ...side, nets: [`${OUT}/32` as Cidr], ports: ports(80) } })]));
      sink.onProfileUpdate({ id: "p" as ProfileId, inbound: [to("Allow", 8080)], outbound: [any("Allow")] });
      sink.onHostEndpointUpdate(host("eth0", { tiers: [tier(["web"], ["web"])], profiles: ["p" as ProfileId] }));
    });
    await expectReach([
      ["out", NODE, 80, true], ["out", NODE, 8080, true], ["out", "fd00::1", 80, true], ["out", NODE, 23, false], ["node", OUT, 80, true], ["node", OUT, 8080, false], ["node", "fd00::2", 80, false],
    ]);
  });

  it("the one of every interface is for those without one of their own, those that come later included", async () => {
    await start({}, (sink) => {
      for (const [name, port] of [["eth0", 80], ["*", 8080]] as const) {
        sink.onPolicyUpdate(policy(`of ${name}`, [to("Allow", port)]));
        sink.onHostEndpointUpdate(host(name, { tiers: [tier([`of ${name}`])] }));
      }
    });
    await expectReach([["out", NODE, 80, true], ["out", NODE, 8080, false], ["far", NODE_FAR, 80, false], ["far", NODE_FAR, 8080, true], ["far", NODE_FAR, 23, true], ["node", NODE, 80, true], ["node", POD, 80, true], ["pod", NODE, 80, true]]);
    node.exec("sh", "-ec", "ip link set eth0 down; ip link set eth0 name eth7; ip link set eth7 up");
    await expectReach([["out", NODE, 80, false], ["out", NODE, 8080, true]]);
  });

  it("without a name is for the interface that has its address, and goes with it", async () => {
    await start({}, (sink) => sink.onHostEndpointUpdate(host("by-address", { interfaceName: "", expectedIps: [NODE_FAR as IpAddress, POD as IpAddress] })));
    await expectReach([["far", NODE_FAR, 80, false], ["out", NODE, 80, true]]);
    expect(dataplane.isReady("hep/by-address")).toBe(true);
    const seen = drifts;
    node.exec("ip", "addr", "del", `${NODE_FAR}/24`, "dev", "eth1");
    await eventually("the address to be missed", () => drifts > seen);
    await apply();
    expect([dataplane.isReady("hep/by-address"), dataplane.failures()]).toEqual([false, [{ id: "hep/by-address", reason: `no interface of the host has one of the addresses ${NODE_FAR}, ${POD}` }]]);
    const then = drifts;
    node.exec("ip", "addr", "add", `${NODE_FAR}/32`, "dev", "eth0");
    await eventually("the address to be seen", () => drifts > then);
    await apply();
    await expectReach([["out", NODE, 80, false], ["out", NODE, 22, true]]);
    expect(dataplane.isReady("hep/by-address")).toBe(true);
  });

  it("is in the way of the first packet of an interface that is not there yet, and says so", async () => {
    await start({}, (sink) => sink.onHostEndpointUpdate(host("eth9")));
    expect([dataplane.isReady("hep/eth9"), dataplane.failures()]).toEqual([false, [{ id: "hep/eth9", reason: "interface eth9 does not exist" }]]);
    const seen = drifts;
    node.exec("sh", "-ec", "ip link set eth0 down; ip link set eth0 name eth9; ip link set eth9 up");
    await expectReach([["out", NODE, 80, false], ["out", NODE, 22, true]]);
    await eventually("the interface to be seen", () => drifts > seen);
    await apply();
    expect([dataplane.isReady("hep/eth9"), dataplane.failures()]).toEqual([true, []]);
  });
});

describe("what is forwarded", () => {
  it("meets the host endpoint's forward policy, then that of the workload", async () => {
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("through", [to("Allow", 80, 8081)], [to("Deny", 8080), any("Allow")], "forward"));
      sink.onPolicyUpdate(policy("of the pod", [to("Allow", 80)]));
      sink.onHostEndpointUpdate(host("eth0", { tiers: [tier(["through"], ["through"])], forward: [tier(["through"], ["through"])] }));
      closables.push(...serve(inPod, 8081));
    });
    await expectReach([["out", POD, 80, true], ["out", POD, 8081, true], ["out", POD, 8080, false], ["pod", OUT, 80, true], ["pod", OUT, 8080, false], ["node", POD, 8080, true], ["far", POD, 8080, true]]);
    dataplane.sink.onEndpointUpdate({ ...pod, tiers: [tier(["of the pod"])] });
    await apply();
    await expectReach([["out", POD, 80, true], ["out", POD, 8081, false], ["far", POD, 8080, false]]);
  });

  it("has no failsafes, and an unknown workload interface stays closed", async () => {
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("nothing", [], [], "forward"));
      sink.onHostEndpointUpdate(host("*", { forward: [tier(["nothing"], ["nothing"])], tiers: [tier(["nothing"], ["nothing"])] }));
      closables.push(...serve(inPod, 22));
    });
    await expectReach([["out", POD, 22, false], ["pod", OUT, 179, false], ["out", NODE, 22, true], ["node", POD, 22, true]]);
    dataplane.sink.onPolicyUpdate(policy("nothing", [any("Allow")], [any("Allow")], "forward"));
    await apply();
    await expectReach([["out", POD, 22, true]]);
    dataplane.sink.onEndpointRemove(pod.id);
    await apply();
    node.exec("ip", "route", "replace", POD, "dev", "cali1");
    await expectReach([["out", POD, 22, false]]);
  });
});

describe("before destinations are translated", () => {
  it("policy sees what was asked for; what it allows meets no later policy of the host endpoint", async () => {
    node.exec("nft", "add table ip test; add chain ip test nat { type nat hook prerouting priority -100; }; add rule ip test nat iifname eth0 tcp dport 30080 dnat to 10.65.0.1:80; add rule ip test nat iifname eth0 tcp dport 30081 dnat to 10.65.0.1:8080");
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("early", [to("Allow", 8080, 30_081), to("Deny", 30_080, 22)], [], "preDnat"));
      sink.onPolicyUpdate(policy("closed", [], [], "forward"));
      sink.onHostEndpointUpdate(host("eth0", { preDnat: [tier(["early"])] }));
    });
    await expectReach([["out", NODE, 30_080, false], ["out", NODE, 30_081, true], ["out", POD, 80, true], ["out", NODE, 8080, true], ["out", NODE, 80, false], ["out", NODE, 22, true]]);
    dataplane.sink.onHostEndpointUpdate(host("eth0", { preDnat: [tier(["early"])], forward: [tier(["closed"])] }));
    await apply();
    await expectReach([["out", NODE, 30_081, true], ["out", POD, 80, false], ["out", POD, 8080, true]]);
    // Later policy of others than the host endpoint still counts.
    dataplane.sink.onEndpointUpdate({ ...pod, tiers: [tier(["closed"])] });
    await apply();
    await expectReach([["out", NODE, 30_081, false]]);
  });
});

describe("before connection tracking", () => {
  const tracked = (): string => node.exec("conntrack", "-L", "-p", "tcp");
  it("what policy allows is not tracked, and needs a rule for each direction", async () => {
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("fast", [to("Allow", 80), to("Deny", 22)], [], "untracked"));
      sink.onHostEndpointUpdate(host("eth0", { untracked: [tier(["fast"], [])] }));
    });
    await expectReach([["out", NODE, 80, false], ["out", NODE, 22, true], ["out", POD, 8080, true]]);
    dataplane.sink.onPolicyUpdate(policy("fast", [to("Allow", 80), to("Deny", 22)], [answering(80)], "untracked"));
    dataplane.sink.onHostEndpointUpdate(host("eth0", { untracked: [tier(["fast"], ["fast"])] }));
    await apply();
    node.exec("conntrack", "-F");
    await expectReach([["out", NODE, 80, true], ["out", NODE, 8080, false], ["out", NODE, 22, true], ["node", OUT, 179, true]]);
    expect(tracked()).not.toContain("dport=80 ");
    expect(tracked()).toContain("dport=22 ");
  });

  it("failsafes come first, with their answers, and neighbours are found", async () => {
    await start({}, (sink) => {
      sink.onPolicyUpdate(policy("closed", [to("Allow", 80), any("Deny")], [answering(80), any("Deny")], "untracked"));
      sink.onHostEndpointUpdate(host("eth0", { untracked: [tier(["closed"], ["closed"])], profiles: ["kns.a" as ProfileId] }));
    });
    await expectReach([["out", NODE, 22, true], ["node", OUT, 179, true], ["out", "fd00::1", 22, true], ["out", "fd00::1", 80, true], ["out", NODE, 8080, false], ["node", OUT, 80, false], ["out", POD, 8080, false], ["node", POD, 80, true], ["node", NODE, 80, true]]);
  });
});

it.each(["untracked", "preDnat"] as const)("a mark that somebody else has put on a packet is not taken for the acceptance of %s policy", async (kind) => {
  node.exec("nft", "add table ip test; add chain ip test pre { type filter hook prerouting priority -400; }; add rule ip test pre meta mark set 0x20000; add chain ip test out { type filter hook output priority -400; }; add rule ip test out meta mark set 0x20000");
  await start({}, (sink) => {
    sink.onPolicyUpdate(policy("some", [to("Allow", 8080)], [to("Allow", 8080)], kind));
    sink.onHostEndpointUpdate(host("eth0", { [kind]: [tier(["some"], kind === "untracked" ? ["some"] : [])] }));
  });
  await expectReach([["out", NODE, 22, true], ["out", NODE, 80, false], ["node", OUT, 80, false]]);
});

describe("what this host sends to a translated destination", () => {
  it.each(["Drop", "Reject"] as const)("meets policy as what it became, when Deny is %s", async (iptablesFilterDenyAction) => {
    node.exec("nft", "add table ip test; add chain ip test nat { type nat hook output priority -100; }; add rule ip test nat ip daddr 203.0.113.1 dnat to 192.0.2.2; add rule ip test nat ip daddr 203.0.113.2 dnat to 10.65.0.1");
    node.exec("ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.2");
    await start({ iptablesFilterDenyAction }, (sink) => {
      sink.onPolicyUpdate(policy("service", [], [rule("Allow", { destination: { ...side, nets: [`${OUT}/32` as Cidr], ports: ports(80) } })]));
      for (const name of ["eth0", "eth1", "*"]) sink.onHostEndpointUpdate(host(name, { tiers: [tier([], ["service"])] }));
    });
    expect(dataplane.failures()).toEqual([]);
    await expectReach([["node", "203.0.113.1", 80, true], ["node", "203.0.113.1", 8080, false], ["node", "203.0.113.1", 179, true], ["node", "203.0.113.2", 8080, true], ["node", "198.51.100.2", 80, false], ["node", OUT, 8080, false]]);
    // What is forwarded is not this host's.
    node.exec("nft", "add chain ip test pre { type nat hook prerouting priority -100; }; add rule ip test pre ip daddr 203.0.113.1 dnat to 192.0.2.2");
    await expectReach([["pod", "203.0.113.1", 8080, true]]);
  });
});

describe("from a pod to its own host", () => {
  it.each<[DataplaneConfig["defaultEndpointToHostAction"], string, boolean]>([["Accept", "*", true], ["Return", "*", false], ["Return", "eth0", true], ["Drop", "eth0", false]])("%s with a host endpoint of %s", async (defaultEndpointToHostAction, name, open) => {
    await start({ defaultEndpointToHostAction }, (sink) => sink.onHostEndpointUpdate(host(name)));
    await expectReach([["pod", NODE, 80, open], ["pod", NODE, 22, defaultEndpointToHostAction !== "Drop"], ["node", POD, 80, true]]);
  });
});

describe("the table", () => {
  const full = (sink: Dataplane["sink"]): void => {
    sink.onPolicyUpdate(policy("p", [to("Allow", 80)], [to("Allow", 80)]));
    for (const kind of ["untracked", "preDnat"] as const) sink.onPolicyUpdate(policy(kind, [to("Allow", 80)], [], kind));
    const all = { tiers: [tier(["p"], ["p"])], forward: [tier(["p"], ["p"])], untracked: [tier(["untracked"])], preDnat: [tier(["preDnat"])], profiles: ["kns.a" as ProfileId] };
    for (const name of ["eth0", "*"]) sink.onHostEndpointUpdate(host(name, all));
  };

  it("has nothing of host endpoints while there is none, and nothing again when the last is gone", async () => {
    const listed = ["p", "untracked", "preDnat"];
    await start();
    const before = listing();
    expect(before).not.toMatch(/host-|failsafe|mangle|filter-output|forward-from/);
    full(dataplane.sink);
    await apply();
    expect(listing()).toContain('"eth0" : goto forward-from-eth0');
    for (const name of ["eth0", "*"]) dataplane.sink.onHostEndpointRemove(`hep/${name}` as EndpointId);
    await apply();
    for (const name of listed) dataplane.sink.onPolicyRemove(name as PolicyId);
    await apply();
    expect(listing()).toBe(before);
  });

  it("is written once: neither the same again nor a restart changes it", async () => {
    await start({}, full);
    const before = [listing(), gauge("felix_nft_commands")];
    full(dataplane.sink);
    await apply();
    expect([listing(), gauge("felix_nft_commands")]).toEqual(before);
    await dataplane.stop();
    await start({}, full);
    expect([listing(), gauge("felix_nft_commands")]).toEqual([before[0], 0]);
    expect(dataplane.isReady("hep/eth0")).toBe(true);
  });

  it("cleans up after host endpoints that went while felix was away", async () => {
    await start();
    const before = listing();
    full(dataplane.sink);
    await apply();
    await dataplane.stop();
    await start();
    expect(listing()).toBe(before);
  });

  it("follows the configuration", async () => {
    await start({}, (sink) => sink.onHostEndpointUpdate(host("eth0")));
    await expectReach([["out", NODE, 80, false], ["out", NODE, 22, true]]);
    dataplane.reconfigure({ ...config, failsafeInboundHostPorts: [tcp(80, "192.0.2.0/24"), tcp(8080, "198.51.100.0/24")] });
    await apply();
    await expectReach([["out", NODE, 80, true], ["out", NODE, 22, false], ["out", NODE, 8080, false]]);
  });
});

it("tunnel packets are not the host endpoint's, what they carry is", async () => {
  await start({}, (sink) => {
    sink.onPoolUpdate({ name: "pool", cidr: "10.65.0.0/16" as Cidr, ipipMode: "Never", vxlanMode: "Always", natOutgoing: false, disableBgpExport: false, disabled: false });
    sink.onLocalNodeUpdate({ address: `${NODE}/24` as Cidr, vxlan: { address: "10.65.1.1" as IpAddress, mac: "66:00:00:00:00:01" } });
    sink.onVtepUpdate({ node: "n2", nodeAddress: OUT as IpAddress, tunnelAddress: "10.65.2.1" as IpAddress, mac: "66:00:00:00:00:02" });
    sink.onRemoteRouteUpdate({ destination: "10.65.2.0/26" as Cidr, node: "n2", through: "tunnel", gateway: "10.65.2.1" as IpAddress });
    for (const kind of ["untracked", "preDnat"] as const) sink.onPolicyUpdate(policy(kind, [any("Deny")], [any("Deny")], kind));
    sink.onHostEndpointUpdate(host("eth0", { untracked: [tier(["untracked"], ["untracked"])], preDnat: [tier(["preDnat"])] }));
  });
  out.exec("sh", "-ec", `ip link add vx type vxlan id 4096 local ${OUT} remote ${NODE} dstport 4789 nolearning
    ip link set vx address 66:00:00:00:00:02 up
    ip addr add 10.65.2.1/32 dev vx
    ip route add 10.65.1.1 dev vx
    ip route replace 10.65.0.0/26 via 10.65.1.1 dev vx src 10.65.2.1
    ip neigh add 10.65.1.1 lladdr 66:00:00:00:00:01 dev vx`);
  await expectReach([["pod", "10.65.2.1", 80, true], ["out", POD, 80, true], ["node", "10.65.2.1", 80, true], ["out", NODE, 80, false], ["node", OUT, 80, false]]);
  dataplane.sink.onHostEndpointUpdate(host("*"));
  await apply();
  await expectReach([["pod", "10.65.2.1", 80, true], ["out", POD, 80, true], ["node", "10.65.2.1", 80, false]]);
  dataplane.sink.onHostEndpointRemove("hep/eth0" as EndpointId);
  await apply();
  await expectReach([["pod", "10.65.2.1", 80, true], ["out", POD, 80, true], ["node", "10.65.2.1", 80, false], ["out", NODE, 80, false]]);
  // The one for every interface is for vxlan.calico too: what comes out of the tunnel, and the answers that go in.
  dataplane.sink.onHostEndpointUpdate(host("*", { untracked: [tier(["untracked"], ["untracked"])], preDnat: [tier(["preDnat"])] }));
  await apply();
  await expectReach([["pod", "10.65.2.1", 80, false], ["out", POD, 80, false]]);
});

it("a pod sends from the prefixes that it is allowed, where that is configured", async () => {
  inPod.exec("sh", "-ec", "ip addr add 203.0.113.9/32 dev eth0; ip addr add 203.0.114.9/32 dev eth0");
  const sources = [POD, "203.0.113.9", "203.0.114.9"];
  out.exec("nft", `add table ip test; add chain ip test seen { type filter hook input priority 0; }; ${sources.map((source) => `add rule ip test seen ip saddr ${source} counter`).join("; ")}`);
  // Hundreds of others do not fit into one rule.
  const others = Array.from({ length: 500 }, (_, n) => `198.${18 + (n >> 8)}.${n & 255}.0/24` as Cidr);
  await start({}, (sink) => sink.onEndpointUpdate({ ...pod, allowedSourcePrefixes: [...others, "203.0.113.0/24" as Cidr] }));
  // As far as routes go these come from elsewhere.
  node.exec("ip", "route", "add", "203.0.112.0/22", "dev", "eth1");
  const seen = (): number[] => [...out.exec("nft", "list", "table", "ip", "test").matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets));
  const arrive = async (): Promise<boolean[]> => {
    const before = seen();
    for (const source of sources) inPod.exec("sh", "-c", `ping -c 1 -W 0.1 -I ${source} ${OUT} >/dev/null || true`);
    await eventually("the pod's own packet", () => seen()[0] !== before[0]);
    return seen().map((packets, i) => packets > (before[i] ?? 0));
  };
  expect(await arrive()).toEqual([true, false, false]);
  dataplane.reconfigure({ ...config, workloadSourceSpoofing: "Any" });
  await apply();
  expect(await arrive()).toEqual([true, true, false]);
  dataplane.sink.onEndpointUpdate(pod);
  await apply();
  expect(await arrive()).toEqual([true, false, false]);
  expect(node.exec("sysctl", "-n", "net.ipv4.conf.cali1.rp_filter").trim()).toBe("1");
});
