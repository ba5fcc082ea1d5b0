/** On which nodes policies are in force: what the API server's objects ask for against what the nodes' felixes say. Pure. */
import { createClusterHalf } from "@calico/calc";
import { compareRevisions, type KubeObject } from "@calico/datastore";
import {
  builtInProfiles, convertClusterNetworkPolicy, convertGlobalNetworkPolicy, convertHostEndpoint, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertPod, convertServiceAccount, parsePolicyId, policyId, type Conversion, type Policy, type PolicyId,
  type PolicyKind,
} from "@calico/model";
import type { felix } from "@calico/proto/status";
import { grid } from "./print.ts";
import type { Answer } from "./queries.ts";

export type ClusterObjects = {
  readonly policies: readonly { readonly kind: PolicyKind; readonly object: KubeObject }[];
  readonly pods: readonly KubeObject[];
  readonly namespaces: readonly KubeObject[];
  readonly serviceAccounts: readonly KubeObject[];
  readonly hostEndpoints: readonly KubeObject[];
};

/** A policy as written, and the endpoints that it must protect. */
export type Demand = {
  readonly id: PolicyId;
  readonly kind: PolicyKind;
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  /** What of it cannot be used, in words. */
  readonly findings: readonly string[];
  /** False: no node has it, because nobody can tell whom it protects. */
  readonly usable: boolean;
  /** Pods with an address and host endpoints that it selects, by node. */
  readonly endpointsByNode: ReadonlyMap<string, number>;
};

export type PolicyReport = {
  readonly kind: PolicyKind;
  readonly namespace: string;
  readonly name: string;
  /** null: the object is deleted, but a node still has it. */
  readonly revision: string | null;
  readonly endpoints: number;
  /** Nodes that must have it in their kernel, and those of them that have. */
  readonly nodes: number;
  readonly inForce: number;
  /** The other nodes; unknown: the node does not answer. */
  readonly missing: readonly { readonly node: string; readonly reason: string; readonly unknown: boolean }[];
  readonly findings: readonly string[];
  readonly usable: boolean;
};

export type FelixAnswers = ReadonlyMap<string, Answer<felix.StatusResponse>>;

const CONVERT: Readonly<Record<PolicyKind, (raw: unknown) => Conversion<Policy>>> = {
  NetworkPolicy: convertNetworkPolicy, GlobalNetworkPolicy: convertGlobalNetworkPolicy, KubernetesNetworkPolicy: convertKubernetesNetworkPolicy, KubernetesClusterNetworkPolicy: convertClusterNetworkPolicy,
};

/** Whom each policy must protect, found as typha finds it. A pod that is being deleted may have lost its network already, so it asks for nothing. */
export function demandsOf({ policies, pods, namespaces, serviceAccounts, hostEndpoints }: ClusterObjects): Demand[] {
  const nodeOf = new Map<string, string>();
  const endpointsOf = new Map<string, Map<string, number>>();
  const half = createClusterHalf({
    onValueChange: () => undefined, onIpSetDelta: () => undefined, onInterestStop: () => undefined,
    onInterestStart(endpoint, key) {
      const node = nodeOf.get(endpoint);
      if (node === undefined || !key.startsWith("Policy:")) return;
      const id = key.slice("Policy:".length);
      const counts = endpointsOf.get(id) ?? new Map<string, number>();
      endpointsOf.set(id, counts.set(node, (counts.get(node) ?? 0) + 1));
    },
  });
  for (const value of builtInProfiles) half.onUpdate({ kind: "Profile", id: value.id, value });
  for (const convert of [...namespaces.map(convertNamespace), ...serviceAccounts.map(convertServiceAccount)]) if (convert.value !== null) half.onUpdate({ kind: "Profile", id: convert.value.id, value: convert.value });
  for (const pod of pods) {
    const { value } = convertPod(pod);
    if (value === null || value.addresses.length === 0 || pod.metadata["deletionTimestamp"] !== undefined) continue;
    nodeOf.set(value.id, value.node);
    // Each endpoint stands for a node of its own here: so interest is told endpoint by endpoint.
    half.onUpdate({ kind: "WorkloadEndpoint", id: value.id, value: { ...value, node: value.id } });
  }
  for (const object of hostEndpoints) {
    const { value } = convertHostEndpoint(object);
    if (value === null) continue;
    nodeOf.set(value.id, value.node);
    half.onUpdate({ kind: "HostEndpoint", id: value.id, value: { ...value, node: value.id } });
  }
  return policies.map(({ kind, object }): Demand => {
    const { namespace = "", name, resourceVersion: revision = "" } = object.metadata;
    const id = policyId(kind, namespace, name);
    const { value, findings } = CONVERT[kind](object);
    if (value !== null) half.onUpdate({ kind: "Policy", id, value: { ...value, inbound: [], outbound: [] } });
    const said = findings.filter(({ severity }) => severity !== "warning").map(({ field, message, suggestion }) => `${field} ${message}${suggestion === undefined ? "" : `; ${suggestion}`}`);
    return { id, kind, namespace, name, revision, findings: said, usable: value !== null, endpointsByNode: endpointsOf.get(id) ?? new Map() };
  });
}

/** One policy: on which of the nodes that select something with it, or still have it, it is in force. */
export function reportOf({ id, kind, namespace, name, revision, findings, usable, endpointsByNode }: Demand, answers: FelixAnswers): PolicyReport {
  const holders = [...answers].filter(([, answer]) => "value" in answer && answer.value.policies.some((policy) => policy.id === id)).map(([node]) => node);
  const nodes = [...new Set([...endpointsByNode.keys(), ...holders])].sort();
  const missing = nodes.flatMap((node) => {
    const answer = answers.get(node) ?? { silence: "is no Node of the cluster" };
    const reason = "silence" in answer ? answer.silence : shortfall(answer.value, id, revision, endpointsByNode.get(node) ?? 0);
    return reason === null ? [] : [{ node, reason, unknown: "silence" in answer }];
  });
  const endpoints = [...endpointsByNode.values()].reduce((sum, count) => sum + count, 0);
  return { kind, namespace, name, revision, endpoints, nodes: nodes.length, inForce: nodes.length - missing.length, missing, findings, usable };
}

/** Policies that nodes have although their objects are gone. */
export function leftovers(demands: readonly Demand[], answers: FelixAnswers): PolicyReport[] {
  const known = new Set<string>(demands.map(({ id }) => id));
  const nodesOf = new Map<string, string[]>();
  for (const [node, answer] of answers) {
    if ("silence" in answer) continue;
    for (const { id } of answer.value.policies) if (!known.has(id)) nodesOf.set(id, [...(nodesOf.get(id) ?? []), node]);
  }
  return [...nodesOf].flatMap(([id, nodes]) => {
    const parts = parsePolicyId(id);
    const missing = nodes.map((node) => ({ node, reason: "still enforces it, although it is deleted", unknown: false }));
    return parts === null ? [] : [{ ...parts, revision: null, endpoints: 0, nodes: nodes.length, inForce: 0, missing, findings: [], usable: true }];
  });
}

/** Why a policy is not in force on a node as it should be; null: it is. */
function shortfall({ inSync, lastError, policies }: felix.StatusResponse, id: PolicyId, revision: string, wanted: number): string | null {
  const trouble = lastError === "" ? "" : `: ${lastError}`;
  if (!inSync) return `felix is not in sync${trouble}`;
  const held = policies.find((policy) => policy.id === id);
  if (held === undefined) return `not in the kernel yet${trouble}`;
  if (held.failure !== "") return held.failure;
  if (compareRevisions(held.revision, revision) < 0) return `revision ${held.revision} is in force, not yet ${revision}${trouble}`;
  const endpoints = Math.max(wanted, held.endpoints);
  return held.endpointsReady < endpoints ? `in force for ${held.endpointsReady} of ${endpoints} endpoints${trouble}` : null;
}

/** True when nothing is left to wait for. */
export const isInForce = ({ missing, usable }: PolicyReport): boolean => usable && missing.length === 0;

/** More nodes than this are counted, not listed; `-o json` lists them all. */
const MOST_LISTED = 3;

export function renderReports(reports: readonly PolicyReport[]): string {
  return grid(["KIND", "NAMESPACE", "NAME", "IN FORCE", "ENDPOINTS", "REMARKS"], reports.map((report) => [report.kind, report.namespace, report.name, `${report.inForce} of ${report.nodes}`, String(report.endpoints), remarks(report)]));
}

function remarks({ missing, findings, usable, nodes }: PolicyReport): string {
  const listed = missing.slice(0, MOST_LISTED).map(({ node, reason, unknown }) => `${node}: ${unknown ? "unknown, " : ""}${reason}`);
  const more = missing.length > MOST_LISTED ? [`and ${missing.length - MOST_LISTED} more nodes`] : [];
  const unused = findings.map((finding) => `${usable ? "in part: " : ""}${finding}`);
  return [...unused, ...listed, ...more, ...(usable && nodes === 0 ? ["selects no endpoint"] : [])].join("; ");
}
