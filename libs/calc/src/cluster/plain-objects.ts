/** Objects that pass through: pools, tiers and nodes for everyone, a block for the node it belongs to. */
import type { Block, IpPool, Node, Tier } from "@calico/model";
import type { NodePool, NodeUpdate, ObjectKey, PeerNode } from "../messages.ts";
import { ALL_NODES, type ClusterSink, type ClusterUpdate } from "../ports.ts";
import type { Interest } from "./interest.ts";

type PlainUpdate = Extract<ClusterUpdate, { kind: "IpPool" | "Tier" | "Node" | "Block" }>;
type Held = { readonly key: ObjectKey; readonly node: string; readonly value: NodeUpdate };

/** Holds them under the id they were told with; the key comes from the value. What nodes see of one decides whether it changed. */
export class PlainObjects {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  readonly #heldById = new Map<string, Held>();
  readonly #valueByKey = new Map<ObjectKey, NodeUpdate>();

  constructor(sink: ClusterSink, interest: Interest) {
    this.#sink = sink;
    this.#interest = interest;
  }

  valueOf(key: ObjectKey): NodeUpdate | undefined {
    return this.#valueByKey.get(key);
  }

  onUpdate(update: PlainUpdate): void {
    const id = `${update.kind}:${update.id}`;
    const before = this.#heldById.get(id);
    const after = heldOf(update);
    // Heartbeats of a Node, addresses given from a block.
    if (after !== null && before?.key === after.key && before.node === after.node && JSON.stringify(this.#valueByKey.get(after.key)) === JSON.stringify(after.value)) return;
    if (before !== undefined && (before.key !== after?.key || before.node !== after.node)) this.#interest.stop(before.node, before.key);
    if (before !== undefined && before.key !== after?.key) this.#drop(before.key);
    if (after === null) {
      this.#heldById.delete(id);
      return;
    }
    this.#heldById.set(id, after);
    this.#valueByKey.set(after.key, after.value);
    this.#sink.onValueChange(after.key);
    if (before?.key !== after.key || before.node !== after.node) this.#interest.start(after.node, after.key);
  }

  #drop(key: ObjectKey): void {
    this.#valueByKey.delete(key);
    this.#sink.onValueChange(key);
  }
}

function heldOf(update: PlainUpdate): Held | null {
  if (update.value === null) return null;
  switch (update.kind) {
    case "Tier": return tier(update.value);
    case "Node": return peer(update.value);
    case "IpPool": return pool(update.value);
    case "Block": return block(update.value);
  }
}

function tier(value: Tier): Held {
  return { key: `Tier:${value.name}`, node: ALL_NODES, value: { kind: "Tier", value } };
}

function peer({ name, ipv4, ipv6, asNumber, routeReflectorClusterId, vxlan, labels }: Node): Held {
  const value: PeerNode = { name, ipv4, ipv6, asNumber, routeReflectorClusterId, vxlan, labels };
  return { key: `Node:${name}`, node: ALL_NODES, value: { kind: "Node", value } };
}

function pool({ name, cidr, ipipMode, vxlanMode, natOutgoing, disableBgpExport, disabled }: IpPool): Held {
  const value: NodePool = { name, cidr, ipipMode, vxlanMode, natOutgoing, disableBgpExport, disabled };
  return { key: `IpPool:${name}`, node: ALL_NODES, value: { kind: "IpPool", value } };
}

/** A block without an owner concerns no node. */
function block({ cidr, node }: Block): Held | null {
  return node === null ? null : { key: `Block:${cidr}`, node, value: { kind: "Block", value: { cidr, node } } };
}
