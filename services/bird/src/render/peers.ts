/** Whom this node talks BGP with. */
import { addressOf, asNumberOf, canonicalAddress, familyOf, parseSelector, type Family, type IpAddress } from "@calico/model";
import type { BgpSpeaker, PeerNode } from "@calico/calc";
import { secondsOf } from "./durations.ts";
import { passwordOf, passwordReference } from "./secrets.ts";
import { MAX_RESTART_SECONDS, PLAIN_OPTIONS, sessionOptions, sessionPassword, type Refusal, type SessionOptions } from "./session-options.ts";
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
  readonly options: SessionOptions;
};

/** A peer that is left out, and why; of kind BGPConfiguration: the mesh. */
export type RefusedPeer = Refusal & { readonly kind: "BGPPeer" | "BGPConfiguration"; readonly name: string };

/** Fields of a BGPPeer that are put into effect; any other that is set means that the peer is left out. */
const SUPPORTED = new Set([
  "peerIP", "asNumber", "node", "nodeSelector", "peerSelector", "sourceAddress", "reversePeering", "password", "localASNumber", "numAllowedLocalASNumbers", "keepOriginalNextHop", "nextHopMode", "ttlSecurity",
  "maxRestartTime", "keepaliveTime",
]);

/** The other end of a session. */
type End = Pick<BgpPeer, "family" | "address" | "port" | "asNumber" | "node">;
/** Who it is that this node talks with, and what it shows of itself. */
type Ends = { readonly ends: readonly End[]; readonly localAs: number | null; readonly type: PeerType };
/** An address and who has it. */
type Claim = { readonly address: string; readonly is: BgpPeer | Refusal };

/** Every peer, by protocol name. Explicit ones win over those of the other end, and both over the mesh. */
export function peersOf(view: ClusterView): { peers: BgpPeer[]; refused: RefusedPeer[] } {
  const own = view.nodes.get(view.node);
  if (own === undefined) return { peers: [], refused: [] };
  const cluster = createCluster(view, own);
  /** By address; null: a session that needs a password and cannot be made, in whose place nothing without one may stand. */
  const claimed = new Map<string, BgpPeer | null>();
  const refused = new Map<string, RefusedPeer>();
  const refuse = (kind: RefusedPeer["kind"], name: string, { field, reason }: Refusal): void => void refused.set(`${kind}/${name}/${field}`, { kind, name, field, reason });

  const explicit = [...view.peers.values()].sort((a, b) => Number(isGlobal(b.spec)) - Number(isGlobal(a.spec)) || (a.name < b.name ? -1 : 1));
  for (const side of ["endsOf", "otherEndsOf"] as const) {
    for (const peer of explicit) {
      const ends = cluster[side](peer);
      if (ends === null) continue;
      const refusal = unsupportedField(peer.spec) ?? ("reason" in ends ? ends : null);
      if (refusal !== null) refuse("BGPPeer", peer.name, refusal);
      if ("reason" in ends) continue;
      for (const { address, is } of cluster.sessionsOf(peer, ends)) {
        if (claimed.has(address)) continue;
        if (refusal === null && !("reason" in is)) {
          claimed.set(address, is);
          continue;
        }
        if (refusal === null && "reason" in is) refuse("BGPPeer", peer.name, is);
        if (passwordReference(peer.spec) !== null) claimed.set(address, null);
      }
    }
  }
  if (view.bgp.nodeToNodeMesh && own.routeReflectorClusterId === null) {
    const mesh = cluster.mesh();
    if ("reason" in mesh) refuse("BGPConfiguration", "default", mesh);
    else for (const peer of mesh.peers) if (!claimed.has(peer.address)) claimed.set(peer.address, peer);
  }
  const peers = [...claimed.values()].filter((peer) => peer !== null);
  return { peers: peers.sort((a, b) => (a.protocol < b.protocol ? -1 : 1)), refused: [...refused.values()] };
}

function isGlobal(spec: ExplicitPeer["spec"]): boolean {
  return spec["node"] === undefined && spec["nodeSelector"] === undefined;
}

/** The cluster as the own node sees it. */
function createCluster(view: ClusterView, own: PeerNode) {
  const nodes = [...view.nodes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const others = nodes.filter(({ name }) => name !== own.name);
  const ownAs = own.asNumber ?? view.bgp.asNumber;

  const speakerOf = ({ name }: PeerNode): BgpSpeaker => (Object.hasOwn(view.bgp.nodes, name) ? view.bgp.nodes[name] : undefined) ?? view.bgp.otherNodes;

  /** The ends of a node in the families that both nodes have. */
  function endsAt(node: PeerNode, asNumber?: number): End[] {
    const { asNumber: defaultAs, listenPort: port } = speakerOf(node);
    return ([[own.ipv4, node.ipv4], [own.ipv6, node.ipv6]] as const).flatMap(([mine, theirs]) => {
      if (mine === null || theirs === null) return [];
      const address = addressOf(theirs);
      return [{ family: familyOf(address), address, port, asNumber: asNumber ?? node.asNumber ?? defaultAs, node: node.name }];
    });
  }

  function session(end: End, rest: Pick<BgpPeer, "type" | "useNodeSource" | "options">): BgpPeer {
    const mine = end.family === 4 ? own.ipv4 : own.ipv6;
    return { protocol: protocolName(PREFIX[rest.type], end.address), ...end, passive: end.node !== "" && mine !== null && end.address > addressOf(mine), ...rest };
  }

  return {
    /** Whom a BGPPeer of this node means; null: it is for other nodes. */
    endsOf({ spec }: ExplicitPeer): Ends | Refusal | null {
      if (!selects(spec, own)) return null;
      const localAs = optionalAsNumber(spec["localASNumber"]);
      if (localAs === undefined) return { field: "spec.localASNumber", reason: `${JSON.stringify(spec["localASNumber"])} is no AS number` };
      const type = isGlobal(spec) ? "global" : "node specific";
      if (spec["peerSelector"] !== undefined) {
        if (spec["peerIP"] !== undefined || spec["asNumber"] !== undefined) return { field: "spec.peerSelector", reason: "excludes peerIP and asNumber: they come from the nodes that it selects" };
        const matches = selectorOf(spec["peerSelector"]);
        if (matches === null) return { field: "spec.peerSelector", reason: `${JSON.stringify(spec["peerSelector"])} is no selector` };
        return { ends: others.filter(matches).flatMap((node) => endsAt(node)), localAs, type };
      }
      const end = endAtAddress(spec, own, nodes, view, speakerOf);
      return "reason" in end ? end : { ends: [end], localAs, type };
    },

    /** The nodes whose BGPPeer selects this one by peerSelector; null: it does not, or not both ways. */
    otherEndsOf({ spec }: ExplicitPeer): Ends | Refusal | null {
      if (spec["peerSelector"] === undefined || spec["peerIP"] !== undefined || spec["asNumber"] !== undefined || spec["reversePeering"] === "Manual") return null;
      if (selectorOf(spec["peerSelector"])?.(own) !== true) return null;
      const theirAs = optionalAsNumber(spec["localASNumber"]);
      if (theirAs === undefined) return { field: "spec.localASNumber", reason: `${JSON.stringify(spec["localASNumber"])} is no AS number` };
      return { ends: others.filter((node) => selects(spec, node)).flatMap((node) => endsAt(node, theirAs ?? undefined)), localAs: null, type: "node specific" };
    },

    *sessionsOf({ spec }: ExplicitPeer, { ends, localAs, type }: Ends): Generator<Claim> {
      for (const end of ends) {
        const isExternal = end.asNumber !== (localAs ?? ownAs);
        const options = sessionOptions(spec, { localAs, isExternal });
        const password = sessionPassword(spec, view.secrets);
        if ("reason" in options) yield { address: end.address, is: options };
        else if (password !== null && typeof password === "object") yield { address: end.address, is: password };
        else {
          const reflectorCluster = isExternal ? null : reflectorClusterFor(view.nodes.get(end.node), own);
          yield { address: end.address, is: session(end, { type, useNodeSource: spec["sourceAddress"] !== "None", options: { ...options, password, reflectorCluster } }) };
        }
      }
    },

    /** Every other node that reflects no routes, when the mesh can be as it should. */
    mesh(): { peers: BgpPeer[] } | Refusal {
      const { meshPassword, meshMaxRestartTime } = view.bgp;
      const found = meshPassword === null ? { password: null } : passwordOf(meshPassword, view.secrets);
      if ("reason" in found) return { field: "spec.nodeMeshPassword.secretKeyRef", reason: found.reason };
      const written = meshMaxRestartTime === "" ? null : secondsOf(meshMaxRestartTime);
      const restartSeconds = written !== null && written >= 1 && written <= MAX_RESTART_SECONDS ? written : null;
      const options = { ...PLAIN_OPTIONS, password: found.password, restartSeconds };
      return { peers: others.filter((node) => node.routeReflectorClusterId === null).flatMap((node) => endsAt(node)).map((end) => session(end, { type: "node-to-node mesh", useNodeSource: true, options })) };
    },
  };
}

const PREFIX: Record<PeerType, string> = { "node-to-node mesh": "Mesh", "node specific": "Node", global: "Global" };

/** Whether a BGPPeer is one of this node's. */
function selects(spec: ExplicitPeer["spec"], node: PeerNode): boolean {
  if (typeof spec["node"] === "string" && spec["node"] !== "") return spec["node"] === node.name;
  if (typeof spec["nodeSelector"] === "string" && spec["nodeSelector"] !== "") return selectorOf(spec["nodeSelector"])?.(node) === true;
  return true;
}

function selectorOf(text: unknown): ((node: PeerNode) => boolean) | null {
  const parsed = typeof text === "string" ? parseSelector(text) : null;
  return parsed?.ok === true ? (node) => parsed.selector.evaluate(node.labels) : null;
}

function unsupportedField(spec: ExplicitPeer["spec"]): Refusal | null {
  const field = Object.keys(spec).find((name) => !SUPPORTED.has(name));
  return field === undefined ? null : { field: `spec.${field}`, reason: "is not supported yet; the peer is left out" };
}

/** A reflector has as clients all of its AS that are not reflectors of the same cluster. */
function reflectorClusterFor(peer: PeerNode | undefined, own: PeerNode): string | null {
  return own.routeReflectorClusterId === peer?.routeReflectorClusterId ? null : own.routeReflectorClusterId;
}

/** The end that peerIP gives. */
function endAtAddress(spec: ExplicitPeer["spec"], own: PeerNode, nodes: readonly PeerNode[], view: ClusterView, speakerOf: (node: PeerNode) => BgpSpeaker): End | Refusal {
  const { host, port } = splitPort(typeof spec["peerIP"] === "string" ? spec["peerIP"] : "");
  const address = canonicalAddress(host);
  if (address === null) return { field: "spec.peerIP", reason: `${JSON.stringify(spec["peerIP"] ?? null)} is no address` };
  if (port !== null && (port < 1 || port > 65_535)) return { field: "spec.peerIP", reason: `${port} is no port` };
  const family = familyOf(address);
  if ((family === 4 ? own.ipv4 : own.ipv6) === null) return { field: "spec.peerIP", reason: `this node has no IPv${family} address` };
  const asNumber = optionalAsNumber(spec["asNumber"]);
  if (asNumber === undefined) return { field: "spec.asNumber", reason: `${JSON.stringify(spec["asNumber"])} is no AS number` };
  const node = nodes.find((candidate) => [candidate.ipv4, candidate.ipv6].some((cidr) => cidr !== null && addressOf(cidr) === address));
  if (node?.name === own.name) return { field: "spec.peerIP", reason: "is this node itself" };
  return { family, address, port: port ?? (node === undefined ? 179 : speakerOf(node).listenPort), asNumber: asNumber ?? view.bgp.asNumber, node: node?.name ?? "" };
}

/** null: not given; undefined: given and no AS number. */
function optionalAsNumber(value: unknown): number | null | undefined {
  return value === undefined || value === null ? null : (asNumberOf(value) ?? undefined);
}

/** "10.0.0.1", "10.0.0.1:1790", "[fd00::1]:1790". */
function splitPort(text: string): { host: string; port: number | null } {
  const match = /^\[(.+)\]:(\d+)$/.exec(text) ?? /^([0-9.]+):(\d+)$/.exec(text);
  return match === null ? { host: /^\[(.+)\]$/.exec(text)?.[1] ?? text, port: null } : { host: match[1] ?? "", port: Number(match[2]) };
}

function protocolName(prefix: string, address: string): string {
  return `${prefix}_${address.replaceAll(/[.:]/g, "_")}`;
}
