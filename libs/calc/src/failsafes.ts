/** Ports of hosts that stay open whatever policy says, so that nobody locks himself out of a cluster. */
import { contains, type Cidr } from "@calico/model";
import type { Packet } from "./evaluator.ts";

/** One port; with a net, only for who is in it. */
export type FailsafePort = { readonly protocol: number; readonly port: number; readonly net: Cidr | null };
/** Inbound: of this host; outbound: of others. */
export type Failsafes = { readonly inbound: readonly FailsafePort[]; readonly outbound: readonly FailsafePort[] };

const tcp = (...ports: readonly number[]): FailsafePort[] => ports.map((port) => ({ protocol: 6, port, net: null }));
const udp = (...ports: readonly number[]): FailsafePort[] => ports.map((port) => ({ protocol: 17, port, net: null }));

/** SSH, DHCP, DNS, BGP, etcd, typha and the API server. */
export const defaultFailsafes: Failsafes = {
  inbound: [...tcp(22, 179, 2379, 2380, 5473, 6443, 6666, 6667), ...udp(68)],
  outbound: [...tcp(179, 2379, 2380, 5473, 6443, 6666, 6667), ...udp(53, 67)],
};

/** True for a packet to such a port: one of this host for a packet that comes in, one of the other side for one that goes out. */
export function isFailsafe({ protocol, source, destination }: Packet, ports: readonly FailsafePort[], comesIn: boolean): boolean {
  const peer = comesIn ? source : destination;
  return ports.some((failsafe) => failsafe.protocol === protocol && failsafe.port === destination.port && (failsafe.net === null || contains(failsafe.net, peer.address)));
}

/** True for what answers such a packet of the other direction: without connection tracking nothing else tells it apart. */
export function isFailsafeAnswer({ protocol, source, destination }: Packet, ports: readonly FailsafePort[], comesIn: boolean): boolean {
  const peer = comesIn ? source : destination;
  return ports.some((failsafe) => failsafe.protocol === protocol && failsafe.port === source.port && (failsafe.net === null || contains(failsafe.net, peer.address)));
}
