import { SimulatedStore } from "@calico/ipam/testing";
import { convertIpPool, type IpPool } from "@calico/model";
import type { AllocationStore } from "@calico/datastore";
import { allocationsOf, releaseByHandle, type Steps } from "@calico/ipam";
import { createFakeClock, createLogger } from "@calico/service-kit";
import { beforeEach, describe, expect, it } from "vitest";
import { createAllocator, type Allocator } from "./allocator.ts";
import type { ClusterView } from "./cluster-view.ts";
import { createTunnelAddress, type TunnelAddress } from "./tunnel-address.ts";

const HANDLE = "vxlan-tunnel-addr-n1";
const pool = (name: string, cidr: string, over: object = {}): IpPool => {
  const { value } = convertIpPool({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec: { cidr, blockSize: 30, vxlanMode: "Always", ...over } });
  if (value === null) throw new Error(`${cidr} is no pool`);
  return value;
};

let simulated: SimulatedStore;
let store: AllocationStore;
let view: { -readonly [K in keyof ClusterView]: ClusterView[K] };
let clock: ReturnType<typeof createFakeClock>;
let broken: "none" | "announcing" | "store";
let announced: (string | null)[];
let allocator: Allocator;
let tunnel: TunnelAddress;

function restart(): void {
  allocator = createAllocator({ node: "n1", view, store, handles: { set() {}, forget() {}, backlog: 0, stop: async () => {} }, now: () => "2026-01-01T00:00:00Z" });
  tunnel = createTunnelAddress({
    node: "n1", view, allocator, clock, log: createLogger("ipam", "Fatal", { write() {} }),
    async announce(address) {
      if (broken === "announcing") throw new Error("the API server is away");
      announced.push(address);
      view.tunnelAddress = address;
    },
  });
}

beforeEach(() => {
  simulated = new SimulatedStore();
  clock = createFakeClock();
  broken = "none";
  announced = [];
  view = {
    start() {}, stop() {}, pools: [pool("a", "10.1.0.0/24")], nodeLabels: {}, maxBlocksPerHost: 20, autoAllocateBlocks: true, strictAffinity: false, isReserved: () => false, unknown: null, missing: null, uidOf: () => "",
    tunnelAddress: null, nodeUid: "u",
  };
  store = {
    async run<T>(steps: Steps<T>): Promise<T> {
      let step = steps.next();
      while (step.done !== true) {
        if (broken === "store") throw new Error("the API server is away");
        step = steps.next(simulated.perform(step.value));
      }
      return step.value;
    },
  };
  restart();
});

/** Addresses that the blocks say the tunnel has. */
const held = (): string[] => simulated.blocks().flatMap((block) => allocationsOf(block).filter(({ handleId }) => handleId === HANDLE).map(({ address }) => address));
const inPool = (cidr: string) => expect.stringMatching(new RegExp(`^${cidr.replaceAll(".", "\\.")}`));

describe("the tunnel address", () => {
  it("is taken from a VXLAN pool that selects the node, announced, and then left alone", async () => {
    view.pools = [pool("none", "10.9.0.0/24", { vxlanMode: "Never" }), pool("other", "10.8.0.0/24", { nodeSelector: "rack == 'x'" }), pool("pods", "10.7.0.0/24", { allowedUses: ["Workload"] }), pool("a", "10.1.0.0/24", { allowedUses: ["Tunnel"] })];
    await tunnel.refresh();
    expect([held(), announced, tunnel.trouble]).toEqual([[inPool("10.1.0.")], held(), null]);
    const [block] = simulated.blocks();
    expect(block === undefined ? null : allocationsOf(block)[0]?.secondary).toEqual({ node: "n1", type: "vxlanTunnelAddress" });
    const before = simulated.writes.length;
    await tunnel.refresh();
    restart();
    await tunnel.refresh();
    expect([simulated.writes.length, announced.length]).toEqual([before, 1]);
  });

  it("is exchanged when its pool vanishes or has no VXLAN any more: the new one is announced before the old one goes", async () => {
    await tunnel.refresh();
    const [first] = held();
    view.pools = [pool("a", "10.1.0.0/24", { vxlanMode: "Never" }), pool("b", "10.2.0.0/24", { vxlanMode: "CrossSubnet" })];
    broken = "announcing";
    await tunnel.refresh();
    expect([held(), tunnel.trouble]).toEqual([[first, inPool("10.2.0.")], "no VXLAN tunnel address: the API server is away"]);
    broken = "none";
    await tunnel.refresh();
    expect([held(), announced, tunnel.trouble]).toEqual([[inPool("10.2.0.")], [first, ...held()], null]);
  });

  it("stays in a pool that is disabled or selects the node no longer, because its pods live on", async () => {
    await tunnel.refresh();
    const before = held();
    for (const over of [{ disabled: true }, { nodeSelector: "rack == 'x'" }]) {
      view.pools = [pool("a", "10.1.0.0/24", over), pool("b", "10.2.0.0/24")];
      await tunnel.refresh();
    }
    expect([held(), announced]).toEqual([before, before]);
  });

  it("is given back when no VXLAN pool is left: after the Node says so", async () => {
    await tunnel.refresh();
    view.pools = [pool("a", "10.1.0.0/24", { vxlanMode: "Never" })];
    broken = "announcing";
    await tunnel.refresh();
    expect(held()).toHaveLength(1);
    broken = "none";
    await tunnel.refresh();
    expect([held(), announced.at(-1)]).toEqual([[], null]);
    view.pools = [];
    const before = simulated.writes.length;
    await tunnel.refresh();
    expect(simulated.writes.length).toBe(before);
  });

  it("is announced again when somebody edits the Node, or makes it anew", async () => {
    await tunnel.refresh();
    const [address] = held();
    view.tunnelAddress = "10.1.0.77";
    await tunnel.refresh();
    view.tunnelAddress = null;
    view.nodeUid = "u2";
    await tunnel.refresh();
    expect([held(), announced]).toEqual([[address], [address, address, address]]);
  });

  it("is taken again, the same one, when it was released behind its back", async () => {
    await tunnel.refresh();
    const [address] = held();
    await store.run(releaseByHandle(new Map(), HANDLE));
    await tunnel.refresh();
    expect(held()).toEqual([]);
    clock.advance(300_000);
    await tunnel.refresh();
    expect([held(), announced]).toEqual([[address], [address]]);
  });

  it("of which nobody knows whether it was taken is not taken twice", async () => {
    const run = store.run.bind(store);
    let lose = true;
    store = { async run<T>(steps: Steps<T>): Promise<T> {
      const result = await run(steps);
      if (lose && held().length > 0) throw new Error("the answer is lost");
      return result;
    } };
    restart();
    await tunnel.refresh();
    expect([held().length, announced]).toEqual([1, []]);
    lose = false;
    await tunnel.refresh();
    expect([held().length, announced]).toEqual([1, held()]);
  });

  it("is not there while nothing is known, nor when no pool can give one, which is said", async () => {
    view.unknown = "node n1 is not registered";
    await tunnel.refresh();
    expect([simulated.writes, tunnel.trouble]).toEqual([[], null]);
    view.unknown = null;
    view.pools = [pool("a", "10.1.0.0/24", { nodeSelector: "rack == 'x'" })];
    view.tunnelAddress = "10.3.0.1";
    await tunnel.refresh();
    expect([announced, tunnel.trouble]).toEqual([[null], expect.stringContaining("no VXLAN pool selects this node: a (rack == \"x\")")]);
    view.pools = [pool("a", "10.1.0.0/24", { disabled: true })];
    await tunnel.refresh();
    expect(tunnel.trouble).toContain("is disabled");
    view.pools = [pool("a", "10.1.0.0/24")];
    broken = "store";
    await tunnel.refresh();
    expect(tunnel.trouble).toContain("the API server is away");
    broken = "none";
    await tunnel.refresh();
    expect([tunnel.trouble, announced.at(-1)]).toEqual([null, held()[0]]);
  });
});
