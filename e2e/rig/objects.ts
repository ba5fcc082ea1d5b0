/** Objects of a cluster as the sources of typha would parse them. */
import { policyId, selector, workloadEndpointId, type Action, type Cidr, type EntityMatch, type IpAddress, type Policy, type PolicyId, type Profile, type ProfileId, type Rule, type WorkloadEndpoint } from "@calico/model";
import type { ClusterUpdate } from "@calico/calc";

export const TCP = 6;
export const UDP = 17;
const anySide: EntityMatch = { nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null, nodes: null };

export type RuleWish = { readonly action?: Action; readonly from?: string; readonly nets?: readonly string[]; readonly protocol?: number; readonly ports?: readonly number[] };

/** An ingress rule from a selector or from CIDRs, to ports. */
export function ingressRule({ action = "Allow", from, nets = [], protocol = TCP, ports = [] }: RuleWish, index = 0): Rule {
  return {
    action, ipVersion: 0, protocol, notProtocol: null, icmp: null, notIcmp: null, index,
    source: { ...anySide, selector: from === undefined ? null : selector(from), nets: nets as Cidr[] },
    destination: { ...anySide, ports: ports.map((port) => ({ first: port, last: port })) },
  };
}

let revision = 0;

/** A policy of the default tier for the pods that `applies` selects. */
export function ingressPolicy(namespace: string, name: string, applies: string, rules: readonly RuleWish[], order: number | null = null): Policy {
  revision += 1;
  return {
    id: policyId("NetworkPolicy", namespace, name), kind: "NetworkPolicy", namespace, name, tier: "default", order, selector: selector(applies), ingress: true, egress: false,
    inbound: rules.map(ingressRule), outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: String(revision),
  };
}

/** A namespace: its pods may do everything that no policy speaks of. */
export function namespaceProfile(namespace: string): Profile {
  return { id: `kns.${namespace}` as ProfileId, labels: { "pcns.kubernetes.io/metadata.name": namespace }, inbound: [ingressRule({ protocol: TCP }), ingressRule({ protocol: UDP }, 1)], outbound: [ingressRule({ protocol: TCP }), ingressRule({ protocol: UDP }, 1)] };
}

export type PodWish = { readonly namespace: string; readonly pod: string; readonly node: string; readonly address: string; readonly labels: Readonly<Record<string, string>>; readonly interfaceName?: string };

export function workload({ namespace, pod, node, address, labels, interfaceName = "" }: PodWish): WorkloadEndpoint {
  const uid = uidOf(namespace, pod);
  return {
    id: workloadEndpointId(namespace, pod, uid), uid, node, namespace, pod, interfaceName, addresses: [address as IpAddress], labels: { "projectcalico.org/namespace": namespace, ...labels }, profiles: [`kns.${namespace}` as ProfileId],
    ports: [], revision: "1",
  };
}

export const uidOf = (namespace: string, pod: string): string => `${namespace}-${pod}`;

export const putPolicy = (value: Policy): ClusterUpdate => ({ kind: "Policy", id: value.id, value });
export const dropPolicy = (id: PolicyId): ClusterUpdate => ({ kind: "Policy", id, value: null });
export const putWorkload = (value: WorkloadEndpoint): ClusterUpdate => ({ kind: "WorkloadEndpoint", id: value.id, value });
export const dropWorkload = ({ id }: WorkloadEndpoint): ClusterUpdate => ({ kind: "WorkloadEndpoint", id, value: null });
export const putProfile = (value: Profile): ClusterUpdate => ({ kind: "Profile", id: value.id, value });
