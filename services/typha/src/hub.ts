/** Fans the cluster half's output out to the views of the nodes that are connected, or were a moment ago. */
import { ALL_NODES, type ClusterHalf, type ClusterSink, type IpSetId, type ObjectKey } from "@calico/calc";
import type { Clock, Logger } from "@calico/service-kit";
import type { Labels } from "@calico/model";
import { createEntryCache, encodeOrLeaveOut } from "./entries.ts";
import type { NodeConfigStore } from "./node-config.ts";
import { createNodeView, type NodeView, type ViewListener } from "./node-view.ts";

type Tracked = {
  readonly view: NodeView;
  /** Encoded configuration of the node, by key. */
  readonly config: Map<string, Uint8Array>;
  forget: Disposable | null;
};

export interface Hub extends ClusterSink {
  /** Set once: the half whose output comes here. */
  attach(half: ClusterHalf): void;
  /** The trace context of the change that is being worked on; "" when there is none. */
  traceparent: string;
  readonly sequence: number;
  /** Opens the view of a node for a stream; disposing it keeps the view for a while, so that the node can resume. */
  open(node: string, listener: ViewListener): { readonly view: NodeView } & Disposable;
  /** The encoded value of a key as this node sees it. */
  valueOf(node: string, key: string): Uint8Array | null;
  /** Configuration and peers changed, or the labels of one node: resolves them anew, for every view or for that node's. */
  onConfigChange(node?: string): void;
  readonly views: number;
}

export type HubOptions = {
  readonly clock: Clock;
  readonly config: NodeConfigStore;
  readonly labelsOf: (node: string) => Labels;
  readonly retentionMs: number;
  readonly maxTombstones: number;
  readonly log: Logger;
};

export function createHub({ clock, config, labelsOf, retentionMs, maxTombstones, log }: HubOptions): Hub {
  const tracked = new Map<string, Tracked>();
  /** Views interested in a key that not every node needs; most such keys are of one node. */
  const interested = new Map<string, NodeView | Set<NodeView>>();
  /** What every node needs, kept once. */
  const everyone = createNodeView([], 1, maxTombstones);
  let half: ClusterHalf | null = null;
  let sequence = 1;
  let traceparent = "";
  /** Sequences and when they were reached, the oldest first. */
  const marks: { readonly sequence: number; readonly at: number }[] = [];
  let horizon = 0;
  const cache = createEntryCache((key) => half?.valueOf(key), log);

  function encodedConfig(node: string): Map<string, Uint8Array> {
    const encoded = new Map<string, Uint8Array>();
    for (const [key, update] of config.resolve(node, labelsOf(node))) {
      const entry = encodeOrLeaveOut(key, update, "", log);
      if (entry !== null) encoded.set(key, entry);
    }
    return encoded;
  }

  function track(node: string): Tracked {
    const known = tracked.get(node);
    if (known !== undefined) return known;
    const nodeConfig = encodedConfig(node);
    // What changed of its configuration while there was no view had no sequence: who was told something before begins anew.
    sequence += 1;
    const own = half === null ? [] : [...half.interestOf(node)].filter((key) => !everyone.own.has(key));
    const made: Tracked = { view: createNodeView([...own, ...nodeConfig.keys()], sequence, maxTombstones, everyone), config: nodeConfig, forget: null };
    tracked.set(node, made);
    for (const key of own) addInterest(key, made.view);
    return made;
  }

  /** The sequence that a node which was away for as long as its view is kept may go on from: what was removed before is forgotten. */
  function forgetUpTo(): number {
    const now = clock.now();
    if (now - (marks.at(-1)?.at ?? Number.NEGATIVE_INFINITY) >= retentionMs / 10) marks.push({ sequence, at: now });
    for (let oldest = marks[0]; oldest !== undefined && now - oldest.at > retentionMs; oldest = marks[0]) {
      horizon = oldest.sequence;
      marks.shift();
    }
    return horizon;
  }

  function addInterest(key: string, view: NodeView): void {
    const views = interested.get(key);
    if (views === undefined) interested.set(key, view);
    else if (views instanceof Set) views.add(view);
    else interested.set(key, new Set([views, view]));
  }

  function dropInterest(key: string, view: NodeView): void {
    const views = interested.get(key);
    if (views instanceof Set) views.delete(view);
    if (views === view || (views instanceof Set && views.size === 0)) interested.delete(key);
  }

  function forget(node: string): void {
    const gone = tracked.get(node);
    if (gone === undefined || gone.view.listeners.size > 0) return;
    tracked.delete(node);
    for (const key of gone.view.own.keys()) dropInterest(key, gone.view);
  }

  /** Views of the nodes that need a key which not every node needs. */
  function viewsOf(key: string): Iterable<NodeView> {
    const views = interested.get(key);
    return views === undefined || views instanceof Set ? (views ?? []) : [views];
  }

  function* listeners(): Generator<ViewListener> {
    for (const { view } of tracked.values()) yield* view.listeners;
  }

  function onValueForEveryone(key: string): void {
    const isNew = !everyone.own.has(key);
    everyone.onValue(key, sequence);
    for (const listener of listeners()) listener.onValue(key, isNew);
  }

  return {
    get traceparent() {
      return traceparent;
    },
    set traceparent(text) {
      traceparent = text;
    },
    attach(attached) {
      half = attached;
    },
    get sequence() {
      return sequence;
    },
    get views() {
      return tracked.size;
    },
    valueOf: (node, key) => tracked.get(node)?.config.get(key) ?? cache.valueOf(key),
    open(node, listener) {
      const entry = track(node);
      entry.forget?.[Symbol.dispose]();
      entry.forget = null;
      entry.view.listeners.add(listener);
      return {
        view: entry.view,
        [Symbol.dispose]() {
          // A stream ends in several ways at once; only the first counts.
          if (!entry.view.listeners.delete(listener)) return;
          if (entry.view.listeners.size === 0) entry.forget = clock.setTimer(retentionMs, () => forget(node));
        },
      };
    },
    onValueChange(key: ObjectKey) {
      // Of what is gone nothing stays in the cache.
      cache.invalidate(key, traceparent === "" || half?.valueOf(key) === undefined ? "" : traceparent);
      sequence += 1;
      if (everyone.own.has(key)) onValueForEveryone(key);
      else for (const view of viewsOf(key)) view.onValue(key, sequence);
    },
    onIpSetDelta(id: IpSetId, added, removed) {
      const key = `IpSet:${id}`;
      cache.invalidate(key, traceparent);
      sequence += 1;
      let entry: Uint8Array | null | undefined;
      for (const view of viewsOf(key)) {
        entry = entry === undefined ? encodeOrLeaveOut(key, { kind: "IpSetDelta", id, added, removed }, traceparent, log) : entry;
        if (entry === null) view.onValue(key, sequence);
        else view.onDelta(key, entry, sequence);
      }
    },
    onInterestStart(node: string, key: ObjectKey) {
      sequence += 1;
      if (node === ALL_NODES) return onValueForEveryone(key);
      const view = tracked.get(node)?.view;
      if (view === undefined) return;
      addInterest(key, view);
      view.onValue(key, sequence);
    },
    onInterestStop(node: string, key: ObjectKey) {
      sequence += 1;
      if (node === ALL_NODES) {
        everyone.onRemove(key, sequence, forgetUpTo());
        for (const listener of listeners()) listener.onRemove(key);
        return;
      }
      const view = tracked.get(node)?.view;
      if (view === undefined) return;
      dropInterest(key, view);
      view.onRemove(key, sequence, forgetUpTo());
    },
    onConfigChange(only) {
      for (const node of only === undefined ? tracked.keys() : [only]) {
        const entry = tracked.get(node);
        if (entry === undefined) continue;
        const next = encodedConfig(node);
        for (const key of [...entry.config.keys()]) {
          if (next.has(key)) continue;
          entry.config.delete(key);
          entry.view.onRemove(key, (sequence += 1), forgetUpTo());
        }
        for (const [key, bytes] of next) {
          if (Buffer.compare(entry.config.get(key) ?? new Uint8Array(), bytes) === 0 && entry.config.has(key)) continue;
          entry.config.set(key, bytes);
          entry.view.onValue(key, (sequence += 1));
        }
      }
    },
  };
}
