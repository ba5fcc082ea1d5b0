/** Peers of Kubernetes NetworkPolicy rules: address blocks, or pods by label. */
import { contains, parseCidr, type Cidr } from "../ip.ts";
import type { EntityMatch } from "../model.ts";
import { NAMESPACE_LABEL, ORCHESTRATOR_LABEL } from "../labels.ts";
import { all, and, labelEquals, overNamespaces, type Selector } from "../selector/selector.ts";
import type { FindingCollector } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { readLabelSelector } from "./label-selector.ts";
import { isAbsent, isObject, show, unknownKeys, type RawObject } from "./raw.ts";
import { ANYONE } from "./rules.ts";

const PEER_FIELDS = ["ipBlock", "namespaceSelector", "podSelector"];
const BLOCK_FIELDS = ["cidr", "except"];

/**
 * Whom a peer stands for, or null with a finding. A peer with both selectors means pods that match one in namespaces
 * that match the other; without a namespaceSelector, pods of the policy's own namespace.
 */
export function readPeer(written: unknown, field: string, namespace: string, out: FindingCollector): EntityMatch | null {
  if (!isObject(written)) return out.error(field, `a peer is needed, not ${show(written)}; it is left out`);
  const [unknown] = unknownKeys(written, PEER_FIELDS);
  if (unknown !== undefined) return out.error(`${field}.${unknown}`, "is not a field that this version knows; the peer is left out", suggestField(unknown, PEER_FIELDS));
  const { ipBlock, namespaceSelector, podSelector } = written;
  const hasSelector = !isAbsent(namespaceSelector) || !isAbsent(podSelector);
  if (isAbsent(ipBlock) && !hasSelector) {
    return out.error(field, "a peer needs an ipBlock, a podSelector or a namespaceSelector; it is left out", "for every pod of the cluster write namespaceSelector: {}");
  }
  if (isAbsent(ipBlock)) return readPods(namespaceSelector, podSelector, field, namespace, out);
  if (hasSelector) return out.error(`${field}.ipBlock`, "an ipBlock cannot be combined with selectors; the peer is left out", "make two peers of it");
  return readIpBlock(ipBlock, `${field}.ipBlock`, out);
}

function readPods(namespaces: unknown, pods: unknown, field: string, namespace: string, out: FindingCollector): EntityMatch | null {
  let where: Selector = labelEquals(NAMESPACE_LABEL, namespace);
  if (!isAbsent(namespaces)) {
    const ofNamespaces = readLabelSelector(namespaces, `${field}.namespaceSelector`, "error", out);
    if (ofNamespaces === null) return null;
    where = overNamespaces(ofNamespaces);
  }
  const who = isAbsent(pods) ? all() : readLabelSelector(pods, `${field}.podSelector`, "error", out);
  if (who === null) return null;
  return { ...ANYONE, selector: and(where, labelEquals(ORCHESTRATOR_LABEL, "k8s"), who) };
}

function readIpBlock(written: unknown, field: string, out: FindingCollector): EntityMatch | null {
  if (!isObject(written)) return out.error(field, `an ipBlock is needed, not ${show(written)}; the peer is left out`);
  const [unknown] = unknownKeys(written, BLOCK_FIELDS);
  if (unknown !== undefined) return out.error(`${field}.${unknown}`, "is not a field that this version knows; the peer is left out", suggestField(unknown, BLOCK_FIELDS));
  const cidr = readCidr(written, "cidr", `${field}.cidr`, out);
  if (cidr === null) return null;
  const except = isAbsent(written["except"]) ? [] : written["except"];
  if (!Array.isArray(except)) return out.error(`${field}.except`, `a list of CIDRs is needed, not ${show(except)}; the peer is left out`);
  const notNets: Cidr[] = [];
  for (const i of except.keys()) {
    const excluded = readCidr(except, i, `${field}.except[${i}]`, out);
    if (excluded === null) return null;
    if (contains(excluded, cidr)) return out.error(`${field}.except[${i}]`, `${excluded} leaves nothing of ${cidr}; the peer is left out`);
    if (contains(cidr, excluded)) notNets.push(excluded);
    else out.warning(`${field}.except[${i}]`, `${excluded} is not in ${cidr} and excludes nothing`);
  }
  return { ...ANYONE, nets: [cidr], notNets };
}

function readCidr(holder: RawObject | readonly unknown[], key: string | number, field: string, out: FindingCollector): Cidr | null {
  const written = (holder as Record<string | number, unknown>)[key];
  const parsed = typeof written === "string" ? parseCidr(written) : null;
  if (parsed === null) return out.error(field, `${show(written)} is not a CIDR; the peer is left out`, 'write an address with its prefix length, such as "203.0.113.10/32"');
  if (parsed.masked) out.warning(field, `${show(written)} has bits set behind the prefix; it is read as ${parsed.cidr}`);
  return parsed.cidr;
}
