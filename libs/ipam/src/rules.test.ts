/** Calico's rules of assigning and releasing, one by one, by their numbers in its order of steps. */
import { expect, test } from "vitest";
import { all, cidrParts, selector, type IpAddress, type IpPool } from "@calico/model";
import { assign, assignAddress, blockFaults, releaseByHandle, type AssignRequest, type NodeView } from "./index.ts";
import { run, SimulatedStore } from "./testing/simulated-store.ts";

const NOW = "2026-01-01T00:00:00Z";
const LATER = "2026-01-01T00:02:00Z";

function pool(name: string, cidr: string, change: Partial<IpPool> = {}): IpPool {
  return {
    name, cidr: cidrParts(cidr).cidr, family: 4, blockSize: 30, ipipMode: "Never", vxlanMode: "Never", natOutgoing: false, disabled: false, disableBgpExport: false, nodeSelector: all(), namespaceSelector: null,
    automatic: true, allowedUses: ["Workload"], ...change,
  };
}
const view = (node: string, pools: IpPool[], change: Partial<NodeView> = {}): NodeView => ({
  node, nodeLabels: {}, pools, isReserved: () => false, maxBlocksPerHost: 0, autoAllocateBlocks: true, strictAffinity: false, blocks: new Map(), now: NOW, ...change,
});
const want = (handle: string, count = 1, change: Partial<AssignRequest> = {}): AssignRequest => ({ family: 4, count, attribute: { handle_id: handle }, requestedPools: [], namespaceLabels: {}, ...change });
const take = (store: SimulatedStore, of: NodeView, ...requests: AssignRequest[]): string[] => run(store, assign(of, requests)).flatMap(({ addresses }) => addresses);

type Rule = readonly [number: string, text: string, proof: () => void];
const rules: readonly Rule[] = [
  ["1", "pools asked for pass over the selectors but must be there and enabled; the others must select the node and the namespace", () => {
    const pools = [pool("off", "10.0.0.0/30", { disabled: true }), pool("rack", "10.0.1.0/30", { nodeSelector: selector("rack == '1'") }), pool("team", "10.0.2.0/30", { namespaceSelector: selector("team == 'a'") }), pool("asked", "10.0.3.0/30", { automatic: false })];
    expect(take(new SimulatedStore(), view("a", pools), want("h", 1, { namespaceLabels: { team: "a" } }))).toEqual(["10.0.2.0/30"]);
    expect(take(new SimulatedStore(), view("a", pools, { nodeLabels: { rack: "1" } }), want("h"))).toEqual(["10.0.1.0/30"]);
    expect(take(new SimulatedStore(), view("a", pools), want("h", 1, { requestedPools: ["asked"] }))).toEqual(["10.0.3.0/30"]);
    expect(take(new SimulatedStore(), view("a", pools), want("h", 1, { requestedPools: ["10.0.1.0/30"] }))).toEqual(["10.0.1.0/30"]);
    for (const requestedPools of [["off"], ["missing"]]) expect(take(new SimulatedStore(), view("a", pools), want("h", 1, { requestedPools }))).toEqual([]);
  }],
  ["2", "the node's own blocks come first, but only those of pools that qualify", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("p", "10.0.0.0/29"), pool("q", "10.1.0.0/30")]);
    const [first = ""] = take(store, node, want("h1", 1, { requestedPools: ["p"] }));
    expect(take(store, node, want("h2"))[0]?.split(".")[2]).toBe(first.split(".")[2]);
    expect(take(store, node, want("h3", 1, { requestedPools: ["q"] }))).toEqual(["10.1.0.0/30"]);
  }],
  ["3", "no more blocks than the limit; 20 when nothing is said", () => {
    const store = new SimulatedStore();
    expect(take(store, view("a", [pool("p", "10.0.0.0/24")], { strictAffinity: true }), want("h", 256))).toHaveLength(20 * 4);
    expect(take(new SimulatedStore(), view("a", [pool("p", "10.0.0.0/24")], { maxBlocksPerHost: 3 }), want("h", 256))).toHaveLength(3 * 4);
  }],
  ["4", "a free block is claimed from a place that the node's name gives; then one that another node left empty for a minute", () => {
    const store = new SimulatedStore();
    const pools = [pool("p", "10.0.0.0/24")];
    const starts = ["a", "b", "c", "d", "e", "f"].map((name) => take(store, view(name, pools), want(name))[0]);
    expect(new Set(starts).size).toBe(6);
    const one = new SimulatedStore();
    const small = [pool("p", "10.0.0.0/30")];
    const owner = view("a", small);
    take(one, owner, want("h1"));
    run(one, releaseByHandle(owner.blocks, "h1"));
    expect(take(one, view("b", small, { now: LATER, strictAffinity: true }), want("h2"))).toHaveLength(1);
  }],
  ["5", "what was free longest is given first, reserved addresses are passed over, equal attributes are stored once", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("p", "10.0.0.0/30")], { isReserved: (address) => address === "10.0.0.1" });
    expect(take(store, node, want("h1"), want("h2"))).toEqual(["10.0.0.0/30", "10.0.0.2/30"]);
    run(store, releaseByHandle(node.blocks, "h1"));
    expect(take(store, node, want("h3", 2))).toEqual(["10.0.0.3/30", "10.0.0.0/30"]);
    expect(store.blocks().map(({ attributes, allocations }) => [attributes.length, allocations])).toEqual([[2, [1, null, 0, 1]]]);
  }],
  ["6", "what is still missing is borrowed, unless affinity is strict; without automatic blocks nothing is claimed", () => {
    const store = new SimulatedStore();
    const pools = [pool("p", "10.0.0.0/30")];
    take(store, view("a", pools), want("h1"));
    expect(take(store, view("b", pools, { strictAffinity: true }), want("h2"))).toEqual([]);
    expect(take(store, view("b", pools), want("h2"))).toHaveLength(1);
    expect(take(new SimulatedStore(), view("b", pools, { autoAllocateBlocks: false }), want("h2"))).toEqual([]);
  }],
  ["7", "an address comes with the prefix length of its block", () => {
    expect(take(new SimulatedStore(), view("a", [pool("p", "10.0.0.0/24", { blockSize: 28 })]), want("h"))[0]).toMatch(/\/28$/);
  }],
  ["AssignIP", "one address, in an enabled pool, not in use; its block is claimed when nobody has it; reservations do not count", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("p", "10.0.0.0/29"), pool("off", "10.0.1.0/30", { disabled: true })], { isReserved: () => true });
    const ask = (address: string, handle: string): unknown => run(store, assignAddress(node, address as IpAddress, { handle_id: handle }));
    expect([ask("10.0.0.5", "h"), ask("10.0.0.5", "h"), ask("10.0.0.5", "other"), ask("10.0.1.1", "h"), ask("10.9.9.9", "h")]).toEqual([
      { cidr: "10.0.0.5/30" }, { cidr: "10.0.0.5/30" }, { because: "10.0.0.5 is in use" }, { because: "10.0.1.1 is in pool off, which is disabled" }, { because: "10.9.9.9 is in no pool" },
    ]);
    expect(store.blocks().map(({ cidr, affinity }) => [cidr, affinity])).toEqual([["10.0.0.4/30", "host:a"]]);
  }],
  ["release by handle", "every address of the handle, in own and borrowed blocks; twice is fine; blocks stay sound", () => {
    const store = new SimulatedStore();
    const pools = [pool("p", "10.0.0.0/29")];
    take(store, view("b", pools, { maxBlocksPerHost: 1 }), want("other"));
    const node = view("a", pools, { maxBlocksPerHost: 1 });
    const given = take(store, node, want("h", 6)).map((cidr) => cidr.split("/")[0]);
    expect(given).toHaveLength(6);
    expect(run(store, releaseByHandle(node.blocks, "h", store.blocks().map(({ cidr }) => cidr.replaceAll(/[./]/g, "-")))).toSorted((x, y) => (x < y ? -1 : 1))).toEqual(given.toSorted((x = "", y = "") => (x < y ? -1 : 1)));
    expect(run(store, releaseByHandle(node.blocks, "h"))).toEqual([]);
    expect(store.blocks().flatMap(blockFaults)).toEqual([]);
  }],
];

test.each(rules)("rule %s: %s", (_number, _text, proof) => proof());
