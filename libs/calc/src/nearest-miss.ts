/** Why a rule does not match a packet, in words: for people who expected that it would. */
import { contains, familyOf, unmetConditions, type Cidr, type EntityMatch, type IpAddress, type Labels, type PolicyId, type Rule, type Selector, type ServiceRef } from "@calico/model";
import type { Packet } from "./evaluator.ts";

/** The rule that would allow a packet if the fewest things were otherwise. */
export type NearestMiss = { readonly policy: PolicyId; readonly rule: number; readonly misses: readonly string[] };

type Place = Packet["source"];

/** What is known of addresses. */
export type Surroundings = {
  /** Labels of every endpoint and network set that an address belongs to, with a name for people. */
  readonly whoIsAt: (address: IpAddress) => readonly { readonly name: string; readonly labels: Labels }[];
  readonly hasNamedPort: (name: string, selector: Selector | null, protocol: number, address: IpAddress, port: number) => boolean;
  /** Without a protocol the port does not count. */
  readonly isBehind: (service: ServiceRef, place: Place, protocol: number | null) => boolean;
  /** One of the Nodes that the selector matches has the address. */
  readonly isOfNode: (selector: Selector, address: IpAddress) => boolean;
};

const PROTOCOLS: Readonly<Record<number, string>> = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP", 136: "UDPLite" };
const protocolName = (protocol: number): string => PROTOCOLS[protocol] ?? `protocol ${protocol}`;

/** One sentence for each criterion of a rule that a packet does not meet; none when the rule matches. */
export function missesOf(rule: Rule, packet: Packet, surroundings: Surroundings): string[] {
  const { protocol, source, destination, icmp } = packet;
  const family = familyOf(source.address);
  const misses: string[] = [];
  if (rule.ipVersion !== 0 && rule.ipVersion !== family) misses.push(`it is about IPv${rule.ipVersion}`);
  if (rule.protocol !== null && rule.protocol !== protocol) misses.push(`it is about ${protocolName(rule.protocol)}, not ${protocolName(protocol)}`);
  if (rule.notProtocol !== null && rule.notProtocol === protocol) misses.push(`it is about everything but ${protocolName(protocol)}`);
  const isIcmp = (match: Rule["icmp"]): boolean => match !== null && icmp !== undefined && match.type === icmp.type && (match.code === null || match.code === icmp.code);
  const words = ({ type, code }: NonNullable<Rule["icmp"]>): string => `ICMP type ${type}${code === null ? "" : ` code ${code}`}`;
  if (rule.icmp !== null && !isIcmp(rule.icmp)) misses.push(`it is about ${words(rule.icmp)}`);
  if (rule.notIcmp !== null && isIcmp(rule.notIcmp)) misses.push(`it is about everything but ${words(rule.notIcmp)}`);
  return [...misses, ...sideMisses("source", rule.source, source, protocol, surroundings), ...sideMisses("destination", rule.destination, destination, protocol, surroundings)];
}

function sideMisses(which: "source" | "destination", side: EntityMatch, place: Place, protocol: number, { whoIsAt, hasNamedPort, isBehind, isOfNode }: Surroundings): string[] {
  const { address, port } = place;
  const misses: string[] = [];
  if (side.service !== null && !isBehind(side.service, place, which === "destination" ? protocol : null)) {
    misses.push(`${which} ${address}${which === "destination" ? ` port ${port}/${protocolName(protocol)}` : ""} is not behind Service ${side.service.namespace}/${side.service.name}`);
  }
  if (side.nodes !== null && !isOfNode(side.nodes, address)) misses.push(`${which} ${address} is no address of a Node that ${side.nodes.text} selects`);
  const within = (net: Cidr): boolean => contains(net, address);
  if (side.nets.length > 0 && !side.nets.some(within)) misses.push(`${which} ${address} is not in ${list(side.nets)}`);
  const excluded = side.notNets.find(within);
  if (excluded !== undefined) misses.push(`${which} ${address} is in ${excluded}, which is left out`);
  const there = whoIsAt(address);
  if (side.selector !== null) misses.push(...selectorMisses(which, side.selector, address, there));
  const unwanted = side.notSelector === null ? undefined : there.find(({ labels }) => side.notSelector?.evaluate(labels) === true);
  if (unwanted !== undefined) misses.push(`${which} ${unwanted.name} is left out by ${side.notSelector?.text ?? ""}`);
  const inRange = (ranges: EntityMatch["ports"]): boolean => ranges.some(({ first, last }) => port >= first && port <= last);
  const isNamed = (name: string): boolean => hasNamedPort(name, side.selector, protocol, address, port);
  const ports = [...side.ports.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)), ...side.namedPorts];
  if (ports.length > 0 && !inRange(side.ports) && !side.namedPorts.some(isNamed)) misses.push(`${which} port is ${port}, not ${list(ports)}`);
  if (inRange(side.notPorts) || side.notNamedPorts.some(isNamed)) misses.push(`${which} port ${port} is left out`);
  return misses;
}

/** Of who has the address, what the one lacks that lacks least. */
function selectorMisses(which: string, selector: Selector, address: IpAddress, there: ReturnType<Surroundings["whoIsAt"]>): string[] {
  if (there.length === 0) return [`${which} ${address} is nobody's that ${selector.text} could select`];
  const unmet = there.map(({ name, labels }) => unmetConditions(selector.ast, labels).map((words) => `${which} ${name}: ${words}`));
  return [...unmet.reduce((best, next) => (next.length < best.length ? next : best))];
}

const MOST_NAMED = 5;
const list = (items: readonly string[]): string => (items.length > MOST_NAMED ? `${items.slice(0, MOST_NAMED).join(", ")} or ${items.length - MOST_NAMED} more` : items.join(" or "));
