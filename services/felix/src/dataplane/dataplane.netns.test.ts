import type { EndpointTier, IpSetId, NodeBlock, NodePolicy, NodeProfile, NodeRule, ResolvedEndpoint, ResolvedHostEndpoint } from "@calico/calc";
import type { Cidr, EndpointId, IpAddress, PolicyId, ProfileId } from "@calico/model";
import { openNftables } from "@calico/kernel";
import { createTestNetns, eventually, type TestNetns } from "@calico/kernel/testing";
import { createFakeClock, createLogger } from "@calico/service-kit";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDataplane, type Dataplane, type DataplaneConfig } from "./dataplane.ts";

const config: DataplaneConfig = {
  interfacePrefix: "cali", defaultEndpointToHostAction: "Accept", iptablesFilterDenyAction: "Drop", natPortRange: "", natOutgoingAddress: "", disableConntrackInvalidCheck: false,
  allowVXLANPacketsFromWorkloads: false, allowIPIPPacketsFromWorkloads: false, ipv6Support: true, logPrefix: "calico-packet", logActionRateLimit: "", logActionRateLimitBurst: 5, failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [], workloadSourceSpoofing: "Disabled", nftablesRefreshInterval: 0, routeRefreshInterval: 90_000,
  mtu: 0, mtuIfacePattern: "^eth", vxlanEnabled: "Auto", vxlanVNI: 4096, vxlanPort: 4789, vxlanMTU: 0, featureDetectOverride: "",
};
const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };
const rule = (over: Partial<NodeRule> = {}): NodeRule => ({ action: "Allow", ipVersion: 0, protocol: 6, notProtocol: null, icmp: null, notIcmp: null, source: side, destination: side, index: 0, ...over });
const policy = (name: string, inbound: readonly NodeRule[]): NodePolicy => ({
  id: name as PolicyId, kind: "NetworkPolicy", namespace: "a", name, tier: "default", order: null, selector: "all()", ingress: true, egress: false, inbound, outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "1",
});
const profile: NodeProfile = { id: "kns.a" as ProfileId, inbound: [rule({ protocol: null })], outbound: [rule({ protocol: null })] };
const tier = (...ingress: string[]): EndpointTier => ({ name: "default", defaultAction: "Deny", ingress: ingress as PolicyId[], egress: [] });
const endpoint = (n: number, over: Partial<ResolvedEndpoint> = {}): ResolvedEndpoint => ({
  id: `wep/${n}` as EndpointId, uid: `u${n}`, namespace: "a", pod: `p${n}`, interfaceName: `cali${n}`, addresses: [`10.65.${n >> 8}.${n & 255}` as IpAddress], tiers: [], profiles: ["kns.a" as ProfileId], ...over,
});

const host = (name: string, policies: readonly string[], where: "tiers" | "forward" | "preDnat" | "untracked"): ResolvedHostEndpoint => ({
  id: `hep/${name}` as EndpointId, name, interfaceName: name, expectedIps: [], tiers: [], forward: [], preDnat: [], untracked: [], profiles: policies.length > 1 ? [profile.id] : [],
  [where]: [{ name: "default", defaultAction: "Deny", ingress: policies, egress: policies }],
});

let netns: TestNetns;
let open: Dataplane[];
let drifts: number;
let mtus: number[];
let clock: ReturnType<typeof createFakeClock>;
beforeEach(() => {
  clock = createFakeClock();
  netns = createTestNetns();
  open = [];
  drifts = 0;
  mtus = [];
});
afterEach(async () => {
  for (const dataplane of open) await dataplane.stop();
  netns[Symbol.dispose]();
});

async function start(over: Partial<Parameters<typeof createDataplane>[0]> = {}): Promise<Dataplane> {
  const dataplane = createDataplane({ config, onDrift: () => (drifts += 1), onPodMtu: (mtu) => mtus.push(mtu), clock, log: createLogger("felix", "Fatal", { write: () => {} }), ...over });
  open.push(dataplane);
  await netns.runAsync(() => dataplane.start());
  return dataplane;
}
const apply = (dataplane: Dataplane): Promise<void> => netns.runAsync(() => dataplane.apply());
const gauge = (dataplane: Dataplane, name: string): number => dataplane.gauges().find(([found]) => found === name)?.[2]() ?? -1;
const listing = (): string => netns.exec("nft", "-s", "list", "table", "inet", "calico");
const veth = (n: number): void => {
  netns.exec("ip", "link", "add", `cali${n}`, "type", "veth", "peer", "name", `in${n}`);
  for (const name of [`cali${n}`, `in${n}`]) netns.exec("ip", "link", "set", name, "up");
};

/** What the kernel holds, in an order that does not depend on how it came to be. */
function kernel(): unknown {
  const nft = netns.run(() => openNftables(netns.sys));
  try {
    const dump = nft.dumpTable("calico");
    const sorted = <T>(map: ReadonlyMap<string, T> | undefined): [string, T][] => [...(map ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return { chains: sorted(dump?.chains).map(([name, rules]) => [name, rules.map(({ hash }) => hash)]), sets: sorted(dump?.sets).map(([name, { flags, elements }]) => [name, flags, [...elements].toSorted()]) };
  } finally {
    nft.close();
  }
}

describe("the dataplane on the kernel", () => {
  it("writes nothing before the first apply, and everything with it", async () => {
    const dataplane = await start();
    expect(netns.exec("nft", "list", "tables")).toBe("");
    veth(1);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    expect(dataplane.isReady("wep/1")).toBe(true);
    expect(listing()).toContain('"cali1" : goto from-cali1');
    expect(netns.exec("ip", "route")).toContain("10.65.0.1 dev cali1 proto 80 scope link");
    expect(netns.exec("sysctl", "-n", "net.ipv4.conf.cali1.proxy_arp", "net.ipv4.ip_forward")).toBe("1\n1\n");
  });

  it("a restart with the same input only adopts the table", async () => {
    const feed = ({ sink }: Dataplane): void => {
      sink.onIpSetUpdate("s:1" as IpSetId, "net", ["10.0.0.1/32", "10.9.0.0/16"]);
      sink.onPolicyUpdate(policy("p", [rule({ source: { ...side, ipSets: ["s:1" as IpSetId] } })]));
      sink.onProfileUpdate(profile);
      sink.onPoolUpdate({ name: "pool", cidr: "10.65.0.0/16" as Cidr, ipipMode: "Never", vxlanMode: "Never", natOutgoing: true, disableBgpExport: false, disabled: false });
      for (const n of [1, 2]) sink.onEndpointUpdate(endpoint(n, { tiers: [tier("p")] }));
    };
    const first = await start();
    feed(first);
    await apply(first);
    const before = [kernel(), netns.exec("ip", "route")];
    await first.stop();
    open = [];
    expect([kernel(), netns.exec("ip", "route")]).toEqual(before);
    const second = await start();
    feed(second);
    await apply(second);
    expect([gauge(second, "felix_nft_calls"), gauge(second, "felix_nft_commands")]).toEqual([1, 0]);
    expect([kernel(), netns.exec("ip", "route")]).toEqual(before);
  });

  it("a new set of ranges is in the kernel before the rules that look into it, and a chain before a map that leads to it; a set of addresses comes with its rules", async () => {
    const dataplane = await start();
    const calls = async (name: string, id: string, members: readonly string[]): Promise<number> => {
      const before = gauge(dataplane, "felix_nft_calls");
      dataplane.sink.onIpSetUpdate(id as IpSetId, "net", members);
      dataplane.sink.onPolicyUpdate(policy(name, [rule({ source: { ...side, ipSets: [id as IpSetId] } })]));
      if (name !== listed) dataplane.sink.onEndpointUpdate(endpoint(1, { tiers: [tier(name)] }));
      listed = name;
      await apply(dataplane);
      expect(listing()).toContain(`@${id.replace(":", "-")}`);
      return gauge(dataplane, "felix_nft_calls") - before;
    };
    let listed = "";
    dataplane.sink.onProfileUpdate(profile);
    await apply(dataplane);
    // Another list of policies, another set of addresses for one of them, and a set of ranges.
    expect([await calls("p", "s:1", ["10.0.0.1/32"]), await calls("p", "s:2", ["10.0.0.1/32"]), await calls("p", "s:3", ["10.0.0.0/8"]), await calls("p", "s:3", ["10.0.0.0/8", "192.0.2.0/24"])]).toEqual([2, 1, 2, 1]);
  });

  it("passes over policies that have nothing to do with somebody, as long as their sets are of single addresses", async () => {
    const dataplane = await start({ fewestGuarded: 2 });
    const [a, b] = ["s:a", "s:b"] as [IpSetId, IpSetId];
    dataplane.sink.onIpSetUpdate(a, "net", ["10.0.0.1/32"]);
    dataplane.sink.onIpSetUpdate(b, "net", ["10.0.0.2/32"]);
    for (const [name, id] of [["p", a], ["q", b]] as const) dataplane.sink.onPolicyUpdate(policy(name, [rule({ source: { ...side, ipSets: [id] } })]));
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1, { tiers: [tier("p", "q")] }));
    await apply(dataplane);
    const guarded = (): string | undefined => /set u-\w+-h4 \{[^}]*elements = \{ ([^}]*) \}/.exec(listing())?.[1];
    expect([guarded(), listing()]).toEqual(["10.0.0.1, 10.0.0.2", expect.stringMatching(/ip saddr @u-\w+-h4 jump pg-/)]);
    dataplane.sink.onIpSetDelta(a, ["10.0.0.3/32"], ["10.0.0.1/32"]);
    await apply(dataplane);
    expect(guarded()).toBe("10.0.0.2, 10.0.0.3");
    dataplane.sink.onIpSetDelta(b, ["10.1.0.0/16"], []);
    await apply(dataplane);
    expect(listing()).not.toMatch(/@u-|pg-/);
    dataplane.sink.onIpSetDelta(b, [], ["10.1.0.0/16"]);
    await apply(dataplane);
    expect(guarded()).toBe("10.0.0.2, 10.0.0.3");
  });

  it("an endpoint without an interface is not ready, says why, and becomes ready when the interface comes up", async () => {
    const dataplane = await start();
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    expect([dataplane.isReady("wep/1"), dataplane.failures()]).toEqual([false, [{ id: "wep/1", reason: "interface cali1 does not exist" }]]);
    const seen = drifts;
    veth(1);
    await eventually("the event of the link", () => drifts > seen);
    await eventually("the endpoint to be ready", () => {
      void apply(dataplane);
      return dataplane.isReady("wep/1");
    });
    expect(netns.exec("ip", "route")).toContain("10.65.0.1 dev cali1");
  });

  it("takes an endpoint away with its chains, its dispatch and its route", async () => {
    const dataplane = await start();
    for (const n of [1, 2]) veth(n);
    dataplane.sink.onProfileUpdate(profile);
    for (const n of [1, 2]) dataplane.sink.onEndpointUpdate(endpoint(n));
    await apply(dataplane);
    dataplane.sink.onEndpointRemove("wep/1" as EndpointId);
    await apply(dataplane);
    expect(listing()).not.toContain("cali1");
    expect(listing()).toContain('"cali2" : goto to-cali2');
    expect(netns.exec("ip", "route")).not.toContain("cali1");
  });

  it("a recreated pod takes over the interface's name, whatever comes first", async () => {
    const dataplane = await start();
    veth(1);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    dataplane.sink.onEndpointUpdate(endpoint(1, { id: "wep/new" as EndpointId, addresses: ["10.65.7.7" as IpAddress] }));
    dataplane.sink.onEndpointRemove("wep/1" as EndpointId);
    await apply(dataplane);
    expect(dataplane.isReady("wep/new")).toBe(true);
    expect(netns.exec("ip", "route").trim()).toBe("10.65.7.7 dev cali1 proto 80 scope link");
    expect(listing()).toContain("ip saddr != 10.65.7.7");
  });

  it("an older endpoint of an interface that is told of again does not take it back", async () => {
    const dataplane = await start();
    veth(1);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    dataplane.sink.onEndpointUpdate(endpoint(1, { id: "wep/new" as EndpointId, addresses: ["10.65.7.7" as IpAddress] }));
    dataplane.sink.onEndpointUpdate(endpoint(1, { pod: "renamed" }));
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("10.65.7.7 dev cali1 proto 80 scope link");
    expect(listing()).toContain("ip saddr != 10.65.7.7");
    dataplane.sink.onEndpointRemove("wep/1" as EndpointId);
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("10.65.7.7 dev cali1 proto 80 scope link");
    expect(listing()).toContain("ip saddr != 10.65.7.7");
    expect(dataplane.isReady("wep/new")).toBe(true);
  });

  it("sets the route again after the link was down, however short", async () => {
    const dataplane = await start();
    veth(1);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    const seen = drifts;
    netns.exec("sh", "-c", "ip link set cali1 down; ip link set cali1 up");
    expect(netns.exec("ip", "route")).not.toContain("10.65.0.1");
    await eventually("the events of the link", () => drifts > seen);
    await apply(dataplane);
    await eventually("the route to be there again", () => {
      void apply(dataplane);
      return netns.exec("ip", "route").includes("10.65.0.1 dev cali1");
    });
    expect(dataplane.isReady("wep/1")).toBe(true);
  });

  it("an address that moves from one pod to another has the route of the later", async () => {
    const dataplane = await start();
    for (const n of [1, 2]) veth(n);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    dataplane.sink.onEndpointUpdate(endpoint(2, { addresses: ["10.65.0.1" as IpAddress] }));
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("10.65.0.1 dev cali2 proto 80 scope link");
    dataplane.sink.onEndpointUpdate(endpoint(1, { pod: "renamed" }));
    await apply(dataplane);
    dataplane.sink.onEndpointRemove("wep/1" as EndpointId);
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("10.65.0.1 dev cali2 proto 80 scope link");
  });

  it("says which table of others drops what it does not accept, and is quiet when it is gone", async () => {
    const dataplane = await start();
    await apply(dataplane);
    expect(dataplane.obstacles()).toEqual([]);
    netns.exec("nft", "add table ip other; add chain ip other forward { type filter hook forward priority 0; policy drop; }; add chain ip other input { type filter hook input priority 0; policy drop; }");
    await eventually("the table to be noticed", () => dataplane.obstacles().length > 0);
    expect(dataplane.obstacles()).toEqual(["chain forward of table ip other drops at forward what it does not accept"]);
    netns.exec("nft", "delete", "table", "ip", "other");
    await eventually("its end to be noticed", () => dataplane.obstacles().length === 0);
  });

  it("a ruleset that somebody flushes leaves the table as it is", async () => {
    const dataplane = await start();
    veth(1);
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    const before = kernel();
    netns.exec("nft", "flush", "ruleset");
    expect(kernel()).toEqual(before);
  });

  it("a block leads nowhere, from the first apply on and when the routes are read again", async () => {
    const dataplane = await start();
    dataplane.sink.onBlockUpdate({ cidr: "10.65.0.0/26" } as NodeBlock);
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("blackhole 10.65.0.0/26 proto 80");
    netns.exec("ip", "route", "add", "blackhole", "10.1.1.1", "proto", "80");
    netns.run(() => clock.advance(config.routeRefreshInterval));
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("blackhole 10.65.0.0/26 proto 80");
    dataplane.sink.onBlockRemove("10.65.0.0/26");
    await apply(dataplane);
    expect(netns.exec("ip", "route").trim()).toBe("");
  });

  it("cleans up routes of its protocol that nobody wants and leaves others alone", async () => {
    veth(1);
    netns.exec("ip", "route", "add", "10.1.1.1", "dev", "cali1", "proto", "80");
    netns.exec("ip", "route", "add", "10.1.1.2", "dev", "cali1", "proto", "static");
    await apply(await start());
    expect(netns.exec("ip", "route").trim()).toBe("10.1.1.2 dev cali1 proto static scope link");
  });

  it("one member changed is one command and one endpoint added a constant number, however large the node is", async () => {
    const counts: number[][] = [];
    for (const size of [10, 400]) {
      const local = createTestNetns();
      netns[Symbol.dispose]();
      netns = local;
      const dataplane = await start();
      dataplane.sink.onProfileUpdate(profile);
      dataplane.sink.onIpSetUpdate("s:1" as IpSetId, "net", Array.from({ length: size }, (_, n) => `10.1.${n >> 8}.${n & 255}/32`));
      dataplane.sink.onPolicyUpdate(policy("p", [rule({ source: { ...side, ipSets: ["s:1" as IpSetId] } })]));
      for (let n = 0; n < size; n += 1) dataplane.sink.onEndpointUpdate(endpoint(n, { tiers: [tier("p")] }));
      await apply(dataplane);
      const commands = async (change: () => void): Promise<number> => {
        const before = gauge(dataplane, "felix_nft_commands");
        change();
        await apply(dataplane);
        return gauge(dataplane, "felix_nft_commands") - before;
      };
      counts.push([
        await commands(() => dataplane.sink.onIpSetDelta("s:1" as IpSetId, ["10.2.0.1/32"], [])),
        await commands(() => dataplane.sink.onEndpointUpdate(endpoint(9_999, { tiers: [tier("p")] }))),
        await commands(() => {}),
      ]);
      await dataplane.stop();
      open = [];
    }
    expect(counts[0]).toEqual(counts[1]);
    expect(counts[0]?.[0]).toBe(1);
    expect(counts[0]?.[2]).toBe(0);
  });

  it("repairs the table when it is read again after a change by others", async () => {
    const dataplane = await start();
    dataplane.sink.onProfileUpdate(profile);
    dataplane.sink.onEndpointUpdate(endpoint(1));
    await apply(dataplane);
    const before = kernel();
    await dataplane.stop();
    open = [];
    netns.exec("nft", "flush", "chain", "inet", "calico", "from-cali1");
    netns.exec("nft", "delete", "element", "inet", "calico", "from-workload", '{ "cali1" }');
    netns.exec("nft", "add", "chain", "inet", "calico", "foreign");
    const again = await start();
    again.sink.onProfileUpdate(profile);
    again.sink.onEndpointUpdate(endpoint(1));
    await apply(again);
    expect(kernel()).toEqual(before);
  });
});

const ids = ["s:1", "s:2"] as const;
const anyRule = fc.record({
  action: fc.constantFrom("Allow", "Deny", "Pass", "Log"), protocol: fc.constantFrom(6, 17), ipVersion: fc.constantFrom(0, 4, 6),
  source: fc.record({ ipSets: fc.subarray([...ids]), nets: fc.subarray(["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]) }), destination: fc.record({ ports: fc.subarray([{ first: 80, last: 80 }, { first: 8000, last: 8080 }]) }),
}).map(({ source, destination, ...over }) => rule({ ...over, source: { ...side, ...source }, destination: { ...side, ...destination } } as unknown as Partial<NodeRule>));
const change = fc.oneof(
  fc.record({ do: fc.constant("set" as const), id: fc.constantFrom(...ids), members: fc.subarray(["10.0.0.1/32", "10.0.0.2/32", "10.1.0.0/16", "fd00::1/128", "fd00:1::/32"]) }),
  fc.record({ do: fc.constant("policy" as const), name: fc.constantFrom("p", "q"), rules: fc.array(anyRule, { maxLength: 3 }) }),
  fc.record({ do: fc.constant("endpoint" as const), n: fc.nat(2), policies: fc.subarray(["p", "q"]), address: fc.nat(3) }),
  fc.record({ do: fc.constant("gone" as const), n: fc.nat(2) }),
  fc.record({ do: fc.constant("host" as const), name: fc.constantFrom("eth0", "*"), policies: fc.subarray(["p", "q"]), where: fc.constantFrom("tiers", "forward", "preDnat", "untracked") }),
  fc.record({ do: fc.constant("host gone" as const), name: fc.constantFrom("eth0", "*") }),
  fc.record({ do: fc.constant("pool" as const), nat: fc.boolean() }),
  fc.record({ do: fc.constant("apply" as const) }),
);

it("leaves the kernel the same in the end, whatever the way there", async () => {
  await fc.assert(fc.asyncProperty(fc.array(change, { maxLength: 25 }), async (changes) => {
    const dataplane = await start();
    const state = { sets: new Map<string, readonly string[]>(), policies: new Map<string, readonly NodeRule[]>(), endpoints: new Map<number, ResolvedEndpoint>(), nat: null as boolean | null };
    const tell = ({ sink }: Dataplane, each: (typeof changes)[number]): void => {
      if (each.do === "set") sink.onIpSetUpdate(each.id as IpSetId, "net", each.members);
      if (each.do === "policy") sink.onPolicyUpdate(policy(each.name, each.rules));
      if (each.do === "endpoint") sink.onEndpointUpdate(endpoint(each.n, { tiers: each.policies.length > 0 ? [tier(...each.policies)] : [], addresses: [`10.65.9.${each.address}` as IpAddress] }));
      if (each.do === "host") sink.onHostEndpointUpdate(host(each.name, each.policies, each.where));
      if (each.do === "host gone") sink.onHostEndpointRemove(`hep/${each.name}` as EndpointId);
      if (each.do === "gone") sink.onEndpointRemove(`wep/${each.n}` as EndpointId);
      if (each.do === "pool") sink.onPoolUpdate({ name: "pool", cidr: "10.65.0.0/16" as Cidr, ipipMode: "Never", vxlanMode: "Never", natOutgoing: each.nat, disableBgpExport: false, disabled: false });
    };
    const base = ({ sink }: Dataplane): void => {
      for (const id of ids) sink.onIpSetUpdate(id as IpSetId, "net", []);
      for (const name of ["p", "q"]) sink.onPolicyUpdate(policy(name, []));
      sink.onProfileUpdate(profile);
    };
    base(dataplane);
    for (const each of changes) {
      if (each.do === "gone" && !state.endpoints.has(each.n)) continue;
      tell(dataplane, each);
      if (each.do === "apply") await apply(dataplane);
      if (each.do === "set") state.sets.set(each.id, each.members);
      if (each.do === "policy") state.policies.set(each.name, each.rules);
      if (each.do === "endpoint") state.endpoints.set(each.n, endpoint(each.n));
      if (each.do === "gone") state.endpoints.delete(each.n);
    }
    await apply(dataplane);
    const result = kernel();
    await dataplane.stop();
    // The last of each kind alone, told to a dataplane that starts on an empty kernel.
    netns.exec("nft", "delete", "table", "inet", "calico");
    const fresh = await start();
    base(fresh);
    const last = new Map<string, (typeof changes)[number]>();
    for (const each of changes) last.set(each.do === "set" ? each.id : each.do === "policy" ? each.name : each.do === "endpoint" || each.do === "gone" ? `e${each.n}` : each.do === "host" || each.do === "host gone" ? `h${each.name}` : each.do, each);
    for (const each of last.values()) if (each.do !== "gone" && each.do !== "host gone") tell(fresh, each);
    await apply(fresh);
    expect(result).toEqual(kernel());
    await fresh.stop();
    open = [];
    netns.exec("nft", "delete", "table", "inet", "calico");
  }), { numRuns: 60 });
}, 120_000);
