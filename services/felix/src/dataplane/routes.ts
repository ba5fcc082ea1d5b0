/** Routes to this node's pods and blocks and, where an overlay leads there, to those of other nodes; kept as they should be. */
import { existsSync } from "node:fs";
import { familyOf } from "@calico/model";
import { openRtnetlink, openSys, ROUTE_TABLE_MAIN, SCOPE_GLOBAL, SCOPE_LINK, readSysctl, writeSysctl, type KernelError, type Link, type Route, type Rtnetlink } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { ROUTE_PROTOCOL } from "../rules/constants.ts";
import { createRemoteRoutes, type RemoteTarget } from "./remote-routes.ts";
import { createRouteClaims } from "./route-claims.ts";

export interface Routes extends Disposable {
  /** Addresses that are behind an interface; none: nothing is. `spoofing`: it may send from others, to which no route leads through it. */
  setInterface(name: string, addresses: readonly string[], spoofing?: boolean): void;
  /** Blocks of this node: what no pod has leads nowhere. */
  setBlock(cidr: string, present: boolean): void;
  /** A range that other nodes have; null: it is none. A pod's own route to an address comes first. */
  setRemote(destination: string, target: RemoteTarget | null): void;
  /** The device was made anew: looked at by the next apply, before the kernel tells. */
  lookAt(device: string): void;
  /** Brings the kernel up to date; cleans up what carries our protocol number and is not wanted. The interfaces that this was about. */
  apply(): ReadonlySet<string>;
  /** In words why an interface has no route yet; null when all are there. */
  missing(name: string): string | null;
  readonly count: number;
  /** Some route is not as it should be: the next apply tries again. */
  readonly isBehind: boolean;
  /** Compare with the kernel at the next apply. */
  suspect(): void;
}

export type RoutesOptions = {
  readonly log: Pick<Logger, "warn">;
  /** The kernel has changed under us: apply again. */
  readonly onDrift: () => void;
  /** That of this machine when absent. */
  readonly rtnetlink?: Pick<Rtnetlink, "subscribe" | "listRoutes" | "getLink" | "applyRoutes"> & Disposable;
};

export function createRoutes({ log, onDrift, rtnetlink = openRtnetlink(openSys()) }: RoutesOptions): Routes {
  /** Interfaces with addresses, as they were when last looked at. */
  const links = new Map<string, Link>();
  const wanted = new Map<string, readonly string[]>();
  const desired = createRouteClaims();
  const remotes = createRemoteRoutes();
  /** Blocks of this node, by CIDR. */
  const blocks = new Map<string, Route>();
  /** Our routes in the kernel, by destination. */
  const actual = new Map<string, Route>();
  const errors = new Map<string, KernelError>();
  const prepared = new Map<string, number>();
  const spoofing = new Set<string>();
  const dirtyInterfaces = new Set<string>();
  const dirtyDevices = new Set<string>();
  const dirtyDestinations = new Set<string>();
  /** Destinations whose route is set again even if the kernel should have it. */
  const unsure = new Set<string>();
  let loaded = false;

  const subscription = rtnetlink.subscribe({
    // An event may be older than what is known: it says where to look, not what is there.
    onLink(link, present) {
      const device = remotes.linkOf(link.name);
      if (device !== undefined && !(present && device?.index === link.index && device.up === link.up)) {
        // Thousands of routes may have gone with it, unsaid, or none: reading them all is far cheaper than setting them all.
        loaded = false;
        onDrift();
      }
      if (!wanted.has(link.name)) return;
      const known = links.get(link.name);
      if (present && known?.index === link.index && known.up === link.up) return;
      dirtyInterfaces.add(link.name);
      // With a link that goes down its IPv4 routes go, and nobody is told.
      for (const destination of desired.destinationsOf(link.name)) unsure.add(destination);
      onDrift();
    },
    onRoute(route, present) {
      if (route.protocol !== ROUTE_PROTOCOL || route.table !== ROUTE_TABLE_MAIN) return;
      const known = actual.get(route.destination);
      if (present) {
        actual.set(route.destination, route);
        if (known !== undefined && sameRoute(known, route)) return;
      } else {
        if (known === undefined || !sameRoute(known, route)) return;
        actual.delete(route.destination);
      }
      dirtyDestinations.add(route.destination);
      onDrift();
    },
    onOverflow() {
      loaded = false;
      onDrift();
    },
  });

  function load(): void {
    actual.clear();
    for (const family of [4, 6] as const) for (const route of rtnetlink.listRoutes(family, { table: ROUTE_TABLE_MAIN, protocol: ROUTE_PROTOCOL })) actual.set(route.destination, route);
    for (const name of [...wanted.keys(), ...desired.owners()]) dirtyInterfaces.add(name);
    for (const device of remotes.devices()) dirtyDevices.add(device);
    for (const destination of [...actual.keys(), ...desired.destinations(), ...remotes.destinations(), ...blocks.keys()]) dirtyDestinations.add(destination);
    loaded = true;
  }

  /** Works out again what an interface should have: nothing while it is down. */
  function refresh(name: string): void {
    const addresses = wanted.get(name) ?? [];
    const link = addresses.length === 0 ? null : rtnetlink.getLink(name);
    if (link === null) links.delete(name);
    else {
      links.set(name, link);
      prepare(link);
    }
    const routes = link?.up !== true ? [] : addresses.map((address) => {
      const destination = `${address}/${familyOf(address) === 4 ? 32 : 128}`;
      return route(destination, { interfaceIndex: link.index, scope: familyOf(address) === 4 ? SCOPE_LINK : SCOPE_GLOBAL });
    });
    for (const destination of desired.claim(name, routes)) dirtyDestinations.add(destination);
  }

  /** The endpoint's rules check its sources anyway. The kernel takes the larger of an interface's number and that for all; 2 is content with any route. */
  function reversePath(name: string): string {
    if (!spoofing.has(name)) return "1";
    return readSysctl("ipv4/conf/all/rp_filter") === "1" ? "2" : "0";
  }

  /** What an interface of a pod needs besides its route; again when it is another interface of that name. */
  function prepare({ name, index }: Link): void {
    if (prepared.get(name) === index) return;
    try {
      for (const [key, value] of [["proxy_arp", "1"], ["forwarding", "1"], ["route_localnet", "1"], ["rp_filter", reversePath(name)]] as const) writeSysctl(`ipv4/conf/${name}/${key}`, value);
      if (existsSync(`/proc/sys/net/ipv6/conf/${name}`)) for (const [key, value] of [["accept_ra", "0"], ["proxy_ndp", "1"], ["forwarding", "1"]] as const) writeSysctl(`ipv6/conf/${name}/${key}`, value);
      prepared.set(name, index);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
  }

  /** Sends what differs, of the destinations that may; the interfaces that this was about are added to `touched`. */
  function send(touched: Set<string>): void {
    const replace: Route[] = [];
    const remove: Route[] = [];
    for (const destination of dirtyDestinations) {
      const claimed = desired.get(destination);
      const want = claimed?.route ?? remotes.get(destination) ?? blocks.get(destination);
      const have = actual.get(destination);
      if (claimed !== undefined) touched.add(claimed.owner);
      if (want === undefined) {
        if (have !== undefined) remove.push(have);
      } else if (have === undefined || unsure.has(destination) || !sameRoute(have, want)) replace.push(want);
    }
    dirtyDestinations.clear();
    unsure.clear();
    if (replace.length === 0 && remove.length === 0) return;
    const results = rtnetlink.applyRoutes({ replace, remove });
    for (const [i, each] of remove.entries()) if (results.removed[i] === null) actual.delete(each.destination);
    for (const [i, each] of replace.entries()) {
      const error = results.replaced[i];
      if (error === null || error === undefined) {
        actual.set(each.destination, each);
        errors.delete(each.destination);
      } else {
        errors.set(each.destination, error);
        // The next apply, whatever it is for, tries again.
        dirtyDestinations.add(each.destination);
        unsure.add(each.destination);
        log.warn("A route could not be set", { route: each.destination, error });
      }
    }
  }

  return {
    setInterface(name, addresses, spoofs = false) {
      if (spoofs !== spoofing.has(name)) prepared.delete(name);
      if (spoofs && addresses.length > 0) spoofing.add(name);
      else spoofing.delete(name);
      if (addresses.length === 0) {
        wanted.delete(name);
        prepared.delete(name);
      } else wanted.set(name, addresses);
      dirtyInterfaces.add(name);
    },
    setBlock(cidr, present) {
      // A block of one address has no room for a route beside its pod's.
      if (cidr.endsWith("/32") || cidr.endsWith("/128")) return;
      if (present) blocks.set(cidr, route(cidr, { type: "blackhole" }));
      else blocks.delete(cidr);
      dirtyDestinations.add(cidr);
    },
    setRemote(destination, target) {
      remotes.set(destination, target);
      dirtyDestinations.add(destination);
      if (target !== null && remotes.linkOf(target.device) === undefined) dirtyDevices.add(target.device);
    },
    lookAt: (device) => void dirtyDevices.add(device),
    apply() {
      if (!loaded) load();
      for (const device of dirtyDevices) for (const destination of remotes.setLink(device, rtnetlink.getLink(device))) dirtyDestinations.add(destination);
      dirtyDevices.clear();
      const touched = new Set(dirtyInterfaces);
      for (const name of dirtyInterfaces) refresh(name);
      dirtyInterfaces.clear();
      // An interface that is not there yet is looked for again at the next apply.
      for (const name of touched) if (wanted.has(name) && !links.has(name)) dirtyInterfaces.add(name);
      send(touched);
      return touched;
    },
    missing(name) {
      const link = links.get(name);
      if (link === undefined) return `interface ${name} does not exist`;
      if (!link.up) return `interface ${name} is down`;
      for (const address of wanted.get(name) ?? []) {
        const destination = `${address}/${familyOf(address) === 4 ? 32 : 128}`;
        if (unsure.has(destination) || actual.get(destination)?.interfaceIndex !== link.index) return errors.get(destination)?.message ?? `the route to ${destination} is not set`;
      }
      return null;
    },
    get count() {
      return actual.size;
    },
    get isBehind() {
      return unsure.size > 0;
    },
    suspect() {
      loaded = false;
    },
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      rtnetlink[Symbol.dispose]();
    },
  };
}

function route(destination: string, change: Partial<Route>): Route {
  return { destination, type: "unicast", table: ROUTE_TABLE_MAIN, protocol: ROUTE_PROTOCOL, scope: SCOPE_GLOBAL, interfaceIndex: null, gateway: null, source: null, metric: 0, onlink: false, ...change };
}

/** The kernel gives IPv6 routes a metric and blackholes an interface of their own. */
function sameRoute(a: Route, b: Route): boolean {
  return a.type === b.type && (a.type === "blackhole" || a.interfaceIndex === b.interfaceIndex) && a.gateway === b.gateway;
}
