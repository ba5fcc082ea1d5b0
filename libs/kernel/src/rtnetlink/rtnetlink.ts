/** Links, addresses, routes and neighbours of one network namespace. */
import { KernelError, NetlinkConnection, type NetlinkRequest } from "../netlink/connection.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type NetlinkWriter } from "../netlink/writer.ts";
import { AF_BRIDGE, AF_INET, AF_INET6, EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH } from "../sys/constants.ts";
import type { Sys } from "../sys/sys.ts";
import { withNetns } from "../netns/netns.ts";
import {
  parseAddressMessage, parseForwarding, parseLink, parseNeighbour, parseRoute, RTM, RTNLGRP, writeAddress, writeBridge, writeForwarding, writeLinkByName, writeLinkChange, writeLinkGroup, writeLinkHeader, writeNeighbour,
  writeRoute, writeVeth, writeVxlan,
} from "./codec.ts";
import type { ForwardingEntry, InterfaceAddress, Link, LinkChange, Neighbour, Route, VethSpec, VxlanSpec } from "./types.ts";

const NETLINK_ROUTE = 0;
/** What the kernel says when the object of a deletion, or its interface, is not there. */
const MISSING: ReadonlySet<number> = new Set([ESRCH, ENODEV, ENOENT]);

export type RouteFilter = { readonly table?: number; readonly protocol?: number };

/** What changed in the kernel, whoever changed it. Handlers that are absent are not subscribed to. */
export type RtnetlinkHandlers = {
  readonly onLink?: (link: Link, present: boolean) => void;
  readonly onAddress?: (address: InterfaceAddress, present: boolean) => void;
  readonly onRoute?: (route: Route, present: boolean) => void;
  readonly onNeighbour?: (neighbour: Neighbour, present: boolean) => void;
  readonly onForwarding?: (entry: ForwardingEntry, present: boolean) => void;
  /** Events were lost: read everything again. */
  readonly onOverflow: () => void;
};

/** What to set and what to delete, in one batch; deletions go first. */
export type Batch<T> = { readonly replace?: readonly T[]; readonly remove?: readonly T[] };
/** For each of a batch null, or what the kernel said. Deleting what is not there is fine. */
export type BatchResult = { readonly replaced: (KernelError | null)[]; readonly removed: (KernelError | null)[] };

/** Calls are synchronous and throw a KernelError unless they say otherwise. */
export interface Rtnetlink extends Disposable {
  listLinks(): Link[];
  /** null when there is none of that name or index. */
  getLink(at: string | number): Link | null;
  createVeth(spec: VethSpec): void;
  createBridge(name: string): void;
  createVxlan(spec: VxlanSpec): void;
  changeLink(index: number, change: LinkChange): void;
  /** False when it was not there. */
  deleteLink(at: string | number): boolean;
  /** Deletes every link of a group in one request. False when there was none. */
  deleteLinkGroup(group: number): boolean;
  listAddresses(): InterfaceAddress[];
  /** An address that is there already is fine. */
  addAddress(address: InterfaceAddress): void;
  /** One that is not there is fine. */
  removeAddress(address: InterfaceAddress): void;
  listRoutes(family: 4 | 6, filter?: RouteFilter): Route[];
  applyRoutes(change: Batch<Route>): BatchResult;
  listNeighbours(): Neighbour[];
  applyNeighbours(change: Batch<Neighbour>): BatchResult;
  /** Entries of VXLAN devices. */
  listForwarding(): ForwardingEntry[];
  applyForwarding(change: Batch<ForwardingEntry>): BatchResult;
  setNeighbour(neighbour: Neighbour): void;
  /** Events from now on, until disposed. */
  subscribe(handlers: RtnetlinkHandlers): Disposable;
}

/** Opens a connection in the network namespace at `netnsPath`, or in that of the calling thread. */
export function openRtnetlink(sys: Sys, netnsPath?: string): Rtnetlink {
  const inside = <T>(run: () => T): T => (netnsPath === undefined ? run() : withNetns(sys, netnsPath, run));
  const connection = inside(() => new NetlinkConnection(sys, NETLINK_ROUTE));

  function dump<T>(type: number, family: number, parse: (payload: Buffer) => T | null, what: string): T[] {
    const header = type === RTM.GETLINK ? 16 : type === RTM.GETADDR ? 8 : 12;
    return connection.dump({ type, what, write: (writer) => {
      writer.u8(family);
      for (let i = 1; i < header; i += 1) writer.u8(0);
    } }).flatMap(({ payload }) => parse(payload) ?? []);
  }

  /** Runs a request; false when the kernel says that the object is not there. */
  function unlessMissing(request: NetlinkRequest): boolean {
    try {
      connection.request(request);
      return true;
    } catch (error) {
      if (error instanceof KernelError && (error.errno === ENODEV || error.errno === ENOENT)) return false;
      throw error;
    }
  }

  /** A kind of object that is set and deleted in batches. */
  function batched<T>(types: { readonly set: number; readonly remove: number }, write: (writer: NetlinkWriter, item: T) => void, nameOf: (item: T) => string): (change: Batch<T>) => BatchResult {
    return ({ replace = [], remove = [] }) => {
      const results = connection.batch([
        ...remove.map((item): NetlinkRequest => ({ type: types.remove, flags: 0, what: `delete ${nameOf(item)}`, write: (writer) => write(writer, item) })),
        ...replace.map((item): NetlinkRequest => ({ type: types.set, flags: NLM_F_CREATE | NLM_F_REPLACE, what: `set ${nameOf(item)}`, write: (writer) => write(writer, item) })),
      ]);
      return { removed: results.slice(0, remove.length).map((error) => (error !== null && MISSING.has(error.errno) ? null : error)), replaced: results.slice(remove.length) };
    };
  }

  return {
    listLinks: () => dump(RTM.GETLINK, 0, parseLink, "list links"),
    getLink(at) {
      try {
        const [found] = connection.get({ type: RTM.GETLINK, flags: 0, what: `get link ${at}`, write: (writer) => (typeof at === "string" ? writeLinkByName(writer, at) : writeLinkHeader(writer, at)) });
        return found === undefined ? null : parseLink(found.payload);
      } catch (error) {
        if (error instanceof KernelError && error.errno === ENODEV) return null;
        throw error;
      }
    },
    createVeth: (spec) => connection.request({ type: RTM.NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, what: `create veth ${spec.name}`, write: (writer) => writeVeth(writer, spec) }),
    createBridge: (name) => connection.request({ type: RTM.NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, what: `create bridge ${name}`, write: (writer) => writeBridge(writer, name) }),
    createVxlan: (spec) => connection.request({ type: RTM.NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, what: `create VXLAN device ${spec.name}`, write: (writer) => writeVxlan(writer, spec) }),
    changeLink: (index, change) => connection.request({ type: RTM.NEWLINK, flags: 0, what: `change link ${index}`, write: (writer) => writeLinkChange(writer, index, change) }),
    deleteLink: (at) => unlessMissing({ type: RTM.DELLINK, flags: 0, what: `delete link ${at}`, write: (writer) => (typeof at === "string" ? writeLinkByName(writer, at) : writeLinkHeader(writer, at)) }),
    deleteLinkGroup: (group) => unlessMissing({ type: RTM.DELLINK, flags: 0, what: `delete links of group ${group}`, write: (writer) => writeLinkGroup(writer, group) }),
    listAddresses: () => dump(RTM.GETADDR, 0, parseAddressMessage, "list addresses"),
    addAddress(address) {
      try {
        connection.request({ type: RTM.NEWADDR, flags: NLM_F_CREATE | NLM_F_EXCL, what: `add address ${address.address}/${address.prefixLength}`, write: (writer) => writeAddress(writer, address) });
      } catch (error) {
        if (!(error instanceof KernelError) || error.errno !== EEXIST) throw error;
      }
    },
    removeAddress(address) {
      try {
        connection.request({ type: RTM.DELADDR, flags: 0, what: `delete address ${address.address}/${address.prefixLength}`, write: (writer) => writeAddress(writer, address) });
      } catch (error) {
        if (!(error instanceof KernelError) || (error.errno !== EADDRNOTAVAIL && !MISSING.has(error.errno))) throw error;
      }
    },
    listRoutes: (family, { table, protocol } = {}) => dump(RTM.GETROUTE, family === 4 ? AF_INET : AF_INET6, parseRoute, "list routes")
      .filter((route) => (table === undefined || route.table === table) && (protocol === undefined || route.protocol === protocol)),
    applyRoutes: batched<Route>({ set: RTM.NEWROUTE, remove: RTM.DELROUTE }, writeRoute, ({ destination }) => `route ${destination}`),
    listNeighbours: () => dump(RTM.GETNEIGH, 0, parseNeighbour, "list neighbours"),
    applyNeighbours: batched<Neighbour>({ set: RTM.NEWNEIGH, remove: RTM.DELNEIGH }, writeNeighbour, ({ address }) => `neighbour ${address}`),
    listForwarding: () => dump(RTM.GETNEIGH, AF_BRIDGE, parseForwarding, "list forwarding entries"),
    applyForwarding: batched<ForwardingEntry>({ set: RTM.NEWNEIGH, remove: RTM.DELNEIGH }, writeForwarding, ({ mac, destination }) => `forwarding entry of ${mac} to ${destination}`),
    setNeighbour: (neighbour) => connection.request({
      type: RTM.NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE, what: `set neighbour ${neighbour.address}`, write: (writer) => writeNeighbour(writer, neighbour),
    }),
    subscribe(handlers) {
      const events = inside(() => new NetlinkConnection(sys, NETLINK_ROUTE, { nonBlocking: true }));
      const groups = [
        ...(handlers.onLink === undefined ? [] : [RTNLGRP.LINK]), ...(handlers.onAddress === undefined ? [] : [RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR]),
        ...(handlers.onRoute === undefined ? [] : [RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE]),
        ...(handlers.onNeighbour === undefined && handlers.onForwarding === undefined ? [] : [RTNLGRP.NEIGH]),
      ];
      const subscription = events.subscribe(groups, ({ type, payload }) => dispatch(handlers, type, payload), handlers.onOverflow);
      return {
        [Symbol.dispose]() {
          subscription[Symbol.dispose]();
          events.close();
        },
      };
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

function dispatch(handlers: RtnetlinkHandlers, type: number, payload: Buffer): void {
  if (type === RTM.NEWLINK || type === RTM.DELLINK) {
    const link = parseLink(payload);
    if (link !== null) handlers.onLink?.(link, type === RTM.NEWLINK);
  } else if (type === RTM.NEWADDR || type === RTM.DELADDR) {
    const address = parseAddressMessage(payload);
    if (address !== null) handlers.onAddress?.(address, type === RTM.NEWADDR);
  } else if (type === RTM.NEWROUTE || type === RTM.DELROUTE) {
    const route = parseRoute(payload);
    if (route !== null) handlers.onRoute?.(route, type === RTM.NEWROUTE);
  } else if (type === RTM.NEWNEIGH || type === RTM.DELNEIGH) {
    const neighbour = parseNeighbour(payload);
    if (neighbour !== null) handlers.onNeighbour?.(neighbour, type === RTM.NEWNEIGH);
    const entry = parseForwarding(payload);
    if (entry !== null) handlers.onForwarding?.(entry, type === RTM.NEWNEIGH);
  }
}
