/** Rules whose sets have not arrived: they match nothing if they open, and everything if they deny. */
import type { IpSetId, NodeEntityMatch, NodeRule } from "../messages.ts";

/** The rules as they may be put into force while only the sets that `has` knows are there. */
export function failClosed(rules: readonly NodeRule[], has: (id: IpSetId) => boolean): readonly NodeRule[] {
  if (rules.every((rule) => missingSets(rule, has).length === 0)) return rules;
  return rules.flatMap((rule) => {
    if (missingSets(rule, has).length === 0) return [rule];
    return rule.action === "Deny" ? [{ ...rule, source: withoutMissing(rule.source, has), destination: withoutMissing(rule.destination, has) }] : [];
  });
}

/** Sets that a rule refers to and that have not arrived. */
export function missingSets({ source, destination }: NodeRule, has: (id: IpSetId) => boolean): IpSetId[] {
  return [source, destination].flatMap(setsOf).filter((id) => !has(id));
}

export function setsOf(match: NodeEntityMatch): IpSetId[] {
  return [...match.ipSets, ...match.notIpSets, ...match.portSets, ...match.notPortSets];
}

/** Leaves out what is not there. When a way to match is lost with it, every port matches. */
function withoutMissing(match: NodeEntityMatch, has: (id: IpSetId) => boolean): NodeEntityMatch {
  const portSets = match.portSets.filter(has);
  return {
    ...match, ipSets: match.ipSets.filter(has), notIpSets: match.notIpSets.filter(has), notPortSets: match.notPortSets.filter(has), portSets: portSets.length < match.portSets.length ? [] : portSets,
    ports: portSets.length < match.portSets.length ? [] : match.ports,
  };
}
