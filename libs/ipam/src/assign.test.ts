import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { all, cidrParts, selector, type Cidr, type IpAddress, type IpPool } from "@calico/model";
import { allocate, allocationsOf, assign, assignAddress, blockFaults, dropEmptyHandle, freeCount, giveBack, newBlock, releaseByHandle, releaseOne, unwantedBlocks, writeHandle, type AssignRequest, type NodeView } from "./index.ts";
import { Crash, interleave, run, SimulatedStore, type Fault } from "./testing/simulated-store.ts";

const NOW = "2026-01-01T00:00:00Z";

function pool(cidr: string, change: Partial<IpPool> = {}): IpPool {
  const parsed = cidrParts(cidr);
  return {
    name: `pool-${cidr}`, cidr: parsed.cidr, family: parsed.family, blockSize: parsed.family === 4 ? 30 : 126, ipipMode: "Never", vxlanMode: "Never", natOutgoing: false, disabled: false,
    disableBgpExport: false, nodeSelector: all(), namespaceSelector: null, automatic: true, allowedUses: ["Workload"], ...change,
  };
}

function view(node: string, pools: IpPool[], change: Partial<NodeView> = {}): NodeView {
  return { node, nodeLabels: {}, pools, isReserved: () => false, maxBlocksPerHost: 0, autoAllocateBlocks: true, strictAffinity: false, blocks: new Map(), now: NOW, ...change };
}

function want(handle: string, count = 1, change: Partial<AssignRequest> = {}): AssignRequest {
  return { family: 4, count, attribute: { handle_id: handle, secondary: { pod: handle } }, requestedPools: [], namespaceLabels: {}, ...change };
}

describe("assigning", () => {
  test("the first request of a node claims a block: affinity pending, block, affinity confirmed, then the address", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/30")]);
    expect(run(store, assign(node, [want("h1")]))).toEqual([{ addresses: ["10.0.0.0/30"], because: [] }]);
    expect(store.writes.map((effect) => ("kind" in effect ? `${effect.op} ${effect.kind}` : effect.op))).toEqual(["create affinity", "create block", "update affinity", "update block"]);
    expect(store.objects.get("affinity/a-10-0-0-0-30")?.spec).toEqual({ state: "confirmed", node: "a", type: "host", cidr: "10.0.0.0/30", deleted: false });
  });

  test("after that a request awaits one write, that of the block; a burst shares it", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/29", { blockSize: 29 })]);
    run(store, assign(node, [want("h1")]));
    store.writes = [];
    const results = run(store, assign(node, [want("h2"), want("h3", 2), want("h4")]));
    expect(results.map(({ addresses }) => addresses)).toEqual([["10.0.0.1/29"], ["10.0.0.2/29", "10.0.0.3/29"], ["10.0.0.4/29"]]);
    expect(store.writes).toHaveLength(1);
  });

  test("an exhausted pool says which and how many", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/30")]);
    const [result] = run(store, assign(node, [want("h1", 5)]));
    expect(result?.addresses).toHaveLength(4);
    expect(result?.because).toEqual(["pool pool-10.0.0.0/30 10.0.0.0/30: 4 of 4 addresses in use in 1 blocks, 1 of them of node a", "other nodes' blocks have none to lend"]);
  });

  test("when nothing can be claimed an address is borrowed from another node's block", () => {
    const store = new SimulatedStore();
    const pools = [pool("10.0.0.0/30")];
    run(store, assign(view("a", pools), [want("h1")]));
    store.writes = [];
    const borrower = view("b", pools);
    expect(run(store, assign(borrower, [want("h2", 2)]))).toEqual([{ addresses: ["10.0.0.1/30", "10.0.0.2/30"], because: [] }]);
    expect([store.writes.length, borrower.blocks.size]).toEqual([1, 0]);
    expect(run(store, assign(borrower, [want("h3", 2)]))[0]).toEqual({
      addresses: ["10.0.0.3/30"], because: ["pool pool-10.0.0.0/30 10.0.0.0/30: 3 of 4 addresses in use in 1 blocks, 0 of them of node b", "other nodes' blocks have none to lend"],
    });
  });

  test("with strict affinity nothing is borrowed", () => {
    const store = new SimulatedStore();
    run(store, assign(view("a", [pool("10.0.0.0/30")]), [want("h1")]));
    const strict = view("b", [pool("10.0.0.0/30")], { strictAffinity: true });
    expect(run(store, assign(strict, [want("h2")]))[0]).toEqual({
      addresses: [], because: ["pool pool-10.0.0.0/30 10.0.0.0/30: 1 of 4 addresses in use in 1 blocks, 0 of them of node b", "no address is borrowed from other nodes (strictAffinity is true)"],
    });
    expect(run(store, assignAddress(strict, "10.0.0.2" as IpAddress, { handle_id: "h" }))).toEqual({ because: "10.0.0.2 is in block 10.0.0.0/30 of host:a; no address is borrowed from other nodes (strictAffinity is true)" });
  });

  test("a block that another node left empty is taken over after a minute, not before", () => {
    const store = new SimulatedStore();
    const pools = [pool("10.0.0.0/30")];
    const first = view("a", pools);
    run(store, assign(first, [want("h1")]));
    run(store, releaseByHandle(first.blocks, "h1"));
    const soon = view("b", pools, { strictAffinity: true, now: "2026-01-01T00:00:59Z" });
    expect(run(store, assign(soon, [want("h2")]))[0]?.addresses).toEqual([]);
    const later = view("b", pools, { strictAffinity: true, now: "2026-01-01T00:01:01Z" });
    expect(run(store, assign(later, [want("h2")]))[0]?.addresses).toEqual(["10.0.0.0/30"]);
    expect([...store.objects.keys()]).toEqual(["affinity/b-10-0-0-0-30", "block/10-0-0-0-30"]);
    // The node that had it finds out at its next write.
    expect(run(store, assign({ ...first, strictAffinity: true }, [want("h3")]))[0]?.addresses).toEqual([]);
    expect(first.blocks.size).toBe(0);
  });

  test("a reserved address is given only to who asks for exactly it, a wholly reserved block to nobody", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/29")], { isReserved: (address) => ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5"].includes(address) });
    expect(run(store, assign(node, [want("h1", 8)]))[0]?.addresses).toEqual(["10.0.0.4/30", "10.0.0.6/30", "10.0.0.7/30"]);
    expect(run(store, assignAddress(node, "10.0.0.5" as IpAddress, { handle_id: "h2" }))).toEqual({ cidr: "10.0.0.5/30" });
  });

  test("a given address in a block of another size that overlaps is refused", () => {
    const store = new SimulatedStore();
    run(store, assign(view("a", [pool("10.0.0.0/28", { blockSize: 30 })]), [want("h1")]));
    const cidr = store.blocks()[0]?.cidr ?? "";
    const inside = cidr.split("/")[0] as IpAddress;
    expect(run(store, assignAddress(view("b", [pool("10.0.0.0/28", { blockSize: 28 })]), inside, { handle_id: "h2" }))).toEqual({
      because: `${inside}: block ${cidr} of host:a overlaps 10.0.0.0/28, which would be claimed`,
    });
  });

  test.each([
    [{ disabled: true }, "is disabled"], [{ allowedUses: ["Tunnel" as const] }, "is for Tunnel only"], [{ automatic: false }, "assignmentMode Manual"],
    [{ nodeSelector: selector("rack == '1'") }, 'does not select this node (rack == "1")'], [{ namespaceSelector: selector("x == '1'") }, "does not select this namespace"],
  ])("a pool with %j does not serve", (change, reason) => {
    const [result] = run(new SimulatedStore(), assign(view("a", [pool("10.0.0.0/30", change)]), [want("h")]));
    expect(result?.addresses).toEqual([]);
    expect(result?.because.join()).toContain(reason);
  });

  test("a pool asked for by name passes over selectors; one that is not there is named", () => {
    const node = view("a", [pool("10.0.0.0/30", { nodeSelector: selector("no == 'no'"), name: "special" })]);
    expect(run(new SimulatedStore(), assign(node, [want("h", 1, { requestedPools: ["special"] })]))[0]?.addresses).toHaveLength(1);
    expect(run(new SimulatedStore(), assign(node, [want("h", 1, { requestedPools: ["other"] })]))[0]?.because).toEqual(["pool other does not exist"]);
  });

  test("limits: blocks per host, reserved addresses, no claiming", () => {
    const pools = [pool("10.0.0.0/28")];
    const limited = run(new SimulatedStore(), assign(view("a", pools, { maxBlocksPerHost: 2 }), [want("h", 16)]))[0];
    expect([limited?.addresses.length, limited?.because.at(-2)]).toEqual([8, "node a has 2 blocks, the limit is 2"]);
    const reserving = run(new SimulatedStore(), assign(view("a", pools, { isReserved: (address) => !address.endsWith(".5") }), [want("h", 1)]))[0];
    expect(reserving?.addresses.length ?? 0).toBeLessThanOrEqual(1);
    expect(run(new SimulatedStore(), assign(view("a", pools, { autoAllocateBlocks: false }), [want("h")]))[0]?.addresses).toEqual([]);
  });

  test("a given address is taken once", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/30")]);
    expect(run(store, assignAddress(node, "10.0.0.2" as IpAddress, { handle_id: "h" }))).toEqual({ cidr: "10.0.0.2/30" });
    expect(run(store, assignAddress(node, "10.0.0.2" as IpAddress, { handle_id: "i" }))).toEqual({ because: "10.0.0.2 is in use" });
    expect(run(store, assignAddress(node, "10.9.0.2" as IpAddress, { handle_id: "i" }))).toEqual({ because: "10.9.0.2 is in no pool" });
    expect(run(store, assignAddress(view("b", node.pools as IpPool[]), "10.0.0.1" as IpAddress, { handle_id: "i" }))).toEqual({ cidr: "10.0.0.1/30" });
    expect(run(store, assignAddress(view("b", node.pools as IpPool[], { autoAllocateBlocks: false }), "10.0.0.1" as IpAddress, { handle_id: "j" }))).toEqual({ because: "10.0.0.1 is in use" });
  });
});

test("a given address that is in use costs the node nothing of what it knows of its block", () => {
  const store = new SimulatedStore();
  const node = view("a", [pool("10.0.0.0/30")]);
  run(store, assignAddress(node, "10.0.0.2" as IpAddress, { handle_id: "h" }));
  run(store, assignAddress(node, "10.0.0.2" as IpAddress, { handle_id: "i" }));
  const thrifty = { ...node, autoAllocateBlocks: false };
  expect(run(store, assign(thrifty, [want("j")]))[0]?.addresses).toEqual(["10.0.0.0/30"]);
  expect([...node.blocks.keys()]).toEqual(["10-0-0-0-30"]);
});

describe("releasing", () => {
  test("frees the addresses of the handle, to the end of the queue, and its object", () => {
    const store = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/30")]);
    run(store, assign(node, [want("h1", 2), want("h2", 1)]));
    run(store, writeHandle("h1", { "10.0.0.0/30": 2 }));
    expect(run(store, releaseByHandle(node.blocks, "h1"))).toEqual(["10.0.0.0", "10.0.0.1"]);
    expect(store.objects.has("handle/h1")).toBe(false);
    expect(run(store, assign(node, [want("h3", 2)]))[0]?.addresses).toEqual(["10.0.0.3/30", "10.0.0.0/30"]);
    expect(run(store, releaseByHandle(node.blocks, "h1"))).toEqual([]);
  });

  test("a block that another node took meanwhile is not held any more", () => {
    const store = new SimulatedStore();
    const pools = [pool("10.0.0.0/30")];
    const node = view("a", pools);
    run(store, assign(node, [want("h1")]));
    run(store, releaseOne("10.0.0.0" as IpAddress));
    run(store, assign(view("b", pools, { now: "2026-01-01T01:00:00Z", strictAffinity: true }), [want("h2")]));
    expect([run(store, releaseByHandle(node.blocks, "h1")), [...node.blocks.keys()]]).toEqual([[], []]);
    expect(run(store, assign({ ...node, strictAffinity: true }, [want("h3")]))[0]?.addresses).toEqual([]);
  });

  test("works without the handle object, and without any knowledge", () => {
    const store = new SimulatedStore();
    run(store, assign(view("a", [pool("10.0.0.0/30")]), [want("h1", 1)]));
    expect(run(store, releaseByHandle(new Map(), "h1"))).toEqual(["10.0.0.0"]);
  });
});

describe("giving back", () => {
  const store = (): { store: SimulatedStore; node: NodeView } => {
    const made = new SimulatedStore();
    const node = view("a", [pool("10.0.0.0/30", { nodeSelector: selector("rack == '1'") })], { nodeLabels: { rack: "1" } });
    run(made, assign(node, [want("h1")]));
    return { store: made, node };
  };

  test("an empty block goes when its pool does not select the node any more, a used one stays", () => {
    const { store: datastore, node } = store();
    const moved = { ...node, nodeLabels: { rack: "2" } };
    expect([unwantedBlocks(node), unwantedBlocks(moved), unwantedBlocks({ ...node, pools: [] })]).toEqual([[], ["10-0-0-0-30"], ["10-0-0-0-30"]]);
    expect(run(datastore, giveBack(node.blocks, "10-0-0-0-30"))).toBe(false);
    run(datastore, releaseByHandle(node.blocks, "h1"));
    datastore.writes = [];
    expect(run(datastore, giveBack(node.blocks, "10-0-0-0-30"))).toBe(true);
    expect([datastore.writes.map((effect) => ("kind" in effect ? `${effect.op} ${effect.kind}` : effect.op)), datastore.objects.size, node.blocks.size]).toEqual([["update affinity", "delete block", "delete affinity"], 0, 0]);
  });

  test("a block that others emptied goes too", () => {
    const { store: datastore, node } = store();
    run(datastore, releaseOne("10.0.0.0" as IpAddress));
    expect([run(datastore, giveBack(node.blocks, "10-0-0-0-30")), datastore.objects.size, node.blocks.size]).toEqual([true, 0, 0]);
  });

  test("a block that somebody borrowed from meanwhile stays, and its affinity is confirmed again", () => {
    const { store: datastore, node } = store();
    run(datastore, releaseByHandle(node.blocks, "h1"));
    run(datastore, assign(view("b", node.pools as IpPool[], { nodeLabels: { rack: "1" }, autoAllocateBlocks: false }), [want("h2")]));
    expect(run(datastore, giveBack(node.blocks, "10-0-0-0-30"))).toBe(false);
    expect(datastore.objects.get("affinity/a-10-0-0-0-30")?.spec).toMatchObject({ state: "confirmed" });
    expect(allocationsOf(node.blocks.get("10-0-0-0-30")?.spec ?? newBlock("10.0.0.0/30" as Cidr, "a", NOW)).map(({ handleId }) => handleId)).toEqual(["h2"]);
  });

  test("one address is freed by its name, and its handle object follows", () => {
    const { store: datastore, node } = store();
    run(datastore, assign(node, [want("h1")]));
    run(datastore, writeHandle("h1", { "10.0.0.0/30": 2 }));
    expect(run(datastore, releaseOne("10.0.0.1" as IpAddress))).toBe("h1");
    expect(datastore.objects.get("handle/h1")?.spec).toEqual({ handleID: "h1", block: { "10.0.0.0/30": 1 }, deleted: false });
    expect([run(datastore, releaseOne("10.0.0.0" as IpAddress)), datastore.objects.has("handle/h1"), run(datastore, releaseOne("10.0.0.0" as IpAddress)), run(datastore, releaseOne("10.9.0.0" as IpAddress))]).toEqual(["h1", false, null, null]);
  });
});

test("a handle object without an address goes, one with an address stays", () => {
  const store = new SimulatedStore();
  run(store, assign(view("a", [pool("10.0.0.0/30")]), [want("h1", 1)]));
  for (const [handle, counts] of [["h1", { "10.0.0.0/30": 1 }], ["h2", { "10.0.0.0/30": 1, "10.9.0.0/30": 1 }]] as const) run(store, writeHandle(handle, counts));
  expect(["h1", "h2", "h3"].map((name) => run(store, dropEmptyHandle(name)))).toEqual([false, true, false]);
  expect([...store.objects.keys()].filter((key) => key.startsWith("handle/"))).toEqual(["handle/h1"]);
});

describe("whatever happens", () => {
  const fault = fc.oneof({ weight: 12, arbitrary: fc.constant<Fault>("none") }, { weight: 1, arbitrary: fc.constantFrom<Fault>("lost", "crash") });

  test("no address is held twice, none is lost, blocks stay sound", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.nat({ max: 8 }), fc.boolean(), fc.integer({ min: 1, max: 3 })), { maxLength: 14 }),
      fc.infiniteStream(fault), fc.infiniteStream(fc.nat()),
      (commands, faults, picks) => {
        const store = new SimulatedStore();
        const nextFault = (): Fault => faults.next().value ?? "none";
        const pick = (n: number): number => (picks.next().value ?? 0) % n;
        const pools = [pool("10.0.0.0/28")];
        // Node b is late enough to take over empty blocks of a; node c never claims, it borrows.
        const views = { a: view("a", pools), b: view("b", pools, { now: "2026-01-01T00:02:00Z" }), c: view("c", pools, { autoAllocateBlocks: false }) };
        for (let i = 0; i < commands.length; i += 2) {
          const pair = commands.slice(i, i + 2).map(([name, handle, release, count]) => {
            const node = views[name as "a" | "b" | "c"];
            if (release && handle === 8) return giveBack(node.blocks, [...node.blocks.keys()][0] ?? "");
            return release ? releaseByHandle(node.blocks, `h${handle}`) : assign(node, [want(`h${handle}`, count)]);
          });
          interleave<unknown>(store, pair as never, pick, nextFault);
        }
        const owners = new Map<string, string>();
        for (const block of store.blocks()) {
          expect(blockFaults(block)).toEqual([]);
          for (const { address, handleId } of allocationsOf(block)) {
            expect(owners.get(address)).toBeUndefined();
            owners.set(address, handleId);
          }
        }
        // Everything can be given back: the handles in the blocks are all there is to know.
        for (const handle of new Set(owners.values())) run(store, releaseByHandle(new Map(), handle));
        expect(store.blocks().reduce((sum, block) => sum + block.allocations.length - freeCount(block), 0)).toBe(0);
        for (const block of store.blocks()) {
          const owner = block.affinity?.replace("host:", "") ?? "";
          expect(store.objects.get(`affinity/${owner}-${block.cidr.replaceAll(/[./]/g, "-")}`)?.spec).toMatchObject({ node: owner, cidr: block.cidr });
        }
      },
    ), { numRuns: 300 });
  });

  test("a crash at any effect of the first assignment is made good by the next one", () => {
    for (let at = 0; at < 8; at += 1) {
      const store = new SimulatedStore();
      let n = 0;
      try {
        run(store, assign(view("a", [pool("10.0.0.0/30")]), [want("h1")]), () => (n++ === at ? "lost" : "none"));
      } catch (error) {
        expect(error).toBeInstanceOf(Crash);
      }
      expect(run(store, assign(view("a", [pool("10.0.0.0/30")]), [want("h2")]))[0]?.addresses).toHaveLength(1);
    }
  });

  test("allocation and release keep a block sound", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 10 }), (counts) => {
      let block = newBlock("fd00::/124" as Cidr, "a", NOW);
      for (const [i, count] of counts.entries()) block = allocate(block, { handle_id: `h${i}` }, count).block;
      expect(blockFaults(block)).toEqual([]);
      expect(allocationsOf(block).length + freeCount(block)).toBe(16);
    }));
  });
});
