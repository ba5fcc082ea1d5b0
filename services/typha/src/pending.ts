/** Changes that a stream has not sent yet, coalesced by key: bounded by the state, not by how slowly the node reads. */
import type { RemovableKind } from "@calico/calc";
import { encodeUpdate } from "@calico/proto";

type Change = { readonly op: "value" } | { readonly op: "remove" } | { readonly op: "deltas"; readonly entries: Uint8Array[]; bytes: number };

/** Deltas of a set above this size are replaced by the whole set. */
const MAX_DELTA_BYTES = 64 * 1024;

/** Objects go before those that refer to them; removals the other way round, after everything else. */
const ORDER = ["FelixConfig", "BgpConfig", "Tier", "IpPool", "Node", "Block", "Route", "IpSet", "Policy", "Profile", "WorkloadEndpoint", "HostEndpoint", "BgpPeer"];

export interface PendingChanges {
  readonly size: number;
  /** `isNew`: the client does not have the key, unless it has it still because a removal waits. */
  onValue(key: string, isNew: boolean): void;
  /** Members changed: the encoded delta is enough unless the whole value is due anyway. */
  onDelta(key: string, entry: Uint8Array): void;
  onRemove(key: string): void;
  /** Takes everything: encoded updates in the order in which they must be applied. */
  drain(valueOf: (key: string) => Uint8Array | null): Uint8Array[];
}

/**
 * A key that came and went before it was sent leaves nothing behind, so that what waits is never more than what the
 * client has and what the node needs.
 */
export function createPendingChanges(): PendingChanges {
  /** Of the keys that wait those that the client certainly does not have. */
  const unsent = new Set<string>();
  let changes = new Map<string, Change>();
  return {
    get size() {
      return changes.size;
    },
    onValue(key, isNew) {
      if (isNew && changes.get(key)?.op !== "remove") unsent.add(key);
      changes.set(key, { op: "value" });
    },
    onRemove(key) {
      if (unsent.delete(key)) changes.delete(key);
      else changes.set(key, { op: "remove" });
    },
    onDelta(key, entry) {
      const pending = changes.get(key);
      if (pending?.op === "remove") return void changes.set(key, { op: "value" });
      if (pending?.op === "value") return;
      if (pending?.op !== "deltas") return void changes.set(key, { op: "deltas", entries: [entry], bytes: entry.length });
      pending.entries.push(entry);
      pending.bytes += entry.length;
      if (pending.bytes > MAX_DELTA_BYTES) changes.set(key, { op: "value" });
    },
    drain(valueOf) {
      const taken = [...changes].map(([key, change]) => ({ key, change, rank: ORDER.indexOf(kindOf(key)) }));
      changes = new Map();
      const updates: Uint8Array[] = [];
      const removed: typeof taken = [];
      for (const item of taken.sort((a, b) => a.rank - b.rank)) {
        if (item.change.op === "deltas") updates.push(...item.change.entries);
        const value = item.change.op === "value" ? valueOf(item.key) : null;
        if (value !== null) updates.push(value);
        else if (item.change.op !== "deltas" && !unsent.has(item.key)) removed.push(item);
      }
      unsent.clear();
      for (const { key } of removed.reverse()) updates.push(encodeRemoval(key));
      return updates;
    },
  };
}

export function kindOf(key: string): string {
  return key.slice(0, key.indexOf(":"));
}

function encodeRemoval(key: string): Uint8Array {
  return encodeUpdate({ kind: "Remove", of: kindOf(key) as RemovableKind, id: key.slice(key.indexOf(":") + 1) });
}
