/** A pod's veth pair, made through netlink in this process. */
import { existsSync } from "node:fs";
import { familyOf, type IpAddress } from "@calico/model";
import { KernelError, NUD_PERMANENT, openRtnetlink, openSys, ROUTE_TABLE_MAIN, SCOPE_GLOBAL, SCOPE_LINK, withNetns, writeSysctl, type Route, type Rtnetlink } from "@calico/kernel";
import type { PodInterfaceSpec, PodNetwork } from "./ports.ts";

/** Every host interface of a pod has this address: a pod moved to another node keeps its neighbour entry. */
const HOST_MAC = "ee:ee:ee:ee:ee:ee";
/** The next hop of every pod; nobody has it, the host answers for it. */
const GATEWAY_V4 = "169.254.1.1";
/** Link-local address that HOST_MAC makes (RFC 4291, appendix A): the pod's IPv6 next hop. */
const GATEWAY_V6 = "fe80::ecee:eeff:feee:eeee";
const FORWARDING = { 4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding" } as const;
/** Protocol "boot": made by hand or at boot. */
const PROTOCOL_BOOT = 3;

export function createKernelPodNetwork(): PodNetwork {
  const sys = openSys();
  // One socket for the host's namespace for the life of the process.
  const host = openRtnetlink(sys);

  function setUp(spec: PodInterfaceSpec): { hostIndex: number; podMac: string } {
    host.deleteLink(spec.hostInterface);
    const netns = sys.open(spec.netns);
    try {
      host.createVeth({ name: spec.hostInterface, peerName: spec.podInterface, peerNetns: netns, mac: HOST_MAC, ...(spec.mac === null ? {} : { peerMac: spec.mac }), mtu: spec.mtu });
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== "EEXIST") throw error;
      // The host's end was deleted a moment ago, so it is the pod's.
      throw new Error(`the pod's network namespace has an interface ${spec.podInterface} already`, { cause: error });
    } finally {
      sys.close(netns);
    }
    try {
      const link = host.getLink(spec.hostInterface);
      if (link === null) throw new Error(`${spec.hostInterface} vanished`);
      prepareHostSide(host, link.index, spec);
      return { hostIndex: link.index, podMac: withNetns(sys, spec.netns, () => configurePodSide(spec)) };
    } catch (error) {
      host.deleteLink(spec.hostInterface);
      throw error;
    }
  }

  /** Inside the pod's namespace: synchronous throughout. Returns the MAC address. */
  function configurePodSide({ podInterface, addresses, defaultRoutes, forwarding }: PodInterfaceSpec): string {
    using pod = openRtnetlink(sys);
    const loopback = pod.getLink("lo");
    if (loopback !== null) pod.changeLink(loopback.index, { up: true });
    const link = pod.getLink(podInterface);
    if (link === null) throw new Error(`${podInterface} is not in the pod's namespace`);
    const families = new Set(addresses.map(familyOf));
    if (families.has(6)) for (const scope of ["all", "default", podInterface]) writeSysctl(`ipv6/conf/${scope}/disable_ipv6`, "0");
    if (forwarding !== null) for (const family of families) writeSysctl(FORWARDING[family], forwarding ? "1" : "0");
    pod.changeLink(link.index, { up: true });
    for (const address of addresses) pod.addAddress({ interfaceIndex: link.index, address, prefixLength: familyOf(address) === 4 ? 32 : 128 });
    const wanted = routesOf(link.index, addresses, defaultRoutes);
    const failed = pod.applyRoutes({ replace: wanted }).replaced.find((error) => error !== null);
    if (failed !== undefined && failed !== null) throw failed;
    // Spares the first packet the wait for an answer to ARP or neighbour solicitation.
    if (families.has(4)) pod.setNeighbour({ interfaceIndex: link.index, address: GATEWAY_V4, mac: HOST_MAC, state: NUD_PERMANENT });
    if (families.has(6)) pod.setNeighbour({ interfaceIndex: link.index, address: GATEWAY_V6, mac: HOST_MAC, state: NUD_PERMANENT });
    return link.mac;
  }

  /** Inside the pod's namespace. */
  function podProblems({ podInterface, addresses, defaultRoutes }: Pick<PodInterfaceSpec, "podInterface" | "addresses" | "defaultRoutes">): string[] {
    using pod = openRtnetlink(sys);
    const link = pod.getLink(podInterface);
    if (link === null) return [`${podInterface} is not in the pod's namespace`];
    const present = new Set(pod.listAddresses().filter(({ interfaceIndex }) => interfaceIndex === link.index).map(({ address }) => address));
    const found = new Set(([4, 6] as const).flatMap((family) => pod.listRoutes(family, { table: ROUTE_TABLE_MAIN }).filter(({ interfaceIndex }) => interfaceIndex === link.index).map(({ destination }) => destination)));
    return [
      ...(link.up ? [] : [`${podInterface} is down`]), ...addresses.filter((address) => !present.has(address)).map((address) => `${podInterface} does not have the address ${address}`),
      ...routesOf(link.index, addresses, defaultRoutes).filter(({ destination }) => !found.has(destination)).map(({ destination }) => `the pod's route to ${destination} is gone`),
    ];
  }

  return {
    setUp,
    tearDown({ hostInterface, hostIndex, netns, podInterface }) {
      if (netns !== "" && existsSync(netns)) {
        try {
          withNetns(sys, netns, () => {
            using pod = openRtnetlink(sys);
            pod.deleteLink(podInterface);
          });
        } catch (error) {
          // A namespace that goes away meanwhile takes the pair with it.
          if (existsSync(netns) && !isNotNamespace(error)) throw error;
        }
      }
      const left = host.getLink(hostInterface);
      if (left !== null && left.index === hostIndex) host.deleteLink(left.index);
    },
    isUp: ({ hostInterface, hostIndex }) => host.getLink(hostInterface)?.index === hostIndex,
    problems(spec) {
      const link = host.getLink(spec.hostInterface);
      const outside = link === null ? [`${spec.hostInterface} is gone`] : link.index !== spec.hostIndex ? [`${spec.hostInterface} is another interface than the one of this container`] : link.up ? [] : [`${spec.hostInterface} is down`];
      if (!existsSync(spec.netns)) return [...outside, `the network namespace ${spec.netns} is gone`];
      return [...outside, ...withNetns(sys, spec.netns, () => podProblems(spec))];
    },
  };
}

/** A path that is a plain file and no namespace: nothing can be in it. */
function isNotNamespace(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EINVAL";
}

/** What must hold before the first packet: no waiting for duplicate addresses, then up. Felix sees to the rest. */
function prepareHostSide(host: Rtnetlink, index: number, { hostInterface, addresses }: PodInterfaceSpec): void {
  if (addresses.some((address) => familyOf(address) === 6)) {
    writeSysctl(`ipv6/conf/${hostInterface}/disable_ipv6`, "0");
    writeSysctl(`ipv6/conf/${hostInterface}/accept_dad`, "0");
  }
  host.changeLink(index, { up: true });
}

/** A route to the gateway, and through it to everything, unless that is not wanted. IPv6 needs none to a link-local gateway. */
function routesOf(interfaceIndex: number, addresses: readonly IpAddress[], defaultRoutes: boolean): Route[] {
  const base = { type: "unicast", table: ROUTE_TABLE_MAIN, protocol: PROTOCOL_BOOT, interfaceIndex, gateway: null, source: null, metric: 0, onlink: false } as const;
  const families = new Set(addresses.map(familyOf));
  const routes: Route[] = [];
  if (families.has(4)) routes.push({ ...base, destination: `${GATEWAY_V4}/32`, scope: SCOPE_LINK });
  if (families.has(4) && defaultRoutes) routes.push({ ...base, destination: "0.0.0.0/0", scope: SCOPE_GLOBAL, gateway: GATEWAY_V4 });
  if (families.has(6) && defaultRoutes) routes.push({ ...base, destination: "::/0", scope: SCOPE_GLOBAL, gateway: GATEWAY_V6, metric: 1_024 });
  return routes;
}
