/** Whom this node talks BGP with. */
import { addressOf, canonicalAddress, familyOf, type Family, type IpAddress } from "@calico/model";
import type { PeerNode } from "@calico/calc";
import type { ClusterView, ExplicitPeer } from "./view.ts";

export type PeerType = "node-to-node mesh" | "node specific" | "global";

export type BgpPeer = {
  /** Name of the protocol in BIRD. */
  readonly protocol: string;
  readonly type: PeerType;
  readonly family: Family;
  readonly address: IpAddress;
  readonly port: number;
  readonly asNumber: number;
  /** The Calico node behind it, or "". */
  readonly node: string;
  /** Waits for the other side to connect, so that a pair of nodes does not open two sessions. */
  readonly passive: boolean;
  readonly useNodeSource: boolean;
};

/** A peer that is left out, and why. */
export type RefusedPeer = { readonly name: string; readonly field: string; readonly reason: string };

/** Fields of a BGPPeer that are put into effect; any other that is set means that the peer is left out. */
const SUPPORTED = new Set(["peerIP", "asNumber", "node", "nodeSelector", "sourceAddress", "reversePeering"]);

/** Every peer, by protocol name; explicit ones win over the mesh. */
export function peersOf(view: ClusterView): { peers: BgpPeer[]; refused: RefusedPeer[] } {
  const own = view.nodes.get(view.node);
  const peers = new Map<string, BgpPeer>();
  const refused: RefusedPeer[] = [];
  if (own === undefined) return { peers: [], refused };
  for (const explicit of view.peers.values()) {
    const result = explicitPeer(explicit, own, view);
    if ("reason" in result) refused.push(result);
    else if (!peers.has(result.address)) peers.set(result.address, result);
  }
  if (view.bgp.nodeToNodeMesh && own.routeReflectorClusterId === null) {
    for (const peer of meshPeers(own, view)) if (!peers.has(peer.address)) peers.set(peer.address, peer);
  }
  return { peers: [...peers.values()].sort((a, b) => (a.protocol < b.protocol ? -1 : 1)), refused };
}

function* meshPeers(own: PeerNode, view: ClusterView): Generator<BgpPeer> {
  for (const node of view.nodes.values()) {
    if (node.name === own.name || node.routeReflectorClusterId !== null) continue;
    for (const [mine, theirs] of [[own.ipv4, node.ipv4], [own.ipv6, node.ipv6]] as const) {
      if (mine === null || theirs === null) continue;
      const address = addressOf(theirs);
      yield {
        protocol: protocolName("Mesh", address), type: "node-to-node mesh", family: familyOf(address), address, port: view.bgp.listenPort, asNumber: node.asNumber ?? view.bgp.asNumber, node: node.name,
        passive: address > addressOf(mine), useNodeSource: true,
      };
    }
  }
}

function explicitPeer({ name, spec }: ExplicitPeer, own: PeerNode, view: ClusterView): BgpPeer | RefusedPeer {
  const unsupported = Object.keys(spec).find((field) => !SUPPORTED.has(field));
  if (unsupported !== undefined) return { name, field: `spec.${unsupported}`, reason: "is not supported yet; the peer is left out" };
  const { host, port } = splitPort(typeof spec["peerIP"] === "string" ? spec["peerIP"] : "");
  const address = canonicalAddress(host);
  if (address === null) return { name, field: "spec.peerIP", reason: `${JSON.stringify(spec["peerIP"] ?? null)} is no address` };
  if (port !== null && (port < 1 || port > 65_535)) return { name, field: "spec.peerIP", reason: `${port} is no port` };
  const family = familyOf(address);
  if ((family === 4 ? own.ipv4 : own.ipv6) === null) return { name, field: "spec.peerIP", reason: `this node has no IPv${family} address` };
  const asNumber = asNumberOf(spec["asNumber"], view.bgp.asNumber);
  if (!Number.isInteger(asNumber) || asNumber < 1 || asNumber > 4_294_967_295) return { name, field: "spec.asNumber", reason: `${JSON.stringify(spec["asNumber"])} is no AS number` };
  const global = spec["node"] === undefined && spec["nodeSelector"] === undefined;
  const node = [...view.nodes.values()].find((candidate) => [candidate.ipv4, candidate.ipv6].some((cidr) => cidr !== null && addressOf(cidr) === address));
  if (node?.name === own.name) return { name, field: "spec.peerIP", reason: "is this node itself" };
  const ownAddress = addressOf((family === 4 ? own.ipv4 : own.ipv6) ?? "");
  return {
    protocol: protocolName(global ? "Global" : "Node", address), type: global ? "global" : "node specific", family, address, port: port ?? (node === undefined ? 179 : view.bgp.listenPort), asNumber,
    node: node?.name ?? "", passive: node !== undefined && address > ownAddress, useNodeSource: spec["sourceAddress"] !== "None",
  };
}

/** A number or its decimal text; NaN for anything else. */
function asNumberOf(value: unknown, fallback: number): number {
  if (value === undefined || value === null) return fallback;
  return typeof value === "number" || (typeof value === "string" && /^\d{1,10}$/.test(value)) ? Number(value) : Number.NaN;
}

/** "10.0.0.1", "10.0.0.1:1790", "[fd00::1]:1790". */
function splitPort(text: string): { host: string; port: number | null } {
  const match = /^\[(.+)\]:(\d+)$/.exec(text) ?? /^([0-9.]+):(\d+)$/.exec(text);
  return match === null ? { host: /^\[(.+)\]$/.exec(text)?.[1] ?? text, port: null } : { host: match[1] ?? "", port: Number(match[2]) };
}

function protocolName(prefix: string, address: string): string {
  return `${prefix}_${address.replaceAll(/[.:]/g, "_")}`;
}
