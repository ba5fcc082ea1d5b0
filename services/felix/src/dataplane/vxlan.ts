/** The node's VXLAN device with its forwarding entries and neighbours, kept as they should be. */
import type { Vtep } from "@calico/calc";
import {
  NUD_PERMANENT, openSys, readTxChecksum, writeTxChecksum, type BatchResult, type ForwardingEntry, type Link, type Neighbour, type Rtnetlink, type VxlanParameters,
} from "@calico/kernel";
import type { Logger } from "@calico/service-kit";
import { VXLAN_DEVICE } from "../rules/constants.ts";

/** The device as it should be. */
export type VxlanWish = {
  readonly vni: number;
  readonly port: number;
  readonly mtu: number;
  readonly mac: string;
  /** Source of the tunnel's packets. */
  readonly nodeAddress: string;
  /** Index of the interface that carries them; null: whichever leads to the other node. */
  readonly parent: number | null;
  /** Source of packets of this node itself to pods behind the tunnel. */
  readonly tunnelAddress: string;
  /** False: the kernel makes the checksums of what goes into the tunnel, because the machine's offload gets them wrong. */
  readonly checksumOffload: boolean;
};

export interface Vxlan extends Disposable {
  /** null: there should be no device. */
  setDevice(wish: VxlanWish | null): void;
  /** Another node's end; null: it has none. */
  setPeer(node: string, vtep: Vtep | null): void;
  /** Looks at the kernel, if that is due. Writes nothing. */
  inspect(): void;
  /** Puts device and entries in place; what is there too much stays until `sweep`. */
  apply(): void;
  /** Takes away what nothing leads to any more: after the routes have changed. */
  sweep(): void;
  /** Of the device; null: there is none. */
  readonly index: number | null;
  /** In words why the device is not as it should be; null: it is. */
  readonly trouble: string | null;
  /** Other nodes' ends that are in place. */
  readonly peerCount: number;
  /** Compare with the kernel at the next apply. */
  suspect(): void;
}

export type VxlanOptions = {
  readonly log: Pick<Logger, "info" | "warn">;
  /** The kernel has changed under us: apply again. */
  readonly onDrift: () => void;
  readonly rtnetlink: Rtnetlink;
};

export function createVxlan({ log, onDrift, rtnetlink }: VxlanOptions): Vxlan {
  const peers = new Map<string, Vtep>();
  let wish: VxlanWish | null = null;
  let link: Link | null = null;
  const forwarding = new Map<string, ForwardingEntry>();
  const neighbours = new Map<string, Neighbour>();
  let trouble: string | null = null;
  let loaded = false;
  let dirty = true;
  let subscription: Disposable | null = null;

  function suspect(): void {
    loaded = false;
  }

  function drift(): void {
    suspect();
    onDrift();
  }

  /** Where a peer's frames should go, by MAC address, and who has which tunnel address. */
  const wantedForwarding = (interfaceIndex: number): Map<string, ForwardingEntry> => new Map([...peers.values()].map(({ mac, nodeAddress }) => [mac, { interfaceIndex, mac, destination: nodeAddress, state: NUD_PERMANENT }]));
  const wantedNeighbours = (interfaceIndex: number): Map<string, Neighbour> => new Map([...peers.values()].map(({ mac, tunnelAddress }) => [tunnelAddress, { interfaceIndex, address: tunnelAddress, mac, state: NUD_PERMANENT }]));

  /** Of neighbours a busy node has many events: they are followed only while there is, or should be, a device. */
  const follow = (): Disposable => rtnetlink.subscribe({
    // An event may be older than what is known: one that contradicts it says that it is time to look.
    onLink(seen, present) {
      if (seen.name !== VXLAN_DEVICE) return;
      const isKnown = seen.index === link?.index;
      if (present ? !isKnown || seen.up !== link?.up || seen.mtu !== link.mtu || seen.mac !== link.mac : isKnown) drift();
    },
    onAddress({ address, interfaceIndex }, present) {
      if (interfaceIndex === link?.index && !address.includes(":") && present !== (address === wish?.tunnelAddress)) drift();
    },
    onForwarding({ interfaceIndex, mac, destination }, present) {
      if (interfaceIndex === link?.index && present !== (forwarding.get(mac)?.destination === destination)) drift();
    },
    onNeighbour({ interfaceIndex, address, mac, state }, present) {
      if (interfaceIndex !== link?.index || address.includes(":")) return;
      const isPermanent = present && state === NUD_PERMANENT;
      const known = neighbours.get(address);
      if (isPermanent ? known?.mac !== mac : known !== undefined) drift();
    },
    onOverflow: drift,
  });

  function load(): void {
    link = rtnetlink.getLink(VXLAN_DEVICE);
    loadEntries();
    loaded = true;
    dirty = true;
  }

  function loadEntries(): void {
    forwarding.clear();
    neighbours.clear();
    if (link === null) return;
    for (const entry of rtnetlink.listForwarding()) if (entry.interfaceIndex === link.index) forwarding.set(entry.mac, entry);
    for (const entry of rtnetlink.listNeighbours()) if (entry.interfaceIndex === link.index && entry.state === NUD_PERMANENT) neighbours.set(entry.address, entry);
  }

  /** A device with other parameters is replaced; MTU, MAC address and state change in place. */
  function placeDevice({ vni, port, nodeAddress: local, parent, mtu, mac }: VxlanWish): Link {
    const parameters: VxlanParameters = { vni, port, local, parent, learning: false };
    if (link !== null && orderOf(link.vxlan) !== orderOf(parameters)) {
      log.warn("The VXLAN device has other parameters than it should and is replaced", { device: VXLAN_DEVICE, found: link.vxlan ?? link.kind, wanted: parameters });
      rtnetlink.deleteLink(link.index);
      link = null;
      loadEntries();
    }
    if (link === null) {
      rtnetlink.createVxlan({ name: VXLAN_DEVICE, mac, mtu, ...parameters });
      log.info("VXLAN device made", { device: VXLAN_DEVICE, mtu, mac, ...parameters });
    }
    const present = link ?? rtnetlink.getLink(VXLAN_DEVICE);
    if (present === null) throw new Error(`${VXLAN_DEVICE} vanished`);
    if (!present.up || present.mtu !== mtu || present.mac !== mac) rtnetlink.changeLink(present.index, { up: true, mtu, mac });
    return { ...present, up: true, mtu, mac };
  }

  function placeAddress(interfaceIndex: number, tunnelAddress: string): void {
    for (const found of rtnetlink.listAddresses()) if (found.interfaceIndex === interfaceIndex && !found.address.includes(":") && found.address !== tunnelAddress) rtnetlink.removeAddress(found);
    rtnetlink.addAddress({ interfaceIndex, address: tunnelAddress, prefixLength: 32 });
  }

  function placeEntries({ index }: Link): void {
    const entries = [...wantedForwarding(index).values()].filter(({ mac, destination }) => forwarding.get(mac)?.destination !== destination);
    const refused = new Set<string>();
    note(rtnetlink.applyForwarding({ replace: entries }), (i) => entries[i] !== undefined && forwarding.set(entries[i].mac, entries[i]), refused);
    const known = [...wantedNeighbours(index).values()].filter(({ address, mac }) => neighbours.get(address)?.mac !== mac);
    note(rtnetlink.applyNeighbours({ replace: known }), (i) => known[i] !== undefined && neighbours.set(known[i].address, known[i]), refused);
    if (refused.size > 0) throw new Error([...refused].slice(0, 3).join("; "));
  }

  function note({ replaced }: BatchResult, done: (i: number) => void, refused: Set<string>): void {
    for (const [i, error] of replaced.entries()) {
      if (error === null) done(i);
      else refused.add(error.message);
    }
  }

  return {
    setDevice(next) {
      if (JSON.stringify(next) === JSON.stringify(wish)) return;
      wish = next;
      dirty = true;
    },
    setPeer(node, vtep) {
      if (vtep === null) peers.delete(node);
      else peers.set(node, vtep);
      dirty = true;
    },
    inspect() {
      if (!loaded) load();
    },
    apply() {
      if (wish !== null && subscription === null) {
        subscription = follow();
        suspect();
      }
      if (!loaded) load();
      if (!dirty || wish === null) return;
      try {
        link = placeDevice(wish);
        placeAddress(link.index, wish.tunnelAddress);
        if (!wish.checksumOffload && readTxChecksum(openSys(), VXLAN_DEVICE)) writeTxChecksum(openSys(), VXLAN_DEVICE, false);
        placeEntries(link);
        trouble = null;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (trouble !== reason) log.warn("The VXLAN device is not as it should be, trying again", { device: VXLAN_DEVICE, error });
        trouble = reason;
        // What the kernel has now is not known.
        suspect();
      }
    },
    sweep() {
      if (!dirty) return;
      if (wish === null) {
        if (link !== null && rtnetlink.deleteLink(link.index)) log.info("VXLAN device removed", { device: VXLAN_DEVICE });
        link = null;
        loadEntries();
        trouble = null;
        subscription?.[Symbol.dispose]();
        subscription = null;
      } else if (link !== null && trouble === null) {
        const [entries, known] = [wantedForwarding(link.index), wantedNeighbours(link.index)];
        const strange = [...forwarding.values()].filter(({ mac }) => !entries.has(mac));
        const unknown = [...neighbours.values()].filter(({ address }) => !address.includes(":") && !known.has(address));
        rtnetlink.applyForwarding({ remove: strange });
        rtnetlink.applyNeighbours({ remove: unknown });
        for (const { mac } of strange) forwarding.delete(mac);
        for (const { address } of unknown) neighbours.delete(address);
      }
      dirty = trouble !== null;
    },
    get index() {
      return link?.index ?? null;
    },
    get trouble() {
      return trouble;
    },
    get peerCount() {
      return forwarding.size;
    },
    suspect,
    [Symbol.dispose]: () => subscription?.[Symbol.dispose](),
  };
}

/** Parameters as a text, to be compared. */
function orderOf(parameters: VxlanParameters | null): string {
  return JSON.stringify(parameters === null ? null : [parameters.vni, parameters.port, parameters.local, parameters.parent, parameters.learning]);
}
