/** NetworkPolicy of networking.k8s.io as a policy of the default tier. */
import { canonicalCidr, type Cidr } from "../ip.ts";
import type { EntityMatch, Policy, PortRange, Rule } from "../model.ts";
import { DEFAULT_TIER, NAMESPACE_LABEL, ORCHESTRATOR_LABEL, policyId } from "../names.ts";
import { all, and, labelEquals, overNamespaces, selectorOf, sortedValues, type Selector, type SelectorNode } from "../selector/selector.ts";
import { ANY_ENTITY } from "./entity.ts";
import { finding, type Conversion, type Finding } from "./finding.ts";
import { isRecord, isSet, listAt, metadataOf, numberAt, recordAt, recordsAt, textAt, textsAt, type Raw } from "./raw.ts";

const ORDER = 1_000;
const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** Thrown for what cannot be read; the rule around it is dropped. */
class Unusable extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/**
 * Every rule allows; one that cannot be read allows nothing and is reported. A policy whose podSelector cannot be read is absent.
 * An absent policyTypes is defaulted as the API server does: Ingress, and Egress when there are egress rules.
 */
export function convertKubernetesNetworkPolicy(raw: Raw): Conversion<Policy> {
  const { name, namespace, revision } = metadataOf(raw);
  const spec = recordAt(raw, "spec");
  const findings: Finding[] = [];
  let selector: Selector;
  try {
    selector = and(labelEquals(NAMESPACE_LABEL, namespace), labelEquals(ORCHESTRATOR_LABEL, "k8s"), labelSelector(recordAt(spec, "podSelector"), "spec.podSelector"));
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    return { value: null, findings: [finding("critical", error.field, `${error.message}; the policy is not in force`)] };
  }
  const types = listAt(spec, "policyTypes");
  const egress = types.length === 0 ? recordsAt(spec, "egress").length > 0 : types.includes("Egress");
  const rules = (field: "ingress" | "egress"): Rule[] => listAt(spec, field).flatMap((rule, index) => {
    const path = `spec.${field}[${index}]`;
    try {
      return convertRule(isRecord(rule) ? rule : {}, field, namespace, index, path);
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      findings.push(finding("error", error.field, `${error.message}; the rule allows nothing`));
      return [];
    }
  });
  return {
    findings,
    value: {
      id: policyId("KubernetesNetworkPolicy", namespace, name), kind: "KubernetesNetworkPolicy", namespace, name, tier: DEFAULT_TIER, order: ORDER, selector, ingress: types.length === 0 || types.includes("Ingress"), egress,
      inbound: rules("ingress"), outbound: rules("egress"), doNotTrack: false, preDnat: false, applyOnForward: false, revision,
    },
  };
}

/** One rule per peer and protocol; no peer is any, no port is any. */
function convertRule(rule: Raw, direction: "ingress" | "egress", namespace: string, index: number, path: string): Rule[] {
  const unknown = Object.keys(rule).find((key) => key !== "ports" && key !== (direction === "ingress" ? "from" : "to"));
  if (unknown !== undefined) throw new Unusable(`${path}.${unknown}`, "is not known to this version");
  const peerField = direction === "ingress" ? "from" : "to";
  const peers = listAt(rule, peerField);
  const entities = peers.length === 0 ? [ANY_ENTITY] : peers.map((peer, i) => convertPeer(isRecord(peer) ? peer : {}, namespace, `${path}.${peerField}[${i}]`));
  return entities.flatMap((peer) => convertPorts(rule, path).map(({ protocol, ports, namedPorts }): Rule => {
    const local: EntityMatch = { ...ANY_ENTITY, ports, namedPorts };
    const remote = direction === "egress" ? { ...peer, ports, namedPorts } : peer;
    const [source, destination] = direction === "ingress" ? [remote, local] : [ANY_ENTITY, remote];
    return { action: "Allow", ipVersion: 0, protocol, notProtocol: null, icmp: null, notIcmp: null, source, destination, index };
  }));
}

function convertPeer(peer: Raw, namespace: string, path: string): EntityMatch {
  const unknown = Object.keys(peer).find((key) => !["ipBlock", "podSelector", "namespaceSelector"].includes(key));
  if (unknown !== undefined) throw new Unusable(`${path}.${unknown}`, "is not known to this version");
  if (isSet(peer, "ipBlock")) {
    if (isSet(peer, "podSelector") || isSet(peer, "namespaceSelector")) throw new Unusable(path, "has ipBlock beside a selector");
    const block = recordAt(peer, "ipBlock");
    return { ...ANY_ENTITY, nets: [readCidr(block["cidr"], `${path}.ipBlock.cidr`)], notNets: listAt(block, "except").map((item, i) => readCidr(item, `${path}.ipBlock.except[${i}]`)) };
  }
  if (!isSet(peer, "podSelector") && !isSet(peer, "namespaceSelector")) throw new Unusable(path, "names nobody");
  const inNamespace = isSet(peer, "namespaceSelector") ? overNamespaces(labelSelector(recordAt(peer, "namespaceSelector"), `${path}.namespaceSelector`)) : labelEquals(NAMESPACE_LABEL, namespace);
  const pods = isSet(peer, "podSelector") ? labelSelector(recordAt(peer, "podSelector"), `${path}.podSelector`) : all();
  return { ...ANY_ENTITY, selector: and(labelEquals(ORCHESTRATOR_LABEL, "k8s"), inNamespace, pods) };
}

type Ports = { protocol: number | null; ports: PortRange[]; namedPorts: string[] };

function convertPorts(rule: Raw, path: string): Ports[] {
  const entries = listAt(rule, "ports");
  if (entries.length === 0) return [{ protocol: null, ports: [], namedPorts: [] }];
  const byProtocol = new Map<number, Ports & { any: boolean }>();
  for (const [i, item] of entries.entries()) {
    const entry = isRecord(item) ? item : {};
    const at = `${path}.ports[${i}]`;
    const protocol = PROTOCOLS[textAt(entry, "protocol") ?? "TCP"];
    if (protocol === undefined) throw new Unusable(`${at}.protocol`, `${JSON.stringify(entry["protocol"])} is none of TCP, UDP, SCTP`);
    const group = byProtocol.get(protocol) ?? { protocol, ports: [], namedPorts: [], any: false };
    byProtocol.set(protocol, group);
    const number = numberAt(entry, "port");
    const name = textAt(entry, "port");
    if (number !== null) group.ports.push({ first: portNumber(number, `${at}.port`), last: portNumber(numberAt(entry, "endPort") ?? number, `${at}.endPort`) });
    else if (name !== null && name !== "") group.namedPorts.push(name);
    else if (isSet(entry, "port")) throw new Unusable(`${at}.port`, `${JSON.stringify(entry["port"])} is no port`);
    else group.any = true;
  }
  return [...byProtocol.values()].map(({ any, protocol, ports, namedPorts }) => (any ? { protocol, ports: [], namedPorts: [] } : { protocol, ports, namedPorts }));
}

function portNumber(value: number, path: string): number {
  if (!Number.isInteger(value) || value < 1 || value > 65_535) throw new Unusable(path, `${value} is no port`);
  return value;
}

function readCidr(value: unknown, path: string): Cidr {
  const cidr = typeof value === "string" && value.includes("/") ? canonicalCidr(value) : null;
  if (cidr === null) throw new Unusable(path, `${JSON.stringify(value ?? null)} is no CIDR`);
  return cidr;
}

/** A Kubernetes label selector; an empty one selects everything. */
function labelSelector(raw: Raw, path: string): Selector {
  const nodes: SelectorNode[] = Object.entries(textsAt(raw, "matchLabels")).sort().map(([key, value]) => ({ op: "==", key, value }));
  for (const [i, item] of listAt(raw, "matchExpressions").entries()) {
    const expression = isRecord(item) ? item : {};
    const at = `${path}.matchExpressions[${i}]`;
    const key = textAt(expression, "key");
    if (key === null || key === "") throw new Unusable(`${at}.key`, "is missing");
    const values = sortedValues(listAt(expression, "values").filter((value): value is string => typeof value === "string"));
    switch (textAt(expression, "operator")) {
      case "In": nodes.push({ op: "in", key, values }); break;
      case "NotIn": nodes.push({ op: "not in", key, values }); break;
      case "Exists": nodes.push({ op: "has", key }); break;
      case "DoesNotExist": nodes.push({ op: "not", operand: { op: "has", key } }); break;
      default: throw new Unusable(`${at}.operator`, `${JSON.stringify(expression["operator"] ?? null)} is none of In, NotIn, Exists, DoesNotExist`);
    }
  }
  return and(...nodes.map(selectorOf));
}
