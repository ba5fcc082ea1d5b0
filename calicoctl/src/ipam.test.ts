import { allocate, newBlock, type BlockSpec } from "@calico/ipam";
import type { Cidr } from "@calico/model";
import { describe, expect, it } from "vitest";
import { allocationOf, problemsOf, usage, type Ipam, type Pod } from "./ipam.ts";

const pod = (name: string, address: string, over: Partial<Pod> = {}): Pod => ({ namespace: "a", name, uid: `u-${name}`, node: "n1", addresses: [address], finished: false, ...over });
const held = (block: BlockSpec, name: string): BlockSpec => allocate(block, { handle_id: `h-${name}`, secondary: { namespace: "a", pod: name, podUID: `u-${name}`, node: "n1" } }, 1).block;
const handle = (name: string) => ({ handleID: `h-${name}`, block: { "10.0.0.0/30": 1 }, deleted: false });
const empty = newBlock("10.0.0.0/30" as Cidr, "n1", "");
const sound: Ipam = { pools: [{ name: "p", cidr: "10.0.0.0/16", disabled: false }], blocks: [held(held(empty, "web"), "db")], handles: [handle("web"), handle("db")], pods: [pod("web", "10.0.0.0"), pod("db", "10.0.0.1")], nodes: ["n1"] };
const problems = (change: Partial<Ipam>): string[] => problemsOf({ ...sound, ...change }).map(({ about, what }) => `${about}: ${what}`);

it("usage counts the addresses of pools and blocks, of any size", () => {
  expect(usage(sound, true)).toEqual([{ grouping: "IP Pool", cidr: "10.0.0.0/16", total: 65_536n, inUse: 2n }, { grouping: "Block", cidr: "10.0.0.0/30", total: 4n, inUse: 2n }]);
  expect(usage({ pools: [{ name: "v6", cidr: "fd00::/48", disabled: false }], blocks: sound.blocks }, true)).toEqual([{ grouping: "IP Pool", cidr: "fd00::/48", total: 2n ** 80n, inUse: 0n }, { grouping: "Block", cidr: "10.0.0.0/30", total: 4n, inUse: 2n }]);
});

it("allocationOf finds who has an address", () => {
  expect(allocationOf(sound, "10.0.0.1")?.allocation).toMatchObject({ handleId: "h-db", secondary: { pod: "db" } });
  expect(allocationOf(sound, "10.0.0.2")).toBeNull();
});

describe("problemsOf", () => {
  it("is empty when everything agrees", () => expect(problems({})).toEqual([]));
  it.each<[string, Partial<Ipam>, string[]]>([
    ["a pod that is gone", { pods: [pod("web", "10.0.0.0")] }, ["10.0.0.1: is allocated to pod a/db, which does not use it"]],
    ["another pod of the name", { pods: [pod("web", "10.0.0.0"), pod("db", "10.0.0.1", { uid: "new" })] }, ["10.0.0.1: is allocated to pod a/db, which does not use it"]],
    ["an address that nobody allocated", { pods: [...sound.pods, pod("stray", "10.0.0.3")] }, ["10.0.0.3: is in use by pod a/stray, but not allocated"]],
    ["a node that is gone", { nodes: [] }, ["10.0.0.0/30: the block is of node n1, which does not exist"]],
    ["a pool that is disabled", { pools: [{ name: "p", cidr: "10.0.0.0/16", disabled: true }] }, ["10.0.0.0: is allocated from no active pool", "10.0.0.1: is allocated from no active pool"]],
    ["a handle too many", { handles: [...sound.handles, handle("old")] }, ["h-old: the handle has no address"]],
    ["a handle that is missing", { handles: [handle("web")] }, ["h-db: 1 address(es) have this handle, which has no object"]],
    ["a block that contradicts itself", { blocks: [{ ...(sound.blocks[0] as BlockSpec), unallocated: [1, 2, 3] }] }, ["10.0.0.0/30: ordinal 1 is allocated and free"]],
  ])("names %s", (_, change, expected) => expect(problems(change)).toEqual(expected));
});
