import { expect, it } from "vitest";
import { cidr, nodePool, peerNode, viewOf } from "./testing.ts";
import { createClusterState } from "./view.ts";

const block = { cidr: cidr("10.244.0.0/26"), node: "a" };

it("holds what the stream told, and only what matters to BGP", () => {
  const state = createClusterState("a");
  const node = peerNode("a", { ipv4: cidr("10.0.0.1/24") });
  const bgp = { nodeToNodeMesh: false, asNumber: 65_000, listenPort: 1790, logSeverity: "Debug", otherNodes: { asNumber: 65_001, listenPort: 179 }, nodes: {}, meshPassword: null, meshMaxRestartTime: "" };
  state.onUpdate({ kind: "Node", value: node });
  state.onUpdate({ kind: "Node", value: peerNode("b") });
  state.onUpdate({ kind: "IpPool", value: nodePool("pool", "10.244.0.0/16") });
  state.onUpdate({ kind: "Block", value: block });
  state.onUpdate({ kind: "BgpPeer", name: "tor", specJson: '{"peerIP":"192.0.2.1"}' });
  state.onUpdate({ kind: "BgpConfig", value: bgp });
  state.onUpdate({ kind: "FelixConfig", layers: [] });
  state.onUpdate({ kind: "Remove", of: "Node", id: "b" });
  state.onUpdate({ kind: "Remove", of: "Policy", id: "unknown" });
  expect(state.view).toEqual(viewOf({ bgp, nodes: [node], pools: [nodePool("pool", "10.244.0.0/16")], blocks: [block.cidr], peers: { tor: { peerIP: "192.0.2.1" } } }));
});

it("forgets what a new snapshot does not repeat", () => {
  const state = createClusterState("a");
  state.onUpdate({ kind: "Block", value: block });
  state.onSnapshotStart();
  expect(state.view).toEqual(viewOf({}));
});
