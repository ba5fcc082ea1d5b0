import { afterEach, beforeEach, expect, test } from "vitest";
import { createTestNetns, eventually, type TestNetns } from "../testing/index.ts";
import { writeSysctl, readSysctl } from "../netns/netns.ts";
import { readTxChecksum, writeTxChecksum } from "../ethtool/ethtool.ts";
import { openRtnetlink, type Rtnetlink } from "./rtnetlink.ts";
import { NUD_PERMANENT, ROUTE_TABLE_MAIN, SCOPE_LINK, type Route } from "./types.ts";

let host: TestNetns;
let pod: TestNetns;
let links: Rtnetlink;
beforeEach(() => {
  host = createTestNetns();
  pod = createTestNetns();
  links = openRtnetlink(host.sys, host.path);
});
afterEach(() => {
  links[Symbol.dispose]();
  pod[Symbol.dispose]();
  host[Symbol.dispose]();
});

function route(destination: string, change: Partial<Route> = {}): Route {
  return { destination, type: "unicast", table: ROUTE_TABLE_MAIN, protocol: 80, scope: SCOPE_LINK, interfaceIndex: null, gateway: null, source: null, metric: 0, onlink: false, ...change };
}

function veth(): number {
  const netns = host.sys.open(pod.path);
  try {
    links.createVeth({ name: "cali0", peerName: "eth0", peerNetns: netns, mac: "ee:ee:ee:ee:ee:ee", mtu: 1440 });
  } finally {
    host.sys.close(netns);
  }
  const link = links.getLink("cali0");
  if (link === null) throw new Error("no link");
  links.changeLink(link.index, { up: true });
  return link.index;
}

test("a veth pair has its peer in the other namespace from the start", () => {
  const index = veth();
  expect(links.getLink("cali0")).toMatchObject({ index, kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1440, up: true });
  expect(JSON.parse(pod.exec("ip", "-j", "link", "show", "eth0"))[0]).toMatchObject({ ifname: "eth0", mtu: 1440 });
  expect(links.getLink("missing")).toBeNull();
  expect(links.deleteLink("cali0")).toBe(true);
  expect(links.deleteLink("cali0")).toBe(false);
});

test("routes of both families, set in one batch; a bad one does not stop the others", () => {
  const interfaceIndex = veth();
  const wanted = [
    route("10.65.0.2/32", { interfaceIndex }), route("10.65.0.0/26", { type: "blackhole", scope: 0 }), route("fd00::2/128", { interfaceIndex, scope: 0, metric: 1024 }),
  ];
  const { replaced } = links.applyRoutes({ replace: [...wanted, route("10.9.0.0/16", { interfaceIndex: 4711 })] });
  expect(replaced.map((error) => error?.code ?? null)).toEqual([null, null, null, "ENODEV"]);
  expect(links.listRoutes(4, { protocol: 80 })).toEqual(expect.arrayContaining(wanted.slice(0, 2)));
  expect(links.listRoutes(6, { protocol: 80 })).toEqual([expect.objectContaining({ destination: "fd00::2/128", interfaceIndex })]);
  expect(host.exec("ip", "route")).toContain("10.65.0.2 dev cali0 proto 80 scope link");
  expect(host.exec("ip", "route")).toContain("blackhole 10.65.0.0/26 proto 80");
  expect(links.applyRoutes({ remove: [...wanted, route("10.8.0.0/16", { interfaceIndex })] }).removed).toEqual([null, null, null, null]);
  expect(links.listRoutes(4, { protocol: 80 })).toEqual([]);
});

test("addresses, neighbours and sysctls", () => {
  const interfaceIndex = veth();
  links.addAddress({ interfaceIndex, address: "10.0.0.1", prefixLength: 24 });
  links.addAddress({ interfaceIndex, address: "10.0.0.1", prefixLength: 24 });
  expect(links.listAddresses()).toContainEqual({ interfaceIndex, address: "10.0.0.1", prefixLength: 24 });
  links.setNeighbour({ interfaceIndex, address: "169.254.1.1", mac: "ee:ee:ee:ee:ee:ee", state: NUD_PERMANENT });
  expect(host.exec("ip", "neigh")).toContain("169.254.1.1 dev cali0 lladdr ee:ee:ee:ee:ee:ee PERMANENT");
  expect(host.run(() => [writeSysctl("ipv4/conf/cali0/proxy_arp", "1"), writeSysctl("ipv4/conf/cali0/proxy_arp", "1"), readSysctl("ipv4/conf/cali0/proxy_arp")])).toEqual([true, false, "1"]);
});

test("events of links and routes, whoever made the change", async () => {
  const seen: string[] = [];
  using _ = links.subscribe({
    onLink: ({ name }, present) => void seen.push(`${present ? "" : "-"}${name}`), onRoute: ({ destination }, present) => void seen.push(`${present ? "" : "-"}${destination}`), onOverflow() {},
  });
  veth();
  host.exec("ip", "route", "add", "10.1.0.0/16", "dev", "cali0");
  host.exec("ip", "link", "del", "cali0");
  await eventually("the events", () => ["cali0", "10.1.0.0/16", "-cali0"].every((text) => seen.includes(text)));
});

test("a VXLAN device with its parameters, its forwarding entries and neighbours", () => {
  const parent = veth();
  const spec = { name: "vxlan.calico", vni: 4096, port: 4789, local: "192.0.2.1", parent, learning: false, mac: "66:00:00:00:00:01", mtu: 1390 };
  links.createVxlan(spec);
  const link = links.getLink("vxlan.calico");
  expect(link).toMatchObject({ kind: "vxlan", mac: spec.mac, mtu: 1390, vxlan: { vni: 4096, port: 4789, local: "192.0.2.1", parent, learning: false } });
  expect(host.exec("ip", "-d", "link", "show", "vxlan.calico")).toMatch(/vxlan id 4096 local 192\.0\.2\.1 dev cali0 .*dstport 4789 nolearning/);
  expect(links.getLink("cali0")?.vxlan).toBeNull();
  const interfaceIndex = link?.index ?? 0;
  links.changeLink(interfaceIndex, { up: true, mac: "66:00:00:00:00:02" });

  const entry = (n: number, to = n) => ({ interfaceIndex, mac: `66:00:00:00:01:0${n}`, destination: `192.0.2.${to}`, state: NUD_PERMANENT });
  expect(links.applyForwarding({ replace: [entry(2), entry(3)] })).toEqual({ replaced: [null, null], removed: [] });
  // A machine's address changed: the entry of its MAC address leads to the new one only.
  expect(links.applyForwarding({ replace: [entry(3, 9)], remove: [entry(2), entry(4)] })).toEqual({ replaced: [null], removed: [null, null] });
  expect(links.listForwarding().filter((each) => each.interfaceIndex === interfaceIndex)).toEqual([entry(3, 9)]);
  expect(host.exec("bridge", "fdb", "show", "dev", "vxlan.calico")).toBe("66:00:00:00:01:03 dst 192.0.2.9 self permanent\n");

  const neighbour = (n: number) => ({ interfaceIndex, address: `10.65.${n}.1`, mac: `66:00:00:00:01:0${n}`, state: NUD_PERMANENT });
  expect(links.applyNeighbours({ replace: [neighbour(2), neighbour(3)] }).replaced).toEqual([null, null]);
  expect(links.applyNeighbours({ remove: [neighbour(2), neighbour(7)] }).removed).toEqual([null, null]);
  expect(links.listNeighbours().filter((each) => each.interfaceIndex === interfaceIndex && each.state === NUD_PERMANENT)).toEqual([neighbour(3)]);

  links.addAddress({ interfaceIndex, address: "10.65.1.1", prefixLength: 32 });
  links.removeAddress({ interfaceIndex, address: "10.65.1.1", prefixLength: 32 });
  links.removeAddress({ interfaceIndex, address: "10.65.1.1", prefixLength: 32 });
  expect(links.listAddresses().filter((each) => each.interfaceIndex === interfaceIndex && !each.address.includes(":"))).toEqual([]);
});

test("checksums of a VXLAN device are the kernel's or the device's", () => {
  links.createVxlan({ name: "vxlan.calico", vni: 7, port: 4789, local: null, parent: veth(), learning: false, mac: "66:00:00:00:00:01", mtu: 1390 });
  const read = (): boolean => host.run(() => readTxChecksum(host.sys, "vxlan.calico"));
  expect(read()).toBe(true);
  host.run(() => writeTxChecksum(host.sys, "vxlan.calico", false));
  expect(read()).toBe(false);
  expect(() => host.run(() => writeTxChecksum(host.sys, "missing", false))).toThrow("ioctl: ENODEV");
});

test("changes of neighbours and forwarding entries are told, by others' hands too", async () => {
  const parent = veth();
  links.createVxlan({ name: "vxlan.calico", vni: 7, port: 4789, local: null, parent, learning: false, mac: "66:00:00:00:00:01", mtu: 1390 });
  const seen: string[] = [];
  using _ = links.subscribe({
    onNeighbour: ({ address }, present) => void seen.push(`${present ? "" : "-"}${address}`), onForwarding: ({ mac, destination }, present) => void seen.push(`${present ? "" : "-"}${mac} ${destination}`), onOverflow() {},
  });
  host.exec("ip", "link", "set", "vxlan.calico", "up");
  host.exec("ip", "neigh", "add", "10.65.2.1", "lladdr", "66:00:00:00:01:02", "dev", "vxlan.calico");
  host.exec("ip", "neigh", "del", "10.65.2.1", "dev", "vxlan.calico");
  host.exec("bridge", "fdb", "add", "66:00:00:00:01:02", "dst", "192.0.2.2", "dev", "vxlan.calico");
  host.exec("bridge", "fdb", "del", "66:00:00:00:01:02", "dst", "192.0.2.2", "dev", "vxlan.calico");
  await eventually("the events", () => ["10.65.2.1", "-10.65.2.1", "66:00:00:00:01:02 192.0.2.2", "-66:00:00:00:01:02 192.0.2.2"].every((text) => seen.includes(text)));
});
