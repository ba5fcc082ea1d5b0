/** What of a policy's rules decides how lists of policies are compiled. */
import type { IpSetId, NodeRule } from "@calico/calc";
import { joinRanges, type Action, type PortRange } from "@calico/model";
import { PROTOCOL } from "./constants.ts";
import type { Direction } from "./names.ts";

/** A range of more ports counts as any port: in a map each port is an element. */
const WIDEST_RANGE = 64;

/** Of one direction of a policy. */
export type PolicyShape = {
  /** There is nothing to ask. */
  readonly isEmpty: boolean;
  /** It can hand over to the next tier. */
  readonly hasPass: boolean;
  /** What all of its rules do; null: several things, or Log, which is not to be moved. */
  readonly action: Action | null;
  /** The destination ports outside of which no rule matches, joined, by protocol; null: rules match whatever the port. */
  readonly ports: ReadonlyMap<number, readonly PortRange[]> | null;
  /** Sets such that no rule matches somebody who is in none of them, sorted; null: rules match whoever it is. */
  readonly peers: readonly IpSetId[] | null;
};

/** Of a policy that is not known: nothing about it is assumed. */
export const UNKNOWN_SHAPE: PolicyShape = { isEmpty: false, hasPass: true, action: null, ports: null, peers: null };

export function shapeOf(rules: readonly NodeRule[], direction: Direction): PolicyShape {
  const [first] = rules;
  const isUniform = first !== undefined && first.action !== "Log" && rules.every(({ action }) => action === first.action);
  return { isEmpty: first === undefined, hasPass: rules.some(({ action }) => action === "Pass"), action: isUniform ? first.action : null, ports: portsOf(rules), peers: peersOf(rules, direction) };
}

export function sameShape(a: PolicyShape, b: PolicyShape): boolean {
  return a.isEmpty === b.isEmpty && a.hasPass === b.hasPass && a.action === b.action && portsText(a) === portsText(b) && a.peers?.join() === b.peers?.join();
}

function portsText({ ports }: PolicyShape): string {
  return ports === null ? "" : JSON.stringify([...ports]);
}

function portsOf(rules: readonly NodeRule[]): PolicyShape["ports"] {
  const found = new Map<number, PortRange[]>();
  for (const { protocol, destination: { ports, portSets } } of rules) {
    if (!hasPorts(protocol) || ports.length === 0 || portSets.length > 0 || ports.some(({ first, last }) => last - first >= WIDEST_RANGE)) return null;
    found.set(protocol, [...(found.get(protocol) ?? []), ...ports]);
  }
  return new Map([...found].sort(([a], [b]) => a - b).map(([protocol, ranges]) => [protocol, joinRanges(ranges)]));
}

function peersOf(rules: readonly NodeRule[], direction: Direction): PolicyShape["peers"] {
  const found = new Set<IpSetId>();
  for (const { source, destination } of rules) {
    // Who is in all of them is in the first.
    const [set] = (direction === "ingress" ? source : destination).ipSets;
    if (set === undefined) return null;
    found.add(set);
  }
  return [...found].sort();
}

function hasPorts(protocol: number | null): protocol is number {
  return protocol === PROTOCOL.tcp || protocol === PROTOCOL.udp || protocol === PROTOCOL.sctp;
}
