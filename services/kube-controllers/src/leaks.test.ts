import { allocate, newBlock, type BlockSpec } from "@calico/ipam";
import type { Cidr } from "@calico/model";
import { describe, expect, it } from "vitest";
import { abandonedBlocks, findLeaks, type ClusterFacts, type PodView } from "./leaks.ts";

const pod = (uid: string, over: Partial<PodView> = {}): PodView => ({ uid, finished: false, addresses: [], ...over });
const holding = (block: BlockSpec, handle: string, secondary: Record<string, string>): BlockSpec => allocate(block, { handle_id: handle, secondary }, 1).block;
const empty = newBlock("10.0.0.0/29" as Cidr, "n1", "2026-01-01T00:00:00Z");
const facts = (block: BlockSpec, pods: Record<string, PodView>, nodes: string[] = ["n1"]): ClusterFacts => ({ blocks: [block], pods: new Map(Object.entries(pods)), nodes: new Set(nodes) });
const owner = { node: "n1", namespace: "a", pod: "web", podUID: "u1" };

describe("findLeaks", () => {
  const block = holding(empty, "h1", owner);

  it.each<[string, Record<string, PodView>, boolean]>([
    ["the pod is there", { "a/web": pod("u1") }, false],
    ["the pod is gone", {}, true],
    ["the pod has finished", { "a/web": pod("u1", { finished: true }) }, true],
    ["another pod has the name", { "a/web": pod("u2") }, true],
  ])("when %s", (_, pods, isLeak) => {
    expect(findLeaks(facts(block, pods)).map(({ handleId, addresses }) => [handleId, addresses])).toEqual(isLeak ? [["h1", ["10.0.0.0"]]] : []);
  });

  it("spares a whole handle when one of its addresses is in use", () => {
    const { podUID: _, ...anonymous } = owner;
    const two = holding(holding(empty, "h1", anonymous), "h1", anonymous);
    expect(findLeaks(facts(two, { "a/web": pod("u1", { addresses: ["10.0.0.1"] }) }))).toEqual([]);
    expect(findLeaks(facts(two, { "a/web": pod("u1", { addresses: ["10.9.9.9"] }) }))[0]?.addresses).toEqual(["10.0.0.0", "10.0.0.1"]);
  });

  it("keeps what belongs to no pod as long as its node is there", () => {
    const tunnel = holding(empty, "vxlan-tunnel-addr-n1", { node: "n1", type: "vxlanTunnelAddress" });
    expect(findLeaks(facts(tunnel, {}))).toEqual([]);
    expect(findLeaks(facts(tunnel, {}, []))).toMatchObject([{ handleId: "vxlan-tunnel-addr-n1", nodeGone: true }]);
  });
});

it("abandoned is an empty block of a node that is gone, and nothing else", () => {
  expect(abandonedBlocks(facts(empty, {}, []))).toEqual([empty]);
  expect(abandonedBlocks(facts(empty, {}))).toEqual([]);
  expect(abandonedBlocks(facts(holding(empty, "h", owner), {}, []))).toEqual([]);
  expect(abandonedBlocks(facts({ ...empty, affinity: null }, {}, []))).toEqual([]);
});
