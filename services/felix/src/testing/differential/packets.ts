/** Packets worth asking about: between everybody, at and around each border that an object draws. */
import type { Packet } from "@calico/calc";
import { canonicalAddress, endOf, familyOf, formatAddress, parseCidr, type AddressBytes, type IpAddress, type WorkloadEndpoint } from "@calico/model";
import { NODE } from "./cluster.ts";

export type Hook = "forward" | "input" | "output";
/** A packet at its place on the node. */
export type Question = {
  readonly hook: Hook;
  readonly from: WorkloadEndpoint | null;
  readonly to: WorkloadEndpoint | null;
  readonly packet: Packet;
};

const [TCP, UDP, ICMP, ICMPV6, SCTP, UDPLITE, GRE, IPIP] = [6, 17, 1, 58, 132, 136, 47, 4];
const OUTSIDE: readonly string[] = ["203.0.113.9", "2001:db8:ffff::9"];
const HOST: readonly string[] = ["192.0.2.1", "fd92::1"];
const EPHEMERAL = 40_000;
/** Kinds of packets of each pair: the next pair has the next ones. */
const PER_PAIR = 10;

/** A sample that meets every pair, every kind of packet and every border. `text` is everything that was written. */
export function questionsOf(endpoints: readonly WorkloadEndpoint[], text: string): Question[] {
  const local = endpoints.filter(({ node, addresses }) => node === NODE && addresses.length > 0);
  const peers = [...new Set([...endpoints.filter(({ node }) => node !== NODE).flatMap(({ addresses }) => addresses), ...borders(text), ...OUTSIDE])] as IpAddress[];
  const pairs: { hook: Hook; from: WorkloadEndpoint | null; to: WorkloadEndpoint | null; source: IpAddress; destination: IpAddress }[] = [];
  for (const endpoint of local) {
    for (const own of endpoint.addresses) {
      for (const peer of peers) {
        if (familyOf(peer) !== familyOf(own)) continue;
        pairs.push({ hook: "forward", from: null, to: endpoint, source: peer, destination: own }, { hook: "forward", from: endpoint, to: null, source: own, destination: peer });
      }
      for (const host of HOST) if (familyOf(host) === familyOf(own)) pairs.push({ hook: "input", from: endpoint, to: null, source: own, destination: host as IpAddress });
      for (const other of local) for (const destination of other.addresses) if (familyOf(destination) === familyOf(own)) pairs.push({ hook: "forward", from: endpoint, to: other, source: own, destination });
    }
  }
  const kinds = { 4: kindsOf(text, 4), 6: kindsOf(text, 6) };
  const next = { 4: 0, 6: 0 };
  return pairs.flatMap(({ hook, from, to, source, destination }) => {
    const family = familyOf(source);
    return Array.from({ length: PER_PAIR }, (): Question => {
      const kind = kinds[family][next[family] % kinds[family].length];
      next[family] += 1;
      if (kind === undefined) throw new Error("there are no kinds of packets");
      const { protocol, sourcePort, destinationPort, icmp } = kind;
      return { hook, from, to, packet: { protocol, source: { address: source, port: sourcePort }, destination: { address: destination, port: destinationPort }, ...(icmp === undefined ? {} : { icmp }) } };
    });
  });
}

/** Every address that is written, and those in front of, at and behind the ends of every CIDR. */
function borders(text: string): string[] {
  const found = new Set<string>();
  for (const [, written = ""] of text.matchAll(/"([0-9a-f.:]+\/\d+)"/g)) {
    const cidr = parseCidr(written);
    if (cidr === null) continue;
    const end = endOf(cidr);
    for (const bytes of [before(cidr.bytes), cidr.bytes, ...(end === null ? [] : [before(end), end])]) if (bytes !== null) found.add(formatAddress(bytes));
  }
  for (const [, written = ""] of text.matchAll(/"([0-9a-f]*[.:][0-9a-f.:]*)"/g)) {
    const address = canonicalAddress(written);
    if (address !== null) found.add(address);
  }
  return [...found];
}

/** null: there is none. */
function before(bytes: AddressBytes): AddressBytes | null {
  const previous = Uint8Array.from(bytes);
  for (let at = previous.length - 1; at >= 0; at -= 1) {
    const byte = previous[at] ?? 0;
    previous[at] = (byte + 255) & 0xff;
    if (byte > 0) return previous;
  }
  return null;
}

type PacketKind = { readonly protocol: number; readonly sourcePort: number; readonly destinationPort: number; readonly icmp?: { readonly type: number; readonly code: number } };

function kindsOf(text: string, family: 4 | 6): PacketKind[] {
  const ports = portsOf(text);
  const kinds: PacketKind[] = [];
  for (const port of ports) {
    for (const protocol of [TCP, UDP, SCTP]) kinds.push({ protocol, sourcePort: EPHEMERAL, destinationPort: port }, { protocol, sourcePort: port, destinationPort: ports[(port + protocol) % ports.length] ?? 80 });
  }
  for (const type of family === 4 ? [0, 3, 8] : [1, 128, 129, 3, 8]) for (const code of [0, 1]) kinds.push({ protocol: family === 4 ? ICMP : ICMPV6, sourcePort: 0, destinationPort: 0, icmp: { type, code } });
  for (const protocol of [GRE, UDPLITE, IPIP]) kinds.push({ protocol, sourcePort: EPHEMERAL, destinationPort: 8_080 });
  return kinds;
}

/** Every number that is written where a port may be, with its neighbours. */
function portsOf(text: string): number[] {
  const ports = new Set<number>([80]);
  for (const [, first = "", last] of text.matchAll(/[:[,]"?(\d{1,5})(?::(\d{1,5}))?"?(?=[,\]}])/g)) {
    for (const written of [first, last ?? first]) for (const port of [Number(written) - 1, Number(written), Number(written) + 1]) if (port >= 1 && port <= 65_535) ports.add(port);
  }
  return [...ports];
}
