import type { NodeUpdate } from "@calico/calc";
import { encodeUpdate, fromWireUpdate, sync } from "@calico/proto";
import { expect, it } from "vitest";
import { createNodeConfigStore } from "./node-config.ts";

const store = createNodeConfigStore();
const bgpOf = (node: string) => store.resolve(node, {}).get("BgpConfig:");
const peersFor = (node: string, labels: Record<string, string>) => [...store.resolve(node, labels).keys()].filter((key) => key.startsWith("BgpPeer:")).map((key) => key.slice(8)).sort();

it("tells a node its own BGP configuration and the ends of the others", () => {
  store.setBgpConfiguration("default", { asNumber: 65_000, nodeMeshPassword: { secretKeyRef: { name: "bgp", key: "mesh" } }, nodeMeshMaxRestartTime: "90s" });
  store.setBgpConfiguration("node.b", { listenPort: 1790, nodeToNodeMeshEnabled: false, logSeverityScreen: "Debug", nodeMeshPassword: { secretKeyRef: { name: "other", key: "k" } } });
  const everywhere = { otherNodes: { asNumber: 65_000, listenPort: 179 }, nodes: { b: { asNumber: 65_000, listenPort: 1790 } }, meshPassword: { name: "bgp", key: "mesh" }, meshMaxRestartTime: "90s" };
  expect([bgpOf("a"), bgpOf("b")]).toEqual([
    { kind: "BgpConfig", value: { nodeToNodeMesh: true, asNumber: 65_000, listenPort: 179, logSeverity: "Info", ...everywhere } },
    { kind: "BgpConfig", value: { nodeToNodeMesh: false, asNumber: 65_000, listenPort: 1790, logSeverity: "Debug", ...everywhere } },
  ]);
});

it.each<[Record<string, unknown>, Record<string, unknown>, { asNumber: number; listenPort: number }]>([
  [{}, { asNumber: "1.10" }, { asNumber: 65_546, listenPort: 179 }], [{ asNumber: "65000" }, { asNumber: "9999999999" }, { asNumber: 65_000, listenPort: 179 }], [{ asNumber: 0 }, { asNumber: [1] }, { asNumber: 64_512, listenPort: 179 }],
  [{ asNumber: 1.5, listenPort: 0 }, { listenPort: 1790.5 }, { asNumber: 64_512, listenPort: 179 }], [{ listenPort: 1790 }, { listenPort: -1 }, { asNumber: 64_512, listenPort: 1790 }], [{}, { listenPort: 65_536 }, { asNumber: 64_512, listenPort: 179 }],
])("takes of %j and, nearer, %j the AS number and port that there can be, and sends them", (base, own, speaker) => {
  const of = createNodeConfigStore();
  of.setBgpConfiguration("default", base);
  of.setBgpConfiguration("node.a", own);
  const update = of.resolve("a", {}).get("BgpConfig:") as NodeUpdate;
  expect(update).toMatchObject({ value: { ...speaker, nodes: { a: speaker } } });
  const [sent] = sync.SyncResponse.decode(encodeUpdate(update)).updates;
  expect(sent === undefined ? null : fromWireUpdate(sent)).toEqual(update);
});

it.each([[undefined, null], [{}, { name: "", key: "" }], [{ secretKeyRef: { name: "s" } }, { name: "s", key: "" }]])("reads the reference %j to a password", (nodeMeshPassword, meshPassword) => {
  store.setBgpConfiguration("default", { nodeMeshPassword });
  expect(bgpOf("a")).toMatchObject({ value: { meshPassword } });
});

it.each<[string, Record<string, unknown>, string[]]>([
  ["for every node", { peerIP: "192.0.2.1" }, ["a", "b", "c"]],
  ["of one node", { peerIP: "192.0.2.1", node: "b" }, ["b"]],
  ["of selected nodes", { peerIP: "192.0.2.1", nodeSelector: "rack == '1'" }, ["a"]],
  ["between selected nodes", { nodeSelector: "rack == '1'", peerSelector: "rack == '2'" }, ["a", "b"]],
  ["between selected nodes, one way", { nodeSelector: "rack == '1'", peerSelector: "rack == '2'", reversePeering: "Manual" }, ["a"]],
  ["with a selector that cannot be read", { nodeSelector: "rack ==", peerSelector: "((" }, []],
])("tells a peer %s to those that it concerns", (_, spec, nodes) => {
  store.setBgpPeer("p", spec);
  const labels: Record<string, Record<string, string>> = { a: { rack: "1" }, b: { rack: "2" }, c: {} };
  expect(Object.keys(labels).filter((node) => peersFor(node, labels[node] ?? {}).includes("p"))).toEqual(nodes);
});

it("tells a node the layers of its felix configuration as text, the lists that are empty too", () => {
  store.setFelixConfiguration("default", { failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [{ protocol: "TCP", port: 22 }], mtu: 1_400, ipv6Support: false });
  store.setFelixConfiguration("node.a", { workloadSourceSpoofing: "Any" });
  const values = { failsafeInboundHostPorts: "none", failsafeOutboundHostPorts: '[{"protocol":"TCP","port":22}]', mtu: "1400", ipv6Support: "false" };
  expect(store.resolve("a", {}).get("FelixConfig:")).toEqual({ kind: "FelixConfig", layers: [{ source: "FelixConfiguration default", values }, { source: "FelixConfiguration node.a", values: { workloadSourceSpoofing: "Any" } }] });
});
