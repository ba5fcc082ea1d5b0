/** Between the values of rtnetlink and its messages (linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h). */
import { addressBytes, cidrParts, familyOf, formatAddress } from "@calico/model";
import { readAttributes, readText, readU32 } from "../netlink/reader.ts";
import type { NetlinkWriter } from "../netlink/writer.ts";
import { AF_BRIDGE, AF_INET, AF_INET6 } from "../sys/constants.ts";
import type { ForwardingEntry, InterfaceAddress, Link, Neighbour, Route, RouteType, VethSpec, VxlanParameters, VxlanSpec } from "./types.ts";

export const RTM = { NEWLINK: 16, DELLINK: 17, GETLINK: 18, NEWADDR: 20, DELADDR: 21, GETADDR: 22, NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26, NEWNEIGH: 28, DELNEIGH: 29, GETNEIGH: 30 } as const;
export const RTNLGRP = { LINK: 1, NEIGH: 3, IPV4_IFADDR: 5, IPV4_ROUTE: 7, IPV6_IFADDR: 9, IPV6_ROUTE: 11 } as const;

const IFLA = { ADDRESS: 1, IFNAME: 3, MTU: 4, LINK: 5, MASTER: 10, OPERSTATE: 16, LINKINFO: 18, IFALIAS: 20, GROUP: 27, NET_NS_FD: 28 } as const;
const IFLA_INFO = { KIND: 1, DATA: 2 } as const;
const VETH_INFO_PEER = 1;
const VXLAN = { ID: 1, LINK: 3, LOCAL: 4, LEARNING: 7, PORT: 15 } as const;
const NTF_SELF = 2;
const IFF_UP = 1;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, MULTIPATH: 9, TABLE: 15 } as const;
const RTNH_F_ONLINK = 4;
const ROUTE_TYPES: Readonly<Record<number, RouteType>> = { 1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw" };
const ROUTE_TYPE_CODES = new Map(Object.entries(ROUTE_TYPES).map(([code, type]) => [type, Number(code)]));
const NDA = { DST: 1, LLADDR: 2 } as const;
const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
const IFA_F_NODAD = 2;

const familyCode = (text: string): number => (familyOf(text) === 4 ? AF_INET : AF_INET6);

/** struct ifinfomsg. */
export function writeLinkHeader(writer: NetlinkWriter, index: number, flags = 0, changeMask = 0): void {
  writer.u8(0).u8(0).u16(0).u32(index).u32(flags).u32(changeMask);
}

export function writeVeth(writer: NetlinkWriter, { name, peerName, peerNetns, mac, peerMac, mtu, group }: VethSpec): void {
  writeLinkHeader(writer, 0);
  writeLinkAttributes(writer, name, mac, mtu);
  if (group !== undefined) writer.attributeU32(IFLA.GROUP, group);
  writer.nested(IFLA.LINKINFO, () => {
    writer.attributeText(IFLA_INFO.KIND, "veth");
    writer.nested(IFLA_INFO.DATA, () => writer.nested(VETH_INFO_PEER, () => {
      writeLinkHeader(writer, 0);
      writeLinkAttributes(writer, peerName, peerMac, mtu);
      if (peerNetns !== undefined) writer.attributeU32(IFLA.NET_NS_FD, peerNetns);
    }));
  });
}

function writeLinkAttributes(writer: NetlinkWriter, name: string, mac: string | undefined, mtu: number | undefined): void {
  writer.attributeText(IFLA.IFNAME, name);
  if (mac !== undefined) writer.attribute(IFLA.ADDRESS, macBytes(mac));
  if (mtu !== undefined) writer.attributeU32(IFLA.MTU, mtu);
}

export function writeBridge(writer: NetlinkWriter, name: string): void {
  writeLinkHeader(writer, 0);
  writer.attributeText(IFLA.IFNAME, name);
  writer.nested(IFLA.LINKINFO, () => writer.attributeText(IFLA_INFO.KIND, "bridge"));
}

export function writeVxlan(writer: NetlinkWriter, { name, mac, mtu, vni, port, local, parent, learning }: VxlanSpec): void {
  writeLinkHeader(writer, 0);
  writeLinkAttributes(writer, name, mac, mtu);
  writer.nested(IFLA.LINKINFO, () => {
    writer.attributeText(IFLA_INFO.KIND, "vxlan");
    writer.nested(IFLA_INFO.DATA, () => {
      writer.attributeU32(VXLAN.ID, vni).attributeU16Be(VXLAN.PORT, port).attributeU8(VXLAN.LEARNING, Number(learning));
      if (local !== null) writer.attribute(VXLAN.LOCAL, addressBytes(local));
      if (parent !== null) writer.attributeU32(VXLAN.LINK, parent);
    });
  });
}

function parseVxlan(data: Buffer | undefined): VxlanParameters {
  const attributes = readAttributes(data ?? Buffer.alloc(0));
  const local = attributes.get(VXLAN.LOCAL);
  return {
    vni: readU32(attributes.get(VXLAN.ID)) ?? 0, port: attributes.get(VXLAN.PORT)?.readUInt16BE(0) ?? 0, local: local?.length === 4 ? formatAddress(local) : null,
    parent: readU32(attributes.get(VXLAN.LINK)) ?? null, learning: attributes.get(VXLAN.LEARNING)?.[0] === 1,
  };
}

export function writeLinkChange(writer: NetlinkWriter, index: number, change: { up?: boolean; mtu?: number; mac?: string; master?: number; name?: string; alias?: string }): void {
  writeLinkHeader(writer, index, change.up === true ? IFF_UP : 0, change.up === undefined ? 0 : IFF_UP);
  if (change.name !== undefined) writer.attributeText(IFLA.IFNAME, change.name);
  if (change.mac !== undefined) writer.attribute(IFLA.ADDRESS, macBytes(change.mac));
  if (change.mtu !== undefined) writer.attributeU32(IFLA.MTU, change.mtu);
  if (change.master !== undefined) writer.attributeU32(IFLA.MASTER, change.master);
  if (change.alias !== undefined) writer.attributeText(IFLA.IFALIAS, change.alias);
}

export function writeLinkByName(writer: NetlinkWriter, name: string): void {
  writeLinkHeader(writer, 0);
  writer.attributeText(IFLA.IFNAME, name);
}

export function writeLinkGroup(writer: NetlinkWriter, group: number): void {
  writeLinkHeader(writer, 0);
  writer.attributeU32(IFLA.GROUP, group);
}

/** null for a message that is none. */
export function parseLink(payload: Buffer): Link | null {
  if (payload.length < 16) return null;
  const attributes = readAttributes(payload.subarray(16));
  const info = readAttributes(attributes.get(IFLA.LINKINFO) ?? Buffer.alloc(0));
  const kind = readText(info.get(IFLA_INFO.KIND)) ?? "";
  return {
    index: payload.readInt32LE(4), name: readText(attributes.get(IFLA.IFNAME)) ?? "", mac: macText(attributes.get(IFLA.ADDRESS)) ?? "", mtu: readU32(attributes.get(IFLA.MTU)) ?? 0,
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0, operState: attributes.get(IFLA.OPERSTATE)?.[0] ?? 0, kind,
    master: readU32(attributes.get(IFLA.MASTER)) ?? null, peerIndex: readU32(attributes.get(IFLA.LINK)) ?? null, group: readU32(attributes.get(IFLA.GROUP)) ?? 0,
    vxlan: kind === "vxlan" ? parseVxlan(info.get(IFLA_INFO.DATA)) : null,
  };
}

/** struct ifaddrmsg. IPv6 addresses come without duplicate address detection: they are known to be unique. */
export function writeAddress(writer: NetlinkWriter, { interfaceIndex, address, prefixLength }: InterfaceAddress): void {
  const bytes = addressBytes(address);
  writer.u8(familyCode(address)).u8(prefixLength).u8(bytes.length === 16 ? IFA_F_NODAD : 0).u8(0).u32(interfaceIndex);
  writer.attribute(IFA.LOCAL, bytes).attribute(IFA.ADDRESS, bytes);
  if (bytes.length === 16) writer.attributeU32(IFA.FLAGS, IFA_F_NODAD);
}

export function parseAddressMessage(payload: Buffer): InterfaceAddress | null {
  if (payload.length < 8) return null;
  const attributes = readAttributes(payload.subarray(8));
  const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS);
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 16)) return null;
  return { interfaceIndex: payload.readUInt32LE(4), address: formatAddress(bytes), prefixLength: payload[1] ?? 0 };
}

/** struct rtmsg. */
export function writeRoute(writer: NetlinkWriter, route: Route): void {
  const { family, bytes, prefixLength } = cidrParts(route.destination);
  const type = ROUTE_TYPE_CODES.get(route.type);
  if (type === undefined) throw new RangeError(`a route of type ${route.type} cannot be written`);
  writer.u8(family === 4 ? AF_INET : AF_INET6).u8(prefixLength).u8(0).u8(0).u8(route.table < 256 ? route.table : 0).u8(route.protocol).u8(route.scope).u8(type).u32(route.onlink ? RTNH_F_ONLINK : 0);
  writer.attribute(RTA.DST, bytes);
  writer.attributeU32(RTA.TABLE, route.table);
  if (route.interfaceIndex !== null) writer.attributeU32(RTA.OIF, route.interfaceIndex);
  if (route.gateway !== null) writer.attribute(RTA.GATEWAY, addressBytes(route.gateway));
  if (route.source !== null) writer.attribute(RTA.PREFSRC, addressBytes(route.source));
  if (route.metric !== 0) writer.attributeU32(RTA.PRIORITY, route.metric);
}

export function parseRoute(payload: Buffer): Route | null {
  if (payload.length < 12) return null;
  const [family = 0, prefixLength = 0, , , table = 0, protocol = 0, scope = 0, type = 0] = payload;
  if (family !== AF_INET && family !== AF_INET6) return null;
  const attributes = readAttributes(payload.subarray(12));
  const width = family === AF_INET ? 4 : 16;
  const addressAt = (attribute: number): string | null => {
    const bytes = attributes.get(attribute);
    return bytes === undefined || bytes.length !== width ? null : formatAddress(bytes);
  };
  return {
    destination: `${addressAt(RTA.DST) ?? formatAddress(new Uint8Array(width))}/${prefixLength}`, type: ROUTE_TYPES[type] ?? "other", table: readU32(attributes.get(RTA.TABLE)) ?? table, protocol, scope,
    interfaceIndex: readU32(attributes.get(RTA.OIF)) ?? null, gateway: addressAt(RTA.GATEWAY), source: addressAt(RTA.PREFSRC), metric: readU32(attributes.get(RTA.PRIORITY)) ?? 0,
    onlink: (payload.readUInt32LE(8) & RTNH_F_ONLINK) !== 0,
  };
}

/** struct ndmsg. */
export function writeNeighbour(writer: NetlinkWriter, { interfaceIndex, address, mac, state }: Neighbour): void {
  writer.u8(familyCode(address)).u8(0).u16(0).u32(interfaceIndex).u16(state).u8(0).u8(0);
  writer.attribute(NDA.DST, addressBytes(address));
  if (mac !== null) writer.attribute(NDA.LLADDR, macBytes(mac));
}

export function parseNeighbour(payload: Buffer): Neighbour | null {
  if (payload.length < 12 || payload[0] === AF_BRIDGE) return null;
  const attributes = readAttributes(payload.subarray(12));
  const bytes = attributes.get(NDA.DST);
  if (bytes === undefined || (bytes.length !== 4 && bytes.length !== 16)) return null;
  return { interfaceIndex: payload.readInt32LE(4), address: formatAddress(bytes), mac: macText(attributes.get(NDA.LLADDR)), state: payload.readUInt16LE(8) };
}

/** struct ndmsg again, of the family of bridges; "self" is the device itself and not a bridge above it. */
export function writeForwarding(writer: NetlinkWriter, { interfaceIndex, mac, destination, state }: ForwardingEntry): void {
  writer.u8(AF_BRIDGE).u8(0).u16(0).u32(interfaceIndex).u16(state).u8(NTF_SELF).u8(0);
  writer.attribute(NDA.LLADDR, macBytes(mac)).attribute(NDA.DST, addressBytes(destination));
}

/** null for an entry of another kind of device, which has no destination. */
export function parseForwarding(payload: Buffer): ForwardingEntry | null {
  if (payload.length < 12 || payload[0] !== AF_BRIDGE) return null;
  const attributes = readAttributes(payload.subarray(12));
  const [mac, destination] = [macText(attributes.get(NDA.LLADDR)), attributes.get(NDA.DST)];
  if (mac === null || destination === undefined || (destination.length !== 4 && destination.length !== 16)) return null;
  return { interfaceIndex: payload.readInt32LE(4), mac, destination: formatAddress(destination), state: payload.readUInt16LE(8) };
}

/** Throws a RangeError for anything but six hexadecimal bytes. */
export function macBytes(text: string): Uint8Array {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) throw new RangeError(`${JSON.stringify(text)} is no MAC address`);
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

function macText(bytes: Buffer | undefined): string | null {
  return bytes === undefined ? null : [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
