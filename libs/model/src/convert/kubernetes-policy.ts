/** Kubernetes NetworkPolicies (networking.k8s.io/v1). */
import type { EntityMatch, Policy, Rule } from "../model.ts";
import { NAMESPACE_LABEL, ORCHESTRATOR_LABEL } from "../labels.ts";
import { DEFAULT_TIER, policyId } from "../names.ts";
import { and, labelEquals } from "../selector/selector.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { readPeer } from "./kubernetes-peer.ts";
import { groupPorts, type PortGroup } from "./kubernetes-ports.ts";
import { readLabelSelector } from "./label-selector.ts";
import { isAbsent, isObject, metadataOf, objectOf, show, unknownKeys } from "./raw.ts";
import { ANYONE } from "./rules.ts";

/** Where Kubernetes policies stand among those of the default tier. */
const KUBERNETES_POLICY_ORDER = 1_000;

const SPEC_FIELDS = ["podSelector", "policyTypes", "ingress", "egress"];

type Direction = "ingress" | "egress";

/**
 * A policy of kind KubernetesNetworkPolicy in the default tier. Its rules only allow, so whatever cannot be read is
 * left out: the policy then isolates more, never less. Null with a critical finding when the pods it selects
 * cannot be read.
 */
export function convertKubernetesNetworkPolicy(raw: unknown): Conversion<Policy> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null || metadata.namespace === "") return out.done<Policy>(null);
  const { namespace, name, revision } = metadata;
  const spec = objectOf(raw)["spec"] ?? {};
  if (!isObject(spec)) {
    out.critical("spec", `an object is needed, not ${show(spec)}; the policy is not in force`);
    return out.done<Policy>(null);
  }
  // Since an empty selector means every pod, so does an absent one.
  const pods = readLabelSelector(spec["podSelector"] ?? {}, "spec.podSelector", "critical", out);
  if (pods === null) return out.done<Policy>(null);
  const types = readTypes(spec, out);
  const unknown = unknownKeys(spec, SPEC_FIELDS);
  for (const key of unknown) {
    out.error(`spec.${key}`, "is not a field that this version knows; no rule of the policy is used, since the field may restrict them", suggestField(key, SPEC_FIELDS));
  }
  const rules = (direction: Direction): Rule[] => (types[direction] && unknown.length === 0 ? readRules(spec[direction], direction, namespace, out) : []);
  return out.done<Policy>({
    id: policyId("KubernetesNetworkPolicy", namespace, name),
    kind: "KubernetesNetworkPolicy",
    namespace, name,
    tier: DEFAULT_TIER,
    order: KUBERNETES_POLICY_ORDER,
    selector: and(labelEquals(ORCHESTRATOR_LABEL, "k8s"), pods, labelEquals(NAMESPACE_LABEL, namespace)),
    ...types,
    inbound: rules("ingress"),
    outbound: rules("egress"),
    doNotTrack: false, preDnat: false, applyOnForward: false,
    revision,
  });
}

/** The API server's default: ingress always, egress when there are egress rules. Unreadable types isolate both ways. */
function readTypes({ policyTypes, egress }: Readonly<Record<string, unknown>>, out: FindingCollector): Record<Direction, boolean> {
  if (isAbsent(policyTypes) || (Array.isArray(policyTypes) && policyTypes.length === 0)) {
    return { ingress: true, egress: !isAbsent(egress) && !(Array.isArray(egress) && egress.length === 0) };
  }
  if (Array.isArray(policyTypes) && policyTypes.every((type) => type === "Ingress" || type === "Egress")) {
    return { ingress: policyTypes.includes("Ingress"), egress: policyTypes.includes("Egress") };
  }
  out.error("spec.policyTypes", "must be a list of Ingress, Egress; the policy isolates in both directions");
  return { ingress: true, egress: true };
}

function readRules(written: unknown, direction: Direction, namespace: string, out: FindingCollector): Rule[] {
  if (isAbsent(written)) return [];
  const field = `spec.${direction}`;
  if (!Array.isArray(written)) {
    out.error(field, `a list of rules is needed, not ${show(written)}; nothing is allowed`);
    return [];
  }
  return written.flatMap((rule, index) => readRule(rule, index, { direction, namespace, field: `${field}[${index}]` }, out));
}

type Place = { readonly direction: Direction; readonly namespace: string; readonly field: string };

/** One Allow rule for every peer and protocol. */
function readRule(written: unknown, index: number, { direction, namespace, field }: Place, out: FindingCollector): Rule[] {
  const peerField = direction === "ingress" ? "from" : "to";
  const fields = [peerField, "ports"];
  if (!isObject(written)) return out.error(field, `a rule is needed, not ${show(written)}; it is left out`) ?? [];
  const [unknown] = unknownKeys(written, fields);
  if (unknown !== undefined) return out.error(`${field}.${unknown}`, "is not a field that this version knows; the rule is left out", suggestField(unknown, fields)) ?? [];
  const peers = readPeers(written[peerField], `${field}.${peerField}`, namespace, out);
  const groups = groupPorts(written["ports"], `${field}.ports`, out);
  return peers.flatMap((peer) => groups.map((group) => allow(direction, peer, group, index)));
}

/** Nobody named is anybody; of those named, the ones that can be read. */
function readPeers(written: unknown, field: string, namespace: string, out: FindingCollector): EntityMatch[] {
  if (isAbsent(written)) return [ANYONE];
  if (!Array.isArray(written)) return out.error(field, `a list of peers is needed, not ${show(written)}; the rule is left out`) ?? [];
  if (written.length === 0) return [ANYONE];
  return written.flatMap((peer, i) => readPeer(peer, `${field}[${i}]`, namespace, out) ?? []);
}

function allow(direction: Direction, peer: EntityMatch, { protocol, ports, namedPorts }: PortGroup, index: number): Rule {
  const withPorts = (side: EntityMatch): EntityMatch => ({ ...side, ports, namedPorts });
  const [source, destination] = direction === "ingress" ? [peer, withPorts(ANYONE)] : [ANYONE, withPorts(peer)];
  return { action: "Allow", ipVersion: 0, protocol, notProtocol: null, icmp: null, notIcmp: null, source, destination, index };
}
