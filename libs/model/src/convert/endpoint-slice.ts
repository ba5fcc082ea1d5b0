/** EndpointSlices: who stands behind a Service. */
import { canonicalAddress, type IpAddress } from "../ip.ts";
import type { ServiceSlice } from "../model.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { isPort } from "./ports.ts";
import { protocolNumber } from "./protocol.ts";
import { listOf, metadataOf, objectOf, show, textOf } from "./raw.ts";

/** Label of a slice that names its Service. */
const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/**
 * A slice with all its endpoints, ready or not: who is about to serve is part of the Service already. Null for one of no
 * Service, or of names instead of addresses. A port without a number, which means all of them, is none here.
 */
export function convertEndpointSlice(raw: unknown): Conversion<ServiceSlice> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  const { addressType, endpoints, ports } = objectOf(raw);
  const service = metadata?.labels[SERVICE_NAME_LABEL] ?? "";
  if (metadata === null || metadata.namespace === "" || service === "" || addressType === "FQDN") return out.done<ServiceSlice>(null);
  return out.done<ServiceSlice>({
    id: `${metadata.namespace}/${metadata.name}`,
    service: { namespace: metadata.namespace, name: service },
    addresses: addressesOf(endpoints, out),
    ports: portsOf(ports),
  });
}

function addressesOf(endpoints: unknown, out: FindingCollector): IpAddress[] {
  const addresses = new Set<IpAddress>();
  for (const [i, endpoint] of listOf(endpoints).entries()) {
    for (const text of listOf(objectOf(endpoint)["addresses"]).map(textOf)) {
      const address = canonicalAddress(text);
      if (address === null) out.error(`endpoints[${i}].addresses`, `${show(text)} is not an address; it is left out`);
      else addresses.add(address);
    }
  }
  return [...addresses];
}

function portsOf(ports: unknown): ServiceSlice["ports"] {
  return listOf(ports).flatMap((entry) => {
    const { port, protocol: written } = objectOf(entry);
    const protocol = protocolNumber(written ?? "TCP");
    return isPort(port) && protocol !== null ? [{ protocol, port }] : [];
  });
}
