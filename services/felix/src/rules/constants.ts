/** Everything that felix claims in the kernel, in one place. */

/** The one table, of the family inet. */
export const TABLE = "calico";
/** Routes of this protocol number are felix'. */
export const ROUTE_PROTOCOL = 80;
/** A policy has passed to the next tier. Mark bits are disjoint from Kubernetes' 0x4000 and 0x8000. */
export const PASS_MARK = 0x0001_0000;
/** A host endpoint's early policy (untracked, pre-DNAT) has accepted the packet: its later policy is not asked. Cleared where a packet enters. */
export const ACCEPT_MARK = 0x0002_0000;
/** Changes when equal inputs are rendered differently, so that an older table is replaced rule by rule. */
export const RENDER_VERSION = 2;

export const CHAIN = {
  forward: "filter-forward", forwardTo: "filter-forward-to", input: "filter-input", inputHost: "filter-input-host", postrouting: "nat-postrouting", rawPrerouting: "raw-prerouting", rawOutput: "raw-output", preDnat: "mangle-prerouting", output: "filter-output", translated: "mangle-postrouting",
  toHost: "to-host", neighbourDiscovery: "neighbour-discovery", hostDiscovery: "host-discovery", hostTranslated: "host-translated",
} as const;
export const MAP = { from: "from-workload", to: "to-workload" } as const;
export const POOL_SET = { nat: { 4: "nat-pools-v4", 6: "nat-pools-v6" }, all: { 4: "all-pools-v4", 6: "all-pools-v6" } } as const;

/** Nodes that packets of the tunnel may come from. */
export const VXLAN_SENDERS_SET = "vxlan-senders-v4";
/** What a packet's sender may is asked at `filter`, what its receiver takes right behind it: each accepts for itself alone. */
export const PRIORITY = { raw: -300, mangle: -150, filter: 0, filterReceiver: 1, srcnat: 100 } as const;
export const PROTOCOL = { icmp: 1, ipip: 4, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
/** The device of the VXLAN overlay; whatever has this name is felix'. */
export const VXLAN_DEVICE = "vxlan.calico";
/** What a host sends to itself goes through it. */
export const LOOPBACK = "lo";
/** Multicast listener discovery, router solicitation, neighbour solicitation and advertisement (RFC 4890). */
export const NEIGHBOUR_DISCOVERY_TYPES = [130, 131, 132, 133, 135, 136] as const;
/** What a host needs beyond that: router advertisements, and listener reports of version 2. */
export const HOST_DISCOVERY_TYPES = [...NEIGHBOUR_DISCOVERY_TYPES, 134, 143] as const;
