/** Random policies, and what they should do to the connections of a lab. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createEvaluator, type World } from "@calico/calc";
import { calicoTypes, coreTypes, type KubeObject, type ResourceType } from "@calico/datastore";
import {
  builtInTiers, convertGlobalNetworkPolicy, convertGlobalNetworkSet, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertNetworkSet, convertPod, convertServiceAccount, convertTier, type IpAddress, type NetworkSet, type Policy, type Profile, type Tier,
  type WorkloadEndpoint,
} from "@calico/model";
import fc from "fast-check";
import type { Protocol } from "../lab/arguments.ts";
import { DEMO_PORT, demoNamespaces, demoPods } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { calicoPolicy, globalPolicy } from "./cluster.ts";

const ADMIN_PORT = 9_090;
const DNS_PORT = 5_353;
/** What is asked of every pair: ports that have names, of both protocols. */
export const PROBES = [{ protocol: "tcp", port: DEMO_PORT }, { protocol: "tcp", port: ADMIN_PORT }, { protocol: "udp", port: DNS_PORT }] as const satisfies readonly { protocol: Protocol; port: number }[];
export type Probe = (typeof PROBES)[number];
const PROTOCOL_NUMBERS = { tcp: 6, udp: 17 } as const;
const PROBE_MS = 250;
/** A node is a place outside of the pod network for pods of other nodes. */
const OUTSIDE = "node/";

const ports = [{ name: "http", containerPort: DEMO_PORT, protocol: "TCP" }, { name: "admin", containerPort: ADMIN_PORT, protocol: "TCP" }, { name: "dns", containerPort: DNS_PORT, protocol: "UDP" }];
const accountOf = (pod: string): string => (pod === "frontend" || pod === "curious" ? "front" : "back");
const pods = (demoPods as KubeObject[]).map((pod): KubeObject => {
  const spec = pod["spec"] as { containers: [object] };
  return { ...pod, spec: { ...spec, serviceAccountName: accountOf(pod.metadata.name), containers: [{ ...spec.containers[0], ports }] } } as KubeObject;
});
const accounts = ["shop", "monitoring"].flatMap((namespace) => ["front", "back"].map((name) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name, labels: { role: name } } })));
const tiers = [{ name: "early", order: 10, defaultAction: "Pass" }, { name: "strict", order: 20, defaultAction: "Deny" }].map(({ name, ...spec }) => ({ apiVersion: "projectcalico.org/v3", kind: "Tier", metadata: { name }, spec }));

/** A lab with the demo's pods, tiers, and sets with addresses of pods and of a node. */
export async function startOracleLab(name: string, octet: number): Promise<Lab> {
  const lab = await startLab({ name, octet, dir: mkdtempSync(join(tmpdir(), `${name}-`)), nodes: 3 });
  try {
    await lab.apply([...demoNamespaces, ...accounts, ...tiers, ...pods]);
    await lab.untilRunning(pods.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
    const [node] = lab.plan.nodes;
    await lab.apply([
      { apiVersion: "projectcalico.org/v3", kind: "NetworkSet", metadata: { namespace: "shop", name: "friends", labels: { zone: "near" } }, spec: { nets: [`${addressOf(lab, "monitoring/curious")}/32`, `${addressOf(lab, "shop/backend")}/32`] } },
      { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkSet", metadata: { name: "office", labels: { zone: "far" } }, spec: { nets: [`${node?.address ?? ""}/32`, `${addressOf(lab, "shop/frontend")}/31`, "198.51.100.0/24"] } },
    ]);
    await untilProbes(lab, () => true);
  } catch (error) {
    await lab.stop();
    throw error;
  }
  return lab;
}

const selector = fc.constantFrom("all()", "app == 'backend'", "app in {'frontend', 'scraper'}", "app != 'database'", "has(app) && app starts with 'c'", "!(app == 'curious')", "zone == 'near'", "zone == 'far'", "has(zone)");
const namespaceSelector = fc.constantFrom("team == 'shop'", "team != 'shop'", "all()", "global()");
const serviceAccounts = fc.constantFrom({ names: ["front"] }, { names: ["back", "nobody"] }, { selector: "role == 'back'" }, { names: ["front"], selector: "role != 'back'" });
const nets = fc.constantFrom(["10.65.0.0/16"], ["192.0.2.0/24"], ["172.16.0.0/12", "10.65.0.0/27"]);
const entity = fc.record({ selector, namespaceSelector, serviceAccounts, notSelector: fc.constantFrom("app == 'backend'", "app == 'curious'", "zone == 'far'"), nets, notNets: fc.constantFrom(["10.65.0.0/28"], ["172.16.0.0/12"]) }, { requiredKeys: [] })
  .chain((fields) => fc.subarray(Object.entries(fields), { maxLength: Math.min(2, Object.keys(fields).length) })).map((kept) => Object.fromEntries(kept));
const portList = fc.constantFrom<(number | string)[][]>([DEMO_PORT], [ADMIN_PORT, DNS_PORT], ["http"], ["dns", "http"], ["admin"], ["8000:9000"], ["5000:6000", "http"], [81]);
const portMatch = fc.record({ protocol: fc.constantFrom("TCP", "UDP", 6, 17), destination: fc.record({ ports: portList, notPorts: portList }, { requiredKeys: [] }) });
const packets = fc.oneof({ weight: 4, arbitrary: portMatch }, { weight: 1, arbitrary: fc.constantFrom({}, { notProtocol: "TCP" }, { notProtocol: 17 }, { protocol: "UDP" }, { protocol: "ICMP" }) });
/** Of its two sides the one of the peer is looked at closely. */
const rule = (peer: "source" | "destination"): fc.Arbitrary<object> => fc.tuple(fc.constantFrom("Allow", "Deny", "Pass", "Log"), entity, packets)
  .map(([action, who, what]) => ({ action, ...what, [peer]: { ...who, ...(peer === "destination" && "destination" in what ? what.destination : {}) } }));
const spec = fc.record({
  tier: fc.constantFrom("default", "default", "early", "strict"), order: fc.constantFrom(1, 2, 3), selector: fc.oneof(selector, fc.constant("all()")), serviceAccountSelector: fc.constantFrom("role == 'front'", "all()"),
  ingress: fc.array(rule("source"), { maxLength: 3 }), egress: fc.array(rule("destination"), { maxLength: 2 }), types: fc.constantFrom(["Ingress"], ["Egress"], ["Ingress", "Egress"]),
}, { requiredKeys: ["selector", "types"] });
const labelSelector = fc.constantFrom({}, { matchLabels: { app: "frontend" } }, { matchExpressions: [{ key: "app", operator: "NotIn", values: ["curious"] }] });
const kubernetesPort = fc.constantFrom({ port: DEMO_PORT, protocol: "TCP" }, { port: "http", protocol: "TCP" }, { port: 81, protocol: "TCP" }, { port: "dns", protocol: "UDP" }, { protocol: "UDP" }, { port: 8_000, endPort: 9_999 });
const kubernetesPeer = fc.oneof(fc.record({ podSelector: labelSelector, namespaceSelector: fc.constantFrom({}, { matchLabels: { team: "shop" } }) }), fc.constantFrom({ ipBlock: { cidr: "172.16.0.0/12" } }, { ipBlock: { cidr: "10.65.0.0/16", except: ["10.65.0.0/28"] } }));
const kubernetesSpec = fc.record({
  podSelector: labelSelector, policyTypes: fc.constantFrom(["Ingress"], ["Egress"], ["Ingress", "Egress"]),
  ingress: fc.array(fc.record({ from: fc.array(kubernetesPeer, { minLength: 1, maxLength: 2 }), ports: fc.array(kubernetesPort, { minLength: 1, maxLength: 2 }) }, { requiredKeys: [] }), { maxLength: 2 }),
  egress: fc.array(fc.record({ to: fc.array(kubernetesPeer, { minLength: 1, maxLength: 2 }), ports: fc.array(kubernetesPort, { minLength: 1, maxLength: 2 }) }, { requiredKeys: [] }), { maxLength: 2 }),
});
const namespace = fc.constantFrom("shop", "monitoring");
/** One to five policies of both APIs, named p0 to p4. */
export const policies = fc.array(fc.oneof(
  fc.tuple(namespace, spec).map(([where, what]) => (name: string) => calicoPolicy(where, name, what)),
  spec.map((what) => (name: string) => globalPolicy(name, what)),
  fc.tuple(namespace, kubernetesSpec).map(([where, what]) => (name: string) => ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: where, name }, spec: what }) as KubeObject),
), { minLength: 1, maxLength: 5 }).map((list) => list.map((make, i) => make(`p${i}`)));

const values = <T>(results: readonly { readonly value: T | null }[]): T[] => results.flatMap(({ value }) => (value === null ? [] : [value]));

/** The cluster as the evaluator sees it, from the API's objects alone. */
async function worldOf(lab: Lab, objects: readonly KubeObject[]): Promise<World> {
  const all = async <T>(type: ResourceType, convert: (object: KubeObject) => { readonly value: T | null }): Promise<T[]> => values<T>((await lab.datastore.list<KubeObject>(type)).items.map((item) => convert(item)));
  const convertPolicy = (object: KubeObject): { readonly value: Policy | null } =>
    object.kind === "GlobalNetworkPolicy" ? convertGlobalNetworkPolicy(object) : object.apiVersion.startsWith("networking") ? convertKubernetesNetworkPolicy(object) : convertNetworkPolicy(object);
  return {
    policies: values<Policy>(objects.map(convertPolicy)), serviceSlices: [], nodes: [],
    tiers: [...builtInTiers, ...(await all<Tier>(calicoTypes.tiers, convertTier))],
    networkSets: [...(await all<NetworkSet>(calicoTypes.networkSets, convertNetworkSet)), ...(await all<NetworkSet>(calicoTypes.globalNetworkSets, convertGlobalNetworkSet))],
    endpoints: await all<WorkloadEndpoint>(coreTypes.pods, convertPod),
    profiles: [...(await all<Profile>(coreTypes.namespaces, convertNamespace)), ...(await all<Profile>(coreTypes.serviceAccounts, convertServiceAccount))],
  };
}

function addressOf(lab: Lab, place: string): IpAddress {
  const address = place.startsWith(OUTSIDE) ? lab.plan.nodes.find(({ name }) => `${OUTSIDE}${name}` === place)?.address : lab.pods().get(place)?.addresses[0];
  if (address === undefined) throw new Error(`${place} has no address`);
  return address as IpAddress;
}

/** Without a probe: on the demo's port. */
export type Expectation = (from: string, to: string, probe?: Probe) => boolean;

/** Who should reach whom while these policies are in force; those that the API has, when none are given. */
export async function expectedReach(lab: Lab, objects?: readonly KubeObject[]): Promise<Expectation> {
  const evaluator = createEvaluator(await worldOf(lab, objects ?? (await policiesIn(lab))));
  return (from, to, { protocol, port } = PROBES[0]) => evaluator.passes({ protocol: PROTOCOL_NUMBERS[protocol], source: { address: addressOf(lab, from), port: 40_000 }, destination: { address: addressOf(lab, to), port } });
}

/** Every pair that is asked: pods among each other, and the first node with pods of others, since a node always reaches its own. */
export function pairsOf(lab: Lab): { readonly from: string; readonly to: string }[] {
  const places = [...lab.pods()].map(([key, { host }]) => ({ key, node: host.plan.name }));
  const [node] = lab.plan.nodes;
  return [
    ...places.flatMap((from) => places.filter((to) => to !== from).map((to) => ({ from: from.key, to: to.key }))),
    ...places.filter((to) => to.node !== node?.name).map((to) => ({ from: `${OUTSIDE}${node?.name ?? ""}`, to: to.key })),
  ];
}

/** Waits until exactly the expected probes arrive. */
export async function untilProbes(lab: Lab, expected: Expectation, timeoutMs = 15_000): Promise<void> {
  const questions = pairsOf(lab).flatMap(({ from, to }) => PROBES.map((probe) => ({ from, to, probe })));
  await untilTrue("the pods to reach each other as expected", async () => {
    const wrong = await Promise.all(questions.map(async ({ from, to, probe }) => {
      const { reached } = await lab.probe(from, to, probe.port, probe.protocol, PROBE_MS);
      return reached === expected(from, to, probe) ? [] : [`${from} ${reached ? "reaches" : "does not reach"} ${to} on ${probe.port}/${probe.protocol}`];
    }));
    if (wrong.flat().length > 0) throw new Error(wrong.flat().join(", "));
    return true;
  }, timeoutMs);
}

const POLICY_KINDS: readonly ResourceType[] = [coreTypes.networkPolicies, calicoTypes.networkPolicies, calicoTypes.globalNetworkPolicies];

/** Policies as the API has them: what was applied was merged into what was there. */
export async function policiesIn(lab: Lab): Promise<KubeObject[]> {
  const lists = await Promise.all(POLICY_KINDS.map(async (type) => (await lab.datastore.list<KubeObject>(type)).items.map((item) => ({ ...item, kind: type.kind, apiVersion: `${type.group}/${type.version}` }))));
  return lists.flat();
}

const keyOf = ({ kind, apiVersion, metadata: { namespace = "", name } }: KubeObject): string => [apiVersion, kind, namespace, name].join(" ");

/** Deletes the policies that are not among these. */
export async function removeOthers(lab: Lab, kept: readonly KubeObject[]): Promise<void> {
  const keys = new Set(kept.map(keyOf));
  for (const policy of (await policiesIn(lab)).filter((candidate) => !keys.has(keyOf(candidate)))) {
    const type = POLICY_KINDS.find(({ kind, group }) => kind === policy.kind && policy.apiVersion.startsWith(`${group}/`));
    if (type !== undefined) await lab.datastore.delete(type, policy.metadata);
  }
}
