/** Encoded values of shared objects: each version once, however many nodes it goes to. */
import type { NodeUpdate, ObjectKey } from "@calico/calc";
import { encodeUpdate } from "@calico/proto";
import type { Logger } from "@calico/service-kit";

export interface EntryCache {
  /** The encoded value of a key, or null when it is gone or cannot be encoded. An endpoint's is made anew each time: it goes to one node. */
  valueOf(key: string): Uint8Array | null;
  /** The value changed: it is encoded anew when somebody asks. */
  invalidate(key: string, traceparent: string): void;
  readonly encoded: number;
}

/** The encoded value, or null: it cannot be encoded, which is logged. One value must not keep all the others from a node. */
export function encodeOrLeaveOut(key: string, value: NodeUpdate, traceparent: string, log: Logger): Uint8Array | null {
  try {
    return encodeUpdate(value, traceparent);
  } catch (error) {
    log.error("A value cannot be encoded, nodes go without it", { key, error });
    return null;
  }
}

export function createEntryCache(valueOf: (key: ObjectKey) => NodeUpdate | undefined, log: Logger): EntryCache {
  const entries = new Map<string, Uint8Array | null>();
  const traces = new Map<string, string>();
  let encoded = 0;
  return {
    valueOf(key) {
      const known = entries.get(key);
      if (known !== undefined) return known;
      const value = valueOf(key as ObjectKey);
      if (value === undefined) return null;
      encoded += 1;
      const entry = encodeOrLeaveOut(key, value, traces.get(key) ?? "", log);
      if (value.kind !== "WorkloadEndpoint" && value.kind !== "HostEndpoint") entries.set(key, entry);
      return entry;
    },
    invalidate(key, traceparent) {
      entries.delete(key);
      if (traceparent === "") traces.delete(key);
      else traces.set(key, traceparent);
    },
    get encoded() {
      return encoded;
    },
  };
}
