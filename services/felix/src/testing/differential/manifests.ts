/** Random objects of a small cluster, as people and controllers write them. Names are few, so that objects meet each other and changes hit what is there. */
import fc from "fast-check";

export type Manifest = { readonly apiVersion: string; readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string; readonly [field: string]: unknown }; readonly [field: string]: unknown };
/** An object that is there from now on, or the key of one that is gone. */
export type Change = Manifest | { readonly delete: string };
/** `rounds`: changes that come together; after each list the kernel is asked. */
export type Case = { readonly denyAction?: "Drop" | "Reject"; readonly rounds: readonly (readonly Change[])[] };

export const isGone = (change: Change): change is { readonly delete: string } => typeof (change as { delete?: unknown }).delete === "string";
export const keyOf = ({ kind, metadata: { namespace = "", name } }: Manifest): string => `${kind}/${namespace}/${name}`;

const CALICO = "projectcalico.org/v3";
const NAMESPACES = ["a", "b"];
const ACCOUNTS = ["front", "back"];
const POD_NAMES = ["x", "y", "z"];
const SERVICES = ["v", "w"];
const TIERS = ["early", "late"];
const POD_ADDRESSES = { 4: ["10.65.0.1", "10.65.0.2", "10.65.0.3", "10.65.1.1", "10.65.1.2"], 6: ["fd65::1", "fd65::2", "fd65::3", "fd65:0:0:1::1"] } as const;
const NETS = { 4: ["0.0.0.0/0", "10.65.0.0/24", "10.65.0.2/32", "10.65.0.0/31", "10.64.0.0/10", "198.51.100.0/24", "198.51.100.128/25", "203.0.113.7/32", "128.0.0.0/1"], 6: ["::/0", "fd65::/64", "fd65::2/128", "fd00::/8", "2001:db8::/32", "2001:db8:0:1::/64", "8000::/1"] } as const;

type Json = Record<string, unknown>;
/** Each field may be missing. */
const some = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Json> => fc.record(fields, { requiredKeys: [] });
const few = <T>(items: fc.Arbitrary<T>, maxLength = 2): fc.Arbitrary<T[]> => fc.array(items, { minLength: 1, maxLength });
const among = <const T extends readonly unknown[]>(...items: T): fc.Arbitrary<T[number]> => fc.constantFrom(...(items as readonly T[number][]));
const someOf = (items: readonly string[], maxLength = 3): fc.Arbitrary<string[]> => fc.subarray([...items], { minLength: 1, maxLength: Math.min(maxLength, items.length) });
const rarely = <T>(value: T): { weight: number; arbitrary: fc.Arbitrary<T> } => ({ weight: 1, arbitrary: fc.constant(value) });
const mostly = <T>(arbitrary: fc.Arbitrary<T>, weight = 6): { weight: number; arbitrary: fc.Arbitrary<T> } => ({ weight, arbitrary });

const labels = some({ app: among("web", "db", "cache"), team: among("red", "blue"), "example.com/zone": among("1", "2") });
const selector = among(
  "all()", "", "app == 'web'", "app != 'db'", "has(team)", "!has(app)", "app in {'web', 'cache'}", "app not in {'web'}", "app contains 'e'", "app starts with 'd'", "team ends with 'd'", "app == 'web' && team == 'red'",
  "app == 'db' || !(team == 'blue')", "projectcalico.org/namespace == 'a'", "projectcalico.org/namespace != 'b'", "projectcalico.org/serviceaccount == 'front'", "projectcalico.org/orchestrator == 'k8s'", "example.com/zone == '1'",
);
const namespaceSelector = among("all()", "global()", "team == 'red'", "team != 'red'", "has(team)", "projectcalico.org/name == 'a'", "!has(app)");
const accounts = fc.oneof(some({ names: someOf(ACCOUNTS), selector: among("team == 'red'", "has(app)", "all()") }), fc.constant({ names: [] }));
const labelSelector = fc.oneof(
  fc.constant({}), some({ matchLabels: labels }),
  fc.record({ matchExpressions: few(fc.oneof(fc.record({ key: among("app", "team"), operator: among("In", "NotIn"), values: someOf(["web", "db", "red"]) }), fc.record({ key: among("app", "team"), operator: among("Exists", "DoesNotExist") }))) }),
);
const portNumber = among(53, 80, 443, 8_080, 8_081, 1, 65_535);
const portName = among("http", "dns", "signal", "nobody");
const port = fc.oneof(portNumber, portNumber.map(String), among("80:443", "8080:8081", "1:65535", "1024:65535", "53:53"), { weight: 2, arbitrary: portName });
const order = fc.oneof(fc.constant(null), among(1, 2, 1_000, 0.5, -1));

const ports = few(port, 4);
type Side = "source" | "destination";

/** The side of the peer may be a Service. */
function entity(side: Side, isPeer: boolean, family: 4 | 6, withPorts: boolean, isGlobal: boolean): fc.Arbitrary<Json> {
  const portFields = withPorts ? { ports: fc.oneof(ports, fc.constant(undefined)), notPorts: fc.oneof({ weight: 1, arbitrary: ports }, { weight: 2, arbitrary: fc.constant(undefined) }) } : {};
  const who = some({ selector, notSelector: selector.filter((text) => text !== ""), namespaceSelector, serviceAccounts: accounts, nets: someOf(NETS[family]), notNets: someOf(NETS[family].slice(1)), ...portFields });
  const service = fc.record({ services: fc.record({ name: among(...SERVICES), namespace: among(...NAMESPACES) }, isGlobal ? {} : { requiredKeys: ["name"] }) });
  const plain = fc.oneof({ weight: 3, arbitrary: fc.constant<Json>({}) }, { weight: 6, arbitrary: few(among<string[]>("selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets", "ports", "notPorts"), 2).chain((keep) => who.map((all) => Object.fromEntries(Object.entries(all).filter(([key, value]) => keep.includes(key) && value !== undefined)))) }, { weight: 1, arbitrary: who.map(withoutUndefined) });
  return isPeer ? fc.oneof(mostly(plain), { weight: 1, arbitrary: side === "destination" ? service : fc.tuple(service, withPorts ? some({ ports }) : fc.constant({})).map(([a, b]) => ({ ...a, ...b })) }) : plain;
}

const withoutUndefined = (all: Json): Json => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));

const icmpMatch = fc.oneof(fc.record({ type: among(0, 3, 8, 128, 129) }), fc.record({ type: among(3, 8, 128), code: among(0, 1) }));
type ProtocolPart = { readonly fields: Json; readonly withPorts: boolean };
const protocolPart: fc.Arbitrary<ProtocolPart> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ fields: {}, withPorts: false }) },
  { weight: 8, arbitrary: among("TCP", "UDP", "SCTP", "tcp", 6, 17, 132, "6").map((protocol) => ({ fields: { protocol }, withPorts: true })) },
  { weight: 3, arbitrary: fc.tuple(among("ICMP", "ICMPv6", 1, 58), some({ icmp: icmpMatch, notICMP: icmpMatch })).map(([protocol, icmp]) => ({ fields: { protocol, ...icmp }, withPorts: false })) },
  { weight: 1, arbitrary: among("UDPLite", 47, "4").map((protocol) => ({ fields: { protocol }, withPorts: false })) },
  { weight: 2, arbitrary: among("TCP", "UDP", "ICMP", 58, 132).map((notProtocol) => ({ fields: { notProtocol }, withPorts: false })) },
);
/** Most rules can be used; the rest says what happens to those that cannot. */
const rule = (direction: "ingress" | "egress", isGlobal: boolean): fc.Arbitrary<Json> => fc.tuple(protocolPart, fc.oneof({ weight: 3, arbitrary: fc.constant(4 as const) }, { weight: 2, arbitrary: fc.constant(6 as const) }), fc.oneof({ weight: 1, arbitrary: fc.constant(true) }, { weight: 9, arbitrary: fc.constant(false) }))
  .chain(([{ fields, withPorts }, family, isStrange]) => fc.record({
    action: among("Allow", "Allow", "Deny", "Deny", "Pass", "Log"), source: entity("source", direction === "ingress", family, withPorts || isStrange, isGlobal), destination: entity("destination", direction === "egress", family, withPorts || isStrange, isGlobal),
    ipVersion: fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, rarely<number | undefined>(family)), http: fc.oneof({ weight: 30, arbitrary: fc.constant(undefined) }, rarely<Json | undefined>({ methods: ["GET"] })),
  }).map((rest) => ({ ...withoutUndefined(rest), ...fields })));
const rules = (direction: "ingress" | "egress", isGlobal: boolean): fc.Arbitrary<Json[]> => fc.oneof(mostly(fc.array(rule(direction, isGlobal), { maxLength: 4 }), 8), { weight: 1, arbitrary: fc.array(rule(direction, isGlobal), { minLength: 5, maxLength: 12 }) });

/** Sometimes with a field of a later version. */
const policySpec = (isGlobal: boolean): fc.Arbitrary<Json> => fc.tuple(knownSpec(isGlobal), fc.oneof(mostly(fc.constant<Json>({}), 25), rarely<Json>({ futureField: true }))).map(([spec, later]) => ({ ...spec, ...later }));
const knownSpec = (isGlobal: boolean): fc.Arbitrary<Json> => some({
  tier: fc.oneof(mostly(among("default", ...TIERS), 10), rarely("unknown"), rarely("kube-baseline")), order, selector, serviceAccountSelector: fc.oneof({ weight: 3, arbitrary: fc.constant("") }, { weight: 1, arbitrary: among("team == 'red'", "all()", "!has(team)") }), types: among(["Ingress"], ["Egress"], ["Ingress", "Egress"]),
  ...(isGlobal ? { performanceHints: fc.constant(["AssumeNeededOnEveryNode"]) } : {}), ingress: rules("ingress", isGlobal), egress: rules("egress", isGlobal), ...(isGlobal ? { namespaceSelector: namespaceSelector.filter((text) => text !== "global()") } : {}),
});

const object = (apiVersion: string, kind: string, metadata: fc.Arbitrary<Json>, rest: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Manifest> => fc.record({ apiVersion: fc.constant(apiVersion), kind: fc.constant(kind), metadata, ...rest }) as unknown as fc.Arbitrary<Manifest>;
const named = (names: readonly string[], more: Record<string, fc.Arbitrary<unknown>> = {}): fc.Arbitrary<Json> => fc.record({ name: among(...names), ...more });
const inNamespace = (names: readonly string[], more: Record<string, fc.Arbitrary<unknown>> = {}): fc.Arbitrary<Json> => fc.record({ namespace: among(...NAMESPACES), name: among(...names), ...more });

const kubernetesPeer = fc.oneof(
  mostly(fc.record({ podSelector: labelSelector, namespaceSelector: labelSelector }, { requiredKeys: [] }), 3),
  { weight: 1, arbitrary: among({ cidr: "10.65.0.0/24", except: ["10.65.0.2/32"] }, { cidr: "198.51.100.0/24" }, { cidr: "fd65::/64", except: ["fd65::1/128"] }, { cidr: "0.0.0.0/0", except: ["128.0.0.0/1"] }).map((ipBlock) => ({ ipBlock })) },
);
const kubernetesPort = fc.oneof(fc.record({ protocol: among("TCP", "UDP", "SCTP"), port: fc.oneof(portNumber, portName) }, { requiredKeys: [] }), fc.record({ port: among(80, 8_080), endPort: among(8_081, 8_090) }));
const kubernetesRule = (peers: "from" | "to"): fc.Arbitrary<Json> => some({ [peers]: few(kubernetesPeer), ports: few(kubernetesPort, 3) });
const clusterPeer = (isEgress: boolean): fc.Arbitrary<Json> => fc.oneof(
  fc.record({ namespaces: labelSelector }), fc.record({ pods: fc.record({ namespaceSelector: labelSelector, podSelector: labelSelector }) }), ...(isEgress ? [fc.record({ networks: someOf([...NETS[4], ...NETS[6]]) })] : []),
);
const clusterProtocol = fc.oneof(
  fc.tuple(among("tcp", "udp", "sctp"), fc.oneof(portNumber.map((number) => ({ destinationPort: { number } })), fc.constant({ destinationPort: { range: { start: 80, end: 8_080 } } }), fc.constant({}))).map(([protocol, what]) => ({ [protocol]: what })),
  portName.map((destinationNamedPort) => ({ destinationNamedPort })),
);
const clusterRule = (isEgress: boolean): fc.Arbitrary<Json> => fc.record({ action: among("Accept", "Deny", "Pass"), [isEgress ? "to" : "from"]: few(clusterPeer(isEgress)), protocols: few(clusterProtocol) }, { requiredKeys: ["action", isEgress ? "to" : "from"] });

const address = (node: string): fc.Arbitrary<{ ip: string }[]> => {
  // The nodes' pods have addresses of their own, as from their blocks.
  const own = <T>(list: readonly T[], first: number): readonly T[] => (node === "n1" ? list.slice(0, first) : list.slice(first));
  const one = (family: 4 | 6): fc.Arbitrary<{ ip: string }[]> => among(...own<string>(POD_ADDRESSES[family], 3)).map((ip) => [{ ip }]);
  return fc.oneof(mostly(one(4)), { weight: 2, arbitrary: one(6) }, { weight: 3, arbitrary: fc.tuple(one(4), one(6)).map((both) => both.flat()) }, rarely<{ ip: string }[]>([]));
};
const containerPort = among({ name: "http", containerPort: 8_080 }, { name: "http", containerPort: 80, protocol: "TCP" }, { name: "dns", containerPort: 53, protocol: "UDP" }, { name: "signal", containerPort: 8_081, protocol: "SCTP" }, { name: "dns", containerPort: 53, protocol: "TCP" }, { containerPort: 443 });
const pod = among("n1", "n1", "n2").chain((nodeName) => object("v1", "Pod", inNamespace(POD_NAMES, { labels, uid: among("1", "2") }), {
  spec: fc.record({
    nodeName: fc.constant(nodeName), serviceAccountName: fc.oneof(mostly(among(...ACCOUNTS), 3), rarely(undefined)), hostNetwork: fc.oneof(mostly(fc.constant(false), 20), rarely(true)),
    containers: fc.array(fc.record({ ports: fc.array(containerPort, { maxLength: 3 }) }), { maxLength: 2 }), initContainers: fc.oneof(mostly(fc.constant([])), rarely<Json[]>([{ ports: [{ name: "http", containerPort: 8_081 }] }])),
  }).map(withoutUndefined),
  status: fc.record({ phase: fc.oneof(mostly(fc.constant("Running"), 12), rarely("Succeeded")), podIPs: address(nodeName) }),
}));

const everyKind: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Manifest> }[] = [
  { weight: 1, arbitrary: object("v1", "Namespace", named(NAMESPACES, { labels }), {}) },
  { weight: 1, arbitrary: object("v1", "ServiceAccount", inNamespace(ACCOUNTS, { labels }), {}) },
  { weight: 5, arbitrary: pod },
  { weight: 1, arbitrary: object(CALICO, "NetworkSet", inNamespace(["s", "t"], { labels }), { spec: fc.record({ nets: someOf([...NETS[4], ...NETS[6]], 6) }) }) },
  { weight: 1, arbitrary: object(CALICO, "GlobalNetworkSet", named(["s", "t"], { labels }), { spec: fc.record({ nets: someOf([...NETS[4], ...NETS[6]], 6) }) }) },
  { weight: 2, arbitrary: object("discovery.k8s.io/v1", "EndpointSlice", among(...SERVICES).chain((service) => inNamespace([`${service}-1`, `${service}-2`], { labels: fc.constant({ "kubernetes.io/service-name": service }) })), {
    addressType: fc.constant("IPv4"), endpoints: fc.array(fc.record({ addresses: someOf([...POD_ADDRESSES[4], ...POD_ADDRESSES[6], "203.0.113.7"], 2) }), { maxLength: 3 }), ports: few(fc.record({ port: portNumber, protocol: among("TCP", "UDP", "SCTP") })),
  }) },
  { weight: 2, arbitrary: object(CALICO, "Tier", named([...TIERS, "default"]), { spec: some({ order: among(1, 1_000_000, 2_000_000, 20_000_000), defaultAction: among("Deny", "Pass") }) }) },
  { weight: 7, arbitrary: object(CALICO, "NetworkPolicy", inNamespace(["p", "q"]), { spec: policySpec(false) }) },
  { weight: 7, arbitrary: object(CALICO, "GlobalNetworkPolicy", named(["p", "q", "r"]), { spec: policySpec(true) }) },
  { weight: 4, arbitrary: object("networking.k8s.io/v1", "NetworkPolicy", inNamespace(["p", "q"]), { spec: fc.record({ podSelector: labelSelector, policyTypes: among(["Ingress"], ["Egress"], ["Ingress", "Egress"]), ingress: fc.array(kubernetesRule("from"), { maxLength: 2 }), egress: fc.array(kubernetesRule("to"), { maxLength: 2 }) }, { requiredKeys: ["podSelector"] }) }) },
  { weight: 3, arbitrary: object("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", named(["p", "q"]), { spec: fc.record({ tier: among("Admin", "Baseline"), priority: among(1, 2), subject: clusterPeer(false), ingress: fc.array(clusterRule(false), { maxLength: 3 }), egress: fc.array(clusterRule(true), { maxLength: 3 }) }, { requiredKeys: ["tier", "priority", "subject"] }) }) },
];
const change: fc.Arbitrary<Manifest> = fc.oneof(...everyKind);

/** What every cluster has at first, so that most pods can be used; changes may take it away. */
const ground: readonly Manifest[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "a", labels: { team: "red" } } }, { apiVersion: "v1", kind: "Namespace", metadata: { name: "b", labels: { team: "blue", app: "web" } } },
  ...NAMESPACES.flatMap((namespace) => ACCOUNTS.map((name) => ({ apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name, labels: name === "front" ? { team: "red" } : { app: "db" } } }))),
];

/** Another version of a policy of the first round: the rest of it stays as it was. */
type Edit = { readonly edit: number; readonly ingress: Json[]; readonly egress: Json[] };
const edit: fc.Arbitrary<Edit> = fc.record({ edit: fc.nat(20), ingress: rules("ingress", true), egress: rules("egress", true) });
const later: fc.Arbitrary<Change | Edit> = fc.oneof({ weight: 4, arbitrary: change }, { weight: 2, arbitrary: change.map((what) => ({ delete: keyOf(what) })) }, { weight: 3, arbitrary: edit });

function edited(first: readonly Manifest[], { edit: index, ...written }: Edit): Manifest[] {
  const policies = first.filter(({ apiVersion, kind }) => apiVersion === CALICO && kind.endsWith("NetworkPolicy"));
  const policy = policies[index % Math.max(1, policies.length)];
  return policy === undefined ? [] : [{ ...policy, spec: { ...(policy["spec"] as Json), ...written } }];
}

/** A cluster, and then up to four rounds of changes. */
export const cases: fc.Arbitrary<Case> = fc.tuple(
  among("Drop", "Reject"), fc.array(pod, { minLength: 2, maxLength: 6 }), fc.array(change, { minLength: 4, maxLength: 16, size: "max" }), fc.array(fc.array(later, { minLength: 1, maxLength: 6 }), { maxLength: 4, size: "max" }),
).map(([denyAction, pods, objects, rounds]) => {
  const first = [...ground, ...pods, ...objects];
  return { denyAction, rounds: [first, ...rounds.map((round) => round.flatMap((each): readonly Change[] => ("edit" in each ? edited(first, each as Edit) : [each])))] };
});
