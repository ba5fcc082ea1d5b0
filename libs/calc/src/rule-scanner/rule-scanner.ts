/** Rules of policies and profiles, bound to the IP sets they need. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { all, type EntityMatch, type Rule, type Selector, type ServiceRef } from "@calico/model";
import type { IpSetId, NodeEntityMatch, NodeRule } from "../messages.ts";

/** What the members of a set are: addresses of all that the selector matches, or their ports of one name. */
export type SetDefinition = {
  readonly id: IpSetId;
  readonly selector: Selector;
  readonly port: { readonly name: string; readonly protocol: number } | null;
};

export type ScannedRules = {
  readonly inbound: readonly NodeRule[];
  readonly outbound: readonly NodeRule[];
  readonly sets: readonly SetDefinition[];
};

type Sets = Map<IpSetId, SetDefinition>;

/**
 * Binds rules to sets. A named port needs the rule's protocol: without one, a rule that asks for a named port
 * never matches and is left out. Without one a named port cannot be excluded either: what denies then denies
 * every port, anything else is left out. A rule that names a service refers to a set that has no members yet to be
 * told, so a node treats it as a rule whose set has not arrived.
 */
export function scanRules(inbound: readonly Rule[], outbound: readonly Rule[]): ScannedRules {
  const sets: Sets = new Map();
  return { inbound: bindAll(inbound, sets), outbound: bindAll(outbound, sets), sets: [...sets.values()] };
}

function bindAll(rules: readonly Rule[], sets: Sets): NodeRule[] {
  return rules.filter((rule) => !neverMatches(rule)).map((rule) => ({
    ...rule,
    source: bind(rule.source, rule.protocol, sets),
    destination: bind(rule.destination, rule.protocol, sets),
  }));
}

function neverMatches(rule: Rule): boolean {
  if (rule.protocol !== null) return false;
  return [rule.source, rule.destination].some((side) =>
    (side.namedPorts.length > 0 && side.ports.length === 0) || (side.notNamedPorts.length > 0 && rule.action !== "Deny"));
}

function bind(side: EntityMatch, protocol: number | null, sets: Sets): NodeEntityMatch {
  const portSets = bindPorts(side.namedPorts, side.selector, protocol, sets);
  const notPortSets = bindPorts(side.notNamedPorts, side.selector, protocol, sets);
  // The members of a named port set already match the selector: alone, they need no second look.
  const implied = portSets.length > 0 && side.ports.length === 0;
  const ipSets = side.selector === null || implied ? [] : [bindSelector(side.selector, sets)];
  if (side.service !== null) ipSets.push(serviceSetId(side.service));
  return {
    nets: side.nets, notNets: side.notNets, ports: side.ports, notPorts: side.notPorts,
    ipSets, notIpSets: side.notSelector === null ? [] : [bindSelector(side.notSelector, sets)],
    portSets, notPortSets,
  };
}

function bindSelector(selector: Selector, sets: Sets): IpSetId {
  const id = selector.id as string as IpSetId;
  sets.set(id, { id, selector, port: null });
  return id;
}

function bindPorts(names: readonly string[], selector: Selector | null, protocol: number | null, sets: Sets): IpSetId[] {
  if (protocol === null) return [];
  return [...new Set(names)].map((name) => {
    const of = selector ?? all();
    const id = hashed("n:", of.id, String(protocol), name);
    sets.set(id, { id, selector: of, port: { name, protocol } });
    return id;
  });
}

function serviceSetId(service: ServiceRef): IpSetId {
  return hashed("svc:", service.namespace, service.name);
}

function hashed(prefix: string, ...parts: readonly string[]): IpSetId {
  return `${prefix}${bytesToHex(sha256(utf8ToBytes(JSON.stringify(parts)))).slice(0, 32)}` as IpSetId;
}
