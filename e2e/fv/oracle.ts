/** Random policies, and what they should do to the connections of a lab. */
import { createEvaluator, type World } from "@calico/calc";
import { coreTypes, type KubeObject } from "@calico/datastore";
import {
  builtInTiers, convertGlobalNetworkPolicy, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertPod, convertServiceAccount, type IpAddress, type Policy, type Profile, type WorkloadEndpoint,
} from "@calico/model";
import fc from "fast-check";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { calicoPolicy, globalPolicy } from "./cluster.ts";

const selector = fc.constantFrom("all()", "app == 'backend'", "app in {'frontend', 'scraper'}", "app != 'database'", "has(app) && app starts with 'c'", "!(app == 'curious')");
const namespaceSelector = fc.constantFrom("team == 'shop'", "team != 'shop'", "all()");
const entity = fc.record({ selector, namespaceSelector, notSelector: fc.constantFrom("app == 'backend'", "app == 'curious'"), nets: fc.constantFrom(["10.65.0.0/16"], ["192.0.2.0/24"]) }, { requiredKeys: [] });
const ports = fc.constantFrom([DEMO_PORT], ["http"], ["8000:9000"], [81]);
const rule = fc.record({ action: fc.constantFrom("Allow", "Deny", "Pass"), source: entity, destination: fc.record({ ports, notPorts: ports }, { requiredKeys: [] }) }).map((each) => ({ protocol: "TCP", ...each }));
const spec = fc.record({ order: fc.constantFrom(1, 2, 3), selector, ingress: fc.array(rule, { maxLength: 3 }), egress: fc.array(rule.map((each) => ({ ...each, source: {} })), { maxLength: 2 }), types: fc.constantFrom(["Ingress"], ["Egress"], ["Ingress", "Egress"]) }, { requiredKeys: ["selector", "types"] });
const labelSelector = fc.constantFrom({}, { matchLabels: { app: "frontend" } }, { matchExpressions: [{ key: "app", operator: "NotIn", values: ["curious"] }] });
const kubernetesSpec = fc.record({
  podSelector: labelSelector, policyTypes: fc.constant(["Ingress"]),
  ingress: fc.array(fc.record({ from: fc.array(fc.record({ podSelector: labelSelector, namespaceSelector: fc.constantFrom({}, { matchLabels: { team: "shop" } }) }), { minLength: 1, maxLength: 2 }), ports: fc.constantFrom([{ port: DEMO_PORT, protocol: "TCP" }], [{ port: "http", protocol: "TCP" }], [{ port: 81, protocol: "TCP" }]) }), { maxLength: 2 }),
});
const namespace = fc.constantFrom("shop", "monitoring");
/** One to four policies of both APIs, named p0 to p3. */
export const policies = fc.array(fc.oneof(
  fc.tuple(namespace, spec).map(([where, what]) => (name: string) => calicoPolicy(where, name, what)),
  spec.map((what) => (name: string) => globalPolicy(name, what)),
  fc.tuple(namespace, kubernetesSpec).map(([where, what]) => (name: string) => ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: where, name }, spec: what }) as KubeObject),
), { minLength: 1, maxLength: 4 }).map((list) => list.map((make, i) => make(`p${i}`)));

const values = <T>(results: readonly { readonly value: T | null }[]): T[] => results.flatMap(({ value }) => (value === null ? [] : [value]));

/** The cluster as the evaluator sees it, from the API's objects alone. */
async function worldOf(lab: Lab, objects: readonly KubeObject[]): Promise<World> {
  const list = async (type: (typeof coreTypes)[keyof typeof coreTypes]): Promise<readonly KubeObject[]> => (await lab.datastore.list<KubeObject>(type)).items;
  const convert = (object: KubeObject): { readonly value: Policy | null } =>
    object.kind === "GlobalNetworkPolicy" ? convertGlobalNetworkPolicy(object) : object.apiVersion.startsWith("networking") ? convertKubernetesNetworkPolicy(object) : convertNetworkPolicy(object);
  return {
    policies: values<Policy>(objects.map(convert)), tiers: builtInTiers, networkSets: [], serviceSlices: [], nodes: [],
    endpoints: values<WorkloadEndpoint>((await list(coreTypes.pods)).map((pod) => convertPod(pod))),
    profiles: [...values<Profile>((await list(coreTypes.namespaces)).map((each) => convertNamespace(each))), ...values<Profile>((await list(coreTypes.serviceAccounts)).map((each) => convertServiceAccount(each)))],
  };
}


/** Who should reach whom on the demo's port while these policies are in force. */
export async function expectedReach(lab: Lab, objects: readonly KubeObject[]): Promise<(from: string, to: string) => boolean> {
  const evaluator = createEvaluator(await worldOf(lab, objects));
  const addressOf = (key: string): IpAddress => (lab.pods().get(key)?.addresses[0] ?? "") as IpAddress;
  return (from, to) => evaluator.passes({ protocol: 6, source: { address: addressOf(from), port: 40_000 }, destination: { address: addressOf(to), port: DEMO_PORT } });
}
