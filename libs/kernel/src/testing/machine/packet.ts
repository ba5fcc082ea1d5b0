/** A packet as the kernel's virtual machine sees it. */
import { addressBytes } from "@calico/model";
import type { CtState, Family } from "../../nftables/types.ts";

export type MachinePacket = {
  readonly family: Family;
  /** IP protocol number. */
  readonly protocol: number;
  /** Ports count for protocols that have them. */
  readonly source: { readonly address: string; readonly port: number };
  readonly destination: { readonly address: string; readonly port: number };
  readonly icmp?: { readonly type: number; readonly code: number };
  /** "": there is none, as for what leaves a process of this machine. */
  readonly inInterface: string;
  /** "": there is none, as for what goes to a process of this machine. */
  readonly outInterface: string;
  readonly ctState: Exclude<CtState, "untracked">;
  /** Somebody translates the destination of the connection. */
  readonly translated?: boolean;
  readonly mark?: number;
};

export type Headers = { readonly network: Uint8Array; readonly transport: Uint8Array };

const [TCP, UDP, ICMP, ICMPV6, SCTP, UDPLITE] = [6, 17, 1, 58, 132, 136];
const SYN = 2;

export function headersOf(packet: MachinePacket): Headers {
  const transport = transportHeader(packet);
  return { network: packet.family === 4 ? ipv4Header(packet, transport.length) : ipv6Header(packet, transport.length), transport };
}

function ipv4Header({ protocol, source, destination }: MachinePacket, payloadBytes: number): Uint8Array {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(header.length + payloadBytes, 2);
  header[8] = 64;
  header[9] = protocol;
  header.set(bytesOf(source.address, 4), 12);
  header.set(bytesOf(destination.address, 4), 16);
  return header;
}

function ipv6Header({ protocol, source, destination }: MachinePacket, payloadBytes: number): Uint8Array {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payloadBytes, 4);
  header[6] = protocol;
  header[7] = 64;
  header.set(bytesOf(source.address, 16), 8);
  header.set(bytesOf(destination.address, 16), 24);
  return header;
}

function bytesOf(address: string, length: number): Uint8Array {
  const bytes = addressBytes(address);
  if (bytes.length !== length) throw new RangeError(`${address} is of the other family`);
  return bytes;
}

function transportHeader({ protocol, source, destination, icmp }: MachinePacket): Uint8Array {
  const header = Buffer.alloc(protocol === TCP ? 20 : protocol === SCTP ? 12 : 8);
  if (protocol === ICMP || protocol === ICMPV6) {
    if (icmp === undefined) throw new RangeError("a packet of ICMP has a type and a code");
    header[0] = icmp.type;
    header[1] = icmp.code;
  } else if (protocol === TCP || protocol === UDP || protocol === SCTP || protocol === UDPLITE) {
    header.writeUInt16BE(source.port, 0);
    header.writeUInt16BE(destination.port, 2);
    if (protocol === TCP) {
      header[12] = (header.length / 4) << 4;
      header[13] = SYN;
    }
    if (protocol === UDP) header.writeUInt16BE(header.length, 4);
  }
  return header;
}
