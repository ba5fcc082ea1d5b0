/** Rules of v3 policies. */
import { familyOf, type Family } from "../ip.ts";
import type { Action, EntityMatch, IcmpMatch, Rule } from "../model.ts";
import type { FindingCollector } from "./conversion.ts";
import { nearest, suggestField } from "./did-you-mean.ts";
import { readEntity } from "./policy-entity.ts";
import { hasPorts, ICMP, ICMPV6, PROTOCOL_NAMES, protocolNumber, TCP } from "./protocol.ts";
import { isAbsent, isObject, show, unknownKeys, type RawObject } from "./raw.ts";
import { ruleForAll } from "./rules.ts";
import { UnusableRule, unusableField } from "./unusable.ts";

const FIELDS = ["action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "http", "metadata"];
const ICMP_FIELDS = ["type", "code"];
const ACTIONS: readonly Action[] = ["Allow", "Deny", "Log", "Pass"];

export type RuleContext = {
  readonly direction: "ingress" | "egress";
  /** Of the policy; null for a global one. */
  readonly namespace: string | null;
  /** The policy has a field that may restrict its rules in a way this version does not know. */
  readonly isRestricted: boolean;
};

/**
 * Reads the rules of one direction. One that cannot be used never opens anything: an Allow or a Log is left out, a
 * Deny, a Pass or one of unknown action denies everything. So does a list that cannot be read.
 */
export function readPolicyRules(written: unknown, field: string, context: RuleContext, out: FindingCollector): Rule[] {
  if (isAbsent(written)) return [];
  if (!Array.isArray(written)) {
    out.error(field, `a list of rules is needed, not ${show(written)}; everything is denied in this direction`);
    return [ruleForAll("Deny", 0)];
  }
  return written.flatMap((rule: unknown, index) => readOrClose(rule, index, `${field}[${index}]`, context, out));
}

function readOrClose(written: unknown, index: number, field: string, context: RuleContext, out: FindingCollector): Rule[] {
  const action = isObject(written) ? ACTIONS.find((known) => known === written["action"]) : undefined;
  const isDropped = action === "Allow" || action === "Log";
  const replacement = isDropped ? [] : [ruleForAll("Deny", index)];
  if (context.isRestricted && action !== "Deny") return replacement;
  try {
    return [readRule(written, action, index, field, context, out)];
  } catch (error) {
    if (!(error instanceof UnusableRule)) throw error;
    out.error(error.field, `${error.message}; the rule ${isDropped ? "is left out" : "denies everything"}`, error.suggestion);
    return replacement;
  }
}

function readRule(written: unknown, action: Action | undefined, index: number, field: string, { direction, namespace }: RuleContext, out: FindingCollector): Rule {
  if (!isObject(written)) throw new UnusableRule(field, `a rule is needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, FIELDS);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, FIELDS));
  if (action === undefined) throw unknownAction(written["action"], `${field}.action`);
  const protocol = readProtocol(written, "protocol", field);
  if (!isAbsent(written["http"])) checkHttp({ direction, action, protocol }, `${field}.http`, out);
  const rule: Rule = {
    action,
    ipVersion: 0,
    protocol,
    notProtocol: readProtocol(written, "notProtocol", field),
    icmp: readIcmp(written, "icmp", protocol, field),
    notIcmp: readIcmp(written, "notICMP", protocol, field),
    source: readEntity(written["source"], `${field}.source`, { namespace, isPeer: direction === "ingress" }, out),
    destination: readEntity(written["destination"], `${field}.destination`, { namespace, isPeer: direction === "egress" }, out),
    index,
  };
  checkPorts(rule, field);
  return { ...rule, ipVersion: ipVersionOf(rule, written, field) };
}

/** Who reads requests is a proxy; below it, the rule is what the rest of it says. */
function checkHttp({ direction, action, protocol }: { direction: RuleContext["direction"]; action: Action; protocol: number | null }, field: string, out: FindingCollector): void {
  if (direction !== "ingress" || action !== "Allow" || (protocol !== null && protocol !== TCP)) throw new UnusableRule(field, "only an ingress rule of action Allow over TCP may ask for HTTP methods and paths");
  out.warning(field, "is for a proxy that reads requests: the kernel lets through whatever the rest of the rule allows");
}

function unknownAction(written: unknown, field: string): UnusableRule {
  const near = typeof written === "string" ? nearest(written, ACTIONS) : null;
  const message = isAbsent(written) ? "every rule needs an action" : `${show(written)} is none of ${ACTIONS.join(", ")}`;
  return new UnusableRule(field, message, near === null ? `write action: Allow or another of ${ACTIONS.join(", ")}` : `did you mean ${near}?`);
}

function readProtocol(rule: RawObject, key: "protocol" | "notProtocol", path: string): number | null {
  const written = rule[key];
  if (isAbsent(written)) return null;
  const protocol = protocolNumber(written);
  if (protocol === null) throw new UnusableRule(`${path}.${key}`, `${show(written)} is none of ${PROTOCOL_NAMES}`);
  return protocol;
}

/** A type and perhaps a code of it. Type 255 is left to the kernel, where it stands for any type. */
function readIcmp(rule: RawObject, key: "icmp" | "notICMP", protocol: number | null, path: string): IcmpMatch | null {
  const written = rule[key];
  if (isAbsent(written)) return null;
  const field = `${path}.${key}`;
  if (!isObject(written)) throw new UnusableRule(field, `a type and a code are needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, ICMP_FIELDS);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, ICMP_FIELDS));
  if (protocol !== ICMP && protocol !== ICMPV6) throw new UnusableRule(field, "needs protocol ICMP or ICMPv6");
  const type = byteAt(written, "type", 254, field);
  const code = byteAt(written, "code", 255, field);
  if (type === null && code !== null) throw new UnusableRule(`${field}.code`, "a code needs a type");
  return type === null ? null : { type, code };
}

function byteAt(holder: RawObject, key: string, last: number, path: string): number | null {
  const written = holder[key];
  if (isAbsent(written)) return null;
  if (typeof written === "number" && Number.isInteger(written) && written >= 0 && written <= last) return written;
  throw new UnusableRule(`${path}.${key}`, `${show(written)} is not a number from 0 to ${last}`);
}

function checkPorts({ protocol, source, destination }: Rule, field: string): void {
  const names = (side: EntityMatch): boolean => [side.ports, side.namedPorts, side.notPorts, side.notNamedPorts].some((list) => list.length > 0);
  if (hasPorts(protocol) || (!names(source) && !names(destination))) return;
  const side = names(source) ? "source" : "destination";
  throw new UnusableRule(`${field}.${side}.ports`, "ports need protocol TCP, UDP or SCTP", "add protocol: TCP to the rule");
}

/** The one family that a rule is about, or 0: CIDRs, also those left out, are of one, and of the other the rule matches nothing. A rule that asks for both at once is a mistake. */
function ipVersionOf({ protocol, source, destination }: Rule, written: RawObject, field: string): 0 | Family {
  const asked = written["ipVersion"];
  if (!isAbsent(asked) && asked !== 4 && asked !== 6) throw new UnusableRule(`${field}.ipVersion`, `${show(asked)} is neither 4 nor 6`);
  const families = new Set<Family>(isAbsent(asked) ? [] : [asked]);
  if (protocol === ICMP) families.add(4);
  if (protocol === ICMPV6) families.add(6);
  for (const net of [source.nets, source.notNets, destination.nets, destination.notNets].flat()) families.add(familyOf(net));
  if (families.size > 1) throw new UnusableRule(field, "asks for IPv4 and IPv6 at once (ipVersion, protocol and nets together)", "make one rule for each");
  const [version] = families;
  return version ?? 0;
}
