/** `node status` and `policy status`: the nodes are asked over NATS. */
import { setTimeout as delay } from "node:timers/promises";
import { calicoTypes, coreTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { nearest, type PolicyKind } from "@calico/model";
import { bird, cni, felix, ipam } from "@calico/proto/status";
import { stringify } from "yaml";
import type { Command, StatusOutput } from "./arguments.ts";
import { VERSION, type Say } from "./commands.ts";
import { nodeValue, renderNode, silentParts, type NodeAnswers } from "./node-status.ts";
import { demandsOf, isInForce, leftovers, renderReports, reportOf, type ClusterObjects, type FelixAnswers, type PolicyReport } from "./policy-status.ts";
import { findNats, mapLimited, openQueries, type Answer, type Environment, type Queries } from "./queries.ts";
import { CommandError, UsageError } from "./usage.ts";

type Of<V> = Extract<Command, { verb: V }>;

/** Nodes that are asked at a time. */
const ASKED_AT_ONCE = 64;
const POLL_MS = 500;
const NO_REQUEST = new Uint8Array();
const BRIEF = felix.StatusRequest.encode({ brief: true, countersOf: [] }).finish();

/** Rejects when felix or bird of a node does not answer, after everything else was shown. */
export async function nodeStatus({ names, output, timeoutMs, nats }: Of<"node status">, datastore: Datastore, env: Environment, say: Say): Promise<void> {
  const known = await nodeNames(datastore);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new CommandError(`there is no node ${unknown}${nearest(unknown, known) === null ? "" : `; did you mean ${nearest(unknown, known)}?`}`);
  const queries = await openQueries(await findNats(nats, env, datastore, `calicoctl/${VERSION}`), timeoutMs);
  try {
    const nodes = await mapLimited(names.length === 0 ? known : names, ASKED_AT_ONCE, (name) => askNode(queries, name));
    say(output === "table" ? nodes.map(renderNode).join("\n") : written({ nodes: nodes.map(nodeValue) }, output));
    const silent = nodes.flatMap(silentParts);
    if (silent.length > 0) throw new CommandError(silent.join("\n"));
  } finally {
    await queries.close();
  }
}

async function askNode(queries: Queries, name: string): Promise<NodeAnswers> {
  const [ofFelix, ofBird, ofIpam, ofCni] = await Promise.all([queries.ask(name, "felix", BRIEF), ...(["bird", "ipam", "cni"] as const).map((component) => queries.ask(name, component, NO_REQUEST))]);
  return {
    name,
    felix: decoded(ofFelix, felix.StatusResponse), bird: decoded(ofBird, bird.StatusResponse), ipam: decoded(ofIpam, ipam.StatusResponse), cni: decoded(ofCni, cni.StatusResponse),
  };
}

function decoded<T>(answer: Answer<Uint8Array> | undefined, codec: { decode(bytes: Uint8Array): T }): Answer<T> {
  if (answer === undefined || "silence" in answer) return answer ?? { silence: "was not asked" };
  try {
    return { value: codec.decode(answer.value) };
  } catch (error) {
    return { silence: `an answer that cannot be read: ${(error as Error).message}` };
  }
}

/** Rejects when a policy is not in force everywhere, after `waitMs` of trying again, with all that was seen last. */
export async function policyStatus(command: Of<"policy status">, datastore: Datastore, env: Environment, say: Say): Promise<void> {
  const { output, timeoutMs, waitMs, nats, namespace, policy } = command;
  const kind = policy === null ? null : policyKindCalled(policy.kind);
  const queries = await openQueries(await findNats(nats, env, datastore, `calicoctl/${VERSION}`), timeoutMs);
  try {
    const deadline = performance.now() + waitMs;
    let seen = await look(queries, datastore, kind, policy?.name ?? null, namespace);
    while (!seen.reports.every(isInForce) && performance.now() < deadline) {
      await delay(Math.min(POLL_MS, Math.max(1, deadline - performance.now())));
      seen = await look(queries, datastore, kind, policy?.name ?? null, namespace);
    }
    const { reports, silent } = seen;
    if (output === "table") say(`${renderReports(reports)}${silent.map(({ node, reason }) => `${node}: felix: ${reason}\n`).join("")}`);
    else say(written({ policies: reports, silentNodes: silent }, output));
    const open = reports.filter((report) => !isInForce(report)).length;
    if (open > 0) throw new CommandError(`${open} of ${reports.length} policies ${open === 1 ? "is" : "are"} not in force everywhere${waitMs > 0 ? ` after ${waitMs / 1000} s` : ""}`);
  } finally {
    await queries.close();
  }
}

type Seen = { readonly reports: readonly PolicyReport[]; readonly silent: readonly { readonly node: string; readonly reason: string }[] };

/** Nodes are asked first: what changes meanwhile then counts as not in force yet, never as in force. */
async function look(queries: Queries, datastore: Datastore, kind: PolicyKind | null, name: string | null, namespace: string | null): Promise<Seen> {
  const nodes = await nodeNames(datastore);
  const answers: FelixAnswers = new Map(await mapLimited(nodes, ASKED_AT_ONCE, async (node) => [node, decoded(await queries.ask(node, "felix", BRIEF), felix.StatusResponse)] as const));
  const demands = demandsOf(await clusterObjects(datastore, kind, name, namespace));
  const isAsked = (report: PolicyReport): boolean => namespace === null || report.namespace === namespace;
  const reports = [...demands.map((demand) => reportOf(demand, answers)), ...(name === null ? leftovers(demands, answers).filter(isAsked) : [])];
  return { reports, silent: [...answers].flatMap(([node, answer]) => ("silence" in answer ? [{ node, reason: answer.silence }] : [])) };
}

const POLICY_TYPES: Readonly<Record<PolicyKind, ResourceType>> = {
  KubernetesNetworkPolicy: coreTypes.networkPolicies, KubernetesClusterNetworkPolicy: coreTypes.clusterNetworkPolicies, NetworkPolicy: calicoTypes.networkPolicies, GlobalNetworkPolicy: calicoTypes.globalNetworkPolicies,
};
const POLICY_NAMES: Readonly<Record<PolicyKind, readonly string[]>> = {
  KubernetesNetworkPolicy: ["kubernetesnetworkpolicy", "knp", "netpol", "networkpolicy.networking.k8s.io", "networkpolicies.networking.k8s.io"],
  KubernetesClusterNetworkPolicy: ["kubernetesclusternetworkpolicy", "kcnp", "clusternetworkpolicy", "clusternetworkpolicies"],
  NetworkPolicy: ["networkpolicy", "networkpolicies", "np", "cnp", "networkpolicy.projectcalico.org", "networkpolicies.projectcalico.org"],
  GlobalNetworkPolicy: ["globalnetworkpolicy", "globalnetworkpolicies", "gnp", "globalnetworkpolicy.projectcalico.org", "globalnetworkpolicies.projectcalico.org"],
};

function policyKindCalled(name: string): PolicyKind {
  const found = (Object.keys(POLICY_NAMES) as PolicyKind[]).find((kind) => POLICY_NAMES[kind].includes(name.toLowerCase()));
  if (found === undefined) throw new UsageError(`there is no kind of policy "${name}"; there is gnp and np of Calico, and netpol and clusternetworkpolicy of Kubernetes`);
  return found;
}

async function clusterObjects(datastore: Datastore, kind: PolicyKind | null, name: string | null, namespace: string | null): Promise<ClusterObjects> {
  const within = namespace === null || (kind !== null && !POLICY_TYPES[kind].namespaced) ? {} : { namespace };
  const list = async (type: ResourceType): Promise<readonly KubeObject[]> => {
    try {
      return (await datastore.list<KubeObject>(type, type.namespaced ? within : {})).items;
    } catch (error) {
      // A cluster need not have every kind of policy.
      if (type === coreTypes.clusterNetworkPolicies && isDatastoreError(error, "NotFound")) return [];
      throw error;
    }
  };
  const wanted = kind === null ? (["KubernetesNetworkPolicy", "NetworkPolicy", ...(namespace === null ? (["GlobalNetworkPolicy", "KubernetesClusterNetworkPolicy"] as const) : [])] as const) : [kind];
  const policiesOf = async (of: PolicyKind): Promise<readonly KubeObject[]> => (name === null ? list(POLICY_TYPES[of]) : [await onePolicy(datastore, of, name, within)]);
  const [policies, pods, namespaces, serviceAccounts, hostEndpoints] = await Promise.all([
    Promise.all(wanted.map(async (of) => (await policiesOf(of)).map((object) => ({ kind: of, object })))), list(coreTypes.pods), list(coreTypes.namespaces), list(coreTypes.serviceAccounts), list(calicoTypes.hostEndpoints),
  ]);
  return { policies: policies.flat(), pods, namespaces, serviceAccounts, hostEndpoints };
}

async function onePolicy(datastore: Datastore, kind: PolicyKind, name: string, within: { namespace?: string }): Promise<KubeObject> {
  try {
    return await datastore.get<KubeObject>(POLICY_TYPES[kind], { ...within, name });
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) throw new CommandError(`there is no ${kind} ${within.namespace === undefined ? "" : `${within.namespace}/`}${name}`);
    throw error;
  }
}

async function nodeNames(datastore: Datastore): Promise<string[]> {
  return (await datastore.list<KubeObject>(coreTypes.nodes)).items.map(({ metadata }) => metadata.name).sort();
}

function written(value: object, output: StatusOutput): string {
  return output === "json" ? `${JSON.stringify(value, null, 2)}\n` : stringify(value);
}
