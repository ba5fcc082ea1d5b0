/** Ports of Kubernetes NetworkPolicy rules, gathered by protocol. */
import type { PortRange } from "../model.ts";
import type { FindingCollector } from "./conversion.ts";
import { suggestField } from "./did-you-mean.ts";
import { isPort, joinRanges } from "./ports.ts";
import { hasPorts, protocolNumber, TCP } from "./protocol.ts";
import { isAbsent, isObject, show, unknownKeys } from "./raw.ts";

/** Ports of one protocol; without ports, all of them. A null protocol: any packet. */
export type PortGroup = { readonly protocol: number | null; readonly ports: readonly PortRange[]; readonly namedPorts: readonly string[] };

type ReadPort = { readonly protocol: number; readonly port: PortRange | string | null };

const FIELDS = ["protocol", "port", "endPort"];
/** An IANA service name (RFC 6335): it has a letter, so "80" is none. */
const PORT_NAME = /^(?=.*[a-z])[a-z0-9](?:-?[a-z0-9])*$/;
const MAX_PORT_NAME = 15;

/** One group per protocol, in order of number. No list or an empty one is any packet; of a list, what can be read. */
export function groupPorts(written: unknown, field: string, out: FindingCollector): PortGroup[] {
  if (isAbsent(written)) return [{ protocol: null, ports: [], namedPorts: [] }];
  if (!Array.isArray(written)) return out.error(field, `a list of ports is needed, not ${show(written)}; the rule is left out`) ?? [];
  if (written.length === 0) return [{ protocol: null, ports: [], namedPorts: [] }];
  const read = written.flatMap((entry, i) => readPort(entry, `${field}[${i}]`, out) ?? []);
  return [...Map.groupBy(read, ({ protocol }) => protocol)].toSorted(([a], [b]) => a - b).map(([protocol, entries]) => {
    const ports = entries.map(({ port }) => port);
    if (ports.includes(null)) return { protocol, ports: [], namedPorts: [] };
    return {
      protocol,
      ports: joinRanges(ports.filter((port): port is PortRange => typeof port === "object" && port !== null)),
      namedPorts: [...new Set(ports.filter((port) => typeof port === "string"))].sort(),
    };
  });
}

function readPort(written: unknown, field: string, out: FindingCollector): ReadPort | null {
  if (!isObject(written)) return out.error(field, `a port is needed, not ${show(written)}; it is left out`);
  const [unknown] = unknownKeys(written, FIELDS);
  if (unknown !== undefined) return out.error(`${field}.${unknown}`, "is not a field that this version knows; the port is left out", suggestField(unknown, FIELDS));
  const { port, endPort } = written;
  const protocol = isAbsent(written["protocol"]) ? TCP : protocolNumber(written["protocol"]);
  if (protocol === null || !hasPorts(protocol)) return out.error(`${field}.protocol`, `${show(written["protocol"])} is none of TCP, UDP, SCTP; the port is left out`);
  if (!isAbsent(endPort)) {
    if (!isPort(port) || !isPort(endPort) || endPort < port) return out.error(`${field}.endPort`, `${show(port)} to ${show(endPort)} is not a range of ports; it is left out`);
    return { protocol, port: { first: port, last: endPort } };
  }
  if (isAbsent(port)) return { protocol, port: null };
  if (isPort(port)) return { protocol, port: { first: port, last: port } };
  if (typeof port === "string" && port.length <= MAX_PORT_NAME && PORT_NAME.test(port)) return { protocol, port };
  const suggestion = typeof port === "string" && /^[0-9]+$/.test(port) ? "write the number without quotes" : undefined;
  return out.error(`${field}.port`, `${show(port)} is neither a number from 1 to 65535 nor the name of a port; it is left out`, suggestion);
}
