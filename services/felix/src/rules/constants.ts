/** Everything that felix claims in the kernel, in one place. */

/** The one table, of the family inet. */
export const TABLE = "calico";
/** Routes of this protocol number are felix'. */
export const ROUTE_PROTOCOL = 80;
/** The one mark bit: a policy has passed to the next tier. Disjoint from Kubernetes' 0x4000 and 0x8000. */
export const PASS_MARK = 0x0001_0000;
/** Changes when equal inputs are rendered differently, so that an older table is replaced rule by rule. */
export const RENDER_VERSION = 2;

export const CHAIN = {
  forward: "filter-forward", forwardTo: "filter-forward-to", input: "filter-input", inputHost: "filter-input-host", postrouting: "nat-postrouting", rawPrerouting: "raw-prerouting", rawOutput: "raw-output", toHost: "to-host", neighbourDiscovery: "neighbour-discovery",
} as const;
/** By interface: its own chain, and behind that the list of its policies. */
export const MAP = { from: "from-workload", to: "to-workload", egress: "egress-lists", ingress: "ingress-lists" } as const;
export const POOL_SET = { nat: { 4: "nat-pools-v4", 6: "nat-pools-v6" }, all: { 4: "all-pools-v4", 6: "all-pools-v6" } } as const;

/** Nodes that packets of the tunnel may come from. */
export const VXLAN_SENDERS_SET = "vxlan-senders-v4";
/** What a packet's sender may is asked at `filter`, what its receiver takes right behind it: each accepts for itself alone. */
export const PRIORITY = { raw: -300, filter: 0, filterReceiver: 1, srcnat: 100 } as const;
export const PROTOCOL = { icmp: 1, ipip: 4, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
/** The device of the VXLAN overlay; whatever has this name is felix'. */
export const VXLAN_DEVICE = "vxlan.calico";
/** Multicast listener discovery, router solicitation, neighbour solicitation and advertisement (RFC 4890). */
export const NEIGHBOUR_DISCOVERY_TYPES = [130, 131, 132, 133, 135, 136] as const;
