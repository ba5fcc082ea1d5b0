/** Configuration that typha resolves for each node: FelixConfiguration layers, BGPConfiguration, BGPPeers. */
import type { BgpSpeaker, NodeBgpConfig, NodeUpdate, SecretKeyRef } from "@calico/calc";
import { asNumberOf, isPort, parseSelector, type Labels } from "@calico/model";

type Spec = Readonly<Record<string, unknown>>;

const BGP_DEFAULTS = { nodeToNodeMesh: true, asNumber: 64_512, listenPort: 179, logSeverity: "Info" } as const;
const NODE_PREFIX = "node.";

export interface NodeConfigStore {
  setFelixConfiguration(name: string, spec: Spec | null): void;
  setBgpConfiguration(name: string, spec: Spec | null): void;
  setBgpPeer(name: string, spec: Spec | null): void;
  /** What a node is told, by key of the stream. */
  resolve(node: string, labels: Labels): Map<string, NodeUpdate>;
}

export function createNodeConfigStore(): NodeConfigStore {
  const felix = new Map<string, Spec>();
  const bgp = new Map<string, Spec>();
  const peers = new Map<string, Spec>();
  const setIn = (map: Map<string, Spec>) => (name: string, spec: Spec | null): void => {
    if (spec === null) map.delete(name);
    else map.set(name, spec);
  };
  return {
    setFelixConfiguration: setIn(felix),
    setBgpConfiguration: setIn(bgp),
    setBgpPeer: setIn(peers),
    resolve(node, labels) {
      const updates = new Map<string, NodeUpdate>();
      const layers = ["default", `${NODE_PREFIX}${node}`].flatMap((name) => {
        const spec = felix.get(name);
        return spec === undefined ? [] : [{ source: `FelixConfiguration ${name}`, values: textValues(spec) }];
      });
      updates.set("FelixConfig:", { kind: "FelixConfig", layers });
      updates.set("BgpConfig:", { kind: "BgpConfig", value: bgpConfig(bgp, node) });
      for (const [name, spec] of peers) {
        if (appliesTo(spec, node, labels) || isOtherEnd(spec, labels)) updates.set(`BgpPeer:${name}`, { kind: "BgpPeer", name, specJson: JSON.stringify(spec) });
      }
      return updates;
    },
  };
}

/** Values as the parameter table reads them: text as it is, lists comma-separated ("none" when empty), objects as JSON. */
function textValues(spec: Spec): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(spec)) {
    if (value === null || value === undefined) continue;
    if (Array.isArray(value) && value.length === 0) values[name] = "none";
    else if (Array.isArray(value) && value.every((item) => typeof item !== "object")) values[name] = value.join(",");
    else values[name] = typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
  }
  return values;
}

/** The node's own object wins field by field; what cannot be used is passed over. */
function bgpConfig(specs: ReadonlyMap<string, Spec>, node: string): NodeBgpConfig {
  const base = specs.get("default") ?? {};
  const own = specs.get(`${NODE_PREFIX}${node}`) ?? {};
  const nodes = [...specs].filter(([name]) => name.startsWith(NODE_PREFIX)).map(([name, spec]): [string, BgpSpeaker] => [name.slice(NODE_PREFIX.length), speaker(base, spec)]);
  return {
    ...speaker(base, own),
    nodeToNodeMesh: pick(base, own, "nodeToNodeMeshEnabled", "boolean", BGP_DEFAULTS.nodeToNodeMesh),
    logSeverity: pick(base, own, "logSeverityScreen", "string", BGP_DEFAULTS.logSeverity),
    otherNodes: speaker(base, {}),
    nodes: Object.fromEntries(nodes.sort(([a], [b]) => (a < b ? -1 : 1))),
    // The mesh is one: both ends of a session read the same object.
    meshPassword: secretKeyRef(base["nodeMeshPassword"]),
    meshMaxRestartTime: pick(base, {}, "nodeMeshMaxRestartTime", "string", ""),
  };
}

function speaker(base: Spec, own: Spec): BgpSpeaker {
  return {
    asNumber: asNumberOf(own["asNumber"]) ?? asNumberOf(base["asNumber"]) ?? BGP_DEFAULTS.asNumber,
    listenPort: [own["listenPort"], base["listenPort"]].find(isPort) ?? BGP_DEFAULTS.listenPort,
  };
}

function pick<T>(base: Spec, own: Spec, field: string, type: string, fallback: T): T {
  const value = [own[field], base[field]].find((candidate) => typeof candidate === type);
  return value === undefined ? fallback : (value as T);
}

/** Something that is there but names no secret refers to one that cannot exist: sessions that should have a password never do without. */
function secretKeyRef(value: unknown): SecretKeyRef | null {
  if (value === undefined || value === null) return null;
  const { name, key } = ((value as { secretKeyRef?: unknown }).secretKeyRef ?? {}) as Partial<Record<"name" | "key", unknown>>;
  return { name: typeof name === "string" ? name : "", key: typeof key === "string" ? key : "" };
}

/** A peer without node and nodeSelector is for every node; one with a selector that cannot be read for none. */
function appliesTo(spec: Spec, node: string, labels: Labels): boolean {
  if (typeof spec["node"] === "string" && spec["node"] !== "") return spec["node"] === node;
  if (typeof spec["nodeSelector"] === "string" && spec["nodeSelector"] !== "") {
    const parsed = parseSelector(spec["nodeSelector"]);
    return parsed.ok && parsed.selector.evaluate(labels);
  }
  return true;
}

/** The nodes that a peerSelector selects have the session from their side too. */
function isOtherEnd(spec: Spec, labels: Labels): boolean {
  if (typeof spec["peerSelector"] !== "string" || spec["reversePeering"] === "Manual") return false;
  const parsed = parseSelector(spec["peerSelector"]);
  return parsed.ok && parsed.selector.evaluate(labels);
}
