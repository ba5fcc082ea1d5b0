/** Offloads of an interface (linux/ethtool.h), in the network namespace of the calling thread. */
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM } from "../sys/constants.ts";
import type { Sys } from "../sys/sys.ts";

const SIOCETHTOOL = 0x8946;
const ETHTOOL_GTXCSUM = 0x16;
const ETHTOOL_STXCSUM = 0x17;
const IFNAMSIZ = 16;

/** Whether checksums of outgoing packets are left to the device. Throws a SysError. */
export function readTxChecksum(sys: Sys, name: string): boolean {
  return ethtool(sys, name, ETHTOOL_GTXCSUM, 0) !== 0;
}

/** Leaves the checksums of outgoing packets to the device, or has the kernel make them first. Throws a SysError. */
export function writeTxChecksum(sys: Sys, name: string, offloaded: boolean): void {
  ethtool(sys, name, ETHTOOL_STXCSUM, Number(offloaded));
}

/** struct ifreq points at struct ethtool_value, which comes back in its place. */
function ethtool(sys: Sys, name: string, command: number, data: number): number {
  const value = Buffer.alloc(8);
  value.writeUInt32LE(command, 0);
  value.writeUInt32LE(data, 4);
  const request = Buffer.alloc(40);
  request.write(name, 0, IFNAMSIZ - 1);
  request.writeBigUInt64LE(sys.addressOf(value), IFNAMSIZ);
  const fd = sys.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    sys.ioctl(fd, SIOCETHTOOL, request);
  } finally {
    sys.close(fd);
  }
  return value.readUInt32LE(4);
}
