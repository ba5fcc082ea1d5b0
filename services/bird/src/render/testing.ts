/** Views for tests. */
import type { NodeBgpConfig, NodePool, PeerNode } from "@calico/calc";
import type { Cidr } from "@calico/model";
import type { SecretContent } from "./secrets.ts";
import type { ClusterView } from "./view.ts";

export const cidr = (text: string): Cidr => text as Cidr;

export function peerNode(name: string, overrides: Partial<PeerNode> = {}): PeerNode {
  return { name, ipv4: null, ipv6: null, asNumber: null, routeReflectorClusterId: null, vxlan: null, labels: {}, ...overrides };
}

export function nodePool(name: string, range: string, overrides: Partial<NodePool> = {}): NodePool {
  return { name, cidr: cidr(range), ipipMode: "Never", vxlanMode: "Never", natOutgoing: false, disableBgpExport: false, disabled: false, ...overrides };
}

export type ViewParts = {
  readonly node?: string;
  readonly bgp?: Partial<NodeBgpConfig>;
  readonly nodes?: readonly PeerNode[];
  readonly pools?: readonly NodePool[];
  readonly blocks?: readonly string[];
  readonly peers?: Readonly<Record<string, Record<string, unknown>>>;
  readonly secrets?: Readonly<Record<string, SecretContent>>;
};

/** A secret as the API gives it. */
export function secret(values: Readonly<Record<string, string>>): SecretContent {
  return { data: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")])) };
}

/** The view of node "a" unless said otherwise; the other nodes have its AS number and port. */
export function viewOf({ node = "a", bgp = {}, nodes = [], pools = [], blocks = [], peers = {}, secrets = {} }: ViewParts): ClusterView {
  const speaker = { asNumber: bgp.asNumber ?? 64_512, listenPort: bgp.listenPort ?? 179 };
  return {
    node,
    bgp: { ...speaker, nodeToNodeMesh: true, logSeverity: "Info", otherNodes: speaker, nodes: {}, meshPassword: null, meshMaxRestartTime: "", ...bgp },
    nodes: new Map(nodes.map((value) => [value.name, value])),
    pools: new Map(pools.map((value) => [value.name, value])),
    blocks: new Map(blocks.map((block) => [block, { cidr: cidr(block), node }])),
    peers: new Map(Object.entries(peers).map(([name, spec]) => [name, { name, spec }])),
    secrets: new Map(Object.entries(secrets)),
  };
}
