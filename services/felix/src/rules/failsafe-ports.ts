/** Ports of a host that no policy of host endpoints closes. */
import type { FailsafePort } from "@calico/calc";
import { canonicalCidr, protocolNumber } from "@calico/model";
import { Param, ParamError } from "@calico/service-kit";
import { PROTOCOL } from "./constants.ts";

const WITH_PORTS: ReadonlySet<number> = new Set([PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.sctp]);

/** SSH, BGP, etcd, typha, the API server; DHCP. */
export const FAILSAFE_INBOUND = "tcp:22,tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667,udp:68";
/** The same without SSH; DNS, DHCP. */
export const FAILSAFE_OUTBOUND = "tcp:179,tcp:2379,tcp:2380,tcp:5473,tcp:6443,tcp:6666,tcp:6667,udp:53,udp:67";

const FORM = 'write "tcp:22,udp:68", "tcp:10.0.0.0/8:22", or "none"';

/** "none", a list such as "tcp:22,udp:68,tcp:10.0.0.0/8:22", or as FelixConfiguration has it: a JSON list of {protocol, port, net}. */
export function failsafePorts(fallback: string): Param<readonly FailsafePort[]> {
  return new Param<readonly FailsafePort[]>({ parse: parseFailsafePorts, shape: "list of protocol:port or protocol:net:port, or none", fallback: parseFailsafePorts(fallback), fallbackText: fallback });
}

function parseFailsafePorts(text: string): readonly FailsafePort[] {
  if (text.toLowerCase() === "none") return [];
  if (text.startsWith("[")) return parseJson(text).map(({ protocol, port, net }) => failsafePort(protocol ?? "TCP", port, net, JSON.stringify({ protocol, net, port })));
  return text.split(",").map((item) => item.trim()).map((item) => {
    const [first, last] = [item.indexOf(":"), item.lastIndexOf(":")];
    const net = first === last ? undefined : item.slice(first + 1, last).replace(/^\[(.*)\]$/, "$1");
    const port = item.slice(last + 1);
    return failsafePort(first < 0 ? "TCP" : item.slice(0, first), /^\d{1,5}$/.test(port) ? Number(port) : NaN, net, item);
  });
}

function parseJson(text: string): Readonly<Record<"protocol" | "port" | "net", unknown>>[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new ParamError(`is no JSON: ${error instanceof Error ? error.message : String(error)}`, FORM);
  }
  return (list as unknown[]).map((entry) => {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw new ParamError(`has ${JSON.stringify(entry)}, which is no port`, FORM);
    return entry as Record<"protocol" | "port" | "net", unknown>;
  });
}

function failsafePort(protocol: unknown, port: unknown, net: unknown, written: string): FailsafePort {
  const number = protocolNumber(protocol);
  const cidr = net === undefined || net === null || net === "" ? null : canonicalCidr(String(net as string));
  if (number === null || !WITH_PORTS.has(number)) throw new ParamError(`has ${JSON.stringify(written)}, whose protocol is none of tcp, udp and sctp`, FORM);
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) throw new ParamError(`has ${JSON.stringify(written)}, whose port is none`, FORM);
  if (cidr === null && net !== undefined && net !== null && net !== "") throw new ParamError(`has ${JSON.stringify(written)}, whose net is no CIDR`, FORM);
  return { protocol: number, port, net: cidr };
}
