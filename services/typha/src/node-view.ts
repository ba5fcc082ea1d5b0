/** What one node needs now, and when each of it changed last: the basis of snapshots and of resuming. */

export type ViewListener = {
  onValue(key: string): void;
  onDelta(key: string, entry: Uint8Array): void;
  onRemove(key: string): void;
};

export interface NodeView {
  readonly keys: ReadonlyMap<string, number>;
  readonly listeners: Set<ViewListener>;
  has(key: string): boolean;
  onValue(key: string, sequence: number): void;
  onDelta(key: string, entry: Uint8Array, sequence: number): void;
  onRemove(key: string, sequence: number): void;
  /** What changed after a sequence; null when that is no longer known and a snapshot is needed. */
  changesSince(sequence: number): { values: string[]; removed: string[] } | null;
}

/** `initial` is what the node needs at `sequence`. */
export function createNodeView(initial: Iterable<string>, sequence: number, maxTombstones: number): NodeView {
  const keys = new Map<string, number>();
  const tombstones = new Map<string, number>();
  const listeners = new Set<ViewListener>();
  let floor = sequence;
  for (const key of initial) keys.set(key, sequence);

  return {
    keys,
    listeners,
    has: (key) => keys.has(key),
    onValue(key, at) {
      keys.set(key, at);
      tombstones.delete(key);
      for (const listener of listeners) listener.onValue(key);
    },
    onDelta(key, entry, at) {
      keys.set(key, at);
      for (const listener of listeners) listener.onDelta(key, entry);
    },
    onRemove(key, at) {
      keys.delete(key);
      tombstones.delete(key);
      tombstones.set(key, at);
      if (tombstones.size > maxTombstones) {
        const [oldest] = tombstones;
        if (oldest !== undefined) {
          tombstones.delete(oldest[0]);
          floor = Math.max(floor, oldest[1]);
        }
      }
      for (const listener of listeners) listener.onRemove(key);
    },
    changesSince(since) {
      if (since < floor) return null;
      return {
        values: [...keys].filter(([, at]) => at > since).map(([key]) => key),
        removed: [...tombstones].filter(([, at]) => at > since).map(([key]) => key),
      };
    },
  };
}
