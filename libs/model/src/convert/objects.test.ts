import { describe, expect, test } from "vitest";
import { convertBlock, convertIpPool } from "./ip-pool.ts";
import { convertGlobalNetworkSet, convertNetworkSet } from "./network-set.ts";
import { convertNode } from "./node.ts";
import { convertNamespace, convertServiceAccount } from "./profile.ts";
import { ruleForAll } from "./rules.ts";
import { builtInTiers, convertTier } from "./tier.ts";

const named = (spec: unknown, metadata: object = {}): object => ({ metadata: { name: "x", ...metadata }, spec });

test("a namespace is a profile that allows everything", () => {
  expect(convertNamespace({ metadata: { name: "shop", labels: { team: "a", "projectcalico.org/name": "forged" } } })).toEqual({
    findings: [],
    value: { id: "kns.shop", labels: { "pcns.team": "a", "pcns.projectcalico.org/name": "shop" }, inbound: [ruleForAll("Allow", 0)], outbound: [ruleForAll("Allow", 0)] },
  });
});

test("a service account is a profile without rules", () => {
  expect(convertServiceAccount({ metadata: { name: "web", namespace: "shop", labels: { role: "r" } } }).value)
    .toEqual({ id: "ksa.shop.web", labels: { "pcsa.role": "r", "pcsa.projectcalico.org/name": "web" }, inbound: [], outbound: [] });
  expect(convertServiceAccount({ metadata: { name: "web" } }).value).toBeNull();
});

describe("nodes", () => {
  const node = (annotations: object): ReturnType<typeof convertNode> => convertNode({ metadata: { name: "n", labels: { zone: "z" }, annotations } });
  test("keep the host bits of their addresses", () => {
    expect(node({
      "projectcalico.org/IPv4Address": "172.30.0.11/24", "projectcalico.org/IPv6Address": "FD00::11/64", "projectcalico.org/ASNumber": "1.10", "projectcalico.org/RouteReflectorClusterID": "244.0.0.1",
    })).toEqual({ findings: [], value: { name: "n", labels: { zone: "z" }, ipv4: "172.30.0.11/24", ipv6: "fd00::11/64", addresses: ["172.30.0.11", "fd00::11"], asNumber: 65_546, routeReflectorClusterId: "244.0.0.1", vxlan: null } });
  });
  test("need no annotation; a bare address gets its full width", () => {
    expect(node({})).toEqual({ findings: [], value: { name: "n", labels: { zone: "z" }, ipv4: null, ipv6: null, addresses: [], asNumber: null, routeReflectorClusterId: null, vxlan: null } });
    expect(node({ "projectcalico.org/IPv4Address": "172.30.0.11" }).value?.ipv4).toBe("172.30.0.11/32");
  });
  test("have the addresses of their annotations and of their status, each once", () => {
    const addresses = [{ type: "Hostname", address: "n" }, { type: "InternalIP", address: "172.30.0.11" }, { type: "InternalIP", address: "FD00::12" }, { type: "ExternalIP", address: "203.0.113.7" }, { type: "Hostname", address: "198.51.100.1" }, {}, null];
    expect(convertNode({ metadata: { name: "n", annotations: { "projectcalico.org/IPv4Address": "172.30.0.11/24" } }, status: { addresses } }).value?.addresses).toEqual(["172.30.0.11", "fd00::12", "203.0.113.7", "198.51.100.1"]);
    expect(convertNode({ metadata: { name: "n" }, status: { addresses: "172.30.0.11" } }).value?.addresses).toEqual([]);
  });
  test("have an end of the overlay when they have its address", () => {
    expect(node({ "projectcalico.org/IPv4VXLANTunnelAddr": "10.65.0.1" }).value?.vxlan).toEqual({ address: "10.65.0.1", mac: "66:d1:85:4c:ae:89" });
    expect(node({ "projectcalico.org/IPv4VXLANTunnelAddr": "10.65.0.1", "projectcalico.org/VXLANTunnelMACAddr": "0A:00:00:00:00:01" }).value?.vxlan).toEqual({ address: "10.65.0.1", mac: "0a:00:00:00:00:01" });
    expect(node({ "projectcalico.org/VXLANTunnelMACAddr": "0a:00:00:00:00:01" }).value?.vxlan).toBeNull();
  });
  test.each([["IPv4Address", "fd00::1/64"], ["IPv4Address", "1.2.3.4/33"], ["IPv4Address", "1.2.3.4/24/8"], ["IPv6Address", "1.2.3.4/24"], ["ASNumber", "<AS>"], ["ASNumber", "0"], ["ASNumber", "4294967296"], ["ASNumber", "65536.1"], ["RouteReflectorClusterID", "::1"],
    ["IPv4VXLANTunnelAddr", "fd00::1"], ["IPv4VXLANTunnelAddr", "10.65.0.1/26"], ["VXLANTunnelMACAddr", "01:00:5e:00:00:01"], ["VXLANTunnelMACAddr", "66:00"],
  ])(
    "an unreadable %s %s counts as absent and is reported", (name, text) => {
      const { value, findings } = node({ [`projectcalico.org/${name}`]: text });
      expect(value).toMatchObject({ ipv4: null, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null });
      expect(findings).toEqual([expect.objectContaining({ severity: "error", field: `metadata.annotations[projectcalico.org/${name}]` })]);
    });
});

describe("tiers", () => {
  test("have an order and a default action", () => {
    expect(convertTier(named({ order: 5, defaultAction: "Pass" }))).toEqual({ value: { name: "x", order: 5, defaultAction: "Pass" }, findings: [] });
    expect(convertTier(named(undefined))).toEqual({ value: { name: "x", order: null, defaultAction: "Deny" }, findings: [] });
  });
  test("that are built in stay as they are", () => {
    for (const tier of builtInTiers) {
      expect(convertTier({ metadata: { name: tier.name }, spec: { order: tier.order } })).toEqual({ value: tier, findings: [] });
    }
    expect(convertTier({ metadata: { name: "default" }, spec: { order: 1, defaultAction: "Pass" } }))
      .toMatchObject({ value: { order: 1_000_000, defaultAction: "Deny" }, findings: [{ severity: "warning", field: "spec.order" }, { severity: "warning", field: "spec.defaultAction" }] });
  });
  test("that cannot be read are last and deny", () => {
    expect(convertTier(named({ order: "1", defaultAction: "Allow" }))).toMatchObject({ value: { order: null, defaultAction: "Deny" }, findings: [{ field: "spec.order" }, { field: "spec.defaultAction" }] });
  });
});

test("rule 15: network sets", () => {
  const metadata = { namespace: "shop", labels: { kind: "office", "pcns.team": "forged" } };
  expect(convertNetworkSet(named({ nets: ["10.1.0.0/16", "10.1.0.0/16", "fd00::/8"] }, metadata))).toEqual({
    findings: [], value: { id: "shop/x", labels: { kind: "office", "projectcalico.org/namespace": "shop" }, profiles: ["kns.shop"], nets: ["10.1.0.0/16", "fd00::/8"] },
  });
  expect(convertGlobalNetworkSet(named({ nets: ["10.1.2.3/16", "/32", 7] }, { labels: { kind: "office" } }))).toMatchObject({
    value: { id: "/x", labels: { kind: "office" }, profiles: [], nets: ["10.1.0.0/16"] },
    findings: [{ severity: "warning", field: "spec.nets[0]" }, { severity: "error", field: "spec.nets[1]" }, { severity: "error", field: "spec.nets[2]" }],
  });
  expect(convertGlobalNetworkSet(named({ nets: "10.0.0.0/8" }))).toMatchObject({ value: { nets: [] }, findings: [{ field: "spec.nets" }] });
});

describe("pools", () => {
  test("have defaults", () => {
    const { value, findings } = convertIpPool(named({ cidr: "10.65.0.0/16" }));
    expect(findings).toEqual([]);
    expect({ ...value, nodeSelector: value?.nodeSelector.text }).toEqual({
      name: "x", cidr: "10.65.0.0/16", family: 4, blockSize: 26, ipipMode: "Never", vxlanMode: "Never", natOutgoing: false, disabled: false,
      disableBgpExport: false, nodeSelector: "all()", namespaceSelector: null, automatic: true, allowedUses: ["Workload", "Tunnel"],
    });
    expect(convertIpPool(named({ cidr: "fd00::/48" })).value?.blockSize).toBe(122);
  });
  test("take what is written", () => {
    const { value } = convertIpPool(named({
      cidr: "10.65.0.0/16", blockSize: 28, vxlanMode: "CrossSubnet", natOutgoing: true, disableBGPExport: true, nodeSelector: "zone == 'a'",
      namespaceSelector: "team == 'b'", assignmentMode: "Manual", allowedUses: ["Tunnel"],
    }));
    expect(value).toMatchObject({ blockSize: 28, vxlanMode: "CrossSubnet", natOutgoing: true, disableBgpExport: true, automatic: false, allowedUses: ["Tunnel"] });
    expect([value?.nodeSelector.text, value?.namespaceSelector?.text]).toEqual(['zone == "a"', 'team == "b"']);
  });
  test.each([
    [{ spec: { cidr: "10.65.0.0/16", disabled: true } }], [{ metadata: { name: "x", deletionTimestamp: "t" } }], [{ status: { conditions: [{ type: "Allocatable", status: "False" }] } }],
  ])("that give no addresses are disabled: %j", (parts) => {
    expect(convertIpPool({ ...named({ cidr: "10.65.0.0/16" }), ...parts }).value?.disabled).toBe(true);
  });
  test.each([
    [{ cidr: "10.65.0.0" + "/33" }, "cidr"], [{ cidr: "10.65.0.1/16" }, "cidr"], [{}, "cidr"], [{ blockSize: 19 }, "blockSize"], [{ blockSize: "26" }, "blockSize"], [{ cidr: "10.65.0.0/28" }, "blockSize"],
    [{ ipipMode: "Always", vxlanMode: "Always" }, "vxlanMode"], [{ cidr: "fd00::/48", ipipMode: "Always" }, "ipipMode"], [{ ipipMode: "always" }, "ipipMode"], [{ natOutgoing: "Enabled" }, "natOutgoing"],
    [{ nodeSelector: "zone = 'a'" }, "nodeSelector"], [{ namespaceSelector: 1 }, "namespaceSelector"], [{ allowedUses: ["Pods"] }, "allowedUses"], [{ assignmentMode: "None" }, "assignmentMode"],
  ])("with %j are refused, naming %s", (spec, field) => {
    const given = Object.keys(spec).length === 0 || "cidr" in spec ? spec : { cidr: "10.65.0.0/16", ...spec };
    expect(convertIpPool(named(given))).toEqual({ value: null, findings: [expect.objectContaining({ severity: "error", field: `spec.${field}` })] });
  });
});

test.each([
  [{ cidr: "10.65.0.0/26", affinity: "host:node-a" }, { cidr: "10.65.0.0/26", node: "node-a", borrowed: [] }],
  [{ cidr: "10.65.0.0/26", affinity: "virtual:lb" }, { cidr: "10.65.0.0/26", node: null, borrowed: [] }],
  [{ cidr: "10.65.0.0/26", affinity: null }, { cidr: "10.65.0.0/26", node: null, borrowed: [] }],
  [{ cidr: "10.65.0.0/26", affinity: "host:" }, { cidr: "10.65.0.0/26", node: null, borrowed: [] }],
  [
    { cidr: "10.65.0.0/30", affinity: "host:node-a", allocations: [0, 1, null, 1], attributes: [{ secondary: { node: "node-a" } }, { handle_id: "h", secondary: { node: "node-b" } }] },
    { cidr: "10.65.0.0/30", node: "node-a", borrowed: [{ address: "10.65.0.1", node: "node-b" }, { address: "10.65.0.3", node: "node-b" }] },
  ],
  [{ cidr: "10.65.0.0/30", affinity: "host:node-a", allocations: [0, "1", 7], attributes: [null, { secondary: 1 }] }, { cidr: "10.65.0.0/30", node: "node-a", borrowed: [] }],
  [{ cidr: "10.65.0.0/26", affinity: "host:node-a", deleted: true }, null],
])("block %j", (spec, value) => {
  expect(convertBlock(named(spec))).toEqual({ value, findings: [] });
});

test("VXLAN of an IPv6 pool is not built, and that is said", () => {
  expect(convertIpPool(named({ cidr: "fd00::/48", vxlanMode: "Always" }))).toMatchObject({ value: { vxlanMode: "Always" }, findings: [{ severity: "warning", field: "spec.vxlanMode" }] });
});

test("a block has no node that cannot be named so, and nothing behind its last address", () => {
  const borrowed = [{ secondary: { node: "b" } }, { secondary: { node: "*" } }];
  expect(convertBlock(named({ cidr: "10.65.0.0/31", affinity: "host:*", attributes: borrowed, allocations: [1, 0, 0, 0, null] }))).toEqual({ value: { cidr: "10.65.0.0/31", node: null, borrowed: [{ address: "10.65.0.1", node: "b" }] }, findings: [] });
  expect(convertBlock(named({ cidr: "10.65.0.2", affinity: "host:a", attributes: borrowed, allocations: [0, 0] })).value).toEqual({ cidr: "10.65.0.2/32", node: "a", borrowed: [{ address: "10.65.0.2", node: "b" }] });
});

test("a block without a CIDR is reported", () => {
  expect(convertBlock(named({ cidr: "x" }))).toMatchObject({ value: null, findings: [{ severity: "error", field: "spec.cidr" }] });
});
