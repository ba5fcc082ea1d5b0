/** Routes to what other nodes have, by the device that they leave by: they exist as long as it is there and up. */
import { ROUTE_TABLE_MAIN, SCOPE_GLOBAL, type Link, type Route } from "@calico/kernel";
import { ROUTE_PROTOCOL } from "../rules/constants.ts";

/** `onlink`: the gateway is behind the device although no route says so. */
export type RemoteTarget = { readonly device: string; readonly gateway: string; readonly onlink: boolean };

export interface RemoteRoutes {
  /** null: there is none. */
  set(destination: string, target: RemoteTarget | null): void;
  /** The route as the kernel should have it; undefined while its device is not up. */
  get(destination: string): Route | undefined;
  /** How a device was found to be. Returns the destinations that this concerns. */
  setLink(device: string, link: Link | null): Iterable<string>;
  /** The device as last found; undefined: nobody has looked. */
  linkOf(device: string): Link | null | undefined;
  destinations(): Iterable<string>;
  devices(): Iterable<string>;
}

export function createRemoteRoutes(): RemoteRoutes {
  const targets = new Map<string, RemoteTarget>();
  const byDevice = new Map<string, Set<string>>();
  const links = new Map<string, Link | null>();

  function forget(destination: string): void {
    const { device } = targets.get(destination) ?? { device: "" };
    const others = byDevice.get(device);
    others?.delete(destination);
    if (others?.size === 0) {
      byDevice.delete(device);
      links.delete(device);
    }
    targets.delete(destination);
  }

  return {
    set(destination, target) {
      if (target === null) return forget(destination);
      if (targets.get(destination)?.device !== target.device) forget(destination);
      targets.set(destination, target);
      const others = byDevice.get(target.device);
      if (others === undefined) byDevice.set(target.device, new Set([destination]));
      else others.add(destination);
    },
    get(destination) {
      const target = targets.get(destination);
      const link = target === undefined ? undefined : links.get(target.device);
      if (target === undefined || link?.up !== true) return undefined;
      const { gateway, onlink } = target;
      return { destination, type: "unicast", table: ROUTE_TABLE_MAIN, protocol: ROUTE_PROTOCOL, scope: SCOPE_GLOBAL, interfaceIndex: link.index, gateway, source: null, metric: 0, onlink };
    },
    setLink(device, link) {
      if (byDevice.has(device)) links.set(device, link);
      return byDevice.get(device) ?? [];
    },
    linkOf: (device) => links.get(device),
    destinations: () => targets.keys(),
    devices: () => byDevice.keys(),
  };
}
