/** Rules of policies and profiles, bound to the IP sets they need. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { all, type EntityMatch, type Rule, type Selector, type ServiceRef } from "@calico/model";
import type { IpSetId, NodeEntityMatch, NodeRule } from "../messages.ts";

/** Whose addresses a set has: of all that a selector matches, of those behind a Service, or of the Nodes that a selector matches. */
export type SetOrigin = { readonly kind: "selector" | "nodes"; readonly selector: Selector } | { readonly kind: "service"; readonly service: ServiceRef };

/** What the members of a set are: the addresses of its origin (null), or those together with their ports, all or those of one name. */
export type SetDefinition = {
  readonly id: IpSetId;
  readonly origin: SetOrigin;
  readonly port: { readonly name: string; readonly protocol: number } | "every" | null;
};

/** A set whose members come from a selector, of endpoints and network sets or of Nodes. */
export type SelectorSetDefinition = SetDefinition & { readonly origin: { readonly kind: "selector" | "nodes" } };

/** True for a set whose members come from a selector. */
export function isOfSelector(definition: SetDefinition): definition is SelectorSetDefinition {
  return definition.origin.kind !== "service";
}

export type ScannedRules = {
  readonly inbound: readonly NodeRule[];
  readonly outbound: readonly NodeRule[];
  readonly sets: readonly SetDefinition[];
};

type Sets = Map<IpSetId, SetDefinition>;

/**
 * Binds rules to sets. A named port needs the rule's protocol: without one, a rule that asks for a named port
 * never matches and is left out. Without one a named port cannot be excluded either: what denies then denies
 * every port, anything else is left out. A Service as a destination stands for addresses with their protocols and
 * ports, as a source for addresses alone.
 */
export function scanRules(inbound: readonly Rule[], outbound: readonly Rule[]): ScannedRules {
  const sets: Sets = new Map();
  return { inbound: bindAll(inbound, sets), outbound: bindAll(outbound, sets), sets: [...sets.values()] };
}

function bindAll(rules: readonly Rule[], sets: Sets): NodeRule[] {
  return rules.filter((rule) => !neverMatches(rule)).map((rule) => ({
    ...rule,
    source: bind(rule.source, "source", rule.protocol, sets),
    destination: bind(rule.destination, "destination", rule.protocol, sets),
  }));
}

function neverMatches(rule: Rule): boolean {
  if (rule.protocol !== null) return false;
  return [rule.source, rule.destination].some((side) =>
    (side.namedPorts.length > 0 && side.ports.length === 0) || (side.notNamedPorts.length > 0 && rule.action !== "Deny"));
}

function bind(side: EntityMatch, which: "source" | "destination", protocol: number | null, sets: Sets): NodeEntityMatch {
  const portSets = bindPorts(side.namedPorts, side.selector, protocol, sets);
  const notPortSets = bindPorts(side.notNamedPorts, side.selector, protocol, sets);
  // The members of a named port set already match the selector: alone, they need no second look.
  const implied = portSets.length > 0 && side.ports.length === 0;
  const ipSets = side.selector === null || implied ? [] : [bindSelector(side.selector, sets)];
  if (side.service !== null) (which === "destination" ? portSets : ipSets).push(bindService(side.service, which === "destination" ? "every" : null, sets));
  if (side.nodes !== null) ipSets.push(bindNodes(side.nodes, sets));
  const bound: NodeEntityMatch = {
    nets: shared(side.nets), notNets: shared(side.notNets), ports: shared(side.ports), notPorts: shared(side.notPorts),
    ipSets: shared(ipSets), notIpSets: side.notSelector === null ? NONE : [bindSelector(side.notSelector, sets)],
    portSets: shared(portSets), notPortSets: shared(notPortSets),
  };
  return Object.values(bound).every((list) => list === NONE) ? ANY : bound;
}

/** Most lists of most rules are empty, and most sides of rules ask for nothing: there is one of each. */
const NONE: readonly never[] = [];
const ANY: NodeEntityMatch = { nets: NONE, notNets: NONE, ports: NONE, notPorts: NONE, ipSets: NONE, notIpSets: NONE, portSets: NONE, notPortSets: NONE };

function shared<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list;
}

function bindSelector(selector: Selector, sets: Sets): IpSetId {
  const id = selector.id as string as IpSetId;
  sets.set(id, { id, origin: { kind: "selector", selector }, port: null });
  return id;
}

function bindNodes(selector: Selector, sets: Sets): IpSetId {
  const id = hashed("nodes:", selector.id);
  sets.set(id, { id, origin: { kind: "nodes", selector }, port: null });
  return id;
}

function bindPorts(names: readonly string[], selector: Selector | null, protocol: number | null, sets: Sets): IpSetId[] {
  if (protocol === null) return [];
  return [...new Set(names)].map((name) => {
    const of = selector ?? all();
    const id = hashed("n:", of.id, String(protocol), name);
    sets.set(id, { id, origin: { kind: "selector", selector: of }, port: { name, protocol } });
    return id;
  });
}

function bindService(service: ServiceRef, port: "every" | null, sets: Sets): IpSetId {
  const id = hashed(port === null ? "svcnoport:" : "svc:", service.namespace, service.name);
  sets.set(id, { id, origin: { kind: "service", service }, port });
  return id;
}

function hashed(prefix: string, ...parts: readonly string[]): IpSetId {
  return `${prefix}${bytesToHex(sha256(utf8ToBytes(JSON.stringify(parts)))).slice(0, 32)}` as IpSetId;
}
