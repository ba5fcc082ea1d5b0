import type { NodeUpdate } from "@calico/calc";
import type { Cidr } from "@calico/model";
import { describe, expect, it } from "vitest";
import { createNodeConflicts, type NodeConflicts } from "./node-conflicts.ts";

const node = (name: string, ipv4: string | null, ipv6: string | null = null): NodeUpdate => ({ kind: "Node", value: { name, ipv4: ipv4 as Cidr | null, ipv6: ipv6 as Cidr | null, asNumber: null, routeReflectorClusterId: null, vxlan: null, labels: {} } });
const gone = (id: string): NodeUpdate => ({ kind: "Remove", of: "Node", id });
const announce = (conflicts: NodeConflicts, ...addresses: string[]): void => conflicts.onAnnounced(addresses as Cidr[]);

describe("node conflicts", () => {
  it("another node with an address of this one, until it has another or is gone", () => {
    const conflicts = createNodeConflicts("a");
    announce(conflicts, "192.0.2.1/24", "2001:db8::1/64");
    for (const update of [node("a", "192.0.2.1/24", "2001:db8::1/64"), node("b", "192.0.2.2/24")]) conflicts.onUpdate(update);
    expect(conflicts.conflict).toBeNull();
    conflicts.onUpdate(node("b", "192.0.2.2/24", "2001:db8::1/128"));
    expect(conflicts.conflict).toMatchObject({ reason: "DuplicateAddress", message: expect.stringContaining("node b has the address 2001:db8::1 of node a") });
    conflicts.onUpdate(node("b", "192.0.2.2/24"));
    expect(conflicts.conflict).toBeNull();
    conflicts.onUpdate(node("c", "192.0.2.1/24"));
    expect(conflicts.conflict?.message).toContain("node c");
    conflicts.onUpdate(gone("c"));
    expect(conflicts.conflict).toBeNull();
  });

  it("a snapshot without the other node ends it", () => {
    const conflicts = createNodeConflicts("a");
    announce(conflicts, "192.0.2.1/24");
    conflicts.onUpdate(node("b", "192.0.2.1/24"));
    conflicts.onSnapshotStart();
    conflicts.onUpdate(node("a", "192.0.2.1/24"));
    expect(conflicts.conflict).toBeNull();
  });

  it("another machine under this name: its address replaces the one that was announced and seen", () => {
    const conflicts = createNodeConflicts("a");
    conflicts.onUpdate(node("a", "192.0.2.9/24"));
    announce(conflicts, "192.0.2.1/24");
    expect(conflicts.conflict).toBeNull();
    conflicts.onUpdate(node("a", "192.0.2.1/24"));
    expect(conflicts.conflict).toBeNull();
    conflicts.onUpdate(node("a", "192.0.2.7/24"));
    expect(conflicts.conflict).toMatchObject({ reason: "DuplicateName", message: expect.stringContaining("192.0.2.7 instead of 192.0.2.1") });
    announce(conflicts, "192.0.2.3/24");
    conflicts.onUpdate(node("a", "192.0.2.3/24"));
    expect(conflicts.conflict).toBeNull();
  });

  it("a Node that was made anew, or lost an address, is forgotten and no conflict, until it is announced again", () => {
    const conflicts = createNodeConflicts("a");
    const states: [boolean, unknown][] = [];
    const told = (update: NodeUpdate): void => {
      conflicts.onUpdate(update);
      states.push([conflicts.isForgotten, conflicts.conflict]);
    };
    told(node("a", null));
    announce(conflicts, "192.0.2.1/24", "2001:db8::1/64");
    for (const update of [node("a", null), node("a", "192.0.2.1/24", "2001:db8::1/64"), gone("a"), node("a", null), node("a", "192.0.2.1/24")]) told(update);
    announce(conflicts, "192.0.2.1/24", "2001:db8::1/64");
    for (const update of [node("a", "192.0.2.1/24"), node("a", "192.0.2.1/24", "2001:db8::1/64")]) told(update);
    expect(states).toEqual([[false, null], [false, null], [false, null], [false, null], [true, null], [true, null], [false, null], [false, null]]);
    conflicts.onUpdate(node("a", "192.0.2.7/24"));
    expect([conflicts.isForgotten, conflicts.conflict?.reason]).toEqual([false, "DuplicateName"]);
  });
});
