/** Pods, namespaces and service accounts. */
import { canonicalAddress, type IpAddress } from "../ip.ts";
import type { NamedPort, Profile, Rule, WorkloadEndpoint } from "../model.ts";
import {
  interfaceNameForPod, NAME_LABEL, NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, namespaceProfileId, ORCHESTRATOR_LABEL, POD_IP_ANNOTATION, POD_IPS_ANNOTATION, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_LABEL_PREFIX,
  serviceAccountProfileId, workloadEndpointId,
} from "../names.ts";
import { ANY_ENTITY } from "./entity.ts";
import type { Conversion } from "./finding.ts";
import { flagAt, metadataOf, numberAt, recordAt, recordsAt, textAt, type Raw } from "./raw.ts";

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
/** Longer names do not fit a label. */
const MAX_LABEL_VALUE = 63;

/** The endpoint of a pod; null while it is not scheduled, when it uses the host's network, or when it has finished. */
export function convertPod(raw: Raw): Conversion<WorkloadEndpoint> {
  const { name, namespace, uid, revision, labels, annotations, terminating } = metadataOf(raw);
  const spec = recordAt(raw, "spec");
  const status = recordAt(raw, "status");
  const node = textAt(spec, "nodeName") ?? "";
  const phase = textAt(status, "phase");
  const withdrawn = terminating && annotations[POD_IP_ANNOTATION] === "";
  if (node === "" || flagAt(spec, "hostNetwork") || phase === "Succeeded" || phase === "Failed" || withdrawn) return { value: null, findings: [] };
  const serviceAccount = textAt(spec, "serviceAccountName") ?? "default";
  const own: Record<string, string> = { ...labels, [NAMESPACE_LABEL]: namespace, [ORCHESTRATOR_LABEL]: "k8s" };
  if (serviceAccount.length <= MAX_LABEL_VALUE) own[SERVICE_ACCOUNT_LABEL] = serviceAccount;
  return {
    findings: [],
    value: {
      id: workloadEndpointId(namespace, name, uid), uid, node, namespace, pod: name, interfaceName: interfaceNameForPod(namespace, name), addresses: addressesOf(status, annotations), labels: own,
      profiles: [namespaceProfileId(namespace), serviceAccountProfileId(namespace, serviceAccount)], ports: portsOf(spec), revision,
    },
  };
}

/** From the status, else from what the CNI daemon wrote. */
function addressesOf(status: Raw, annotations: Readonly<Record<string, string>>): IpAddress[] {
  const reported = recordsAt(status, "podIPs").map((entry) => textAt(entry, "ip") ?? "");
  const single = textAt(status, "podIP");
  const annotated = (annotations[POD_IPS_ANNOTATION] ?? annotations[POD_IP_ANNOTATION] ?? "").split(",").map((text) => text.trim().replace(/\/\d+$/, ""));
  const texts = reported.length > 0 ? reported : single === null ? annotated : [single];
  return [...new Set(texts.flatMap((text) => canonicalAddress(text) ?? []))];
}

/** Ports with a name or a host port, of containers and init containers. */
function portsOf(spec: Raw): NamedPort[] {
  const containers = [...recordsAt(spec, "initContainers"), ...recordsAt(spec, "containers")];
  return containers.flatMap((container) => recordsAt(container, "ports")).flatMap((entry): NamedPort[] => {
    const port = numberAt(entry, "containerPort");
    const name = textAt(entry, "name") ?? "";
    const protocol = PROTOCOLS[textAt(entry, "protocol") ?? "TCP"];
    if (port === null || protocol === undefined || (name === "" && numberAt(entry, "hostPort") === null)) return [];
    return [{ name, protocol, port }];
  });
}

const ALLOW_ALL: Rule = { action: "Allow", ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null, source: ANY_ENTITY, destination: ANY_ENTITY, index: 0 };

/** The profile of a namespace: its labels, prefixed, and everything allowed. */
export function convertNamespace(raw: Raw): Conversion<Profile> {
  const { name, labels } = metadataOf(raw);
  return { findings: [], value: { id: namespaceProfileId(name), labels: { ...prefixed(NAMESPACE_LABEL_PREFIX, labels), [`${NAMESPACE_LABEL_PREFIX}${NAME_LABEL}`]: name }, inbound: [ALLOW_ALL], outbound: [ALLOW_ALL] } };
}

/** The profile of a service account: its labels, prefixed, and no rule. */
export function convertServiceAccount(raw: Raw): Conversion<Profile> {
  const { name, namespace, labels } = metadataOf(raw);
  const own = { ...prefixed(SERVICE_ACCOUNT_LABEL_PREFIX, labels), [`${SERVICE_ACCOUNT_LABEL_PREFIX}${NAME_LABEL}`]: name };
  return { findings: [], value: { id: serviceAccountProfileId(namespace, name), labels: own, inbound: [], outbound: [] } };
}

function prefixed(prefix: string, labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));
}
