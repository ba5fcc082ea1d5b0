/** What the configuration of one node's BIRD is made from. */
import type { NodeBgpConfig, NodeBlock, NodePool, NodeUpdate, PeerNode } from "@calico/calc";
import type { SecretContent } from "./secrets.ts";

export type ExplicitPeer = { readonly name: string; readonly spec: Readonly<Record<string, unknown>> };

/** The cluster as this node is told of it. */
export type ClusterView = {
  readonly node: string;
  readonly bgp: NodeBgpConfig;
  readonly nodes: ReadonlyMap<string, PeerNode>;
  readonly pools: ReadonlyMap<string, NodePool>;
  /** Blocks of this node. */
  readonly blocks: ReadonlyMap<string, NodeBlock>;
  readonly peers: ReadonlyMap<string, ExplicitPeer>;
  /** Secrets with passwords, by name. They do not come with the sync stream. */
  readonly secrets: ReadonlyMap<string, SecretContent>;
};

export interface ClusterState {
  readonly view: ClusterView;
  /** What is not repeated before `onInSync` is gone. */
  onSnapshotStart(): void;
  onUpdate(update: NodeUpdate): void;
}

const SPEAKER = { asNumber: 64_512, listenPort: 179 } as const;
const NO_CONFIG: NodeBgpConfig = { ...SPEAKER, nodeToNodeMesh: true, logSeverity: "Info", otherNodes: SPEAKER, nodes: {}, meshPassword: null, meshMaxRestartTime: "" };

/** Keeps the objects of the sync stream that matter to BGP. */
export function createClusterState(node: string): ClusterState {
  let view = emptyView(node);

  function set<K extends "nodes" | "pools" | "blocks" | "peers">(field: K, key: string, value: ClusterView[K] extends ReadonlyMap<string, infer V> ? V : never): void {
    (view[field] as Map<string, unknown>).set(key, value);
  }
  const FIELD = { Node: "nodes", IpPool: "pools", Block: "blocks", BgpPeer: "peers" } as const;
  return {
    get view() {
      return view;
    },
    onSnapshotStart() {
      view = emptyView(node);
    },
    onUpdate(update) {
      switch (update.kind) {
        case "Node": return set("nodes", update.value.name, update.value);
        case "IpPool": return set("pools", update.value.name, update.value);
        case "Block": return set("blocks", update.value.cidr, update.value);
        case "BgpPeer": return set("peers", update.name, { name: update.name, spec: JSON.parse(update.specJson) as Record<string, unknown> });
        case "BgpConfig":
          view = { ...view, bgp: update.value };
          return;
        case "Remove": {
          const field = update.of in FIELD ? FIELD[update.of as keyof typeof FIELD] : null;
          if (field !== null) (view[field] as Map<string, unknown>).delete(update.id);
          return;
        }
        default:
      }
    },
  };
}

function emptyView(node: string): ClusterView {
  return { node, bgp: NO_CONFIG, nodes: new Map(), pools: new Map(), blocks: new Map(), peers: new Map(), secrets: new Map() };
}
