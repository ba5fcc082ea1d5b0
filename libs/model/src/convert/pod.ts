/** Pods as workload endpoints. */
import { canonicalAddress, canonicalCidr, type Cidr, type IpAddress } from "../ip.ts";
import type { NamedPort, ProfileId, WorkloadEndpoint } from "../model.ts";
import { NAMESPACE_LABEL, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL } from "../labels.ts";
import { ALLOWED_SOURCE_PREFIXES_ANNOTATION, interfaceNameForPod, isNodeName, namespaceProfileId, POD_IP_ANNOTATION, POD_IPS_ANNOTATION, serviceAccountProfileId, workloadEndpointId } from "../names.ts";
import { FindingCollector, type Conversion } from "./conversion.ts";
import { withoutInheritedKeys } from "./labels.ts";
import { protocolNumber } from "./protocol.ts";
import { annotationOf, listOf, metadataOf, objectOf, show, specOf, textOf, type Metadata, type RawObject } from "./raw.ts";

/** A label value has at most 63 characters, so a longer service account name cannot be a label. */
const MAX_LABEL_VALUE = 63;

/**
 * A pod with a network of its own as an endpoint. Null for pods on the host's network, without a node, or finished:
 * succeeded, failed, or being deleted with their network already gone (the address annotation is there and empty).
 * Without an address the endpoint is announced to its node all the same.
 */
export function convertPod(raw: unknown): Conversion<WorkloadEndpoint> {
  const out = new FindingCollector();
  const metadata = metadataOf(raw);
  const spec = specOf(raw);
  const status = objectOf(objectOf(raw)["status"]);
  const node = textOf(spec["nodeName"]);
  if (node !== "" && !isNodeName(node)) {
    out.error("spec.nodeName", `${show(node)} is not the name of a node; the pod counts as one without`);
    return out.done<WorkloadEndpoint>(null);
  }
  if (metadata === null || metadata.namespace === "" || node === "" || spec["hostNetwork"] === true || isFinished(metadata, status)) return out.done<WorkloadEndpoint>(null);
  const { namespace, name: pod, uid, revision } = metadata;
  const serviceAccount = textOf(spec["serviceAccountName"]);
  const allowedSourcePrefixes = sourcePrefixesOf(metadata, out);
  return out.done<WorkloadEndpoint>({
    id: workloadEndpointId(namespace, pod, uid),
    uid, node, namespace, pod,
    interfaceName: interfaceNameForPod(namespace, pod),
    addresses: addressesOf(metadata, status, out),
    labels: endpointLabels(metadata, serviceAccount),
    profiles: profilesOf(namespace, serviceAccount),
    ports: [...portsOf(spec, "initContainers"), ...portsOf(spec, "containers")],
    ...(allowedSourcePrefixes.length === 0 ? {} : { allowedSourcePrefixes }),
    revision,
  });
}

function isFinished({ raw, isDeleting }: Metadata, status: RawObject): boolean {
  const phase = status["phase"];
  if (phase === "Succeeded" || phase === "Failed") return true;
  return isDeleting && (annotationOf(raw, POD_IPS_ANNOTATION) ?? annotationOf(raw, POD_IP_ANNOTATION)) === "";
}

/** What the kubelet reported, or else what the CNI daemon wrote before the kubelet could. */
function addressesOf({ raw }: Metadata, status: RawObject, out: FindingCollector): IpAddress[] {
  const reported = listOf(status["podIPs"]).map((entry) => textOf(objectOf(entry)["ip"])).filter((text) => text !== "");
  const podIp = textOf(status["podIP"]);
  if (reported.length > 0) return readAddresses("status.podIPs", reported, out);
  if (podIp !== "") return readAddresses("status.podIP", [podIp], out);
  const name = annotationOf(raw, POD_IPS_ANNOTATION) === undefined ? POD_IP_ANNOTATION : POD_IPS_ANNOTATION;
  const annotated = (annotationOf(raw, name) ?? "").split(",").map((text) => text.trim()).filter((text) => text !== "");
  return readAddresses(`metadata.annotations[${name}]`, annotated, out);
}

/** Addresses from "10.65.0.2" or "10.65.0.2/32"; each once, unreadable ones left out. */
function readAddresses(field: string, texts: readonly string[], out: FindingCollector): IpAddress[] {
  const addresses = new Set<IpAddress>();
  for (const text of texts) {
    const address = canonicalAddress(text.split("/", 1)[0] ?? "");
    if (address === null) out.error(field, `${show(text)} is not an address`);
    else addresses.add(address);
  }
  return [...addresses];
}

/** One that cannot be read leaves none: what a pod may send from is what somebody wrote, or its own addresses alone. */
function sourcePrefixesOf({ raw }: Metadata, out: FindingCollector): Cidr[] {
  const field = `metadata.annotations[${ALLOWED_SOURCE_PREFIXES_ANNOTATION}]`;
  const written = annotationOf(raw, ALLOWED_SOURCE_PREFIXES_ANNOTATION);
  if (written === undefined) return [];
  const listed = parsedJson(written);
  const prefixes = Array.isArray(listed) ? listed.map((item) => (typeof item === "string" ? canonicalCidr(item) : null)) : [null];
  const read = prefixes.filter((prefix) => prefix !== null);
  if (read.length === prefixes.length) return [...new Set(read)];
  out.error(field, `${show(written)} is no JSON list of CIDRs: the pod sends from its own addresses alone`, 'write ["192.0.2.0/24"]');
  return [];
}

/** Undefined when it is no JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function endpointLabels({ labels, namespace }: Metadata, serviceAccount: string): Record<string, string> {
  const own = withoutInheritedKeys(labels);
  const isLabel = serviceAccount !== "" && serviceAccount.length < MAX_LABEL_VALUE;
  return { ...own, [NAMESPACE_LABEL]: namespace, [ORCHESTRATOR_LABEL]: "k8s", ...(isLabel ? { [SERVICE_ACCOUNT_LABEL]: serviceAccount } : {}) };
}

function profilesOf(namespace: string, serviceAccount: string): ProfileId[] {
  const ofNamespace = namespaceProfileId(namespace);
  return serviceAccount === "" ? [ofNamespace] : [ofNamespace, serviceAccountProfileId(namespace, serviceAccount)];
}

/** Ports that have a name: the others cannot be asked for. */
function portsOf(spec: RawObject, list: "containers" | "initContainers"): NamedPort[] {
  return listOf(spec[list]).flatMap((container) => listOf(objectOf(container)["ports"])).flatMap((entry) => {
    const { name, containerPort: port, protocol: written } = objectOf(entry);
    const protocol = protocolNumber(written ?? "TCP");
    if (typeof name !== "string" || name === "" || protocol === null || typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) return [];
    return [{ name, protocol, port }];
  });
}
