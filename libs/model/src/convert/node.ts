/** Kubernetes Nodes as Calico sees them. */
import { canonicalAddress, formatAddress, parseAddress, widthOf, type Cidr, type Family, type IpAddress } from "../ip.ts";
import type { Node } from "../model.ts";
import { NODE_AS_NUMBER_ANNOTATION, NODE_IPV4_ANNOTATION, NODE_IPV6_ANNOTATION, NODE_ROUTE_REFLECTOR_ANNOTATION, NODE_VXLAN_ADDRESS_ANNOTATION, NODE_VXLAN_MAC_ANNOTATION, vxlanTunnelMac } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { annotationOf, listOf, metadataOf, objectOf, show, textOf, type Metadata } from "./raw.ts";

/** The node with the addresses and BGP settings of its annotations. An unreadable annotation counts as absent. */
export function convertNode(raw: unknown): Conversion<Node> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<Node>(null);
  const ipv4 = annotated(metadata, NODE_IPV4_ANNOTATION, "an IPv4 address with prefix length, such as 172.30.0.11/24", (text) => interfaceAddress(text, 4), out);
  const ipv6 = annotated(metadata, NODE_IPV6_ANNOTATION, "an IPv6 address with prefix length, such as fd00::11/64", (text) => interfaceAddress(text, 6), out);
  return out.done<Node>({
    name: metadata.name,
    labels: metadata.labels,
    ipv4, ipv6,
    addresses: addressesOf(raw, [ipv4, ipv6]),
    asNumber: annotated(metadata, NODE_AS_NUMBER_ANNOTATION, "an AS number, such as 64512 or 1.10", parseAsNumber, out),
    routeReflectorClusterId: annotated(metadata, NODE_ROUTE_REFLECTOR_ANNOTATION, "a cluster id in the form of an IPv4 address, such as 244.0.0.1", clusterId, out),
    vxlan: vxlanOf(metadata, out),
  });
}

/** Those of its interfaces, then those of its status of any type; names are left out. */
function addressesOf(raw: unknown, interfaces: readonly (Cidr | null)[]): IpAddress[] {
  const reported = listOf(objectOf(objectOf(raw)["status"])["addresses"]).map((each) => textOf(objectOf(each)["address"]));
  const texts = [...interfaces.map((address) => address?.split("/")[0] ?? ""), ...reported];
  return [...new Set(texts.flatMap((text) => canonicalAddress(text) ?? []))];
}

function vxlanOf(metadata: Metadata, out: FindingCollector): Node["vxlan"] {
  const mac = annotated(metadata, NODE_VXLAN_MAC_ANNOTATION, "a MAC address of one interface, such as 66:0a:1b:2c:3d:4e", unicastMac, out);
  const address = annotated(metadata, NODE_VXLAN_ADDRESS_ANNOTATION, "an IPv4 address, such as 10.65.0.1", ipv4Address, out);
  return address === null ? null : { address, mac: mac ?? vxlanTunnelMac(metadata.name) };
}

function ipv4Address(text: string): IpAddress | null {
  const bytes = parseAddress(text);
  return bytes?.length === 4 ? formatAddress(bytes) : null;
}

/** Neither a group's (the lowest bit of the first byte) nor all zeros. */
function unicastMac(text: string): string | null {
  const mac = text.toLowerCase();
  return /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac) && mac !== "00:00:00:00:00:00" ? mac : null;
}

function annotated<T>({ raw }: Metadata, name: string, wanted: string, parse: (text: string) => T | null, out: FindingCollector): T | null {
  const text = annotationOf(raw, name);
  if (text === undefined || text === "") return null;
  return parse(text) ?? out.error(`metadata.annotations[${name}]`, `${show(text)} is not ${wanted}`);
}

/** "172.30.0.11/24" with the host bits kept; a bare address gets its full width. */
function interfaceAddress(text: string, family: Family): Cidr | null {
  const [address = "", length = String(widthOf(family)), more] = text.split("/");
  const bytes = parseAddress(address);
  if (bytes === null || more !== undefined || bytes.length * 8 !== widthOf(family)) return null;
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > widthOf(family)) return null;
  return `${formatAddress(bytes)}/${length}` as Cidr;
}

/** A 4-byte AS number in asplain or asdot notation (RFC 5396); 0 is reserved. */
function parseAsNumber(text: string): number | null {
  const [, high, low] = /^(?:([0-9]{1,5})\.)?([0-9]{1,10})$/.exec(text) ?? [];
  if (low === undefined) return null;
  if (high !== undefined && (Number(high) > 0xffff || Number(low) > 0xffff)) return null;
  const number = Number(high ?? "0") * 0x1_0000 + Number(low);
  return number >= 1 && number <= 0xffff_ffff ? number : null;
}

function clusterId(text: string): string | null {
  return parseAddress(text)?.length === 4 ? text : null;
}
