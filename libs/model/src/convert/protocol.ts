/** IP protocols by name and number (IANA protocol numbers). */

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;
export const ICMP = 1;
export const ICMPV6 = 58;

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ["tcp", TCP], ["udp", UDP], ["sctp", SCTP], ["icmp", ICMP], ["icmpv6", ICMPV6], ["udplite", 136],
]);

export const PROTOCOL_NAMES = "TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite or a number from 1 to 255";

/** The number of a protocol given by name (in any case) or by number 1 to 255; null for anything else. */
export function protocolNumber(written: unknown): number | null {
  if (typeof written === "number") return isProtocol(written) ? written : null;
  if (typeof written !== "string") return null;
  const named = NUMBERS.get(written.toLowerCase());
  if (named !== undefined) return named;
  return /^[1-9][0-9]{0,2}$/.test(written) && isProtocol(Number(written)) ? Number(written) : null;
}

function isProtocol(number: number): boolean {
  return Number.isInteger(number) && number >= 1 && number <= 255;
}

/** True for protocols whose ports a rule may name. */
export function hasPorts(protocol: number | null): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP;
}
