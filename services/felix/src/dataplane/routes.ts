/** Routes of this node's pods and blocks, kept as they should be. */
import { existsSync } from "node:fs";
import { familyOf } from "@calico/model";
import { openRtnetlink, openSys, ROUTE_TABLE_MAIN, SCOPE_GLOBAL, SCOPE_LINK, writeSysctl, type KernelError, type Link, type Route } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { ROUTE_PROTOCOL } from "../rules/constants.ts";

export interface Routes extends Disposable {
  /** Addresses that are behind an interface; none: nothing is. */
  setInterface(name: string, addresses: readonly string[]): void;
  /** Blocks of this node: what no pod has leads nowhere. */
  setBlock(cidr: string, present: boolean): void;
  /** Brings the kernel up to date; cleans up what carries our protocol number and is not wanted. */
  apply(): void;
  /** In words why an interface has no route yet; null when all are there. */
  missing(name: string): string | null;
  readonly count: number;
  /** Compare with the kernel at the next apply. */
  suspect(): void;
}

export type RoutesOptions = { readonly log: Logger; /** The kernel has changed under us: apply again. */ readonly onDrift: () => void };

export function createRoutes({ log, onDrift }: RoutesOptions): Routes {
  const sys = openSys();
  const rtnetlink = openRtnetlink(sys);
  const links = new Map<string, Link>();
  const wanted = new Map<string, readonly string[]>();
  const blocks = new Set<string>();
  /** Our routes in the kernel, by destination. */
  const actual = new Map<string, Route>();
  const errors = new Map<string, KernelError>();
  const prepared = new Map<string, number>();
  let loaded = false;

  const subscription = rtnetlink.subscribe({
    onLink(link, present) {
      if (present) links.set(link.name, link);
      else links.delete(link.name);
      if (wanted.has(link.name)) onDrift();
    },
    onRoute(route, present) {
      if (route.protocol !== ROUTE_PROTOCOL || route.table !== ROUTE_TABLE_MAIN) return;
      const known = actual.get(route.destination);
      if (present) {
        actual.set(route.destination, route);
        if (known === undefined || !sameRoute(known, route)) onDrift();
      } else if (known !== undefined && sameRoute(known, route)) {
        actual.delete(route.destination);
        onDrift();
      }
    },
    onOverflow() {
      loaded = false;
      onDrift();
    },
  });

  function load(): void {
    links.clear();
    actual.clear();
    for (const link of rtnetlink.listLinks()) links.set(link.name, link);
    for (const family of [4, 6] as const) for (const route of rtnetlink.listRoutes(family, { table: ROUTE_TABLE_MAIN, protocol: ROUTE_PROTOCOL })) actual.set(route.destination, route);
    loaded = true;
  }

  function desired(): Map<string, Route> {
    const routes = new Map<string, Route>();
    for (const cidr of blocks) {
      // A block of one address has no room for a route beside its pod's.
      if (!cidr.endsWith("/32") && !cidr.endsWith("/128")) routes.set(cidr, route(cidr, { type: "blackhole" }));
    }
    for (const [name, addresses] of wanted) {
      const link = links.get(name);
      if (link?.up !== true) continue;
      for (const address of addresses) {
        const destination = `${address}/${familyOf(address) === 4 ? 32 : 128}`;
        routes.set(destination, route(destination, { interfaceIndex: link.index, scope: familyOf(address) === 4 ? SCOPE_LINK : SCOPE_GLOBAL }));
      }
    }
    return routes;
  }

  /** What an interface of a pod needs besides its route; again when it is another interface of that name. */
  function prepare(name: string): void {
    const link = links.get(name);
    if (link === undefined || prepared.get(name) === link.index) return;
    try {
      for (const [key, value] of [["proxy_arp", "1"], ["forwarding", "1"], ["route_localnet", "1"], ["rp_filter", "1"]] as const) writeSysctl(`ipv4/conf/${name}/${key}`, value);
      if (existsSync(`/proc/sys/net/ipv6/conf/${name}`)) for (const [key, value] of [["accept_ra", "0"], ["proxy_ndp", "1"], ["forwarding", "1"]] as const) writeSysctl(`ipv6/conf/${name}/${key}`, value);
      prepared.set(name, link.index);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
  }

  return {
    setInterface(name, addresses) {
      if (addresses.length === 0) {
        wanted.delete(name);
        prepared.delete(name);
      } else wanted.set(name, addresses);
    },
    setBlock(cidr, present) {
      if (present) blocks.add(cidr);
      else blocks.delete(cidr);
    },
    apply() {
      if (!loaded) load();
      // The event of a link that was made a moment ago may still be on its way.
      for (const name of wanted.keys()) {
        if (!links.has(name)) {
          const link = rtnetlink.getLink(name);
          if (link !== null) links.set(name, link);
        }
        prepare(name);
      }
      const routes = desired();
      const replace = [...routes.values()].filter((each) => {
        const present = actual.get(each.destination);
        return present === undefined || !sameRoute(present, each);
      });
      const remove = [...actual.values()].filter(({ destination }) => !routes.has(destination));
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
          log.warn("A route could not be set", { route: each.destination, error });
        }
      }
    },
    missing(name) {
      const link = links.get(name);
      if (link === undefined) return `interface ${name} does not exist`;
      if (!link.up) return `interface ${name} is down`;
      for (const address of wanted.get(name) ?? []) {
        const destination = `${address}/${familyOf(address) === 4 ? 32 : 128}`;
        if (actual.get(destination)?.interfaceIndex !== link.index) return errors.get(destination)?.message ?? `the route to ${destination} is not set`;
      }
      return null;
    },
    get count() {
      return actual.size;
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
