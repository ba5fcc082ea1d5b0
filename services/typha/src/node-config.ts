/** Configuration that typha resolves for each node: FelixConfiguration layers, BGPConfiguration, BGPPeers. */
import type { NodeBgpConfig, NodeUpdate } from "@calico/calc";
import { parseSelector, type Labels } from "@calico/model";

type Spec = Readonly<Record<string, unknown>>;

const BGP_DEFAULTS: NodeBgpConfig = { nodeToNodeMesh: true, asNumber: 64_512, listenPort: 179, logSeverity: "Info" };

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
      const layers = ["default", `node.${node}`].flatMap((name) => {
        const spec = felix.get(name);
        return spec === undefined ? [] : [{ source: `FelixConfiguration ${name}`, values: textValues(spec) }];
      });
      updates.set("FelixConfig:", { kind: "FelixConfig", layers });
      updates.set("BgpConfig:", { kind: "BgpConfig", value: bgpConfig(bgp.get("default") ?? {}, bgp.get(`node.${node}`) ?? {}) });
      for (const [name, spec] of peers) {
        if (appliesTo(spec, node, labels)) updates.set(`BgpPeer:${name}`, { kind: "BgpPeer", name, specJson: JSON.stringify(spec) });
      }
      return updates;
    },
  };
}

/** Values as the parameter table reads them: text as it is, lists comma-separated, objects as JSON. */
function textValues(spec: Spec): Record<string, string> {
  const values: Record<string, string> = {};
  for (const [name, value] of Object.entries(spec)) {
    if (value === null || value === undefined) continue;
    if (Array.isArray(value) && value.every((item) => typeof item !== "object")) values[name] = value.join(",");
    else values[name] = typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
  }
  return values;
}

/** The node's own object wins field by field; fields of the wrong type are passed over. */
function bgpConfig(base: Spec, own: Spec): NodeBgpConfig {
  const pick = <T>(field: string, type: string, fallback: T): T => {
    const value = [own[field], base[field]].find((candidate) => typeof candidate === type);
    return value === undefined ? fallback : (value as T);
  };
  return {
    nodeToNodeMesh: pick("nodeToNodeMeshEnabled", "boolean", BGP_DEFAULTS.nodeToNodeMesh),
    asNumber: Number(own["asNumber"] ?? base["asNumber"] ?? BGP_DEFAULTS.asNumber) || BGP_DEFAULTS.asNumber,
    listenPort: pick("listenPort", "number", BGP_DEFAULTS.listenPort),
    logSeverity: pick("logSeverityScreen", "string", BGP_DEFAULTS.logSeverity),
  };
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
