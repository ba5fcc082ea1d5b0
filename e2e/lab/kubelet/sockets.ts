/** Socket constants and addresses for sockets that are opened inside another network namespace. */
import { parseAddress } from "@calico/model";

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
/** SOCK_NONBLOCK | SOCK_CLOEXEC */
export const SOCK_FLAGS = 0o4000 | 0o2000000;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const IPPROTO_IPV6 = 41;
export const IPV6_V6ONLY = 26;
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
export const EINPROGRESS = 115;
export const EAGAIN = 11;
export const ECONNREFUSED = 111;

/** struct sockaddr_in or sockaddr_in6. Throws a RangeError when the text is not an address. */
export function socketAddress(address: string, port: number): { family: number; bytes: Buffer } {
  const ip = parseAddress(address);
  if (!ip) throw new RangeError(`"${address}" is not an IP address`);
  if (ip.length === 4) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt16LE(AF_INET, 0);
    bytes.writeUInt16BE(port, 2);
    bytes.set(ip, 4);
    return { family: AF_INET, bytes };
  }
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(ip, 8);
  return { family: AF_INET6, bytes };
}

/** Internet checksum (RFC 1071). */
export function internetChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** CRC32c, little endian in SCTP packets (RFC 9260, appendix A). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** An SCTP packet of one chunk: INIT (type 1) with a zero tag, or ABORT (type 6) that answers one. */
export function sctpPacket(sourcePort: number, destinationPort: number, tag: number, chunkType: 1 | 6): Buffer {
  const chunk = Buffer.alloc(chunkType === 1 ? 20 : 4);
  chunk.writeUInt8(chunkType, 0);
  chunk.writeUInt16BE(chunk.length, 2);
  if (chunkType === 1) {
    chunk.writeUInt32BE(0x1abe1abe, 4); // initiate tag
    chunk.writeUInt32BE(65_535, 8); // receiver window
    chunk.writeUInt16BE(1, 12); // outbound streams
    chunk.writeUInt16BE(1, 14); // inbound streams
    chunk.writeUInt32BE(1, 16); // initial TSN
  }
  const packet = Buffer.concat([Buffer.alloc(12), chunk]);
  packet.writeUInt16BE(sourcePort, 0);
  packet.writeUInt16BE(destinationPort, 2);
  packet.writeUInt32BE(tag, 4);
  packet.writeUInt32LE(crc32c(packet), 8);
  return packet;
}
