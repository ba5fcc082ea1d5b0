/** The overlay of this node: what the node half says of other nodes, as a device, entries and routes. */
import { release } from "node:os";
import type { LocalNode, NodePool, OverlaySink, RemoteRoute, Vtep } from "@calico/calc";
import { addressOf, familyOf } from "@calico/model";
import { openRtnetlink, openSys, type InterfaceAddress, type Link, type Rtnetlink } from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { hostMtu, podMtu, VXLAN_OVERHEAD, vxlanMtu, type MtuSettings } from "../node/mtu.ts";
import { VXLAN_DEVICE } from "../rules/constants.ts";
import { isChecksumOffloadBroken } from "./features.ts";
import type { RemoteTarget } from "./remote-routes.ts";
import type { Routes } from "./routes.ts";
import { createVxlan, type Vxlan } from "./vxlan.ts";

export type OverlaySettings = MtuSettings & {
  /** Auto: as long as a pool has VXLAN. */
  readonly vxlanEnabled: "Auto" | "true" | "false";
  readonly vxlanVNI: number;
  readonly vxlanPort: number;
  readonly featureDetectOverride: string;
};

export interface Overlay extends Disposable {
  readonly sink: OverlaySink;
  /** Opens the kernel's sockets. Writes nothing. */
  start(): void;
  configure(settings: OverlaySettings): void;
  setPools(pools: Iterable<NodePool>): void;
  /** VXLAN is wanted on this node, by its settings or by a pool. */
  readonly inUse: boolean;
  /** Tunnel packets could come in, now or after `place`: the rules about them must be in force. */
  readonly needsRules: boolean;
  /** Looks at the kernel, if that is due. Writes nothing. */
  inspect(): void;
  /** Addresses of the nodes whose tunnel packets are welcome. */
  readonly senders: readonly string[];
  /** True when they changed since the last call. */
  takeSendersChanged(): boolean;
  /** Device and other ends, then what `routes` should hold. */
  place(routes: Pick<Routes, "setRemote" | "lookAt">): void;
  /** What the routes led to before and do not any more. */
  sweep(): void;
  /** Of pods made from now on; null before the first `place`. */
  readonly podMtu: number | null;
  /** In words what is not as it should be; null: nothing. */
  readonly trouble: string | null;
  /** In words how it is; "": there is none. */
  readonly summary: string;
  readonly peerCount: number;
  suspect(): void;
}

export type OverlayOptions = { readonly log: Pick<Logger, "info" | "warn">; readonly onDrift: () => void; readonly settings: OverlaySettings };

type Kernel = { readonly rtnetlink: Rtnetlink; readonly vxlan: Vxlan; readonly subscription: Disposable };

export function createOverlay({ log, onDrift, settings: initial }: OverlayOptions): Overlay {
  let kernel: Kernel | null = null;
  const vteps = new Map<string, Vtep>();
  const routes = new Map<string, RemoteRoute>();
  const dirtyPeers = new Set<string>();
  const dirtyRoutes = new Set<string>();
  let settings = initial;
  let local: LocalNode | null = null;
  let poolsWant = false;
  let sendersDirty = true;
  /** The interface with this node's address, as last looked up. */
  let uplink: Link | null = null;
  let host: number | null = null;
  let lookAgain = true;

  const inUse = (): boolean => settings.vxlanEnabled === "true" || (settings.vxlanEnabled === "Auto" && poolsWant);
  const renew = (): void => {
    for (const destination of routes.keys()) dirtyRoutes.add(destination);
  };

  function open(): Kernel {
    const rtnetlink = openRtnetlink(openSys());
    const drift = (): void => {
      lookAgain = true;
      onDrift();
    };
    const subscription = rtnetlink.subscribe({
      onLink(link, present) {
        if (link.index === uplink?.index && !(present && link.mtu === uplink.mtu && link.name === uplink.name)) drift();
      },
      onAddress({ interfaceIndex, address }: InterfaceAddress, present) {
        if (local !== null && address === addressOf(local.address) && present !== (interfaceIndex === uplink?.index)) drift();
      },
      onOverflow: drift,
    });
    return { rtnetlink, subscription, vxlan: createVxlan({ log, onDrift, rtnetlink }) };
  }

  /** Finds the interface with the node's address and what it leaves room for. */
  function look({ rtnetlink }: Kernel): void {
    lookAgain = false;
    const own = local === null ? null : addressOf(local.address);
    const at = own === null ? undefined : rtnetlink.listAddresses().find(({ address }) => address === own);
    const found = at === undefined ? null : rtnetlink.getLink(at.interfaceIndex);
    if (found?.name !== uplink?.name) renew();
    uplink = found;
    const roomFor = hostMtu(rtnetlink.listLinks(), settings, uplink === null || isVirtual(uplink) ? null : uplink.name);
    if (roomFor !== host && settings.vxlanMTU > roomFor - VXLAN_OVERHEAD) log.warn("vxlanMTU is more than the node's interfaces leave room for; what fits is used", { vxlanMTU: settings.vxlanMTU, interfaceMtu: roomFor });
    host = roomFor;
  }

  /** An uplink that is gone for a moment (a flap, an address that is set anew) leaves the device as it is. */
  const isHeld = (): boolean => inUse() && uplink === null;

  function placeDevice({ vxlan }: Kernel): void {
    if (isHeld()) return;
    if (!inUse() || local === null || local.vxlan === null || uplink === null || host === null) return vxlan.setDevice(null);
    vxlan.setDevice({
      vni: settings.vxlanVNI, port: settings.vxlanPort, mtu: vxlanMtu(host, settings), mac: local.vxlan.mac, nodeAddress: addressOf(local.address), parent: isVirtual(uplink) ? null : uplink.index, tunnelAddress: local.vxlan.address,
      checksumOffload: !isChecksumOffloadBroken(release(), settings.featureDetectOverride),
    });
  }

  function targetOf(route: RemoteRoute | undefined): RemoteTarget | null {
    if (route === undefined || !inUse()) return null;
    const { gateway } = route;
    if (route.through === "subnet") return uplink === null ? null : { device: uplink.name, gateway, onlink: false };
    return local === null || local.vxlan === null ? null : { device: VXLAN_DEVICE, gateway, onlink: true };
  }

  function trouble(): string | null {
    if (!inUse()) return null;
    if (local === null) return "VXLAN: this node has no IPv4 address";
    if (local.vxlan === null) return "VXLAN: this node has no tunnel address yet; its ipam takes one from a VXLAN pool that selects the node";
    if (uplink === null) return `VXLAN: no interface has the node's address ${addressOf(local.address)}`;
    const reason = kernel?.vxlan.trouble ?? null;
    return reason === null ? null : `VXLAN: ${reason}`;
  }

  return {
    sink: {
      onLocalNodeUpdate(next) {
        local = next;
        lookAgain = true;
        renew();
      },
      onVtepUpdate(vtep) {
        vteps.set(vtep.node, vtep);
        dirtyPeers.add(vtep.node);
        sendersDirty = true;
      },
      onVtepRemove(node) {
        vteps.delete(node);
        dirtyPeers.add(node);
        sendersDirty = true;
      },
      onRemoteRouteUpdate(route) {
        routes.set(route.destination, route);
        dirtyRoutes.add(route.destination);
      },
      onRemoteRouteRemove(destination) {
        routes.delete(destination);
        dirtyRoutes.add(destination);
      },
    },
    start() {
      kernel = open();
    },
    configure(next) {
      settings = next;
      lookAgain = true;
      renew();
    },
    setPools(pools) {
      const wanted = [...pools].some(({ cidr, vxlanMode }) => vxlanMode !== "Never" && familyOf(cidr) === 4);
      if (wanted === poolsWant) return;
      poolsWant = wanted;
      renew();
    },
    get inUse() {
      return inUse();
    },
    get needsRules() {
      return inUse() || (kernel?.vxlan.index ?? null) !== null;
    },
    inspect: () => kernel?.vxlan.inspect(),
    get senders() {
      return [...new Set([...vteps.values()].map(({ nodeAddress }) => nodeAddress))];
    },
    takeSendersChanged() {
      const changed = sendersDirty;
      sendersDirty = false;
      return changed;
    },
    place(target) {
      if (kernel === null) throw new Error("the overlay was not started");
      if (lookAgain) look(kernel);
      for (const node of dirtyPeers) kernel.vxlan.setPeer(node, vteps.get(node) ?? null);
      dirtyPeers.clear();
      placeDevice(kernel);
      const before = kernel.vxlan.index;
      kernel.vxlan.apply();
      if (kernel.vxlan.index !== before) target.lookAt(VXLAN_DEVICE);
      for (const destination of dirtyRoutes) target.setRemote(destination, targetOf(routes.get(destination)));
      dirtyRoutes.clear();
    },
    sweep() {
      if (!isHeld()) kernel?.vxlan.sweep();
    },
    get podMtu() {
      return host === null ? null : podMtu(host, settings, inUse());
    },
    get trouble() {
      return trouble();
    },
    get summary() {
      if (!inUse()) return "";
      const { address } = local?.vxlan ?? { address: "" };
      return trouble() ?? `VXLAN ${address} on ${uplink?.name ?? "?"}, MTU ${vxlanMtu(host ?? 0, settings)}, ${kernel?.vxlan.peerCount ?? 0} other nodes, ${routes.size} routes`;
    },
    get peerCount() {
      return kernel?.vxlan.peerCount ?? 0;
    },
    suspect() {
      lookAgain = true;
      kernel?.vxlan.suspect();
    },
    [Symbol.dispose]() {
      kernel?.subscription[Symbol.dispose]();
      kernel?.vxlan[Symbol.dispose]();
      kernel?.rtnetlink[Symbol.dispose]();
    },
  };
}

/** An address that the fabric reaches by several links is on an interface that leads nowhere. */
function isVirtual({ name, kind }: Link): boolean {
  return name === "lo" || kind === "dummy";
}
