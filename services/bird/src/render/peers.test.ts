import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { peersOf } from "./peers.ts";
import { secretsNeeded } from "./secrets.ts";
import { PLAIN_OPTIONS } from "./session-options.ts";
import { cidr, peerNode, secret, viewOf, type ViewParts } from "./testing.ts";

const a = peerNode("a", { ipv4: cidr("10.0.0.1/24") });
const b = peerNode("b", { ipv4: cidr("10.0.0.2/24"), ipv6: cidr("fd00::2/64") });

describe("mesh", () => {
  it("has one peer for each family that both nodes have", () => {
    expect(peersOf(viewOf({ nodes: [a, b] }))).toEqual({
      refused: [],
      peers: [{ protocol: "Mesh_10_0_0_2", type: "node-to-node mesh", family: 4, address: "10.0.0.2", port: 179, asNumber: 64_512, node: "b", passive: true, useNodeSource: true, options: PLAIN_OPTIONS }],
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
    expect(peers).toEqual([{ protocol: "Node_10_0_0_2", type: "node specific", family: 4, address: "10.0.0.2", port: 179, asNumber: 65_002, node: "b", passive: true, useNodeSource: true, options: PLAIN_OPTIONS }]);
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

  it("reads an AS number in two halves", () => {
    expect(one({ peerIP: "192.0.2.1", asNumber: "1.10" }).peers.map(({ asNumber }) => asNumber)).toEqual([65_546]);
  });

  it("takes the port of an IPv6 address in brackets", () => {
    const nodes = [peerNode("a", { ipv6: cidr("fd00::1/64") })];
    expect(one({ peerIP: "[fd00::9]:1179", sourceAddress: "None" }, nodes).peers).toEqual([
      { protocol: "Global_fd00__9", type: "global", family: 6, address: "fd00::9", port: 1179, asNumber: 64_512, node: "", passive: false, useNodeSource: false, options: PLAIN_OPTIONS },
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
    [{ peerIP: "192.0.2.1", asNumber: "9999999999" }, "spec.asNumber", '"9999999999" is no AS number'],
    [{ peerIP: "192.0.2.1", asNumber: [65_000] }, "spec.asNumber", "[65000] is no AS number"],
    [{ peerIP: "192.0.2.1", asNumber: true }, "spec.asNumber", "true is no AS number"],
    [{ peerIP: "192.0.2.1", localASNumber: 0 }, "spec.localASNumber", "0 is no AS number"],
    [{ peerIP: "192.0.2.1", numAllowedLocalASNumbers: 256 }, "spec.numAllowedLocalASNumbers", "256 is no number from 0 to 255"],
    [{ peerIP: "192.0.2.1", ttlSecurity: 0 }, "spec.ttlSecurity", "0 is no number from 1 to 255"],
    [{ peerIP: "192.0.2.1", maxRestartTime: "31m" }, "spec.maxRestartTime", '"31m" is no duration from 1s to 1800s'],
    [{ peerIP: "192.0.2.1", keepaliveTime: "0s" }, "spec.keepaliveTime", '"0s" is no duration from 1s to 240s'],
    [{ peerIP: "192.0.2.1", keepaliveTime: "5m; }" }, "spec.keepaliveTime", '"5m; }" is no duration from 1s to 240s'],
    [{ peerIP: "192.0.2.1", nextHopMode: "Other" }, "spec.nextHopMode", '"Other" is none of Auto, Self and Keep'],
    [{ peerIP: "192.0.2.1", password: {} }, "spec.password.secretKeyRef", "names no secret and key"],
    [{ peerSelector: "all(" }, "spec.peerSelector", '"all(" is no selector'],
    [{ peerSelector: "all()", peerIP: "192.0.2.1" }, "spec.peerSelector", "excludes peerIP and asNumber: they come from the nodes that it selects"],
    [{ peerIP: "192.0.2.1", filters: ["f"] }, "spec.filters", "is not supported yet; the peer is left out"],
    [{ peerIP: "192.0.2.1", reachableBy: "10.0.0.3" }, "spec.reachableBy", "is not supported yet; the peer is left out"],
    [{ localWorkloadSelector: "all()" }, "spec.localWorkloadSelector", "is not supported yet; the peer is left out"],
  ])("refuses %j", (spec, field, reason) => {
    expect(one(spec)).toEqual({ peers: [], refused: [{ kind: "BGPPeer", name: "p", field, reason }] });
  });

  it.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{ localASNumber: 65_009 }, { localAs: 65_009 }],
    [{ numAllowedLocalASNumbers: 0 }, { allowedLocalAs: 0 }],
    [{ ttlSecurity: 2 }, { ttlSecurityHops: 2 }],
    [{ maxRestartTime: "1m30.5s", keepaliveTime: "500ms" }, { restartSeconds: 91, keepaliveSeconds: 1 }],
    [{ nextHopMode: "Auto" }, {}],
    [{ nextHopMode: "Self" }, { nextHop: "self" }],
    [{ nextHopMode: "Keep" }, { nextHop: "keep" }],
    [{ keepOriginalNextHop: true }, {}],
    [{ keepOriginalNextHop: true, asNumber: 65_001 }, { nextHop: "keep" }],
    [{ keepOriginalNextHop: true, asNumber: 65_001, localASNumber: 65_001 }, { localAs: 65_001 }],
  ])("%j asks for %j", (spec, options) => {
    expect(one({ peerIP: "192.0.2.1", ...spec }).peers.map((peer) => peer.options)).toEqual([{ ...PLAIN_OPTIONS, ...options }]);
  });
});

describe("peers by selector", () => {
  const rack = (name: string, n: number, labels: Record<string, string>, more = {}) => peerNode(name, { ipv4: cidr(`10.0.0.${n}/24`), labels, ...more });
  const nodes = [rack("a", 1, { role: "leaf" }), rack("b", 2, { role: "leaf" }), rack("r", 3, { role: "spine" }, { asNumber: 65_003 }), rack("s", 4, { role: "spine" })];
  const bgp = { nodeToNodeMesh: false, otherNodes: { asNumber: 64_512, listenPort: 179 }, nodes: { s: { asNumber: 65_004, listenPort: 1790 } } };
  const seenBy = (node: string, peers: ViewParts["peers"] = {}, more: ViewParts = {}) =>
    peersOf(viewOf({ node, nodes, bgp, peers, ...more })).peers.map((peer) => `${peer.protocol}:${peer.port} as ${peer.asNumber}${peer.passive ? " passive" : ""}`);
  const LEAF_TO_SPINE = { nodeSelector: "role == 'leaf'", peerSelector: "role == 'spine'" };

  it("are nodes with their own AS numbers and ports, seen from both ends", () => {
    const peers = { up: LEAF_TO_SPINE };
    expect(Object.fromEntries(["a", "r", "s"].map((node) => [node, seenBy(node, peers)]))).toEqual({
      a: ["Node_10_0_0_3:179 as 65003 passive", "Node_10_0_0_4:1790 as 65004 passive"],
      r: ["Node_10_0_0_1:179 as 64512", "Node_10_0_0_2:179 as 64512"],
      s: ["Node_10_0_0_1:179 as 64512", "Node_10_0_0_2:179 as 64512"],
    });
  });

  it("are peers one way when the reverse is made by hand", () => {
    const peers = { up: { ...LEAF_TO_SPINE, reversePeering: "Manual" } };
    expect([seenBy("a", peers).length, seenBy("r", peers).length]).toEqual([2, 0]);
  });

  it("do not include the node itself", () => {
    expect(seenBy("a", { all: { peerSelector: "all()" } })).toEqual(["Global_10_0_0_2:179 as 64512 passive", "Global_10_0_0_3:179 as 65003 passive", "Global_10_0_0_4:1790 as 65004 passive"]);
  });

  it("are those with an address of a family that both have", () => {
    const mixed = [rack("a", 1, {}), peerNode("b", { ipv6: cidr("fd00::2/64") })];
    expect(peersOf(viewOf({ nodes: mixed, bgp, peers: { all: { peerSelector: "all()" } } }))).toEqual({ peers: [], refused: [] });
  });

  it("yield to a peer that the other end has of its own, and both to none of the mesh", () => {
    const peers = { up: LEAF_TO_SPINE, own: { node: "r", peerIP: "10.0.0.1", asNumber: 65_100 } };
    expect(seenBy("r", peers, { bgp: { ...bgp, nodeToNodeMesh: true } })).toEqual(["Mesh_10_0_0_4:1790 as 65004 passive", "Node_10_0_0_1:179 as 65100", "Node_10_0_0_2:179 as 64512"]);
  });

  it("see the AS number that the other end shows", () => {
    expect(seenBy("r", { up: { ...LEAF_TO_SPINE, localASNumber: 65_500 } })).toEqual(["Node_10_0_0_1:179 as 65500", "Node_10_0_0_2:179 as 65500"]);
  });

  it("are the same whatever came first", () => {
    const parts: ViewParts = { node: "r", nodes, bgp, peers: { up: LEAF_TO_SPINE, all: { peerSelector: "all()", ttlSecurity: 3 } } };
    const turned: ViewParts = { ...parts, nodes: [...nodes].reverse(), peers: Object.fromEntries(Object.entries(parts.peers ?? {}).reverse()) };
    expect(peersOf(viewOf(turned))).toEqual(peersOf(viewOf(parts)));
  });

  it("are clients of a reflector of their AS, unless they reflect for the same cluster", () => {
    const reflectors = [rack("a", 1, {}), rack("b", 2, { rr: "" }, { routeReflectorClusterId: "1.0.0.1" }), rack("c", 3, { rr: "" }, { routeReflectorClusterId: "1.0.0.1" }), rack("d", 4, { rr: "" }, { routeReflectorClusterId: "1.0.0.2" }), rack("e", 5, {}, { asNumber: 65_005 })];
    const clusterOf = (node: string) => Object.fromEntries(peersOf(viewOf({ node, nodes: reflectors, bgp, peers: { rr: { peerSelector: "has(rr)" } } })).peers.map((peer) => [peer.node, peer.options.reflectorCluster]));
    expect([clusterOf("a"), clusterOf("b")]).toEqual([{ b: null, c: null, d: null }, { a: "1.0.0.1", c: null, d: "1.0.0.1", e: null }]);
  });
});

describe("passwords", () => {
  const password = { secretKeyRef: { name: "bgp", key: "tor" } };
  const seen = (parts: ViewParts) => {
    const { peers, refused } = peersOf(viewOf({ nodes: [a, b], ...parts }));
    return { peers: peers.map((peer) => [peer.protocol, peer.options.password]), refused: refused.map(({ kind, name, field, reason }) => `${kind}/${name} ${field}: ${reason}`) };
  };

  it("come from the secret that the peer names", () => {
    expect(seen({ peers: { p: { peerIP: "10.0.0.2", password } }, secrets: { bgp: secret({ tor: "s3cr\u00e9t \\ '#" }) } })).toEqual({ peers: [["Global_10_0_0_2", "s3cr\u00e9t \\ '#"]], refused: [] });
  });

  it.each<[string, ViewParts["secrets"], string]>([
    ["was not read", {}, "secret bgp was not read yet"],
    ["is missing", { bgp: { missing: "secret kube-system/bgp does not exist" } }, "secret kube-system/bgp does not exist"],
    ["lacks the key", { bgp: secret({ other: "x" }) }, "secret bgp has no key tor"],
    ["has a key of JavaScript only", { bgp: { data: {} } }, "secret bgp has no key tor"],
    ["is empty", { bgp: secret({ tor: "" }) }, "key tor of secret bgp is empty"],
    ["is too long", { bgp: secret({ tor: "x".repeat(81) }) }, "key tor of secret bgp is longer than 80 bytes"],
    ["is not text", { bgp: { data: { tor: Buffer.from([0xff, 0xfe]).toString("base64") } } }, "key tor of secret bgp is not text"],
    ["has a quote", { bgp: secret({ tor: 'a"; } log "x' }) }, "key tor of secret bgp has a double quote, which BIRD cannot be given"],
    ["has a line end", { bgp: secret({ tor: "secret\n" }) }, "key tor of secret bgp has a control character, perhaps a line end after the password"],
  ])("leave the peer out, in the mesh too, when the secret %s", (_, secrets = {}, reason) => {
    expect(seen({ peers: { p: { peerIP: "10.0.0.2", password } }, secrets })).toEqual({ peers: [], refused: [`BGPPeer/p spec.password.secretKeyRef: ${reason}`] });
  });

  it("are in no reason for a refusal", () => {
    fc.assert(fc.property(fc.string({ minLength: 6, unit: "binary" }), (value) => {
      const { refused } = seen({ bgp: { meshPassword: password.secretKeyRef }, peers: { p: { peerIP: "10.0.0.9", password } }, secrets: { bgp: secret({ tor: `${value}\n` }) } });
      expect([refused.length, refused.filter((text) => text.includes(value))]).toEqual([2, []]);
    }));
  });

  it("leave out a peer that is refused for something else, in the mesh too", () => {
    expect(seen({ peers: { p: { peerIP: "10.0.0.2", password, filters: ["f"] } }, secrets: { bgp: secret({ tor: "x" }) } })).toEqual({ peers: [], refused: ["BGPPeer/p spec.filters: is not supported yet; the peer is left out"] });
  });

  it("of the mesh are all its sessions' or there is no mesh", () => {
    const bgp = { meshPassword: { name: "bgp", key: "mesh" }, meshMaxRestartTime: "2m" };
    expect(seen({ bgp, secrets: { bgp: secret({ mesh: "m" }) } })).toEqual({ peers: [["Mesh_10_0_0_2", "m"]], refused: [] });
    expect(peersOf(viewOf({ nodes: [a, b], bgp, secrets: { bgp: secret({ mesh: "m" }) } })).peers[0]?.options.restartSeconds).toBe(120);
    expect(seen({ bgp })).toEqual({ peers: [], refused: ["BGPConfiguration/default spec.nodeMeshPassword.secretKeyRef: secret bgp was not read yet"] });
  });

  it("are looked for where a session of this node needs one", () => {
    const view = viewOf({ bgp: { meshPassword: { name: "mesh", key: "k" } }, peers: { p: { password }, q: { password: { secretKeyRef: { key: "k" } } }, r: {} } });
    expect(secretsNeeded(view)).toEqual(new Set(["bgp", "mesh"]));
    expect(secretsNeeded({ ...view, bgp: { ...view.bgp, nodeToNodeMesh: false } })).toEqual(new Set(["bgp"]));
  });
});
