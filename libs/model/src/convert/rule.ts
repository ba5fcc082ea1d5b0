/** Rules of v3 policies. */
import { canonicalCidr, familyOf, type Cidr } from "../ip.ts";
import type { Action, EntityMatch, IcmpMatch, PortRange, Rule } from "../model.ts";
import { NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL } from "../names.ts";
import { and, labelEquals, not, overNamespaces, overServiceAccounts, parseSelector, selectorOf, sortedValues, type Selector } from "../selector/selector.ts";
import { ANY_ENTITY } from "./entity.ts";
import { finding, type Finding } from "./finding.ts";
import { isRecord, isSet, listAt, numberAt, recordAt, textAt, type Raw } from "./raw.ts";

/** Thrown for what cannot be put into effect: the rule then fails closed. */
class Unusable extends Error {
  readonly field: string;
  readonly suggestion: string | undefined;

  constructor(field: string, message: string, suggestion?: string) {
    super(message);
    this.field = field;
    this.suggestion = suggestion;
  }
}

const ACTIONS: readonly Action[] = ["Allow", "Deny", "Log", "Pass"];
export const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, ICMP: 1, ICMPv6: 58, SCTP: 132, UDPLite: 136 };
const WITH_PORTS = new Set([6, 17, 132]);
const RULE_FIELDS = new Set(["action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "http", "metadata"]);
const ENTITY_FIELDS = new Set(["nets", "notNets", "selector", "notSelector", "namespaceSelector", "ports", "notPorts", "serviceAccounts", "services"]);

export type RuleContext = { readonly direction: "ingress" | "egress"; /** "" for a global policy. */ readonly namespace: string };

/**
 * The rules of one direction. A rule that cannot be used is reported and fails closed: an Allow or Log is left out, a Deny
 * or Pass becomes a Deny of everything.
 */
export function convertRules(list: readonly unknown[], context: RuleContext): { rules: Rule[]; findings: Finding[] } {
  const findings: Finding[] = [];
  const rules = list.flatMap((item, index): Rule[] => {
    const raw = isRecord(item) ? item : {};
    const path = `spec.${context.direction}[${index}]`;
    try {
      return [convertRule(raw, context, index, path)];
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      const action = textAt(raw, "action");
      const opens = action === "Allow" || action === "Log";
      findings.push(finding("error", error.field, `${error.message}; ${opens ? "the rule is left out" : "everything in this direction is denied instead"}`, error.suggestion));
      return opens ? [] : [{ ...NOTHING_MATCHED, action: "Deny", index }];
    }
  });
  return { rules, findings };
}

const NOTHING_MATCHED = { ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null, source: ANY_ENTITY, destination: ANY_ENTITY } as const;

function convertRule(raw: Raw, context: RuleContext, index: number, path: string): Rule {
  const action = ACTIONS.find((candidate) => candidate === textAt(raw, "action"));
  if (action === undefined) throw new Unusable(`${path}.action`, `${JSON.stringify(raw["action"] ?? null)} is none of ${ACTIONS.join(", ")}`);
  refuseUnknown(raw, RULE_FIELDS, path);
  if (isSet(raw, "http")) throw new Unusable(`${path}.http`, "HTTP matches are not supported");
  const protocol = readProtocol(raw, "protocol", path);
  const icmp = readIcmp(raw, "icmp", protocol, path);
  const notIcmp = readIcmp(raw, "notICMP", protocol, path);
  const source = convertEntity(recordAt(raw, "source"), protocol, context, `${path}.source`);
  const destination = convertEntity(recordAt(raw, "destination"), protocol, context, `${path}.destination`);
  return { action, ipVersion: ipVersionOf(raw, protocol, [source, destination], path), protocol, notProtocol: readProtocol(raw, "notProtocol", path), icmp, notIcmp, source, destination, index };
}

function refuseUnknown(raw: Raw, known: ReadonlySet<string>, path: string): void {
  const unknown = Object.keys(raw).find((key) => !known.has(key));
  if (unknown !== undefined) throw new Unusable(`${path}.${unknown}`, "is not known to this version");
}

function readProtocol(raw: Raw, field: string, path: string): number | null {
  if (!isSet(raw, field)) return null;
  const value = raw[field];
  const number = typeof value === "number" ? value : typeof value === "string" && /^\d+$/.test(value) ? Number(value) : typeof value === "string" ? PROTOCOLS[value] : undefined;
  if (number === undefined || !Number.isInteger(number) || number < 1 || number > 255) throw new Unusable(`${path}.${field}`, `${JSON.stringify(value)} is no protocol`, `use ${Object.keys(PROTOCOLS).join(", ")} or 1 to 255`);
  return number;
}

function readIcmp(raw: Raw, field: string, protocol: number | null, path: string): IcmpMatch | null {
  if (!isSet(raw, field)) return null;
  if (protocol !== PROTOCOLS["ICMP"] && protocol !== PROTOCOLS["ICMPv6"]) throw new Unusable(`${path}.${field}`, "needs protocol ICMP or ICMPv6");
  const match = recordAt(raw, field);
  const type = numberAt(match, "type");
  const code = numberAt(match, "code");
  if (type === null || !Number.isInteger(type) || type < 0 || type > 254) throw new Unusable(`${path}.${field}.type`, `${JSON.stringify(match["type"] ?? null)} is not 0 to 254`);
  if (code !== null && (!Number.isInteger(code) || code < 0 || code > 255)) throw new Unusable(`${path}.${field}.code`, `${code} is not 0 to 255`);
  return { type, code };
}

/** The family that the rule is for: asked for, or implied by ICMP or by its nets. */
function ipVersionOf(raw: Raw, protocol: number | null, entities: readonly EntityMatch[], path: string): 0 | 4 | 6 {
  const asked = numberAt(raw, "ipVersion");
  if (asked !== null && asked !== 4 && asked !== 6) throw new Unusable(`${path}.ipVersion`, `${asked} is neither 4 nor 6`);
  const implied = protocol === PROTOCOLS["ICMP"] ? 4 : protocol === PROTOCOLS["ICMPv6"] ? 6 : null;
  const families = new Set(entities.flatMap(({ nets, notNets }) => [...nets, ...notNets]).map(familyOf));
  if (families.size > 1) throw new Unusable(path, "mixes IPv4 and IPv6 nets", "write one rule per family");
  const [ofNets = null] = families;
  const given = [asked, implied, ofNets].filter((family): family is 4 | 6 => family === 4 || family === 6);
  if (new Set(given).size > 1) throw new Unusable(path, "ipVersion, protocol and nets are of different families");
  return given[0] ?? 0;
}

function convertEntity(raw: Raw, protocol: number | null, { namespace }: RuleContext, path: string): EntityMatch {
  refuseUnknown(raw, ENTITY_FIELDS, path);
  if (isSet(raw, "services")) throw new Unusable(`${path}.services`, "matches by service are not supported");
  const ports = readPorts(raw, "ports", protocol, path);
  const notPorts = readPorts(raw, "notPorts", protocol, path);
  const { selector, notSelector } = foldSelectors(raw, namespace, path);
  return {
    nets: readNets(raw, "nets", path), notNets: readNets(raw, "notNets", path), ports: ports.ranges, namedPorts: ports.names, notPorts: notPorts.ranges, notNamedPorts: notPorts.names, selector, notSelector, service: null,
  };
}

/**
 * namespaceSelector, service accounts and selector are one selector over endpoints; a namespaced policy that selects without naming a
 * namespace means its own. A notSelector is folded in when there is a positive part; alone it excludes.
 */
function foldSelectors(raw: Raw, namespace: string, path: string): { selector: Selector | null; notSelector: Selector | null } {
  const parts: Selector[] = [];
  const accounts = recordAt(raw, "serviceAccounts");
  const selects = isSet(raw, "selector") || isSet(raw, "notSelector") || isSet(raw, "serviceAccounts");
  if (textAt(raw, "namespaceSelector") !== null) parts.push(overNamespaces(readSelector(raw, "namespaceSelector", path, true)));
  else if (namespace !== "" && selects) parts.push(labelEquals(NAMESPACE_LABEL, namespace));
  const names = sortedValues(listAt(accounts, "names").filter((name): name is string => typeof name === "string"));
  if (names.length > 0) parts.push(selectorOf({ op: "in", key: SERVICE_ACCOUNT_LABEL, values: names }));
  if (textAt(accounts, "selector") !== null) parts.push(overServiceAccounts(readSelector(accounts, "selector", `${path}.serviceAccounts`, false)));
  if (textAt(raw, "selector") !== null) parts.push(readSelector(raw, "selector", path, false));
  const negative = textAt(raw, "notSelector") === null ? null : readSelector(raw, "notSelector", path, false);
  if (parts.length === 0) return { selector: null, notSelector: negative };
  return { selector: and(...parts, ...(negative === null ? [] : [not(negative)])), notSelector: null };
}

function readSelector(raw: Raw, field: string, path: string, allowGlobal: boolean): Selector {
  const result = parseSelector(textAt(raw, field) ?? "", { allowGlobal });
  if (!result.ok) throw new Unusable(`${path}.${field}`, `${result.message} (at ${result.offset})`, result.suggestion);
  return result.selector;
}

function readNets(raw: Raw, field: string, path: string): Cidr[] {
  const nets = listAt(raw, field).map((item, i) => {
    const cidr = typeof item === "string" ? canonicalCidr(item) : null;
    if (cidr === null) throw new Unusable(`${path}.${field}[${i}]`, `${JSON.stringify(item)} is no CIDR`);
    return cidr;
  });
  return [...new Set(nets)];
}

/** Numbers, "first:last" and names. */
function readPorts(raw: Raw, field: string, protocol: number | null, path: string): { ranges: PortRange[]; names: string[] } {
  const items = listAt(raw, field);
  if (items.length > 0 && (protocol === null || !WITH_PORTS.has(protocol))) throw new Unusable(`${path}.${field}`, "ports need protocol TCP, UDP or SCTP", "set protocol");
  const ranges: PortRange[] = [];
  const names: string[] = [];
  for (const [i, item] of items.entries()) {
    const range = typeof item === "number" ? [String(item)] : typeof item === "string" ? item.split(":") : [];
    const [first = "", last = first] = range;
    if (/^\d+$/.test(first) && /^\d+$/.test(last) && range.length <= 2) {
      if (Number(first) > Number(last) || Number(last) > 65_535) throw new Unusable(`${path}.${field}[${i}]`, `${JSON.stringify(item)} is no range of ports`);
      ranges.push({ first: Number(first), last: Number(last) });
    } else if (typeof item === "string" && range.length === 1 && item !== "") names.push(item);
    else throw new Unusable(`${path}.${field}[${i}]`, `${JSON.stringify(item)} is no port`);
  }
  return { ranges, names };
}
