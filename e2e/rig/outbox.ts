/** What one node was not told yet, coalesced by key: a small form of typha's. */
import { ALL_NODES, type ClusterSink, type ObjectKey, type RemovableKind } from "@calico/calc";
import { encodeUpdate } from "@calico/proto";

type Change = "value" | "remove" | Uint8Array[];

/** Objects go before those that refer to them, removals the other way round. */
const ORDER = ["Tier", "IpPool", "Node", "Block", "Route", "IpSet", "Policy", "Profile", "WorkloadEndpoint"];

export interface Outbox {
  readonly sink: ClusterSink;
  /** Keys that wait. */
  readonly size: number;
  /** Changes that concerned the node since the start. */
  readonly changes: number;
  /** The node starts afresh and needs these. */
  reset(keys: Iterable<ObjectKey>): void;
  /** Takes everything, encoded, in the order in which it is to be applied. */
  drain(valueOf: (key: ObjectKey) => Uint8Array | null): Uint8Array[];
}

export function createOutbox(node: string): Outbox {
  const wanted = new Set<ObjectKey>();
  let sent = new Set<ObjectKey>();
  let pending = new Map<ObjectKey, Change>();
  let changes = 0;

  function note(key: ObjectKey, change: Change): void {
    changes += 1;
    pending.set(key, change);
  }
  const isOurs = (of: string): boolean => of === node || of === ALL_NODES;
  return {
    sink: {
      onValueChange(key) {
        if (wanted.has(key)) note(key, "value");
      },
      onIpSetDelta(id, added, removed) {
        const key = `IpSet:${id}` as const;
        if (!wanted.has(key)) return;
        const waiting = pending.get(key);
        const delta = encodeUpdate({ kind: "IpSetDelta", id, added, removed });
        if (waiting === "value" || !sent.has(key)) note(key, "value");
        else note(key, Array.isArray(waiting) ? [...waiting, delta] : [delta]);
      },
      onInterestStart(of, key) {
        if (!isOurs(of)) return;
        wanted.add(key);
        note(key, "value");
      },
      onInterestStop(of, key) {
        if (!isOurs(of)) return;
        wanted.delete(key);
        note(key, "remove");
      },
    },
    get size() {
      return pending.size;
    },
    get changes() {
      return changes;
    },
    reset(keys) {
      sent = new Set();
      pending = new Map();
      for (const key of keys) pending.set(key, "value");
    },
    drain(valueOf) {
      const taken = [...pending].toSorted(([a], [b]) => rank(a) - rank(b));
      pending = new Map();
      const entries: Uint8Array[] = [];
      const removed: ObjectKey[] = [];
      for (const [key, change] of taken) {
        if (Array.isArray(change)) entries.push(...change);
        const value = change === "value" ? valueOf(key) : null;
        if (value !== null) {
          entries.push(value);
          sent.add(key);
        } else if (!Array.isArray(change) && sent.delete(key)) removed.push(key);
      }
      for (const key of removed.reverse()) entries.push(encodeUpdate({ kind: "Remove", of: kindOf(key) as RemovableKind, id: key.slice(key.indexOf(":") + 1) }));
      return entries;
    },
  };
}

const kindOf = (key: string): string => key.slice(0, key.indexOf(":"));
const rank = (key: string): number => ORDER.indexOf(kindOf(key));
