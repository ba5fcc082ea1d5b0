/** One side (source or destination) of a v3 rule. */
import { parseCidr, type Cidr } from "../ip.ts";
import type { EntityMatch, PortRange, ServiceRef } from "../model.ts";
import type { FindingCollector } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { entitySelectors } from "./policy-selector.ts";
import { isPort, joinRanges } from "./ports.ts";
import { isAbsent, isObject, show, unknownKeys, type RawObject } from "./raw.ts";
import { ANYONE } from "./rules.ts";
import { UnusableRule, unusableField } from "./unusable.ts";

const FIELDS = ["nets", "notNets", "selector", "notSelector", "namespaceSelector", "ports", "notPorts", "serviceAccounts", "services"];
const PORT_NAME = /^[a-zA-Z0-9_.-]{1,128}$/;

export type EntityContext = {
  /** Of the policy; null for a global one. */
  readonly namespace: string | null;
  /** The side is that of the peer, who may be known by a Service: the destination of egress, the source of ingress. */
  readonly isPeer: boolean;
};

/** Reads a side; an absent one is anybody. Throws an UnusableRule. */
export function readEntity(written: unknown, path: string, context: EntityContext, out: FindingCollector): EntityMatch {
  if (isAbsent(written)) return ANYONE;
  if (!isObject(written)) throw new UnusableRule(path, `an object is needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, FIELDS);
  if (unknown !== undefined) throw unusableField(`${path}.${unknown}`, suggestField(unknown, FIELDS));
  const service = isAbsent(written["services"]) ? null : readService(written, path, context);
  const ports = readPorts(written, "ports", path);
  const notPorts = readPorts(written, "notPorts", path);
  return {
    nets: readNets(written, "nets", path, out),
    notNets: readNets(written, "notNets", path, out),
    ports: ports.ranges, namedPorts: ports.names,
    notPorts: notPorts.ranges, notNamedPorts: notPorts.names,
    ...entitySelectors(written, path, context.namespace),
    service,
    nodes: null,
  };
}

const SERVICE_FIELDS = ["name", "namespace"];
/** What says in another way who is meant. */
const BESIDE_SERVICE = ["nets", "notNets", "selector", "notSelector", "namespaceSelector", "serviceAccounts"];

/** A Service stands for the addresses behind it and, as a destination, for their ports. */
function readService(entity: RawObject, path: string, { namespace, isPeer }: EntityContext): ServiceRef {
  const field = `${path}.services`;
  const written = entity["services"];
  if (!isObject(written)) throw new UnusableRule(field, `the name of a Service is needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, SERVICE_FIELDS);
  if (unknown !== undefined) throw unusableField(`${field}.${unknown}`, suggestField(unknown, SERVICE_FIELDS));
  if (!isPeer) throw new UnusableRule(field, "only the destination of an egress rule and the source of an ingress rule may be a Service");
  const others = path.endsWith(".destination") ? [...BESIDE_SERVICE, "ports", "notPorts"] : BESIDE_SERVICE;
  const beside = others.find((key) => !isAbsent(entity[key]));
  if (beside !== undefined) throw new UnusableRule(`${path}.${beside}`, "cannot be combined with services", "make one rule for each");
  const { name, namespace: inNamespace } = written;
  if (typeof name !== "string" || name === "") throw new UnusableRule(`${field}.name`, `the name of a Service is needed, not ${show(name)}`);
  if (!isAbsent(inNamespace) && typeof inNamespace !== "string") throw new UnusableRule(`${field}.namespace`, `the name of a namespace is needed, not ${show(inNamespace)}`);
  const place = inNamespace || namespace;
  if (place === null || place === "") throw new UnusableRule(`${field}.namespace`, "a global policy has to say in which namespace the Service is");
  return { namespace: place, name };
}

/** The list in a field; an absent one is empty. */
function itemsOf(holder: RawObject, key: string, path: string): readonly unknown[] {
  const written = holder[key];
  if (isAbsent(written)) return [];
  if (!Array.isArray(written)) throw new UnusableRule(`${path}.${key}`, `a list is needed, not ${show(written)}`);
  return written;
}

function readNets(entity: RawObject, key: "nets" | "notNets", path: string, out: FindingCollector): Cidr[] {
  const nets = itemsOf(entity, key, path).map((written, i) => {
    const field = `${path}.${key}[${i}]`;
    const parsed = typeof written === "string" ? parseCidr(written) : null;
    if (parsed === null) throw new UnusableRule(field, `${show(written)} is not a CIDR`, 'write an address with its prefix length, such as "203.0.113.10/32"');
    if (key === "notNets" && parsed.prefixLength === 0) throw new UnusableRule(field, `to leave out ${parsed.cidr} leaves nothing`);
    if (parsed.masked) out.warning(field, `${show(written)} has bits set behind the prefix; it is read as ${parsed.cidr}`);
    return parsed.cidr;
  });
  return [...new Set(nets)];
}

function readPorts(entity: RawObject, key: "ports" | "notPorts", path: string): { ranges: PortRange[]; names: string[] } {
  const ranges: PortRange[] = [];
  const names = new Set<string>();
  for (const [i, written] of itemsOf(entity, key, path).entries()) {
    const port = readPort(written, `${path}.${key}[${i}]`);
    if (typeof port === "string") names.add(port);
    else ranges.push(port);
  }
  return { ranges: joinRanges(ranges), names: [...names].sort() };
}

/** 80, "80", "8000:8080" or the name of a port. */
function readPort(written: unknown, field: string): PortRange | string {
  if (isPort(written)) return { first: written, last: written };
  const [, from, to] = (typeof written === "string" ? /^([0-9]{1,5})(?::([0-9]{1,5}))?$/.exec(written) : null) ?? [];
  if (from !== undefined) {
    const [first, last] = [Number(from), Number(to ?? from)];
    if (isPort(first) && isPort(last) && first <= last) return { first, last };
  } else if (typeof written === "string" && PORT_NAME.test(written) && !/^[0-9]+$/.test(written)) return written;
  throw new UnusableRule(field, `${show(written)} is neither a port from 1 to 65535, a range such as "8000:8080", nor the name of a port`);
}
