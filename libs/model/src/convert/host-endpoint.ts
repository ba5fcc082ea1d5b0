/** Host endpoints: interfaces of a node itself. */
import { canonicalAddress, type IpAddress } from "../ip.ts";
import type { HostEndpoint, NamedPort, ProfileId } from "../model.ts";
import { DEFAULT_ALLOW_PROFILE, hostEndpointId, isNodeName } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { withoutInheritedKeys } from "./labels.ts";
import { isPort } from "./ports.ts";
import { protocolNumber, PROTOCOL_NAMES } from "./protocol.ts";
import { isAbsent, metadataOf, objectOf, show, specOf, textOf, type Metadata } from "./raw.ts";

/** As long as a kernel lets the name of an interface be, of what people name interfaces with. */
const INTERFACE_NAME = /^[a-zA-Z0-9_.-]{1,15}$/;
const ANY_INTERFACE = "*";

/**
 * A HostEndpoint. Addresses, profiles and ports that cannot be used are left out, so that it allows no more for them. Null with a
 * critical finding when it does not say for which interface of which node it is: its node is then not protected by it.
 */
export function convertHostEndpoint(raw: unknown): Conversion<HostEndpoint> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  if (metadata === null) return out.done<HostEndpoint>(null);
  const { name, revision } = metadata;
  const spec = specOf(raw);
  const node = readNode(spec["node"], out);
  const interfaceName = readInterfaceName(spec["interfaceName"], out);
  const expectedIps = readAddresses(spec["expectedIPs"], out);
  if (interfaceName === "" && expectedIps.length === 0) {
    out.critical("spec.interfaceName", "a host endpoint needs an interfaceName or expectedIPs; it is not in force", 'write the name of the interface, or "*" for all that are no pod\'s');
  }
  const labels = readLabels(metadata, out);
  const profiles = readProfiles(spec["profiles"], out);
  const ports = readPorts(spec["ports"], out);
  if (node === null || interfaceName === null || (interfaceName === "" && expectedIps.length === 0)) return out.done<HostEndpoint>(null);
  return out.done<HostEndpoint>({ id: hostEndpointId(name), name, node, interfaceName, expectedIps, labels, profiles, ports, revision });
}

/** null: it cannot be read. */
function readNode(written: unknown, out: FindingCollector): string | null {
  const node = textOf(written);
  if (isNodeName(node)) return node;
  return out.critical("spec.node", `the name of a node is needed, not ${show(written)}; the host endpoint is not in force`, "write the name of one Node, and make a host endpoint for each; hostEndpoint.autoCreate of KubeControllersConfiguration makes one for every Node");
}

/** null: it cannot be read. */
function readInterfaceName(written: unknown, out: FindingCollector): string | null {
  if (isAbsent(written) || written === "") return "";
  if (typeof written === "string" && (written === ANY_INTERFACE || INTERFACE_NAME.test(written))) return written;
  const isPattern = typeof written === "string" && written.includes("*");
  return out.critical("spec.interfaceName", `${show(written)} is not the name of an interface; the host endpoint is not in force`, isPattern ? 'write "*" for all interfaces, or make one host endpoint for each' : undefined);
}

function readList(written: unknown, field: string, of: string, out: FindingCollector): readonly unknown[] {
  if (isAbsent(written)) return [];
  if (Array.isArray(written)) return written;
  out.error(field, `a list of ${of} is needed, not ${show(written)}; it counts as empty`);
  return [];
}

/** Each address once. */
function readAddresses(written: unknown, out: FindingCollector): IpAddress[] {
  const addresses = new Set<IpAddress>();
  for (const [i, entry] of readList(written, "spec.expectedIPs", "addresses", out).entries()) {
    const address = typeof entry === "string" ? canonicalAddress(entry) : null;
    if (address === null) out.error(`spec.expectedIPs[${i}]`, `${show(entry)} is not an address; it is left out`);
    else addresses.add(address);
  }
  return [...addresses];
}

/** What pods derive and inherit would let namespaced policies find a host. */
function readLabels({ labels }: Metadata, out: FindingCollector): Record<string, string> {
  const own = withoutInheritedKeys(labels);
  for (const key of Object.keys(labels)) if (!Object.hasOwn(own, key)) out.warning(`metadata.labels[${key}]`, "is a label that only pods have; it is not used");
  return own;
}

/** Namespaces, service accounts and the built-in one are all the profiles there are. */
function readProfiles(written: unknown, out: FindingCollector): ProfileId[] {
  const profiles = new Set<ProfileId>();
  for (const [i, entry] of readList(written, "spec.profiles", "profiles", out).entries()) {
    if (typeof entry === "string" && (entry === DEFAULT_ALLOW_PROFILE || /^(kns|ksa)\../.test(entry))) profiles.add(entry as ProfileId);
    else out.error(`spec.profiles[${i}]`, `${show(entry)} is no profile of this product; it is left out and opens nothing`, `profiles are ${DEFAULT_ALLOW_PROFILE}, kns.NAMESPACE and ksa.NAMESPACE.SERVICEACCOUNT; for rules of your own make a GlobalNetworkPolicy`);
  }
  return [...profiles];
}

function readPorts(written: unknown, out: FindingCollector): NamedPort[] {
  return readList(written, "spec.ports", "ports", out).flatMap((entry, i) => {
    const { name, protocol: writtenProtocol, port } = objectOf(entry);
    const protocol = protocolNumber(writtenProtocol);
    const field = `spec.ports[${i}]`;
    if (typeof name !== "string" || name === "") out.error(`${field}.name`, `the name of a port is needed, not ${show(name)}; the port is left out`);
    else if (protocol === null) out.error(`${field}.protocol`, `${show(writtenProtocol)} is not one of ${PROTOCOL_NAMES}; the port is left out`);
    else if (!isPort(port)) out.error(`${field}.port`, `${show(port)} is not a port from 1 to 65535; the port is left out`);
    else return [{ name, protocol, port }];
    return [];
  });
}
