/** What one node needs now, and when each of it changed last: the basis of snapshots and of resuming. */

export type ViewListener = {
  /** `isNew`: the node did not need the key before. */
  onValue(key: string, isNew: boolean): void;
  onDelta(key: string, entry: Uint8Array): void;
  onRemove(key: string): void;
};

export interface NodeView {
  readonly listeners: Set<ViewListener>;
  /** Keys that this node needs and not every node does. */
  readonly own: ReadonlyMap<string, number>;
  /** Everything that the node needs. */
  keys(): Iterable<string>;
  onValue(key: string, sequence: number): void;
  onDelta(key: string, entry: Uint8Array, sequence: number): void;
  /** Removals up to `horizon` need not be remembered any longer. */
  onRemove(key: string, sequence: number, horizon: number): void;
  /** What changed after a sequence; null when that is no longer known and a snapshot is needed. */
  changesSince(sequence: number): { values: string[]; removed: string[] } | null;
}

/** `initial` is what the node needs at `sequence`; what every node needs is in `everyone`, once for all of them. */
export function createNodeView(initial: Iterable<string>, sequence: number, maxTombstones: number, everyone: NodeView | null = null): NodeView {
  const keys = new Map<string, number>();
  const tombstones = new Map<string, number>();
  const listeners = new Set<ViewListener>();
  let floor = sequence;
  for (const key of initial) keys.set(key, sequence);

  return {
    listeners,
    own: keys,
    *keys() {
      yield* keys.keys();
      if (everyone !== null) yield* everyone.keys();
    },
    onValue(key, at) {
      const isNew = !keys.has(key);
      keys.set(key, at);
      tombstones.delete(key);
      for (const listener of listeners) listener.onValue(key, isNew);
    },
    onDelta(key, entry, at) {
      keys.set(key, at);
      for (const listener of listeners) listener.onDelta(key, entry);
    },
    onRemove(key, at, horizon) {
      keys.delete(key);
      tombstones.delete(key);
      tombstones.set(key, at);
      // In the order of their sequences.
      for (const [oldest, since] of tombstones) {
        if (since > horizon && tombstones.size <= maxTombstones) break;
        tombstones.delete(oldest);
        floor = Math.max(floor, since);
      }
      for (const listener of listeners) listener.onRemove(key);
    },
    changesSince(since) {
      const shared = everyone === null ? { values: [], removed: [] } : everyone.changesSince(since);
      if (since < floor || shared === null) return null;
      const after = (of: ReadonlyMap<string, number>): string[] => [...of].filter(([, at]) => at > since).map(([key]) => key);
      return { values: [...after(keys), ...shared.values], removed: [...after(tombstones), ...shared.removed] };
    },
  };
}
