/** How large packets may be: of this node's own interfaces, of the overlay, of pods. Pure. */
import type { Link } from "@calico/kernel";

/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
export const VXLAN_OVERHEAD = 50;

export type MtuSettings = {
  /** MTU of pods; 0: what the node leaves room for. */
  readonly mtu: number;
  /** MTU of the VXLAN device; 0: what the node leaves room for. */
  readonly vxlanMTU: number;
  readonly mtuIfacePattern: string;
  /** What the names of pods' interfaces begin with. */
  readonly interfacePrefix: string;
};

const USUAL_MTU = 1_500;
/** Devices that get their MTU from this very calculation. */
const TUNNELS = new Set(["vxlan.calico", "vxlan-v6.calico", "tunl0", "wireguard.cali", "wg-v6.cali"]);

/** The smallest MTU of the interface that the node's address is on and of those that are up and match the pattern; pods' interfaces and tunnels never count. */
export function hostMtu(links: readonly Pick<Link, "name" | "mtu" | "up">[], { mtuIfacePattern, interfacePrefix }: Pick<MtuSettings, "mtuIfacePattern" | "interfacePrefix">, uplink: string | null): number {
  const matches = matcher(mtuIfacePattern);
  const isOurs = (name: string): boolean => name.startsWith(interfacePrefix) || TUNNELS.has(name);
  const found = links.filter(({ name, up }) => name === uplink || (up && matches(name) && !isOurs(name)));
  return found.length === 0 ? USUAL_MTU : Math.min(...found.map(({ mtu }) => mtu));
}

/** A pattern that is no regular expression matches nothing. */
function matcher(pattern: string): (name: string) => boolean {
  try {
    const expression = new RegExp(pattern);
    return (name) => expression.test(name);
  } catch {
    return () => false;
  }
}

export function vxlanMtu(host: number, { vxlanMTU }: MtuSettings): number {
  return vxlanMTU > 0 ? Math.min(vxlanMTU, host - VXLAN_OVERHEAD) : host - VXLAN_OVERHEAD;
}

export function podMtu(host: number, settings: MtuSettings, overlay: boolean): number {
  if (settings.mtu > 0) return settings.mtu;
  return overlay ? vxlanMtu(host, settings) : host;
}
