/** Connection tracking entries: those of an address are deleted before another pod gets it. */
import { addressBytes } from "@calico/model";
import { KernelError, NetlinkConnection } from "../netlink/connection.ts";
import { eachAttribute, readAttributes } from "../netlink/reader.ts";
import type { NetlinkWriter } from "../netlink/writer.ts";
import { AF_INET, AF_INET6, ENOENT } from "../sys/constants.ts";
import type { Sys } from "../sys/sys.ts";

const NETLINK_NETFILTER = 12;
/** Subsystem conntrack of nfnetlink: IPCTNL_MSG_CT_GET 1, IPCTNL_MSG_CT_DELETE 2. */
const CT_GET = (1 << 8) | 1;
const CT_DELETE = (1 << 8) | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const IP_ATTRIBUTES = new Set([1, 2, 3, 4]);

export interface Conntrack extends Disposable {
  /** Deletes every entry in which one of the addresses is a source or destination, in either direction. Returns how many. */
  deleteByAddresses(addresses: Iterable<string>): number;
}

/** Opens a connection in the namespace of the calling thread. */
export function openConntrack(sys: Sys): Conntrack {
  const connection = new NetlinkConnection(sys, NETLINK_NETFILTER);

  function deleteOfFamily(family: number, wanted: readonly Buffer[]): number {
    const entries = connection.dump({ type: CT_GET, what: "list connections", write: (writer) => void writer.u8(family).u8(0).u16(0) });
    const doomed = entries.flatMap(({ payload }) => {
      const attributes = readAttributes(payload.subarray(4));
      const tuples = [attributes.get(CTA_TUPLE_ORIG), attributes.get(CTA_TUPLE_REPLY)];
      return tuples.some((tuple) => tuple !== undefined && mentions(tuple, wanted)) ? [{ original: attributes.get(CTA_TUPLE_ORIG), zone: attributes.get(CTA_ZONE) }] : [];
    });
    const results = connection.batch(doomed.map(({ original, zone }) => ({
      type: CT_DELETE, flags: 0, what: "delete a connection",
      write(writer: NetlinkWriter) {
        writer.u8(family).u8(0).u16(0);
        if (original !== undefined) writer.attribute(CTA_TUPLE_ORIG | 0x8000, original);
        if (zone !== undefined) writer.attribute(CTA_ZONE, zone);
      },
    })));
    const failed = results.find((error): error is KernelError => error !== null && error.errno !== ENOENT);
    if (failed !== undefined) throw failed;
    return results.length;
  }

  return {
    deleteByAddresses(addresses) {
      const bytes = [...addresses].map((address) => Buffer.from(addressBytes(address)));
      const v4 = bytes.filter(({ length }) => length === 4);
      const v6 = bytes.filter(({ length }) => length === 16);
      return (v4.length === 0 ? 0 : deleteOfFamily(AF_INET, v4)) + (v6.length === 0 ? 0 : deleteOfFamily(AF_INET6, v6));
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

function mentions(tuple: Buffer, wanted: readonly Buffer[]): boolean {
  const ip = readAttributes(tuple).get(CTA_TUPLE_IP);
  if (ip === undefined) return false;
  for (const [type, value] of eachAttribute(ip)) if (IP_ATTRIBUTES.has(type) && wanted.some((bytes) => bytes.equals(value))) return true;
  return false;
}
