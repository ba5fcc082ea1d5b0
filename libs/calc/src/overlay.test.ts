/** Both halves together: from pools, blocks and nodes to the ends and routes of one node. */
import { canonicalCidr, type Block, type Cidr, type Encapsulation, type IpAddress, type IpPool } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createClusterHalf } from "./cluster-half.ts";
import type { NodeUpdate, ObjectKey } from "./messages.ts";
import { createNodeHalf } from "./node-half.ts";
import type { ClusterUpdate } from "./ports.ts";
import { FakeDataplane } from "./testing/dataplane.ts";
import { clusterChange, put } from "./testing/objects.ts";

const pool = (cidr: string, vxlanMode: Encapsulation): ClusterUpdate => put({ kind: "IpPool", id: cidr, value: { name: cidr, cidr: cidr as Cidr, family: 4, vxlanMode, ipipMode: "Never", natOutgoing: false, disabled: false, disableBgpExport: false } as unknown as IpPool });
const block = (cidr: string, node: string | null, borrowed: Record<string, string> = {}): ClusterUpdate =>
  put({ kind: "Block", id: cidr, value: { cidr: cidr as Cidr, node, borrowed: Object.entries(borrowed).map(([address, lender]) => ({ address: address as IpAddress, node: lender })) } satisfies Block });
const node = (name: string, ipv4: string | null, tunnel: string | null): ClusterUpdate => put({ kind: "Node", id: name, value: {
  name, labels: {}, ipv4: ipv4 as Cidr | null, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: tunnel === null ? null : { address: tunnel as IpAddress, mac: `66:00:00:00:00:0${name.slice(1)}` },
} });
const gone = ({ kind, id }: ClusterUpdate): ClusterUpdate => put({ kind, id, value: null });

/** What node n1 makes of the cluster, change by change. */
function overlayOf(...changes: readonly ClusterUpdate[]): { picture: () => object; tell: (...more: readonly ClusterUpdate[]) => void; dataplane: FakeDataplane } {
  const dataplane = new FakeDataplane();
  const own = createNodeHalf({ node: "n1", sink: dataplane });
  const wanted = new Set<ObjectKey>();
  const valueOf = (key: ObjectKey): NodeUpdate => {
    const value = cluster.valueOf(key);
    if (value === undefined) throw new Error(`${key} has no value`);
    return value;
  };
  const cluster: ReturnType<typeof createClusterHalf> = createClusterHalf({
    onValueChange: (key) => void (wanted.has(key) && own.onUpdate(valueOf(key))),
    onIpSetDelta() {},
    onInterestStart(name, key) {
      if (name !== "*") return;
      wanted.add(key);
      own.onUpdate(valueOf(key));
    },
    onInterestStop(name, key) {
      if (name !== "*") return;
      wanted.delete(key);
      own.onUpdate({ kind: "Remove", of: key.slice(0, key.indexOf(":")) as "Route", id: key.slice(key.indexOf(":") + 1) });
    },
  });
  const tell = (...more: readonly ClusterUpdate[]): void => {
    for (const change of more) cluster.onUpdate(change);
    own.flush();
  };
  own.onInSync();
  tell(...changes);
  return { dataplane, tell, picture: () => ({ local: dataplane.local, ends: [...dataplane.vteps.keys()].toSorted(), routes: Object.fromEntries([...dataplane.routes].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([to, { through, gateway }]) => [to, `${through} ${gateway}`])) }) };
}

const POOL = "10.65.0.0/16";
const n1 = node("n1", "192.0.2.1/25", "10.65.1.1");
const n2 = node("n2", "192.0.2.2/25", "10.65.2.1");
const nodes = [n1, n2, node("n3", "192.0.2.200/25", "10.65.3.1")];
const blocks = [block("10.65.1.0/26", "n1"), block("10.65.2.0/26", "n2"), block("10.65.3.0/26", "n3")];
const local = { address: "192.0.2.1/25", vxlan: { address: "10.65.1.1", mac: "66:00:00:00:00:01" } };

describe("the overlay of a node", () => {
  it("leads to every other node's blocks through the tunnel, and to its own not at all", () => {
    expect(overlayOf(pool(POOL, "Always"), ...nodes, ...blocks).picture()).toEqual({ local, ends: ["n2", "n3"], routes: { "10.65.2.0/26": "tunnel 10.65.2.1", "10.65.3.0/26": "tunnel 10.65.3.1" } });
  });

  it("goes without the tunnel where the own subnet reaches, in mode CrossSubnet", () => {
    expect(overlayOf(pool(POOL, "CrossSubnet"), ...nodes, ...blocks).picture()).toMatchObject({ ends: ["n2", "n3"], routes: { "10.65.2.0/26": "subnet 192.0.2.2", "10.65.3.0/26": "tunnel 10.65.3.1" } });
  });

  it("leaves pools without VXLAN, blocks without a pool and IPv6 alone", () => {
    const { picture } = overlayOf(pool("10.66.0.0/16", "Never"), pool("fd00::/48", "Always"), ...nodes, ...blocks, block("10.66.0.0/26", "n2"), block("fd00::/122", "n2"));
    expect(picture()).toMatchObject({ routes: {} });
  });

  it("leads to a borrowed address at the node that has it, and to no address of its own", () => {
    const { picture } = overlayOf(pool(POOL, "Always"), ...nodes, block("10.65.2.0/26", "n2", { "10.65.2.9": "n3", "10.65.2.10": "n1" }), block("10.65.4.0/26", null, { "10.65.4.1": "n2" }), block("10.65.5.1/32", "n2", { "10.65.5.1": "n3" }));
    expect(picture()).toMatchObject({ routes: { "10.65.2.0/26": "tunnel 10.65.2.1", "10.65.2.9/32": "tunnel 10.65.3.1", "10.65.4.1/32": "tunnel 10.65.2.1", "10.65.5.1/32": "tunnel 10.65.3.1" } });
  });

  it("holds a route back until the other end is known, and takes it with its end", () => {
    const { picture, tell } = overlayOf(pool(POOL, "Always"), n1, node("n2", "192.0.2.2/25", null), ...blocks);
    expect(picture()).toMatchObject({ ends: [], routes: {} });
    tell(...nodes);
    expect(picture()).toMatchObject({ ends: ["n2", "n3"], routes: { "10.65.2.0/26": "tunnel 10.65.2.1", "10.65.3.0/26": "tunnel 10.65.3.1" } });
    tell(gone(n2));
    expect(picture()).toMatchObject({ ends: ["n3"], routes: { "10.65.3.0/26": "tunnel 10.65.3.1" } });
  });

  it("follows the mode of the pool, a node's address and its own subnet", () => {
    const { picture, tell } = overlayOf(pool(POOL, "Always"), ...nodes, ...blocks);
    tell(pool(POOL, "CrossSubnet"), node("n2", "192.0.2.130/25", "10.65.2.1"), node("n3", "192.0.2.3/25", "10.65.3.7"));
    expect(picture()).toMatchObject({ routes: { "10.65.2.0/26": "tunnel 10.65.2.1", "10.65.3.0/26": "subnet 192.0.2.3" } });
    tell(node("n1", "192.0.2.129/25", "10.65.1.1"));
    expect(picture()).toMatchObject({ routes: { "10.65.2.0/26": "subnet 192.0.2.130", "10.65.3.0/26": "tunnel 10.65.3.7" } });
    tell(pool(POOL, "Never"));
    expect(picture()).toMatchObject({ ends: ["n2", "n3"], routes: {} });
  });

  it("is not told again of what it knows: an address given from a block, a label of a node", () => {
    const { dataplane, tell } = overlayOf(pool(POOL, "Always"), ...nodes, ...blocks);
    const before = dataplane.calls;
    tell(...blocks, ...nodes, pool(POOL, "Always"));
    expect(dataplane.calls).toBe(before);
  });
});

it("depends on the state alone, not on the way to it", () => {
  fc.assert(fc.property(fc.array(clusterChange.filter(({ kind }) => kind === "IpPool" || kind === "Block" || kind === "Node"), { maxLength: 40, size: "max" }), fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (changes, pauses) => {
    const way = overlayOf();
    const present = new Map<string, ClusterUpdate>();
    for (const [i, change] of changes.entries()) {
      present.delete(`${change.kind}:${change.id}`);
      if (change.value !== null) present.set(`${change.kind}:${change.id}`, change);
      way.tell(...(pauses[i] === true ? [change] : [change, change]));
    }
    expect(way.picture()).toEqual(overlayOf(...[...present.values()].toReversed()).picture());
    for (const destination of way.dataplane.routes.keys()) expect(canonicalCidr(destination)).toBe(destination);
  }), { numRuns: 500 });
});
