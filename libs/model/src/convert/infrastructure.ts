/** Nodes, pools, blocks, tiers and network sets. */
import { canonicalCidr, parseCidr, type Cidr } from "../ip.ts";
import type { Block, Encapsulation, IpPool, NetworkSet, Node, Tier } from "../model.ts";
import { ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER, NAME_LABEL, NAMESPACE_LABEL, namespaceProfileId, NODE_AS_NUMBER_ANNOTATION, NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION, NODE_ROUTE_REFLECTOR_ANNOTATION } from "../names.ts";
import { all, parseSelector, type Selector } from "../selector/selector.ts";
import { finding, type Conversion, type Finding } from "./finding.ts";
import { flagAt, isSet, listAt, metadataOf, numberAt, recordAt, textAt, type Raw } from "./raw.ts";

/** A node with the addresses that felix wrote on it. */
export function convertNode(raw: Raw): Conversion<Node> {
  const { name, labels, annotations } = metadataOf(raw);
  const findings: Finding[] = [];
  const address = (annotation: string): Cidr | null => {
    const text = annotations[annotation] ?? "";
    if (text === "") return null;
    if (parseCidr(text) !== null && text.includes("/")) return text as Cidr;
    findings.push(finding("error", `metadata.annotations[${annotation}]`, `${JSON.stringify(text)} is no address with a prefix length`));
    return null;
  };
  const as = annotations[NODE_AS_NUMBER_ANNOTATION] ?? "";
  return {
    findings,
    value: {
      name, labels, ipv4: address(NODE_IPV4_ANNOTATION), ipv6: address(NODE_IPV6_ANNOTATION), asNumber: parseAsNumber(as, findings), routeReflectorClusterId: annotations[NODE_ROUTE_REFLECTOR_ANNOTATION] ?? null,
    },
  };
}

/** "64512", or "1.10" as two halves of 16 bits (RFC 5396). */
function parseAsNumber(text: string, findings: Finding[]): number | null {
  if (text === "") return null;
  const halves = /^(\d+)\.(\d+)$/.exec(text);
  const value = halves === null ? Number(text) : Number(halves[1]) * 65_536 + Number(halves[2]);
  if (/^[\d.]+$/.test(text) && Number.isInteger(value) && value >= 1 && value <= 4_294_967_295) return value;
  findings.push(finding("error", `metadata.annotations[${NODE_AS_NUMBER_ANNOTATION}]`, `${JSON.stringify(text)} is no AS number`));
  return null;
}

const MODES: readonly Encapsulation[] = ["Never", "Always", "CrossSubnet"];

/** null with a critical finding when the CIDR or a selector cannot be read. A pool that is being deleted counts as disabled. */
export function convertIpPool(raw: Raw): Conversion<IpPool> {
  const { name, terminating } = metadataOf(raw);
  const spec = recordAt(raw, "spec");
  const findings: Finding[] = [];
  const text = textAt(spec, "cidr") ?? "";
  const parsed = text.includes("/") ? parseCidr(text) : null;
  if (parsed === null) return { value: null, findings: [finding("critical", "spec.cidr", `${JSON.stringify(text)} is no CIDR`)] };
  if (parsed.masked) findings.push(finding("warning", "spec.cidr", `${text} has host bits set`, `write ${parsed.cidr}`));
  const nodeSelector = readSelector(spec, "nodeSelector", findings);
  const namespaceSelector = isSet(spec, "namespaceSelector") ? readSelector(spec, "namespaceSelector", findings) : null;
  if (nodeSelector === null || (isSet(spec, "namespaceSelector") && namespaceSelector === null)) return { value: null, findings };
  const mode = (field: string): Encapsulation => MODES.find((candidate) => candidate === textAt(spec, field)) ?? "Never";
  const uses = listAt(spec, "allowedUses").filter((use): use is IpPool["allowedUses"][number] => use === "Workload" || use === "Tunnel" || use === "LoadBalancer");
  return {
    findings,
    value: {
      name, cidr: parsed.cidr, family: parsed.family, blockSize: numberAt(spec, "blockSize") ?? (parsed.family === 4 ? 26 : 122), ipipMode: mode("ipipMode"), vxlanMode: mode("vxlanMode"),
      natOutgoing: flagAt(spec, "natOutgoing"), disabled: flagAt(spec, "disabled") || terminating, disableBgpExport: flagAt(spec, "disableBGPExport"), nodeSelector, namespaceSelector,
      automatic: textAt(spec, "assignmentMode") !== "Manual", allowedUses: uses.length === 0 ? ["Workload", "Tunnel"] : uses,
    },
  };
}

function readSelector(spec: Raw, field: string, findings: Finding[]): Selector | null {
  const text = textAt(spec, field);
  if (text === null) return all();
  const result = parseSelector(text);
  if (result.ok) return result.selector;
  findings.push(finding("critical", `spec.${field}`, `${result.message} (at ${result.offset})`, result.suggestion));
  return null;
}

/** What routing needs of an IPAMBlock; null for one that is being deleted or cannot be read. */
export function convertBlock(raw: Raw): Conversion<Block> {
  const spec = recordAt(raw, "spec");
  const cidr = canonicalCidr(textAt(spec, "cidr") ?? "");
  if (cidr === null) return { value: null, findings: [finding("critical", "spec.cidr", `${JSON.stringify(textAt(spec, "cidr"))} is no CIDR`)] };
  if (flagAt(spec, "deleted")) return { value: null, findings: [] };
  const affinity = textAt(spec, "affinity") ?? "";
  return { findings: [], value: { cidr, node: affinity.startsWith("host:") ? affinity.slice("host:".length) : null } };
}

/** Tiers that every cluster has, whether or not there are objects for them. */
export const builtInTiers: readonly Tier[] = [
  { name: ADMIN_TIER, order: 1_000, defaultAction: "Pass" },
  { name: DEFAULT_TIER, order: 1_000_000, defaultAction: "Deny" },
  { name: BASELINE_TIER, order: 10_000_000, defaultAction: "Pass" },
];

export function convertTier(raw: Raw): Conversion<Tier> {
  const { name } = metadataOf(raw);
  const spec = recordAt(raw, "spec");
  const action = textAt(spec, "defaultAction") ?? (name === ADMIN_TIER || name === BASELINE_TIER ? "Pass" : "Deny");
  const findings = action === "Deny" || action === "Pass" ? [] : [finding("error", "spec.defaultAction", `${JSON.stringify(action)} is neither Deny nor Pass; Deny is used`)];
  return { findings, value: { name, order: numberAt(spec, "order"), defaultAction: action === "Pass" ? "Pass" : "Deny" } };
}

/** A set of CIDRs in a namespace: it inherits the namespace's labels. */
export function convertNetworkSet(raw: Raw): Conversion<NetworkSet> {
  const { name, namespace, labels } = metadataOf(raw);
  const { nets, findings } = readNets(raw);
  return { findings, value: { id: `${namespace}/${name}`, labels: { ...labels, [NAMESPACE_LABEL]: namespace, [NAME_LABEL]: labels[NAME_LABEL] ?? name }, profiles: [namespaceProfileId(namespace)], nets } };
}

export function convertGlobalNetworkSet(raw: Raw): Conversion<NetworkSet> {
  const { name, labels } = metadataOf(raw);
  const { nets, findings } = readNets(raw);
  return { findings, value: { id: `/${name}`, labels: { ...labels, [NAME_LABEL]: labels[NAME_LABEL] ?? name }, profiles: [], nets } };
}

/** A net that cannot be read is left out; the others count. */
function readNets(raw: Raw): { nets: Cidr[]; findings: Finding[] } {
  const findings: Finding[] = [];
  const nets = listAt(recordAt(raw, "spec"), "nets").flatMap((item, i) => {
    const cidr = typeof item === "string" ? canonicalCidr(item) : null;
    if (cidr === null) findings.push(finding("error", `spec.nets[${i}]`, `${JSON.stringify(item)} is no CIDR; it is left out`));
    return cidr ?? [];
  });
  return { nets: [...new Set(nets)], findings };
}
