/** Names that several components must agree on: annotations, ids, interfaces, objects. */
import { sha1 } from "@noble/hashes/legacy.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { EndpointId, PolicyId, PolicyKind, ProfileId } from "./model.ts";

/** Written on a pod by the CNI daemon once it has its addresses; set to "" while it is torn down. */
export const POD_IP_ANNOTATION = "cni.projectcalico.org/podIP";
export const POD_IPS_ANNOTATION = "cni.projectcalico.org/podIPs";
/** JSON list of CIDRs. */
export const ALLOWED_SOURCE_PREFIXES_ANNOTATION = "cni.projectcalico.org/allowedSourcePrefixes";
export const CONTAINER_ID_ANNOTATION = "cni.projectcalico.org/containerID";

/** Written on a Node by felix. */
export const NODE_IPV4_ANNOTATION = "projectcalico.org/IPv4Address";
export const NODE_IPV6_ANNOTATION = "projectcalico.org/IPv6Address";
export const NODE_AS_NUMBER_ANNOTATION = "projectcalico.org/ASNumber";
export const NODE_ROUTE_REFLECTOR_ANNOTATION = "projectcalico.org/RouteReflectorClusterID";
/** Written on a Node by its ipam: the address of the node's end of the VXLAN overlay. */
export const NODE_VXLAN_ADDRESS_ANNOTATION = "projectcalico.org/IPv4VXLANTunnelAddr";
/** Its MAC address, where somebody wants another than the one that the node's name gives. */
export const NODE_VXLAN_MAC_ANNOTATION = "projectcalico.org/VXLANTunnelMACAddr";

export const DEFAULT_TIER = "default";
export const ADMIN_TIER = "kube-admin";
export const BASELINE_TIER = "kube-baseline";

/** Label of a policy with the name of its tier, by which policies can be listed. */
export const TIER_LABEL = "projectcalico.org/tier";
/** Keeps a tier until kube-controllers finds it empty. */
export const TIER_FINALIZER = "projectcalico.org/tier-controller";

/** The profile that allows everything both ways: it always exists. */
export const DEFAULT_ALLOW_PROFILE = "projectcalico-default-allow" as ProfileId;

/** Network name in a pod's handle: that of the CNI configuration. */
export const POD_NETWORK_NAME = "k8s-pod-network";
export const DEFAULT_INTERFACE_PREFIX = "cali";

/** The name of a Node as the API server lets it be: a DNS subdomain (RFC 1123). */
export const NODE_NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const MAX_NODE_NAME = 253;

/** True for a text that a Node can be named. "*" is none. */
export function isNodeName(text: string): boolean {
  return text.length <= MAX_NODE_NAME && NODE_NAME.test(text);
}

/** Joins parts so that no two lists of parts give the same text. */
function join(...parts: readonly string[]): string {
  return parts.map(encodePart).join("/");
}

/** RFC 3986 escapes of everything but unreserved characters. A lone surrogate becomes U+FFFD. */
function encodePart(part: string): string {
  return encodeURIComponent(part.toWellFormed());
}

export function policyId(kind: PolicyKind, namespace: string, name: string): PolicyId {
  return join(kind, namespace, name) as PolicyId;
}

const POLICY_KINDS: readonly PolicyKind[] = ["NetworkPolicy", "GlobalNetworkPolicy", "KubernetesNetworkPolicy", "KubernetesClusterNetworkPolicy"];

/** The parts of a policy's id; null for another text. */
export function parsePolicyId(id: string): { kind: PolicyKind; namespace: string; name: string } | null {
  const [kind, namespace, name, more] = split(id);
  if (name === undefined || namespace === undefined || more !== undefined) return null;
  const known = POLICY_KINDS.find((candidate) => candidate === kind);
  return known === undefined ? null : { kind: known, namespace, name };
}

export function workloadEndpointId(namespace: string, pod: string, uid: string): EndpointId {
  return join("wep", namespace, pod, uid) as EndpointId;
}

export function hostEndpointId(name: string): EndpointId {
  return join("hep", name) as EndpointId;
}

/** The parts of a workload endpoint's id; null for another text. */
export function parseWorkloadEndpointId(id: string): { namespace: string; pod: string; uid: string } | null {
  const [kind, namespace, pod, uid, more] = split(id);
  if (kind !== "wep" || namespace === undefined || pod === undefined || uid === undefined || more !== undefined) return null;
  return { namespace, pod, uid };
}

function split(id: string): string[] {
  try {
    return id.split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

/** Profile of a namespace: its labels, and everything allowed. */
export function namespaceProfileId(namespace: string): ProfileId {
  return `kns.${namespace}` as ProfileId;
}

/** Profile of a service account: its labels only. */
export function serviceAccountProfileId(namespace: string, serviceAccount: string): ProfileId {
  return `ksa.${namespace}.${serviceAccount}` as ProfileId;
}

/** Host side interface of a pod: prefix and the first 11 hex digits of sha1("<namespace>.<pod>"). */
export function interfaceNameForPod(namespace: string, pod: string, prefix: string = DEFAULT_INTERFACE_PREFIX): string {
  return `${prefix}${bytesToHex(sha1(utf8ToBytes(`${namespace}.${pod}`.toWellFormed()))).slice(0, 11)}`;
}

/** Name of the IPAMBlock of a CIDR: "10-65-0-0-26". */
export function blockName(cidr: string): string {
  return cidr.replaceAll(/[.:/]/g, "-");
}

/** Name of the BlockAffinity of a node to a block. */
export function blockAffinityName(node: string, cidr: string): string {
  return `${node}-${blockName(cidr)}`;
}

/** Handle under which the addresses of one container are held. */
export function podHandleId(containerId: string, network: string = POD_NETWORK_NAME): string {
  return `${network}.${containerId}`;
}

/** Handle under which a node's tunnel address is held. */
export function vxlanTunnelHandleId(node: string): string {
  return `vxlan-tunnel-addr-${node}`;
}

/** MAC address of a node's end of the VXLAN overlay: the byte 66, then the first five of the name's SHA-1. */
export function vxlanTunnelMac(node: string): string {
  return ["66", ...(bytesToHex(sha1(utf8ToBytes(node.toWellFormed()))).match(/../g) ?? []).slice(0, 5)].join(":");
}

/** Name of the IPAMHandle object of a handle: lower case, as Kubernetes wants names. */
export function handleName(handleId: string): string {
  return handleId.toLowerCase();
}
