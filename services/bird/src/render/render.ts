/** The text of a BIRD 2 configuration for one node: both families in one daemon. */
import { addressOf, contains, familyOf, widthOf, type Family } from "@calico/model";
import { peersOf, type BgpPeer, type RefusedPeer } from "./peers.ts";
import type { ClusterView } from "./view.ts";

export type { BgpPeer } from "./peers.ts";
export type Rendered = { readonly text: string; readonly peers: readonly BgpPeer[]; readonly refused: readonly RefusedPeer[] };

const FAMILIES = [4, 6] as const;
/** The protocol number of felix' routes. */
const FELIX_ROUTE_PROTOCOL = 80;
/** Of BIRD's routes, as BIRD has it of itself: a route of another program for the same destination is not overwritten. */
const METRIC = 32;
/** Of routes inside own blocks: after felix' route of a pod with the same address, whose metric is 0 or, for IPv6, 1024. */
const BORROWED_METRIC = 2_048;
/** What BIRD logs at each of Calico's severities. */
const INFO_CLASSES = "{ info, remote, warning, error, auth, fatal, bug }";
const LOG_CLASSES: ReadonlyMap<string, string> = new Map([
  ["Debug", "all"], ["Info", INFO_CLASSES], ["Warning", "{ warning, error, auth, fatal, bug }"], ["Error", "{ error, auth, fatal, bug }"], ["Fatal", "{ fatal, bug }"],
]);

/**
 * Renders the configuration, or null while this node is not known. What it guarantees: this node announces its own
 * blocks and nothing inside them, and single addresses of other nodes' blocks that its own pods have, but nothing of a pool
 * with disableBGPExport; a reflector passes on what it learnt. Only routes learnt by BGP go to the kernel, never a default
 * route, nothing of a pool with VXLAN, whose routes are felix', and inside a block of this node only single addresses that none of
 * its pods has.
 */
export function renderBird(view: ClusterView): Rendered | null {
  const own = view.nodes.get(view.node);
  if (own === undefined || (own.ipv4 === null && own.ipv6 === null)) return null;
  const { peers, refused } = peersOf(view);
  const asNumber = own.asNumber ?? view.bgp.asNumber;
  const blocks = [...view.blocks.keys()].sort();
  const text = [
    `# Node ${view.node}. Made by the bird service; changes here are overwritten.`,
    `log stderr ${LOG_CLASSES.get(view.bgp.logSeverity) ?? INFO_CLASSES};`,
    "timeformat protocol iso long;",
    `router id ${routerId(own.ipv4, view.node)};`,
    "",
    "protocol device { scan time 2; }",
    `protocol direct { ipv4; ipv6; interface -"cali*", -"kube-ipvs*", "*"; }`,
    ...FAMILIES.flatMap((family) => familySection(family, blocks.filter((block) => familyOf(block) === family), view)),
    ...peers.flatMap((peer) => peerSection(peer, asNumber, addressOf((peer.family === 4 ? own.ipv4 : own.ipv6) ?? ""), view.bgp.listenPort)),
    "",
  ].join("\n");
  return { text, peers, refused };
}

/** The IPv4 address, or without one a number in its form made from the node's name (FNV-1a). */
function routerId(ipv4: string | null, node: string): string {
  if (ipv4 !== null) return addressOf(ipv4);
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(node)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return [224 - 1 - (hash >>> 24) % 223, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255].join(".");
}

function familySection(family: Family, blocks: readonly string[], view: ClusterView): string[] {
  const everything = family === 4 ? "0.0.0.0/0" : "::/0";
  const width = widthOf(family);
  const pools = [...view.pools.values()].filter((pool) => familyOf(pool.cidr) === family).sort((a, b) => (a.cidr < b.cidr ? -1 : 1));
  // VXLAN is built for IPv4; an IPv6 pool is routed without it, whatever it says.
  const overlay = family === 4 ? pools.filter((pool) => pool.vxlanMode !== "Never").map((pool) => pool.cidr) : [];
  const hidden = pools.filter((pool) => pool.disableBgpExport).map((pool) => pool.cidr);
  const shown = pools.filter((pool) => !pool.disableBgpExport).map((pool) => pool.cidr);
  const exported = blocks.filter((block) => !hidden.some((pool) => contains(pool, block)));
  // A single address of an own block may be at another node, which borrowed it. A block of one address cannot be lent.
  const notBorrowed = blocks.map((block) => (block.endsWith(`/${width}`) ? block : `${block}{${block.split("/")[1] ?? ""},${width - 1}}`));
  const rejectOwn = when(notBorrowed, "net", "reject;");
  const reflects = view.nodes.get(view.node)?.routeReflectorClusterId !== null;
  return [
    "",
    `# The blocks of this node, for export only: the kernel's routes to its pods are felix'.`,
    `protocol static blocks${family} {`,
    `  ipv${family};`,
    ...exported.map((block) => `  route ${block} blackhole;`),
    "}",
    `filter from_kernel${family} {`,
    `  if krt_source != ${FELIX_ROUTE_PROTOCOL} || dest != RTD_UNICAST || !(ifname ~ "cali*") || net.len != ${width} then reject;`,
    "  # A pod that is here: what peers say about its address comes after this.",
    "  preference = 200;",
    "  accept;",
    "}",
    `filter to_kernel${family} {`,
    "  if source != RTS_BGP then reject;",
    ...when(overlay.map(orLonger), "net", "reject;"),
    ...rejectOwn,
    `  krt_metric = ${METRIC};`,
    ...when(blocks.map(orLonger), "net", `krt_metric = ${BORROWED_METRIC};`),
    "  accept;",
    "}",
    `filter from_peers${family} {`,
    `  if net = ${everything} then reject;`,
    ...rejectOwn,
    "  accept;",
    "}",
    `filter to_peers${family} {`,
    `  if proto = "blocks${family}" then accept;`,
    ...when(hidden.map(orLonger), "net", "reject;"),
    ...(reflects ? when(shown.map(orLonger), "source = RTS_BGP && net", "accept;") : []),
    ...when(blocks.map(orLonger), "net", "reject;"),
    ...when(shown.map(orLonger), `proto = "kernel${family}" && net`, "accept;"),
    "  reject;",
    "}",
    `protocol kernel kernel${family} {`,
    `  ipv${family} { import filter from_kernel${family}; export filter to_kernel${family}; };`,
    "  learn;",
    "  # Each route has the metric of its own that to_kernel gives it.",
    "  metric 0;",
    "  persist;",
    "  scan time 2;",
    "  graceful restart;",
    "  merge paths on;",
    "}",
  ];
}

const orLonger = (range: string): string => `${range}+`;

/** A statement for routes inside of ranges; none for none. */
function when(ranges: readonly string[], subject: string, statement: string): string[] {
  return ranges.length === 0 ? [] : [`  if ${subject} ~ [ ${ranges.join(", ")} ] then ${statement}`];
}

function peerSection(peer: BgpPeer, asNumber: number, source: string, listenPort: number): string[] {
  const { options } = peer;
  return [
    "",
    `# ${peer.type}${peer.node === "" ? "" : `, ${peer.node}`}`,
    `protocol bgp ${peer.protocol} {`,
    `  local ${peer.useNodeSource ? `${source} ` : ""}port ${listenPort} as ${options.localAs ?? asNumber};`,
    `  neighbor ${peer.address} port ${peer.port} as ${peer.asNumber};`,
    ...(options.ttlSecurityHops === null ? ["  multihop;"] : [`  multihop ${options.ttlSecurityHops};`, "  ttl security on;"]),
    "  graceful restart;",
    ...option("graceful restart time", options.restartSeconds),
    ...option("keepalive time", options.keepaliveSeconds),
    "  connect delay time 1;",
    "  connect retry time 5;",
    "  error wait time 5,30;",
    ...(peer.passive ? ["  passive on;"] : []),
    ...option("allow local as", options.allowedLocalAs),
    ...(options.reflectorCluster === null ? [] : ["  rr client;", `  rr cluster id ${options.reflectorCluster};`]),
    ...(options.password === null ? [] : [`  password "${options.password}";`]),
    `  ipv${peer.family} {`,
    `    import filter from_peers${peer.family};`,
    `    export filter to_peers${peer.family};`,
    ...option("  next hop", options.nextHop),
    "    gateway recursive;",
    "    add paths on;",
    "  };",
    "}",
  ];
}

function option(name: string, value: number | string | null): string[] {
  return value === null ? [] : [`  ${name} ${value};`];
}
