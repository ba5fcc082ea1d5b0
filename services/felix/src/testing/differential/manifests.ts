/** Random objects of a small cluster, as people and controllers write them. Names are few, so that objects meet each other and changes hit what is there. */
import fc from "fast-check";
import { among, few, fieldsOf, maybe, pick, some, someOf, type Json } from "./arbitrary.ts";
import { ACCOUNTS, labels, NAMESPACES, namespaceSelector, NETS, portName, portNumber, rules, selector, SERVICES } from "./rules.ts";

export type Manifest = { readonly apiVersion: string; readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }; readonly [field: string]: unknown };
/** An object that is there from now on, or the key of one that is gone. */
export type Change = Manifest | { readonly delete: string };
/** `rounds`: changes that come together; after each list the kernel is asked. */
export type Case = { readonly denyAction?: "Drop" | "Reject"; readonly rounds: readonly (readonly Change[])[] };

export const isGone = (change: Change): change is { readonly delete: string } => typeof (change as { delete?: unknown }).delete === "string";
export const keyOf = ({ kind, metadata: { namespace = "", name } }: Manifest): string => `${kind}/${namespace}/${name}`;

const CALICO = "projectcalico.org/v3";
const TIERS = ["early", "late"];
/** The first three are of the node's own pods, the others of pods of another. */
const POD_ADDRESSES = { 4: ["10.65.0.1", "10.65.0.2", "10.65.0.3", "10.65.1.1", "10.65.1.2"], 6: ["fd65::1", "fd65::2", "fd65::3", "fd65:0:0:1::1"] } as const;
const OWN_ADDRESSES = 3;

type Fields = Record<string, fc.Arbitrary<unknown>>;
const object = (apiVersion: string, kind: string, metadata: fc.Arbitrary<Json>, rest: Fields): fc.Arbitrary<Manifest> => fc.record({ apiVersion: fc.constant(apiVersion), kind: fc.constant(kind), metadata, ...rest }) as unknown as fc.Arbitrary<Manifest>;
const named = (names: readonly string[], more: Fields = {}): fc.Arbitrary<Json> => fc.record({ name: among(...names), ...more });
const inNamespace = (names: readonly string[], more: Fields = {}): fc.Arbitrary<Json> => named(names, { namespace: among(...NAMESPACES), ...more });

const labelSelector = pick<Json>(
  [1, fc.constant({})], [1, some({ matchLabels: labels })],
  [1, fc.record({ matchExpressions: few(fc.oneof(fc.record({ key: among("app", "team"), operator: among("In", "NotIn"), values: someOf(["web", "db", "red"]) }), fc.record({ key: among("app", "team"), operator: among("Exists", "DoesNotExist") }))) })],
);
const allNets = [...NETS[4], ...NETS[6]];

function address(node: string): fc.Arbitrary<{ ip: string }[]> {
  const one = (family: 4 | 6): fc.Arbitrary<{ ip: string }[]> => {
    const all: readonly string[] = POD_ADDRESSES[family];
    return among(...(node === "n1" ? all.slice(0, OWN_ADDRESSES) : all.slice(OWN_ADDRESSES))).map((ip) => [{ ip }]);
  };
  return pick([6, one(4)], [2, one(6)], [3, fc.tuple(one(4), one(6)).map((both) => both.flat())], [1, fc.constant([])]);
}
const containerPort = among(
  { name: "http", containerPort: 8_080 }, { name: "http", containerPort: 80, protocol: "TCP" }, { name: "dns", containerPort: 53, protocol: "UDP" }, { name: "signal", containerPort: 8_081, protocol: "SCTP" }, { name: "dns", containerPort: 53, protocol: "TCP" },
  { containerPort: 443 },
);
const pod = among("n1", "n1", "n2").chain((nodeName) => object("v1", "Pod", inNamespace(["x", "y", "z"], { labels, uid: among("1", "2") }), {
  spec: fieldsOf({
    nodeName: fc.constant(nodeName), serviceAccountName: maybe(75, among(...ACCOUNTS)), hostNetwork: maybe(5, fc.constant(true)),
    containers: fc.array(fc.record({ ports: fc.array(containerPort, { maxLength: 3 }) }), { maxLength: 2 }), initContainers: maybe(15, fc.constant([{ ports: [{ name: "http", containerPort: 8_081 }] }])),
  }),
  status: fc.record({ phase: pick([12, fc.constant("Running")], [1, fc.constant("Succeeded")]), podIPs: address(nodeName) }),
}));

/** Sometimes with a field of a later version. */
const policySpec = (isGlobal: boolean): fc.Arbitrary<Json> => fc.tuple(some({
  tier: pick<string>([20, among("default", ...TIERS)], [1, fc.constant("unknown")], [1, fc.constant("kube-baseline")]), order: pick<number | null>([1, fc.constant(null)], [1, among(1, 2, 1_000, 0.5, -1)]), selector: fc.oneof(selector, fc.constant("")),
  serviceAccountSelector: pick([3, fc.constant("")], [1, among("team == 'red'", "all()", "!has(team)")]), types: among(["Ingress"], ["Egress"], ["Ingress", "Egress"]), ingress: rules("ingress", isGlobal), egress: rules("egress", isGlobal),
  ...(isGlobal ? { namespaceSelector, performanceHints: fc.constant(["AssumeNeededOnEveryNode"]) } : {}),
}), maybe(3, fc.constant({ futureField: true }))).map(([spec, later]) => ({ ...spec, ...later }));

const kubernetesPeer = pick<Json>(
  [3, some({ podSelector: labelSelector, namespaceSelector: labelSelector })],
  [1, among({ cidr: "10.65.0.0/24", except: ["10.65.0.2/32"] }, { cidr: "198.51.100.0/24" }, { cidr: "fd65::/64", except: ["fd65::1/128"] }, { cidr: "0.0.0.0/0", except: ["128.0.0.0/1"] }).map((ipBlock) => ({ ipBlock }))],
);
const kubernetesPort = fc.oneof(some({ protocol: among("TCP", "UDP", "SCTP"), port: fc.oneof(portNumber, portName) }), fc.record({ port: among(80, 8_080), endPort: among(8_081, 8_090) }));
const kubernetesRules = (peers: "from" | "to"): fc.Arbitrary<Json[]> => fc.array(some({ [peers]: few(kubernetesPeer), ports: few(kubernetesPort, 3) }), { maxLength: 2 });

const subject = fc.oneof(fc.record({ namespaces: labelSelector }), fc.record({ pods: fc.record({ namespaceSelector: labelSelector, podSelector: labelSelector }) })) as fc.Arbitrary<Json>;
const clusterPeers = { from: subject, to: pick<Json>([2, subject], [1, fc.record({ networks: someOf(allNets) })], [1, fc.record({ nodes: labelSelector })]) } as const;
const destinationPort = pick<Json>([1, portNumber.map((number) => ({ number }))], [1, fc.constant({ range: { start: 80, end: 8_080 } })]);
const clusterProtocol = pick<Json>([2, fc.tuple(among("tcp", "udp", "sctp"), some({ destinationPort })).map(([protocol, what]) => ({ [protocol]: what }))], [1, portName.map((destinationNamedPort) => ({ destinationNamedPort }))]);
const clusterRules = (peers: "from" | "to"): fc.Arbitrary<Json[]> => fc.array(fieldsOf({ action: among("Accept", "Deny", "Pass"), [peers]: few(clusterPeers[peers]), protocols: maybe(50, few(clusterProtocol)) }), { maxLength: 3 });

const change = pick<Manifest>(
  [1, object("v1", "Namespace", named(NAMESPACES, { labels }), {})],
  [1, object("v1", "ServiceAccount", inNamespace(ACCOUNTS, { labels }), {})],
  [2, object("v1", "Node", named(["n1", "n2", "n3"], { labels }), { status: fc.record({ addresses: someOf(["192.0.2.11", "192.0.2.12", "fd92::11", "node.example"]).map((list) => list.map((each) => ({ type: "InternalIP", address: each }))) }) })],
  [5, pod],
  [1, object(CALICO, "NetworkSet", inNamespace(["s", "t"], { labels }), { spec: fc.record({ nets: someOf(allNets, 6) }) })],
  [1, object(CALICO, "GlobalNetworkSet", named(["s", "t"], { labels }), { spec: fc.record({ nets: someOf(allNets, 6) }) })],
  [2, among(...SERVICES).chain((service) => object("discovery.k8s.io/v1", "EndpointSlice", inNamespace([`${service}-1`, `${service}-2`], { labels: fc.constant({ "kubernetes.io/service-name": service }) }), {
    addressType: fc.constant("IPv4"), endpoints: fc.array(fc.record({ addresses: someOf([...POD_ADDRESSES[4], ...POD_ADDRESSES[6], "203.0.113.7"], 2) }), { maxLength: 3 }), ports: few(fc.record({ port: portNumber, protocol: among("TCP", "UDP", "SCTP") })),
  }))],
  [2, object(CALICO, "Tier", named([...TIERS, "default"]), { spec: some({ order: among(1, 1_000_000, 2_000_000, 20_000_000), defaultAction: among("Deny", "Pass") }) })],
  [7, object(CALICO, "NetworkPolicy", inNamespace(["p", "q"]), { spec: policySpec(false) })],
  [7, object(CALICO, "GlobalNetworkPolicy", named(["p", "q", "r"]), { spec: policySpec(true) })],
  [4, object("networking.k8s.io/v1", "NetworkPolicy", inNamespace(["p", "q"]), {
    spec: fieldsOf({ podSelector: labelSelector, policyTypes: maybe(50, among(["Ingress"], ["Egress"], ["Ingress", "Egress"])), ingress: maybe(50, kubernetesRules("from")), egress: maybe(50, kubernetesRules("to")) }),
  })],
  [3, object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", named(["p", "q"]), {
    spec: fieldsOf({ tier: among("Admin", "Baseline"), priority: among(1, 2), subject, ingress: maybe(50, clusterRules("from")), egress: maybe(50, clusterRules("to")) }),
  })],
);

/** What every cluster has at first, so that most pods can be used; changes may take it away. */
const ground: readonly Manifest[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "a", labels: { team: "red" } } }, { apiVersion: "v1", kind: "Namespace", metadata: { name: "b", labels: { team: "blue", app: "web" } } },
  ...NAMESPACES.flatMap((namespace) => ACCOUNTS.map((name) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name, labels: name === "front" ? { team: "red" } : { app: "db" } } }))),
];

/** Other rules for a policy of the first round: the rest of it stays as it was. */
type Edit = { readonly edit: number; readonly ingress: Json[]; readonly egress: Json[] };
const edit: fc.Arbitrary<Edit> = fc.record({ edit: fc.nat(20), ingress: rules("ingress", true), egress: rules("egress", true) });

function edited(first: readonly Manifest[], { edit: index, ...written }: Edit): Manifest[] {
  const policies = first.filter(({ apiVersion, kind }) => apiVersion === CALICO && kind.endsWith("NetworkPolicy"));
  const policy = policies[index % Math.max(1, policies.length)];
  return policy === undefined ? [] : [{ ...policy, spec: { ...(policy["spec"] as Json), ...written } }];
}

const later = pick<Change | Edit>([4, change], [2, change.map((what) => ({ delete: keyOf(what) }))], [3, edit]);

/** A cluster, and then up to four rounds of changes. */
export const cases: fc.Arbitrary<Case> = fc.tuple(
  among("Drop", "Reject"), fc.array(pod, { minLength: 2, maxLength: 6 }), fc.array(change, { minLength: 4, maxLength: 16, size: "max" }), fc.array(fc.array(later, { minLength: 1, maxLength: 6 }), { maxLength: 4, size: "max" }),
).map(([denyAction, pods, objects, rounds]) => {
  const first = [...ground, ...pods, ...objects];
  return { denyAction, rounds: [first, ...rounds.map((round) => round.flatMap((each): readonly Change[] => ("edit" in each ? edited(first, each as Edit) : [each])))] };
});
