/** The text of a BIRD 2 configuration for one node: both families in one daemon. */
import { addressOf, contains, familyOf, type Family } from "@calico/model";
import { peersOf, type BgpPeer, type RefusedPeer } from "./peers.ts";
import type { ClusterView } from "./view.ts";

export type { BgpPeer } from "./peers.ts";
export type Rendered = { readonly text: string; readonly peers: readonly BgpPeer[]; readonly refused: readonly RefusedPeer[] };

const FAMILIES = [4, 6] as const;
/** What BIRD logs at each of Calico's severities. */
const INFO_CLASSES = "{ info, remote, warning, error, auth, fatal, bug }";
const LOG_CLASSES: ReadonlyMap<string, string> = new Map([
  ["Debug", "all"], ["Info", INFO_CLASSES], ["Warning", "{ warning, error, auth, fatal, bug }"], ["Error", "{ error, auth, fatal, bug }"], ["Fatal", "{ fatal, bug }"],
]);

/**
 * Renders the configuration, or null while this node is not known. What it guarantees: this node announces its own
 * blocks and nothing inside them, never those of a pool with disableBGPExport; only routes learnt by BGP go to the kernel,
 * never a default route and never one inside a block of this node.
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
  const pools = [...view.pools.values()];
  const exported = blocks.filter((block) => !pools.some((pool) => pool.disableBgpExport && contains(pool.cidr, block)));
  const inside = blocks.length === 0 ? [] : [`  if net ~ [ ${blocks.map((block) => `${block}+`).join(", ")} ] then reject;`];
  return [
    "",
    `# The blocks of this node, for export only: the kernel's routes to its pods are felix'.`,
    `protocol static blocks${family} {`,
    `  ipv${family};`,
    ...exported.map((block) => `  route ${block} blackhole;`),
    "}",
    `filter to_kernel${family} {`,
    "  if source != RTS_BGP then reject;",
    ...inside,
    "  accept;",
    "}",
    `filter from_peers${family} {`,
    `  if net = ${everything} then reject;`,
    ...inside,
    "  accept;",
    "}",
    `filter to_peers${family} {`,
    `  if proto = "blocks${family}" then accept;`,
    "  reject;",
    "}",
    `protocol kernel kernel${family} {`,
    `  ipv${family} { import none; export filter to_kernel${family}; };`,
    "  persist;",
    "  scan time 2;",
    "  graceful restart;",
    "  merge paths on;",
    "}",
  ];
}

function peerSection(peer: BgpPeer, asNumber: number, source: string, listenPort: number): string[] {
  return [
    "",
    `# ${peer.type}${peer.node === "" ? "" : `, ${peer.node}`}`,
    `protocol bgp ${peer.protocol} {`,
    `  local ${peer.useNodeSource ? `${source} ` : ""}port ${listenPort} as ${asNumber};`,
    `  neighbor ${peer.address} port ${peer.port} as ${peer.asNumber};`,
    "  multihop;",
    "  graceful restart;",
    "  connect delay time 1;",
    "  connect retry time 5;",
    "  error wait time 5,30;",
    ...(peer.passive ? ["  passive on;"] : []),
    `  ipv${peer.family} {`,
    `    import filter from_peers${peer.family};`,
    `    export filter to_peers${peer.family};`,
    "    gateway recursive;",
    "    add paths on;",
    "  };",
    "}",
  ];
}
