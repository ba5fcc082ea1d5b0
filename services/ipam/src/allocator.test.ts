import { run as runSimulated, SimulatedStore } from "@calico/ipam/testing";
import { convertIpPool, type IpAddress, type IpPool } from "@calico/model";
import type { AllocationStore } from "@calico/datastore";
import { assign, type Steps } from "@calico/ipam";
import { status } from "@grpc/grpc-js";
import { createLogger } from "@calico/service-kit";
import { beforeEach, describe, expect, it } from "vitest";
import { createAllocator, type Allocator } from "./allocator.ts";
import { createBatcher } from "./batcher.ts";
import type { ClusterView } from "./cluster-view.ts";
import { createIpamService } from "./service.ts";

const pool = (name: string, cidr: string, over: object = {}): IpPool => {
  const { value } = convertIpPool({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec: { cidr, blockSize: 30, ...over } });
  if (value === null) throw new Error(`${cidr} is no pool`);
  return value;
};

let simulated: SimulatedStore;
let broken: boolean;
let handles: Map<string, unknown>;
let view: ClusterView & { pools: IpPool[]; missing: string | null };
let allocator: Allocator;
/** An allocator that knows nothing yet. */
let restarted: () => Allocator;

beforeEach(() => {
  simulated = new SimulatedStore();
  broken = false;
  handles = new Map();
  view = { start() {}, stop() {}, pools: [pool("p", "10.0.0.0/28")], nodeLabels: {}, maxBlocksPerHost: 20, autoAllocateBlocks: true, strictAffinity: false, isReserved: () => false, unknown: null, missing: null, uidOf: () => "", tunnelAddress: null, nodeUid: "u" };
  const store: AllocationStore = {
    async run<T>(steps: Steps<T>): Promise<T> {
      await new Promise((resolve) => setImmediate(resolve));
      let step = steps.next();
      while (step.done !== true) {
        if (broken) throw new Error("the API server is away");
        step = steps.next(simulated.perform(step.value));
      }
      return step.value;
    },
  };
  restarted = () => createAllocator({ node: "n1", view, store, handles: { set: (id, counts) => void handles.set(id, counts), forget: (id) => void handles.delete(id), backlog: 0, stop: async () => {} }, now: () => "2026-01-01T00:00:00Z" });
  allocator = restarted();
});

const request = (handle: string) => ({ family: 4 as const, count: 1, attribute: { handle_id: handle }, requestedPools: [], namespaceLabels: {} });
const addressesOf = async (handle: string): Promise<readonly string[]> => (await allocator.autoAssign([request(handle)]))[0]?.addresses ?? [];

describe("the allocator", () => {
  it("serves requests that come together with one write of the block", async () => {
    await addressesOf("first");
    const before = simulated.writes.filter((write) => "kind" in write && write.kind === "block").length;
    const all = (await Promise.all(["a", "b", "c"].map(addressesOf))).flat();
    expect(new Set(all).size).toBe(3);
    expect(simulated.writes.filter((write) => "kind" in write && write.kind === "block").length - before).toBe(1);
    expect(handles.get("a")).toEqual({ [allocator.blocks[0]?.cidr ?? ""]: 1 });
  });

  it("reads the truth again after a write of which nobody knows whether it happened", async () => {
    const [first] = await addressesOf("first");
    broken = true;
    await expect(addressesOf("second")).rejects.toThrow("away");
    broken = false;
    const [second] = await addressesOf("second");
    expect(second).not.toBe(first);
    expect(allocator.blocks.map(({ allocations }) => allocations.filter((index) => index !== null).length)).toEqual([2]);
  });

  it("gives an address that is asked for, once, and the same answer to the same asker", async () => {
    expect(await allocator.assignAddress("10.0.0.9" as IpAddress, { handle_id: "a" })).toEqual({ cidr: "10.0.0.9/30" });
    expect(await allocator.assignAddress("10.0.0.9" as IpAddress, { handle_id: "a" })).toEqual({ cidr: "10.0.0.9/30" });
    expect(await allocator.assignAddress("10.0.0.9" as IpAddress, { handle_id: "b" })).toHaveProperty("because");
  });

  it("borrows when nothing can be claimed; the handle says where, and everything is released", async () => {
    const other = { node: "n2", nodeLabels: {}, pools: view.pools, isReserved: () => false, maxBlocksPerHost: 0, autoAllocateBlocks: true, strictAffinity: false, blocks: new Map(), now: "2026-01-01T00:00:00Z" };
    runSimulated(simulated, assign(other, [request("elsewhere")]));
    const theirs = simulated.blocks()[0]?.cidr ?? "";
    view = Object.assign(view, { autoAllocateBlocks: false });
    const [borrowed = ""] = await addressesOf("a");
    expect([handles.get("a"), allocator.blocks]).toEqual([{ [theirs]: 1 }, []]);
    expect(await allocator.assignAddress(borrowed.split("/")[0] as IpAddress, { handle_id: "a" })).toEqual({ cidr: borrowed });
    expect(handles.get("a")).toEqual({ [theirs]: 1 });
    // The handle object was not written yet: the allocator remembers itself.
    expect(await allocator.releaseByHandle("a")).toEqual([borrowed.split("/")[0]]);
  });

  it("gives back empty blocks that no pool wants here, and asks nobody when there are none", async () => {
    await addressesOf("a");
    const before = simulated.writes.length;
    expect(await allocator.tidy()).toEqual([]);
    expect(simulated.writes).toHaveLength(before);
    await allocator.releaseByHandle("a");
    const cidrs = allocator.blocks.map(({ cidr }) => cidr);
    view.pools = [pool("p", "10.0.0.0/28", { nodeSelector: "rack == 'none'" })];
    expect(await allocator.tidy()).toEqual(cidrs);
    expect([allocator.blocks, simulated.blocks()]).toEqual([[], []]);
  });

  it("knows its blocks after a restart before anybody asks for an address, and gives back those that no pool wants", async () => {
    await addressesOf("a");
    const cidrs = allocator.blocks.map(({ cidr }) => cidr);
    const second = restarted();
    expect([await second.tidy(), second.blocks.map(({ cidr }) => cidr)]).toEqual([[], cidrs]);
    await allocator.releaseByHandle("a");
    view.pools = [pool("p", "10.0.0.0/28", { nodeSelector: "rack == 'none'" })];
    expect([await restarted().tidy(), simulated.blocks()]).toEqual([cidrs, []]);
  });

  it("asks nobody when a handle is released again, and releases what it got meanwhile", async () => {
    const [first] = await addressesOf("a");
    expect(await allocator.releaseByHandle("a")).toEqual([first?.split("/")[0]]);
    broken = true;
    expect(await allocator.releaseByHandle("a")).toEqual([]);
    await expect(allocator.releaseByHandle("never seen")).rejects.toThrow("the API server is away");
    broken = false;
    const [second] = await addressesOf("a");
    expect(await allocator.releaseByHandle("a")).toEqual([second?.split("/")[0]]);
  });

  it("asks again when it is not known whether a released handle got an address", async () => {
    await addressesOf("a");
    await allocator.releaseByHandle("a");
    broken = true;
    await expect(addressesOf("a")).rejects.toThrow("the API server is away");
    await expect(allocator.releaseByHandle("a")).rejects.toThrow("the API server is away");
  });

  it("does not count a handle as released when that failed", async () => {
    const [address] = await addressesOf("a");
    broken = true;
    await expect(allocator.releaseByHandle("a")).rejects.toThrow("the API server is away");
    broken = false;
    expect(await allocator.releaseByHandle("a")).toEqual([address?.split("/")[0]]);
  });

  it("releases all of a handle, and gives the address to the next one last", async () => {
    const [first = ""] = await addressesOf("a");
    expect(await allocator.releaseByHandle("a")).toHaveLength(1);
    expect(handles.has("a")).toBe(false);
    expect(await allocator.releaseByHandle("a")).toEqual([]);
    expect(await addressesOf("b")).not.toEqual([first]);
  });
});

it("a batcher answers in order, goes on after a failure, and never serves twice at a time", async () => {
  let active = 0;
  const sizes: number[] = [];
  const batcher = createBatcher<number, number>(async (batch) => {
    if ((active += 1) > 1) throw new Error("twice at a time");
    sizes.push(batch.length);
    await new Promise((resolve) => setImmediate(resolve));
    active -= 1;
    if (batch.includes(13)) throw new Error("unlucky");
    return batch.map((each) => each * 2);
  }, 4);
  const results = await Promise.allSettled([1, 2, 3, 13, 5, 6].map((each) => batcher.submit(each)));
  expect(results.map((result) => (result.status === "fulfilled" ? result.value : "failed"))).toEqual(["failed", "failed", "failed", "failed", 10, 12]);
  expect(sizes).toEqual([4, 2]);
});

describe("the service", () => {
  const call = <T>(method: string, body: object): Promise<T> => new Promise((resolve, reject) => {
    const service = createIpamService({ allocator, view, log: createLogger("ipam", "Fatal", { write: () => {} }), now: () => "2026-01-01T00:00:00Z", onAssigned: () => {}, reportExhaustion: () => {} }) as unknown as Record<string, (call: object, callback: (error: Error | null, value: T) => void) => void>;
    service[method]?.({ request: body, metadata: { get: () => [] } }, (error, value) => (error === null ? resolve(value) : reject(error)));
  });
  const assign = (over: object = {}): Promise<{ ipv4: string[]; because: string[] }> => call("autoAssign", { handleId: "h", owner: { node: "n1", namespace: "a", pod: "web", podUid: "u" }, ipv4Count: 1, ipv6Count: 0, ipv4Pools: [], ipv6Pools: [], namespaceLabels: {}, ...over });

  it("says what is missing before it gives an address", async () => {
    view.missing = "the pools were not listed yet";
    await expect(assign()).rejects.toMatchObject({ code: status.FAILED_PRECONDITION, message: expect.stringContaining("the pools were not listed yet") as string });
  });

  it("keeps who owns an address in the block", async () => {
    await assign();
    expect(allocator.blocks[0]?.attributes).toEqual([{ handle_id: "h", secondary: { timestamp: "2026-01-01T00:00:00Z", node: "n1", namespace: "a", pod: "web", podUID: "u" } }]);
  });

  it("says which pool is exhausted and how many addresses it had", async () => {
    view.pools = [pool("tiny", "10.9.0.0/30")];
    for (let i = 0; i < 4; i += 1) expect((await assign({ handleId: `h${i}` })).ipv4).toHaveLength(1);
    const { ipv4, because } = await assign({ handleId: "h9" });
    expect(ipv4).toEqual([]);
    expect(because.join()).toMatch(/pool tiny 10\.9\.0\.0\/30: 4 of 4 addresses in use/);
  });

  it("refuses what is no address and what has no handle", async () => {
    await expect(call("assignAddress", { address: "10.0.0.256", handleId: "h", owner: undefined })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
    await expect(assign({ handleId: "" })).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});
