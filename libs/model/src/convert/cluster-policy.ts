/** ClusterNetworkPolicies (policy.networking.k8s.io/v1alpha2): what a cluster's administrators say before and after everybody else. */
import { parseCidr, type Cidr } from "../ip.ts";
import { ORCHESTRATOR_LABEL } from "../labels.ts";
import type { Action, EntityMatch, Policy, Rule } from "../model.ts";
import { ADMIN_TIER, BASELINE_TIER, policyId } from "../names.ts";
import { and, labelEquals, overNamespaces, type Selector } from "../selector/selector.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { readLabelSelector } from "./label-selector.ts";
import { isPort } from "./ports.ts";
import type { PortGroup } from "./kubernetes-ports.ts";
import { SCTP, TCP, UDP } from "./protocol.ts";
import { isAbsent, isObject, metadataOf, show, specOf, unknownKeys, type RawObject } from "./raw.ts";
import { ANYONE, ruleForAll } from "./rules.ts";
import { UnusableRule, unusableField } from "./unusable.ts";

const SPEC_FIELDS = ["tier", "priority", "subject", "ingress", "egress"];
const TIERS: ReadonlyMap<string, string> = new Map([["Admin", ADMIN_TIER], ["Baseline", BASELINE_TIER]]);
const ACTIONS: ReadonlyMap<string, Action> = new Map([["Accept", "Allow"], ["Deny", "Deny"], ["Pass", "Pass"]]);
const PROTOCOLS: ReadonlyMap<string, number> = new Map([["tcp", TCP], ["udp", UDP], ["sctp", SCTP]]);
/** Peers that this version cannot tell by their addresses. */
const FOREIGN_PEERS: Readonly<Record<string, string>> = {
  domainNames: "names of domains are not supported by this version; name addresses as networks",
};

type Direction = "ingress" | "egress";

/**
 * A policy of kind KubernetesClusterNetworkPolicy in tier kube-admin or kube-baseline, in the order of its priority. A rule
 * that cannot be used never opens anything: an Accept is left out, any other denies everything in its direction. Null with a critical finding when tier or subject cannot
 * be read.
 */
export function convertClusterNetworkPolicy(raw: unknown): Conversion<Policy> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<Policy>(null);
  const spec = specOf(raw);
  const tier = typeof spec["tier"] === "string" ? TIERS.get(spec["tier"]) : undefined;
  if (tier === undefined) {
    out.critical("spec.tier", `${show(spec["tier"])} is neither Admin nor Baseline; the policy is not in force`);
    return out.done<Policy>(null);
  }
  const selector = readSubject(spec["subject"], out);
  if (selector === null) return out.done<Policy>(null);
  const unknown = unknownKeys(spec, SPEC_FIELDS);
  for (const key of unknown) out.error(`spec.${key}`, "is not a field that this version knows; since it may restrict the policy, its Accept rules are left out and its Pass rules deny", suggestField(key, SPEC_FIELDS));
  const rules = (direction: Direction): Rule[] => readRules(spec[direction], direction, unknown.length > 0, out);
  const [inbound, outbound] = [rules("ingress"), rules("egress")];
  return out.done<Policy>({
    id: policyId("KubernetesClusterNetworkPolicy", "", metadata.name),
    kind: "KubernetesClusterNetworkPolicy",
    namespace: "",
    name: metadata.name,
    tier,
    order: readPriority(spec["priority"], out),
    selector,
    ingress: hasRules(spec["ingress"]), egress: hasRules(spec["egress"]),
    inbound, outbound,
    doNotTrack: false, preDnat: false, applyOnForward: false,
    revision: metadata.revision,
  });
}

const hasRules = (written: unknown): boolean => !isAbsent(written) && !(Array.isArray(written) && written.length === 0);

function readPriority(written: unknown, out: FindingCollector): number | null {
  if (typeof written === "number" && Number.isInteger(written) && written >= 0 && written <= 1_000) return written;
  return out.error("spec.priority", `${show(written)} is not a number from 0 to 1000; the policy comes last`);
}

function readSubject(written: unknown, out: FindingCollector): Selector | null {
  try {
    return readPods(isObject(written) ? written : {}, "spec.subject");
  } catch (error) {
    if (!(error instanceof UnusableRule)) throw error;
    return out.critical(error.field, `${error.message}; the policy is not in force`, error.suggestion);
  }
}

function readRules(written: unknown, direction: Direction, isRestricted: boolean, out: FindingCollector): Rule[] {
  if (isAbsent(written)) return [];
  if (!Array.isArray(written)) {
    out.error(`spec.${direction}`, `a list of rules is needed, not ${show(written)}; everything is denied in this direction`);
    return [ruleForAll("Deny", 0)];
  }
  return written.flatMap((rule: unknown, index) => readOrClose(rule, index, `spec.${direction}[${index}]`, direction, isRestricted, out));
}

function readOrClose(written: unknown, index: number, field: string, direction: Direction, isRestricted: boolean, out: FindingCollector): Rule[] {
  const name = isObject(written) ? written["action"] : undefined;
  const action = typeof name === "string" ? ACTIONS.get(name) : undefined;
  const replacement = action === "Allow" ? [] : [ruleForAll("Deny", index)];
  if (isRestricted && action !== "Deny") return replacement;
  try {
    if (!isObject(written)) throw new UnusableRule(field, `a rule is needed, not ${show(written)}`);
    if (action === undefined) throw new UnusableRule(`${field}.action`, `${show(name)} is none of ${[...ACTIONS.keys()].join(", ")}`);
    return readRule(written, action, index, field, direction);
  } catch (error) {
    if (!(error instanceof UnusableRule)) throw error;
    out.error(error.field, `${error.message}; the rule ${action === "Allow" ? "is left out" : "denies everything"}`, error.suggestion);
    return replacement;
  }
}

/** One rule for every peer and protocol. */
function readRule(written: RawObject, action: Action, index: number, field: string, direction: Direction): Rule[] {
  const peerField = direction === "ingress" ? "from" : "to";
  const fields = ["name", "action", peerField, "protocols"];
  const [unknown] = unknownKeys(written, fields);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, fields));
  const list = written[peerField];
  if (!Array.isArray(list) || list.length === 0) throw new UnusableRule(`${field}.${peerField}`, `a list of peers is needed, not ${Array.isArray(list) ? "an empty one" : show(list)}`);
  const peers = list.map((peer: unknown, i) => readPeer(peer, `${field}.${peerField}[${i}]`, direction));
  const groups = readProtocols(written["protocols"], `${field}.protocols`);
  if (peers.some(({ selector }) => selector === null) && groups.some(({ namedPorts }) => namedPorts.length > 0)) throw new UnusableRule(`${field}.protocols`, "nodes and networks have no named ports", "make another rule of these peers, with the number of the port");
  return peers.flatMap((peer) => groups.map(({ protocol, ports, namedPorts }): Rule => {
    const withPorts = (side: EntityMatch): EntityMatch => ({ ...side, ports, namedPorts });
    const [source, destination] = direction === "ingress" ? [peer, withPorts(ANYONE)] : [ANYONE, withPorts(peer)];
    return { action, ipVersion: 0, protocol, notProtocol: null, icmp: null, notIcmp: null, source, destination, index };
  }));
}

function readPeer(written: unknown, field: string, direction: Direction): EntityMatch {
  if (!isObject(written)) throw new UnusableRule(field, `a peer is needed, not ${show(written)}`);
  for (const [key, message] of Object.entries(FOREIGN_PEERS)) if (!isAbsent(written[key])) throw new UnusableRule(`${field}.${key}`, message);
  const kind = direction === "ingress" ? undefined : (["networks", "nodes"] as const).find((key) => !isAbsent(written[key]));
  if (kind === undefined) return { ...ANYONE, selector: readPods(written, field) };
  const [other] = unknownKeys(written, [kind]);
  if (other !== undefined) throw new UnusableRule(`${field}.${other}`, "a peer is one of pods, nodes and networks", "make two peers of it");
  if (kind === "nodes") return { ...ANYONE, nodes: labelSelector(written[kind], `${field}.nodes`) };
  return { ...ANYONE, nets: readNetworks(written[kind], `${field}.networks`) };
}

function readNetworks(written: unknown, field: string): Cidr[] {
  if (!Array.isArray(written) || written.length === 0) throw new UnusableRule(field, `a list of CIDRs is needed, not ${show(written)}`);
  return written.map((entry: unknown, i) => {
    const parsed = typeof entry === "string" ? parseCidr(entry) : null;
    if (parsed === null) throw new UnusableRule(`${field}[${i}]`, `${show(entry)} is not a CIDR`, 'write an address with its prefix length, such as "203.0.113.10/32"');
    return parsed.cidr;
  });
}

/** `namespaces`: all pods there; `pods`: those of them that match. A field that is not known may mean fewer. */
function readPods(written: RawObject, field: string): Selector {
  const [unknown] = unknownKeys(written, ["namespaces", "pods"]);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, ["namespaces", "pods"]));
  const { namespaces, pods } = written;
  if (isAbsent(namespaces) === isAbsent(pods)) throw new UnusableRule(field, "either namespaces or pods is needed");
  const isPod = labelEquals(ORCHESTRATOR_LABEL, "k8s");
  if (!isAbsent(namespaces)) return and(overNamespaces(labelSelector(namespaces, `${field}.namespaces`)), isPod);
  if (!isObject(pods)) throw new UnusableRule(`${field}.pods`, `selectors are needed, not ${show(pods)}`);
  const [other] = unknownKeys(pods, ["namespaceSelector", "podSelector"]);
  if (other !== undefined) throw unusableField(`${field}.pods.${other}`, suggestField(other, ["namespaceSelector", "podSelector"]));
  return and(overNamespaces(labelSelector(pods["namespaceSelector"] ?? {}, `${field}.pods.namespaceSelector`)), isPod, labelSelector(pods["podSelector"] ?? {}, `${field}.pods.podSelector`));
}

/** Throws what is wrong with it. */
function labelSelector(written: unknown, field: string): Selector {
  const out = new FindingCollector();
  const selector = readLabelSelector(written, field, "error", out);
  const [finding] = out.findings;
  if (selector !== null) return selector;
  throw new UnusableRule(finding?.field ?? field, finding?.message ?? "cannot be read", finding?.suggestion);
}

/** Each entry on its own; without any, every packet. A named port is one of any protocol that pods have under the name. */
function readProtocols(written: unknown, field: string): PortGroup[] {
  if (isAbsent(written)) return [{ protocol: null, ports: [], namedPorts: [] }];
  if (!Array.isArray(written) || written.length === 0) throw new UnusableRule(field, `a list of protocols is needed, not ${Array.isArray(written) ? "an empty one" : show(written)}`);
  return written.flatMap((entry: unknown, i) => readProtocol(entry, `${field}[${i}]`));
}

function readProtocol(written: unknown, field: string): PortGroup[] {
  const known = [...PROTOCOLS.keys(), "destinationNamedPort"];
  if (!isObject(written)) throw new UnusableRule(field, `a protocol is needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, known);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, known));
  const given = known.filter((key) => !isAbsent(written[key]));
  const [key, more] = given;
  if (key === undefined || more !== undefined) throw new UnusableRule(field, `exactly one of ${known.join(", ")} is needed`);
  const value = written[key];
  if (key === "destinationNamedPort") {
    if (typeof value !== "string" || value === "") throw new UnusableRule(`${field}.${key}`, `the name of a port is needed, not ${show(value)}`);
    return [...PROTOCOLS.values()].map((protocol) => ({ protocol, ports: [], namedPorts: [value] }));
  }
  const port = isObject(value) ? value["destinationPort"] : undefined;
  return [{ protocol: PROTOCOLS.get(key) ?? null, ports: isAbsent(port) ? [] : [readPort(port, `${field}.${key}.destinationPort`)], namedPorts: [] }];
}

function readPort(written: unknown, field: string): PortGroup["ports"][number] {
  const { number, range } = isObject(written) ? written : {};
  if (isPort(number) && isAbsent(range)) return { first: number, last: number };
  const { start, end } = isObject(range) ? range : {};
  if (isAbsent(number) && isPort(start) && isPort(end) && start <= end) return { first: start, last: end };
  throw new UnusableRule(field, "a number from 1 to 65535 or a range with start and end is needed");
}
