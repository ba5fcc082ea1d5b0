/** The node's own address: found by one of Calico's methods. Pure, but for what it is shown. */
import { canonicalCidr, contains, parseCidr, type Cidr, type Family } from "@calico/model";

/** An address of an interface, with the prefix length of its network, in the kernel's order. */
export type InterfaceAddress = { readonly interfaceName: string; readonly address: string; readonly prefixLength: number };

export type Surroundings = {
  readonly addresses: readonly InterfaceAddress[];
  /** The address that the kernel would send from to a destination, or null. */
  readonly sourceTo: (destination: string) => Promise<string | null>;
  /** InternalIP addresses of the Kubernetes node. */
  readonly internalIps: () => Promise<readonly string[]>;
};

/** Interfaces that are never the node's own. */
const EXCLUDED = [
  /^docker/, /^cbr/, /^dummy/, /^podman/, /^virbr/, /^lxcbr/, /^veth/, /^lo$/, /^br-/, /^cali/, /^tunl/, /^flannel/, /^kube-ipvs/, /^cni/, /^vxlan\.calico/, /^vxlan-v6\.calico/, /^wireguard\.cali/,
  /^wg-v6\.cali/, /^nodelocaldns/,
];

/** A method that cannot be used: the message names it and what is possible. */
export class AutodetectionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "AutodetectionError";
  }
}

/** The address with its network's prefix length, or null when none fits. Throws AutodetectionError for an unknown method. */
export async function autodetect(method: string, family: Family, surroundings: Surroundings): Promise<Cidr | null> {
  const candidates = surroundings.addresses.filter(({ address }) => usable(address, family));
  const [name = "", argument = ""] = splitOnce(method, "=");
  const ordinary = candidates.filter(({ interfaceName }) => !EXCLUDED.some((pattern) => pattern.test(interfaceName)));
  switch (name) {
    case "first-found": return cidrOf(ordinary[0]);
    case "interface": {
      for (const pattern of patterns(argument, method)) {
        const found = candidates.find(({ interfaceName }) => pattern.test(interfaceName));
        if (found !== undefined) return cidrOf(found);
      }
      return null;
    }
    case "skip-interface": {
      const skipped = patterns(argument, method);
      return cidrOf(ordinary.find(({ interfaceName }) => !skipped.some((pattern) => pattern.test(interfaceName))));
    }
    case "cidr": {
      const cidrs = argument.split(",").map((text) => canonicalCidr(text.trim()));
      if (cidrs.some((cidr) => cidr === null)) throw new AutodetectionError(`${method}: is no list of CIDRs`);
      return cidrOf(ordinary.find(({ address }) => cidrs.some((cidr) => cidr !== null && contains(cidr, address))));
    }
    case "can-reach": {
      const source = await surroundings.sourceTo(argument);
      return cidrOf(candidates.find(({ address }) => address === source));
    }
    case "kubernetes-internal-ip": {
      const internal = await surroundings.internalIps();
      return cidrOf(candidates.find(({ address }) => internal.includes(address)));
    }
    default: throw new AutodetectionError(`${method}: there is first-found, can-reach=, interface=, skip-interface=, cidr= and kubernetes-internal-ip`);
  }
}

function usable(address: string, family: Family): boolean {
  const isV6 = address.includes(":");
  return isV6 === (family === 6) && !address.toLowerCase().startsWith("fe80:") && address !== "::1" && !address.startsWith("127.");
}

function cidrOf(found: InterfaceAddress | undefined): Cidr | null {
  // Host bits are kept on purpose: the address is the node's, the length its network's.
  return found === undefined || parseCidr(found.address) === null ? null : (`${found.address}/${found.prefixLength}` as Cidr);
}

function patterns(list: string, method: string): RegExp[] {
  return list.split(",").map((text) => {
    try {
      return new RegExp(`^(?:${text.trim()})$`);
    } catch {
      throw new AutodetectionError(`${method}: ${JSON.stringify(text)} is no regular expression`);
    }
  });
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
