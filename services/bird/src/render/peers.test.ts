import { describe, expect, it } from "vitest";
import { peersOf } from "./peers.ts";
import { cidr, peerNode, viewOf } from "./testing.ts";

const a = peerNode("a", { ipv4: cidr("10.0.0.1/24") });
const b = peerNode("b", { ipv4: cidr("10.0.0.2/24"), ipv6: cidr("fd00::2/64") });

describe("mesh", () => {
  it("has one peer for each family that both nodes have", () => {
    expect(peersOf(viewOf({ nodes: [a, b] }))).toEqual({
      refused: [],
      peers: [{ protocol: "Mesh_10_0_0_2", type: "node-to-node mesh", family: 4, address: "10.0.0.2", port: 179, asNumber: 64_512, node: "b", passive: true, useNodeSource: true }],
    });
  });

  it("lets exactly one side of a pair open the connection", () => {
    const nodes = [a, b];
    const passive = (node: string) => peersOf(viewOf({ node, nodes })).peers.map((peer) => peer.passive);
    expect([passive("a"), passive("b")]).toEqual([[true], [false]]);
  });

  it("leaves route reflectors out, on both sides", () => {
    const reflector = peerNode("r", { ipv4: cidr("10.0.0.9/24"), routeReflectorClusterId: "10.0.0.9" });
    const names = (node: string) => peersOf(viewOf({ node, nodes: [a, b, reflector] })).peers.map((peer) => peer.node);
    expect([names("a"), names("r")]).toEqual([["b"], []]);
  });

  it("is switched off by the configuration", () => {
    expect(peersOf(viewOf({ nodes: [a, b], bgp: { nodeToNodeMesh: false } }))).toEqual({ peers: [], refused: [] });
  });

  it("has nobody while the own node is not known", () => {
    expect(peersOf(viewOf({ nodes: [b], peers: { p: { peerIP: "192.0.2.1" } } }))).toEqual({ peers: [], refused: [] });
  });
});

describe("explicit peers", () => {
  const one = (spec: Record<string, unknown>, nodes = [a, b]) => peersOf(viewOf({ nodes, bgp: { nodeToNodeMesh: false, listenPort: 1790 }, peers: { p: spec } }));

  it("wins over the mesh peer of the same address", () => {
    const { peers } = peersOf(viewOf({ nodes: [a, b], peers: { p: { peerIP: "10.0.0.2", node: "a", asNumber: 65_002 } } }));
    expect(peers).toEqual([{ protocol: "Node_10_0_0_2", type: "node specific", family: 4, address: "10.0.0.2", port: 179, asNumber: 65_002, node: "b", passive: true, useNodeSource: true }]);
  });

  it("knows one address in two spellings", () => {
    const nodes = [peerNode("a", { ipv6: cidr("fd00::1/64") }), b];
    const { peers, refused } = peersOf(viewOf({ nodes, peers: { p: { peerIP: "FD00:0:0::2" } } }));
    expect(refused).toEqual([]);
    expect(peers.map(({ protocol, address, node }) => ({ protocol, address, node }))).toEqual([{ protocol: "Global_fd00__2", address: "fd00::2", node: "b" }]);
  });

  it.each([
    ["192.0.2.1", "192.0.2.1", 179],
    ["192.0.2.1:1179", "192.0.2.1", 1179],
    ["10.0.0.2", "10.0.0.2", 1790],
  ])("%s is %s on port %i", (peerIP, address, port) => {
    expect(one({ peerIP }).peers.map((peer) => [peer.address, peer.port])).toEqual([[address, port]]);
  });

  it("takes the port of an IPv6 address in brackets", () => {
    const nodes = [peerNode("a", { ipv6: cidr("fd00::1/64") })];
    expect(one({ peerIP: "[fd00::9]:1179", sourceAddress: "None" }, nodes).peers).toEqual([
      { protocol: "Global_fd00__9", type: "global", family: 6, address: "fd00::9", port: 1179, asNumber: 64_512, node: "", passive: false, useNodeSource: false },
    ]);
  });

  it.each<[Record<string, unknown>, string, string]>([
    [{}, "spec.peerIP", "null is no address"],
    [{ peerIP: "nowhere" }, "spec.peerIP", '"nowhere" is no address'],
    [{ peerIP: "10.0.0.9; }" }, "spec.peerIP", '"10.0.0.9; }" is no address'],
    [{ peerIP: "192.0.2.1:70000" }, "spec.peerIP", "70000 is no port"],
    [{ peerIP: "192.0.2.1:0" }, "spec.peerIP", "0 is no port"],
    [{ peerIP: "fd00::9" }, "spec.peerIP", "this node has no IPv6 address"],
    [{ peerIP: "10.0.0.1" }, "spec.peerIP", "is this node itself"],
    [{ peerIP: "192.0.2.1", asNumber: 0 }, "spec.asNumber", "0 is no AS number"],
    [{ peerIP: "192.0.2.1", asNumber: 4_294_967_296 }, "spec.asNumber", "4294967296 is no AS number"],
    [{ peerIP: "192.0.2.1", asNumber: [65_000] }, "spec.asNumber", "[65000] is no AS number"],
    [{ peerIP: "192.0.2.1", asNumber: true }, "spec.asNumber", "true is no AS number"],
    [{ peerIP: "192.0.2.1", password: {} }, "spec.password", "is not supported yet; the peer is left out"],
    [{ peerSelector: "all()" }, "spec.peerSelector", "is not supported yet; the peer is left out"],
  ])("refuses %j", (spec, field, reason) => {
    expect(one(spec)).toEqual({ peers: [], refused: [{ name: "p", field, reason }] });
  });
});
