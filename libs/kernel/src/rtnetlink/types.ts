/** Values of rtnetlink. Addresses are canonical text, prefixes "address/length". */

export type Link = {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** IFLA_OPERSTATE: 6 is up. */
  readonly operState: number;
  /** "veth", "bridge", "vxlan", ...; "" for a physical one. */
  readonly kind: string;
  readonly master: number | null;
  /** Index of the other end of a veth pair, in its own namespace. */
  readonly peerIndex: number | null;
  readonly group: number;
  /** Of a device of kind "vxlan". */
  readonly vxlan: VxlanParameters | null;
};

/** What of a VXLAN device can be chosen only when it is made. */
export type VxlanParameters = {
  readonly vni: number;
  /** UDP, of both ends. */
  readonly port: number;
  /** Source address of the tunnel; null: the kernel chooses. */
  readonly local: string | null;
  /** Index of the interface that carries the tunnel; null: any. */
  readonly parent: number | null;
  /** Forwarding entries are learnt from packets. */
  readonly learning: boolean;
};

export type VxlanSpec = VxlanParameters & { readonly name: string; readonly mac: string; readonly mtu: number };

export type VethSpec = {
  readonly name: string;
  readonly peerName: string;
  /** File descriptor of the namespace in which the peer is made; absent: here. */
  readonly peerNetns?: number;
  readonly mac?: string;
  readonly peerMac?: string;
  readonly mtu?: number;
  readonly group?: number;
};

export type LinkChange = { readonly up?: boolean; readonly mtu?: number; readonly mac?: string; readonly master?: number; readonly name?: string; readonly alias?: string };

export type InterfaceAddress = { readonly interfaceIndex: number; readonly address: string; readonly prefixLength: number };

export type RouteType = "unicast" | "local" | "blackhole" | "unreachable" | "prohibit" | "throw" | "other";

export type Route = {
  /** "10.65.0.2/32", "0.0.0.0/0". */
  readonly destination: string;
  readonly type: RouteType;
  /** Routing table; 254 is main. */
  readonly table: number;
  /** Who made it: 2 kernel, 3 boot, 12 BIRD, 80 Calico. */
  readonly protocol: number;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
  readonly interfaceIndex: number | null;
  readonly gateway: string | null;
  readonly source: string | null;
  readonly metric: number;
  /** The gateway counts as reachable without a route to it. */
  readonly onlink: boolean;
};

export type Neighbour = {
  readonly interfaceIndex: number;
  readonly address: string;
  readonly mac: string | null;
  /** NUD_PERMANENT 0x80, NUD_REACHABLE 2, NUD_NOARP 0x40, ... */
  readonly state: number;
};

/** An entry of a VXLAN device: frames for a MAC address go to the machine with this address. */
export type ForwardingEntry = { readonly interfaceIndex: number; readonly mac: string; readonly destination: string; readonly state: number };

export const ROUTE_TABLE_MAIN = 254;
export const SCOPE_GLOBAL = 0;
export const SCOPE_LINK = 253;
export const NUD_PERMANENT = 0x80;
