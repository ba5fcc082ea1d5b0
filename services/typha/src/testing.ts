/** A small cluster half and a slow client for tests. */
import { ALL_NODES, type ClusterHalf, type ClusterSink, type IpSetId, type NodeUpdate, type ObjectKey } from "@calico/calc";
import { hostEndpointId, type Cidr } from "@calico/model";
import { fromWireUpdate, sync } from "@calico/proto";
import type { MessageSink } from "./session.ts";

export interface FakeHalf extends ClusterHalf {
  /** Sets a value and, when it is new, the nodes that need it: they stay until `drop`. */
  put(key: ObjectKey, value: NodeUpdate, ...nodes: readonly string[]): void;
  drop(key: ObjectKey): void;
  want(node: string, key: ObjectKey): void;
  unwant(node: string, key: ObjectKey): void;
  /** Changes members of a set that exists. */
  delta(id: string, added: readonly string[], removed: readonly string[]): void;
  has(key: ObjectKey): boolean;
}

/** Reports to the sink as the contract of ClusterSink says: values before interest, the end of interest before removals. */
export function createFakeHalf(sink: ClusterSink): FakeHalf {
  const values = new Map<ObjectKey, NodeUpdate>();
  const wants = new Map<ObjectKey, Set<string>>();
  const half: FakeHalf = {
    onUpdate: () => {},
    valueOf: (key) => values.get(key),
    interestOf: (node) => [...wants].filter(([, nodes]) => nodes.has(node) || nodes.has(ALL_NODES)).map(([key]) => key),
    has: (key) => values.has(key),
    put(key, value, ...nodes) {
      values.set(key, value);
      sink.onValueChange(key);
      for (const node of nodes) half.want(node, key);
    },
    drop(key) {
      for (const node of [...(wants.get(key) ?? [])]) half.unwant(node, key);
      if (values.delete(key)) sink.onValueChange(key);
    },
    want(node, key) {
      const nodes = wants.get(key) ?? new Set();
      wants.set(key, nodes);
      if (nodes.has(node)) return;
      nodes.add(node);
      sink.onInterestStart(node, key);
    },
    unwant(node, key) {
      if (wants.get(key)?.delete(node) === true) sink.onInterestStop(node, key);
      if (wants.get(key)?.size === 0) wants.delete(key);
    },
    delta(id, added, removed) {
      const value = values.get(`IpSet:${id}`);
      if (value?.kind !== "IpSet") return;
      const members = new Set(value.members);
      const fresh = added.filter((member) => !members.has(member));
      const gone = removed.filter((member) => members.has(member) && !added.includes(member));
      for (const member of fresh) members.add(member);
      for (const member of gone) members.delete(member);
      values.set(`IpSet:${id}`, { ...value, members: [...members] });
      if (fresh.length + gone.length > 0 && wants.has(`IpSet:${id}`)) sink.onIpSetDelta(value.id, fresh, gone);
    },
  };
  return half;
}

export const ipSet = (id: string, ...members: string[]): NodeUpdate => ({ kind: "IpSet", id: id as IpSetId, type: "net", members });
export const block = (cidr: string, node: string): NodeUpdate => ({ kind: "Block", value: { cidr: cidr as Cidr, node } });
export const hostEndpoint = (name: string, interfaceName: string): NodeUpdate => ({ kind: "HostEndpoint", value: { id: hostEndpointId(name), name, interfaceName, expectedIps: [], labels: {}, profiles: [], ports: [], revision: "" } });
export const tier = (name: string, order: number): NodeUpdate => ({ kind: "Tier", value: { name, order, defaultAction: "Deny" } });

/** The key that an update is about. */
export function keyOf(update: NodeUpdate): string {
  switch (update.kind) {
    case "IpSet": case "IpSetDelta": return `IpSet:${update.id}`;
    case "Route": return `Route:${update.value.destination}`;
    case "Block": return `Block:${update.value.cidr}`;
    case "Tier": case "Node": case "IpPool": return `${update.kind}:${update.value.name}`;
    case "BgpPeer": return `BgpPeer:${update.name}`;
    case "FelixConfig": case "BgpConfig": return `${update.kind}:`;
    case "Remove": return `${update.of}:${update.id}`;
    case "Policy": case "Profile": case "WorkloadEndpoint": case "HostEndpoint": return `${update.kind}:${update.value.id}`;
  }
}

/** What a client makes of the stream. Steps take effect when they are complete. */
export interface FakeClient {
  readonly state: Map<string, NodeUpdate>;
  readonly steps: { readonly snapshot: boolean; readonly inSync: boolean; readonly sequence: bigint; readonly updates: readonly NodeUpdate[] }[];
  /** Last complete step; null: none yet. */
  sequence: number | null;
  onMessage(message: Buffer): void;
  /** The connection broke: what is not complete is thrown away. */
  onDisconnect(): void;
}

export function createFakeClient(): FakeClient {
  let pending: NodeUpdate[] = [];
  let snapshot = false;
  const client: FakeClient = {
    state: new Map(),
    steps: [],
    sequence: null,
    onDisconnect() {
      pending = [];
      snapshot = false;
    },
    onMessage(bytes) {
      const message = sync.SyncResponse.decode(bytes);
      if (message.snapshotStart) {
        snapshot = true;
        pending = [];
      }
      pending.push(...message.updates.map((update) => fromWireUpdate(update)).filter((update) => update !== null));
      if (!message.flush) return;
      if (snapshot) client.state.clear();
      for (const update of pending) apply(client.state, update);
      client.steps.push({ snapshot, inSync: message.inSync, sequence: message.sequence, updates: pending });
      client.sequence = Number(message.sequence);
      client.onDisconnect();
    },
  };
  return client;
}

function apply(state: Map<string, NodeUpdate>, update: NodeUpdate): void {
  const key = keyOf(update);
  if (update.kind === "Remove") return void state.delete(key);
  if (update.kind !== "IpSetDelta") return void state.set(key, update);
  const before = state.get(key);
  if (before?.kind !== "IpSet") throw new Error(`a delta of ${key}, which the client does not have`);
  const members = new Set([...before.members, ...update.added]);
  for (const member of update.removed) members.delete(member);
  state.set(key, { ...before, members: [...members] });
}

/** A connection that takes one message at a time: `read` hands it over and asks for the next. */
export function createSlowSink(client: FakeClient): MessageSink & { read(): boolean; readonly waiting: number } {
  const queue: Buffer[] = [];
  let drained: (() => void) | null = null;
  return {
    write(message) {
      queue.push(message);
      return false;
    },
    onDrain: (run) => void (drained = run),
    read() {
      const message = queue.shift();
      if (message !== undefined) client.onMessage(message);
      const run = drained;
      drained = null;
      run?.();
      return message !== undefined;
    },
    get waiting() {
      return queue.length;
    },
  };
}

/** Lets everything that waits for the event loop run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
