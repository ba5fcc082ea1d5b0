/** Two namespaces and a wire, on which a test puts packets as they are: the machine and the kernel read the same bytes. */
import { createTestNetns, type TestNetns } from "../netns.ts";
import { headersOf, type MachinePacket } from "./packet.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;

export interface Wire extends Disposable {
  /** The end where packets arrive, on interface "in0"; what is not for itself it would send on by "out0". */
  readonly receiver: TestNetns;
  /** Puts a packet on the wire. Its interfaces are not looked at. */
  send(packet: MachinePacket): void;
}

/** `addresses` with their prefix lengths are the receiver's own. */
export function openWire(addresses: readonly string[]): Wire {
  const sender = createTestNetns("mw");
  const receiver = createTestNetns("mr");
  receiver.exec("sh", "-ec", [
    `ip link add in0 type veth peer name wire0 netns ${sender.name}`, `ip link add out0 type veth peer name end0 netns ${sender.name}`,
    // Every checksum is trusted, and whoever a packet says that it is from.
    "sysctl -qw net.netfilter.nf_conntrack_checksum=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.in0.rp_filter=0",
    // It answers nothing, so that every packet begins a connection.
    "nft 'add table inet quiet; add chain inet quiet output { type filter hook output priority -400; policy drop; }'",
    ...addresses.map((address) => `ip address add ${address} dev in0 ${address.includes(":") ? "nodad" : ""}`),
    // Nobody is asked for a neighbour, and nobody complains that there is none.
    "ip link set in0 arp off; ip link set out0 arp off", "for link in lo in0 out0; do ip link set $link up; done", "ip route add default dev out0", "ip -6 route add default dev out0",
  ].join("\n"));
  sender.exec("sh", "-ec", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1; for link in wire0 end0; do ip link set $link up; done");
  const [from, to] = [macIn(sender, "wire0"), macIn(receiver, "in0")];
  const fd = sender.run(() => sender.sys.socket(AF_PACKET, SOCK_RAW, 0));
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeInt32LE(indexIn(sender, "wire0"), 4);
  sender.sys.bind(fd, address);
  return {
    receiver,
    send(packet) {
      const { network, transport } = headersOf(packet);
      const type = Buffer.alloc(2);
      type.writeUInt16BE(ETHERTYPE[packet.family]);
      const frame = Buffer.concat([to, from, type, packet.family === 4 ? withChecksum(network) : network, transport]);
      sender.sys.send(fd, frame, frame.length, 0);
    },
    [Symbol.dispose]() {
      sender.sys.close(fd);
      sender[Symbol.dispose]();
      receiver[Symbol.dispose]();
    },
  };
}

type Link = { readonly ifindex: number; readonly address: string };
const linkIn = (netns: TestNetns, name: string): Link => (JSON.parse(netns.exec("ip", "-json", "link", "show", name)) as [Link])[0];
const indexIn = (netns: TestNetns, name: string): number => linkIn(netns, name).ifindex;
const macIn = (netns: TestNetns, name: string): Buffer => Buffer.from(linkIn(netns, name).address.replaceAll(":", ""), "hex");

/** RFC 1071 */
function withChecksum(header: Uint8Array): Buffer {
  const bytes = Buffer.from(header);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, 10);
  return bytes;
}
