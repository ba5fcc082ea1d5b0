/** What belongs to a set because of one endpoint, network set or slice of a Service. */
import { addressOf, type Cidr, type IpAddress } from "@calico/model";
import type { SetDefinition } from "../rule-scanner/rule-scanner.ts";

/** What an endpoint or a slice of a Service (addresses, ports) or a network set (nets) gives to the sets that it belongs to. */
export type Contributor = {
  readonly addresses?: readonly IpAddress[];
  readonly ports?: readonly { readonly name?: string; readonly protocol: number; readonly port: number }[];
  readonly nets?: readonly Cidr[];
};

type Port = { readonly protocol: number; readonly port: number };
/** `of` says who else may give it: an address, or a range that is more than one. */
export type Member = { readonly text: string; readonly of: string; readonly port: Port | null };

/** Addresses and ranges of a contributor, as `Member.of` has them. */
export function* originsOf({ addresses = [], nets = [] }: Contributor): Generator<string> {
  yield* addresses;
  for (const net of nets) yield originOf(net);
}

/** What one contributor gives to a set; a member may come twice when the contributor says it twice. */
export function* membersOf({ port }: Pick<SetDefinition, "port">, { addresses = [], ports = [], nets = [] }: Contributor): Generator<Member> {
  if (port === null) {
    for (const address of addresses) yield { text: hostCidr(address), of: address, port: null };
    for (const net of nets) yield { text: net, of: originOf(net), port: null };
    return;
  }
  const wanted = port === "every" ? ports : ports.filter(({ name, protocol }) => name === port.name && protocol === port.protocol);
  for (const address of addresses) for (const number of wanted) yield { text: `${address},${number.protocol},${number.port}`, of: address, port: number };
}

/** True when a contributor that has the origin of a member gives that member to the set too. */
export function gives({ port: wanted }: Pick<SetDefinition, "port">, { ports = [] }: Contributor, { port }: Member): boolean {
  if (port === null || wanted === null) return port === wanted;
  return ports.some(({ name, ...other }) => other.port === port.port && other.protocol === port.protocol && (wanted === "every" || name === wanted.name));
}

/** The CIDR of a canonical address alone. */
function hostCidr(address: IpAddress): Cidr {
  return `${address}/${address.includes(":") ? 128 : 32}` as Cidr;
}

function originOf(net: Cidr): string {
  return net.endsWith(net.includes(":") ? "/128" : "/32") ? addressOf(net) : net;
}
