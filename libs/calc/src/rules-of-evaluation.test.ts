/**
 * What policies mean, rule by rule, from manifests to verdicts: how tiers, policies, rules and profiles follow each other, and what each
 * criterion of a rule asks for. Numbers are those of Calico's semantics as the project counts them.
 */
import {
  builtInTiers, convertClusterNetworkPolicy, convertEndpointSlice, convertGlobalNetworkPolicy, convertGlobalNetworkSet, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertNetworkSet, convertPod, convertServiceAccount, convertTier,
  type IpAddress, type NetworkSet, type Policy, type Profile, type ServiceSlice, type Tier, type WorkloadEndpoint,
} from "@calico/model";
import { describe, expect, test } from "vitest";
import { createEvaluator, type Direction, type Packet, type World } from "./evaluator.ts";

type Manifest = { readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: object }; readonly [field: string]: unknown };

const np = (name: string, spec: object, namespace = "a"): Manifest => ({ kind: "NetworkPolicy", metadata: { namespace, name }, spec });
const gnp = (name: string, spec: object): Manifest => ({ kind: "GlobalNetworkPolicy", metadata: { name }, spec });
const knp = (name: string, spec: object, namespace = "a"): Manifest => ({ kind: "KubernetesNetworkPolicy", metadata: { namespace, name }, spec: { podSelector: {}, ...spec } });
const cnp = (name: string, spec: object): Manifest => ({ kind: "ClusterNetworkPolicy", metadata: { name }, spec: { priority: 1, subject: { namespaces: {} }, ...spec } });
const tier = (name: string, spec: object = {}): Manifest => ({ kind: "Tier", metadata: { name }, spec });
const namespace = (name: string, labels = {}): Manifest => ({ kind: "Namespace", metadata: { name, labels } });
const account = (name: string, labels = {}, inNamespace = "a"): Manifest => ({ kind: "ServiceAccount", metadata: { namespace: inNamespace, name, labels } });
const networkSet = (name: string, labels: object, nets: string[]): Manifest => ({ kind: "NetworkSet", metadata: { namespace: "a", name, labels }, spec: { nets } });
const globalSet = (name: string, labels: object, nets: string[]): Manifest => ({ kind: "GlobalNetworkSet", metadata: { name, labels }, spec: { nets } });
const slice = (service: string, addresses: string[], ports: object[]): Manifest => ({ kind: "EndpointSlice", metadata: { namespace: "a", name: `${service}-1`, labels: { "kubernetes.io/service-name": service } }, endpoints: [{ addresses }], ports });
const pod = (place: string, ip: string, labels = {}, spec: object = {}, status: object = {}): Manifest => {
  const [inNamespace = "", name = ""] = place.split("/");
  return { kind: "Pod", metadata: { namespace: inNamespace, name, labels }, spec: { nodeName: "n1", ...spec }, status: { podIPs: ip === "" ? [] : ip.split(",").map((each) => ({ ip: each })), ...status } };
};

const listening = { containers: [{ ports: [{ name: "http", containerPort: 8_080 }, { name: "dns", containerPort: 53, protocol: "UDP" }] }] };
/** Two namespaces; the one that is asked about is a/web. */
const ground: readonly Manifest[] = [
  namespace("a", { team: "red" }), namespace("b", { team: "blue" }), account("front", { role: "front" }), account("back", { role: "back" }, "b"),
  pod("a/web", "10.0.0.1,fd00::1", { app: "web" }, { serviceAccountName: "front", ...listening }), pod("a/db", "10.0.0.2,fd00::2", { app: "db" }, listening), pod("b/web", "10.0.0.3,fd00::3", { app: "web" }, { serviceAccountName: "back" }),
];
const WEB = "10.0.0.1";
const DB = "10.0.0.2";
const OTHER = "10.0.0.3";
const OUTSIDE = "203.0.113.9";

const values = <T>(objects: readonly Manifest[], kind: string, convert: (object: Manifest) => { readonly value: T | null }): T[] => objects.filter((object) => object.kind === kind).flatMap((object) => convert(object).value ?? []);

function worldOf(objects: readonly Manifest[]): World {
  return {
    policies: [
      ...values<Policy>(objects, "NetworkPolicy", convertNetworkPolicy), ...values<Policy>(objects, "GlobalNetworkPolicy", convertGlobalNetworkPolicy), ...values<Policy>(objects, "KubernetesNetworkPolicy", convertKubernetesNetworkPolicy),
      ...values<Policy>(objects, "ClusterNetworkPolicy", convertClusterNetworkPolicy),
    ],
    tiers: [...builtInTiers, ...values<Tier>(objects, "Tier", convertTier)],
    profiles: [...values<Profile>(objects, "Namespace", convertNamespace), ...values<Profile>(objects, "ServiceAccount", convertServiceAccount)],
    endpoints: values<WorkloadEndpoint>(objects, "Pod", convertPod),
    networkSets: [...values<NetworkSet>(objects, "NetworkSet", convertNetworkSet), ...values<NetworkSet>(objects, "GlobalNetworkSet", convertGlobalNetworkSet)],
    serviceSlices: values<ServiceSlice>(objects, "EndpointSlice", convertEndpointSlice),
    nodes: [],
  };
}

type Sketch = { readonly protocol?: number; readonly peer?: string; readonly port?: number; readonly sourcePort?: number; readonly icmp?: { readonly type: number; readonly code: number } };

/** A packet between a/web and its peer: for ingress to the pod, for egress from it. */
function packetOf(direction: Direction, { protocol = 6, peer = OUTSIDE, port = 80, sourcePort = 40_000, icmp }: Sketch): Packet {
  const web = peer.includes(":") ? "fd00::1" : WEB;
  const [from, to] = direction === "ingress" ? [peer, web] : [web, peer];
  return { protocol, source: { address: from as IpAddress, port: sourcePort }, destination: { address: to as IpAddress, port }, ...(icmp === undefined ? {} : { icmp }) };
}

/** The verdict in words: "allow p 0" is rule 0 of policy p. */
function ask(objects: readonly Manifest[], direction: Direction, sketch: Sketch = {}, world = worldOf([...ground, ...objects])): string {
  const web = world.endpoints.find(({ namespace: inNamespace, pod: name }) => inNamespace === "a" && name === "web");
  if (web === undefined) return "no endpoint";
  const { allowed, by } = createEvaluator(world).verdict(web, direction, packetOf(direction, sketch));
  const who = by.kind === "policy" ? `${by.policy.split("/").at(-1)} ${by.rule}` : by.kind === "end of tier" ? `end of ${by.tier}` : by.kind === "profile" ? by.profile : by.kind;
  return `${allowed ? "allow" : "deny"} ${who}`;
}
const into = (objects: readonly Manifest[], sketch: Sketch = {}): string => ask(objects, "ingress", sketch);
const outOf = (objects: readonly Manifest[], sketch: Sketch = {}): string => ask(objects, "egress", sketch);

const OPEN = "allow kns.a";
const ALLOW = { action: "Allow" };
const DENY = { action: "Deny" };
const PASS = { action: "Pass" };
const LOG = { action: "Log" };
/** Of a global policy that applies to every pod for ingress. */
const ingress = (...rules: object[]): object => ({ namespaceSelector: "all()", types: ["Ingress"], ingress: rules });

describe("rule 1: tiers in their order, only those with a policy for the endpoint", () => {
  test.each<[string, Manifest[], string]>([
    ["no policy at all", [tier("t", { order: 1 })], OPEN],
    ["a tier whose policies are for others", [tier("t", { order: 1 }), np("p", { tier: "t", selector: "app == 'db'" })], OPEN],
    ["the lower order is first", [tier("x", { order: 2 }), tier("y", { order: 1 }), gnp("px", { tier: "x", ...ingress(ALLOW) }), gnp("py", { tier: "y", ...ingress(DENY) })], "deny py 0"],
    ["no order is last", [tier("x"), tier("y", { order: 9_000_000 }), gnp("px", { tier: "x", ...ingress(ALLOW) }), gnp("py", { tier: "y", ...ingress(DENY) })], "deny py 0"],
    ["equal orders go by name", [tier("x", { order: 1 }), tier("y", { order: 1 }), gnp("px", { tier: "x", ...ingress(ALLOW) }), gnp("py", { tier: "y", ...ingress(DENY) })], "allow px 0"],
    ["a tier that is not there comes behind all others", [tier("x"), gnp("p", { tier: "missing", ...ingress(DENY) }), gnp("px", { tier: "x", ...ingress(ALLOW) })], "allow px 0"],
    ["the administrators' tier is before the default one", [cnp("c", { tier: "Admin", ingress: [{ action: "Deny", from: [{ namespaces: {} }] }] }), gnp("p", ingress(ALLOW))], "deny c 0"],
    ["the baseline tier is behind the default one", [cnp("c", { tier: "Baseline", ingress: [{ action: "Deny", from: [{ namespaces: {} }] }] }), gnp("p", ingress(ALLOW))], "allow p 0"],
    ["and the baseline tier passes what it does not match", [cnp("c", { tier: "Baseline", ingress: [{ action: "Deny", from: [{ pods: { podSelector: { matchLabels: { app: "nobody" } } } }] }] })], OPEN],
  ])("%s", (_, objects, expected) => expect(into(objects, { peer: DB })).toBe(expected));
});

describe("rule 2: policies of a tier by order, then by name, namespace and kind", () => {
  test.each<[string, Manifest[], string]>([
    ["the lower order is first", [gnp("p", { order: 2, ...ingress(DENY) }), gnp("q", { order: 1, ...ingress(ALLOW) })], "allow q 0"],
    ["a fraction is an order", [gnp("p", { order: 1, ...ingress(DENY) }), gnp("q", { order: 0.5, ...ingress(ALLOW) })], "allow q 0"],
    ["no order is last", [gnp("p", ingress(DENY)), gnp("q", { order: 99_999, ...ingress(ALLOW) })], "allow q 0"],
    ["equal orders go by name", [gnp("q", { order: 1, ...ingress(DENY) }), gnp("p", { order: 1, ...ingress(ALLOW) })], "allow p 0"],
    ["equal names go by namespace, which a global policy has none of", [np("p", { types: ["Ingress"], ingress: [DENY] }), gnp("p", ingress(ALLOW))], "allow p 0"],
    ["a policy of Kubernetes has order 1000", [gnp("late", { order: 1_001, ...ingress(DENY) }), knp("k", { ingress: [{}] })], "allow k 0"],
    ["and is behind one of order 999", [gnp("early", { order: 999, ...ingress(DENY) }), knp("k", { ingress: [{}] })], "deny early 0"],
    ["two kinds of one name are two policies", [np("p", { order: 1, types: ["Ingress"], ingress: [{ action: "Pass" }] }), knp("p", { ingress: [] })], OPEN],
  ])("%s", (_, objects, expected) => expect(into(objects)).toBe(expected));
});

describe("rule 3: a policy counts in the directions of its types; without any in a direction the tier is skipped", () => {
  const egressOnly = gnp("p", { namespaceSelector: "all()", types: ["Egress"], egress: [] });
  test("ingress is as if the policy were not there", () => expect(into([egressOnly])).toBe(OPEN));
  test("egress ends with the tier", () => expect(outOf([egressOnly])).toBe("deny end of default"));
});

describe("rule 4: the first rule that matches decides", () => {
  test.each<[string, Manifest[], string]>([
    ["Allow in front of Deny", [gnp("p", ingress(ALLOW, DENY))], "allow p 0"],
    ["Deny in front of Allow", [gnp("p", ingress(DENY, ALLOW))], "deny p 0"],
    ["Log decides nothing", [gnp("p", ingress(LOG, ALLOW))], "allow p 1"],
    ["no match goes to the next policy", [gnp("p", { order: 1, ...ingress({ ...DENY, protocol: "UDP" }) }), gnp("q", ingress(ALLOW))], "allow q 0"],
    ["Pass leaves out the rest of its tier", [tier("t", { order: 1 }), gnp("p", { tier: "t", order: 1, ...ingress(PASS) }), gnp("q", { tier: "t", order: 2, ...ingress(DENY) })], OPEN],
    ["Pass goes to the next tier", [tier("t", { order: 1 }), gnp("p", { tier: "t", ...ingress(PASS) }), gnp("q", ingress(DENY))], "deny q 0"],
    ["no match in a tier denies", [tier("t", { order: 1 }), gnp("p", { tier: "t", ...ingress(LOG) }), gnp("q", ingress(ALLOW))], "deny end of t"],
    ["or passes, when the tier says so", [tier("t", { order: 1, defaultAction: "Pass" }), gnp("p", { tier: "t", ...ingress(LOG) }), gnp("q", ingress(ALLOW))], "allow q 0"],
  ])("%s", (_, objects, expected) => expect(into(objects)).toBe(expected));
});

describe("rule 5: behind all tiers the profiles, then nothing", () => {
  test("a namespace allows everything both ways", () => expect([into([]), outOf([])]).toEqual([OPEN, OPEN]));
  test("a profile's Pass denies, and one without a match is not the end", () => {
    const world = worldOf(ground);
    const [own] = world.profiles;
    const [allowAll] = own?.inbound ?? [];
    if (own === undefined || allowAll === undefined) throw new Error("the namespace has no profile");
    const profiles = (...inbound: Profile["inbound"]): World => ({ ...world, profiles: [{ ...own, inbound }, ...world.profiles.slice(1)] });
    expect(ask([], "ingress", {}, profiles({ ...allowAll, action: "Pass" }))).toBe("deny kns.a");
    expect(ask([], "ingress", {}, profiles())).toBe("deny no profile");
  });
  test("a pod of an unknown namespace or service account gets and sends nothing", () => {
    for (const missing of ["Namespace", "ServiceAccount"]) {
      const world = worldOf(ground.filter(({ kind }) => kind !== missing));
      expect([ask([], "ingress", {}, world), ask([], "egress", {}, world)]).toEqual(["deny unknown profile", "deny unknown profile"]);
    }
  });
});

describe("rule 6: both ends have a say", () => {
  const passes = (objects: readonly Manifest[], from: string, to: string): boolean =>
    createEvaluator(worldOf([...ground, ...objects])).passes({ protocol: 6, source: { address: from as IpAddress, port: 1 }, destination: { address: to as IpAddress, port: 80 } });
  const noIngress = np("in", { selector: "app == 'web'", types: ["Ingress"] });
  const noEgress = np("out", { selector: "app == 'db'", types: ["Egress"] });
  test.each<[string, Manifest[], boolean]>([["nobody objects", [], true], ["the receiver does", [noIngress], false], ["the sender does", [noEgress], false]])("%s", (_, objects, expected) => expect(passes(objects, DB, WEB)).toBe(expected));
  test("who is no endpoint has none", () => expect([passes([noIngress], WEB, OUTSIDE), passes([noIngress], OUTSIDE, WEB)]).toEqual([true, false]));
});

describe("rule 7: types that are not given", () => {
  test.each<[object, [string, string]]>([
    [{}, ["deny end of default", OPEN]], [{ ingress: [ALLOW] }, ["allow p 0", OPEN]], [{ egress: [ALLOW] }, [OPEN, "allow p 0"]], [{ ingress: [ALLOW], egress: [DENY] }, ["allow p 0", "deny p 0"]], [{ types: ["Egress"], ingress: [DENY] }, [OPEN, "deny end of default"]],
  ])("%j", (spec, expected) => expect([into([np("p", spec)]), outOf([np("p", spec)])]).toEqual(expected));
  test.each<[object, [string, string]]>([
    [{}, ["deny end of default", OPEN]], [{ egress: [{}] }, ["deny end of default", "allow p 0"]], [{ policyTypes: ["Egress"] }, [OPEN, "deny end of default"]],
  ])("of Kubernetes: %j", (spec, expected) => expect([into([knp("p", spec)]), outOf([knp("p", spec)])]).toEqual(expected));
});

describe("rule 8: whom a policy applies to", () => {
  const closed = "deny end of default";
  test.each<[Manifest, string]>([
    [np("p", { selector: "app == 'web'" }), closed], [np("p", { selector: "app == 'db'" }), OPEN], [np("p", {}, "b"), OPEN], [np("p", { selector: "app == 'web' || app == 'db'" }, "b"), OPEN],
    [np("p", { serviceAccountSelector: "role == 'front'" }), closed], [np("p", { serviceAccountSelector: "role == 'back'" }), OPEN],
    [gnp("p", {}), closed], [gnp("p", { namespaceSelector: "team == 'red'" }), closed], [gnp("p", { namespaceSelector: "team == 'blue'" }), OPEN], [gnp("p", { selector: "app == 'web'", namespaceSelector: "all()" }), closed],
    [knp("p", { podSelector: { matchLabels: { app: "web" } } }), closed], [knp("p", { podSelector: { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] } }), OPEN],
  ])("%j", (policy, expected) => expect(into([policy])).toBe(expected));
});

describe("rule 9: whom a side of a rule stands for", () => {
  const sets = [networkSet("own", { app: "office" }, ["198.51.100.0/24"]), globalSet("far", { app: "office" }, ["203.0.113.0/24"])];
  const reaching = (make: (source: object) => Manifest, source: object): string[] => [DB, OTHER, "198.51.100.7", OUTSIDE].filter((peer) => into([...sets, make(source)], { peer }).startsWith("allow"));
  const inNamespace = (source: object): Manifest => np("p", { ingress: [{ ...ALLOW, source }] });
  const everywhere = (source: object): Manifest => gnp("p", ingress({ ...ALLOW, source }));
  test.each<[object, string[]]>([
    [{}, [DB, OTHER, "198.51.100.7", OUTSIDE]], [{ selector: "all()" }, [DB, "198.51.100.7"]], [{ selector: "app == 'office'" }, ["198.51.100.7"]], [{ notSelector: "app == 'db'" }, ["198.51.100.7"]],
    [{ namespaceSelector: "all()" }, [DB, OTHER, "198.51.100.7"]], [{ namespaceSelector: "global()" }, [OUTSIDE]], [{ namespaceSelector: "team == 'blue'" }, [OTHER]], [{ namespaceSelector: "all()", notSelector: "app == 'db'" }, [OTHER, "198.51.100.7"]],
    [{ serviceAccounts: { names: ["back"] } }, []], [{ serviceAccounts: { names: ["back"] }, namespaceSelector: "all()" }, [OTHER]], [{ serviceAccounts: { selector: "role == 'back'" }, namespaceSelector: "all()" }, [OTHER]],
  ])("in a namespace %j", (source, expected) => expect(reaching(inNamespace, source)).toEqual(expected));
  test.each<[object, string[]]>([
    [{ selector: "all()" }, [DB, OTHER, "198.51.100.7", OUTSIDE]], [{ notSelector: "app == 'office'" }, [DB, OTHER]], [{ selector: "has(app)", notSelector: "app == 'office'" }, [DB, OTHER]], [{ namespaceSelector: "global()" }, [OUTSIDE]],
  ])("everywhere %j", (source, expected) => expect(reaching(everywhere, source)).toEqual(expected));
  test("a not-selector alone lets through whom nobody knows", () => expect(into([gnp("p", ingress({ ...ALLOW, source: { notSelector: "all()" } }))], { peer: OUTSIDE })).toBe("allow p 0"));
});

describe("rule 10: criteria all hold, of a list any does, of what is excluded none", () => {
  test.each<[object, Sketch, string]>([
    [{ source: { nets: ["198.51.100.0/24", "203.0.113.0/24"] } }, {}, "allow"], [{ source: { nets: ["198.51.100.0/24"] } }, {}, "deny"], [{ source: { nets: ["203.0.113.0/24"], notNets: ["203.0.113.8/29"] } }, {}, "deny"],
    [{ source: { nets: ["203.0.113.0/24"], notNets: ["203.0.113.0/29"] } }, {}, "allow"], [{ source: { nets: ["0.0.0.0/0"], selector: "all()" } }, {}, "deny"], [{ source: { nets: ["0.0.0.0/0"] } }, { peer: "2001:db8::9" }, "deny"],
    [{ source: { notNets: ["203.0.113.0/24"] } }, { peer: "2001:db8::9" }, "deny"], [{ source: { notNets: ["10.0.0.0/8"] } }, {}, "allow"], [{ source: { notNets: ["fd00::/8"] } }, { peer: "2001:db8::9" }, "allow"], [{ source: { notNets: ["fd00::/8"] } }, {}, "deny"],
    [{ destination: { notNets: ["198.51.100.0/24"] } }, { peer: "2001:db8::9" }, "deny"], [{ source: { nets: ["203.0.113.0/24"] }, destination: { notNets: ["fd00::/8"] } }, {}, "deny"], [{ ipVersion: 6 }, {}, "deny"], [{ ipVersion: 6 }, { peer: "2001:db8::9" }, "allow"],
    [{ protocol: "TCP", source: { nets: ["203.0.113.0/24"] }, destination: { ports: [81] } }, {}, "deny"], [{ source: { nets: ["10.0.0.0/8", "fd00::/8"] } }, { peer: DB }, "deny"], [{ source: { nets: ["203.0.113.0/24"], notNets: ["0.0.0.0/0"] } }, {}, "deny"],
  ])("%j of %j", (rule, sketch, expected) => expect(into([gnp("p", ingress({ ...ALLOW, ...rule }))], sketch).split(" ")[0]).toBe(expected));
});

describe("rule 11: ports are numbers, ranges and names", () => {
  test.each<[object, Sketch, string]>([
    [{ protocol: "TCP", destination: { ports: [80] } }, {}, "allow"], [{ protocol: "TCP", destination: { ports: ["80:90"] } }, { port: 90 }, "allow"], [{ protocol: "TCP", destination: { ports: ["80:90"] } }, { port: 91 }, "deny"],
    [{ protocol: "TCP", destination: { ports: ["http"] } }, { port: 8_080 }, "allow"], [{ protocol: "TCP", destination: { ports: ["http"] } }, {}, "deny"], [{ protocol: "UDP", destination: { ports: ["http"] } }, { protocol: 17, port: 8_080 }, "deny"],
    [{ protocol: "UDP", destination: { ports: ["dns"] } }, { protocol: 17, port: 53 }, "allow"], [{ protocol: "TCP", destination: { ports: ["http", 80] } }, {}, "allow"], [{ protocol: "TCP", destination: { ports: ["http"], selector: "app == 'db'" } }, { port: 8_080 }, "deny"],
    [{ protocol: "TCP", destination: { notPorts: [80] } }, {}, "deny"], [{ protocol: "TCP", destination: { notPorts: ["http"] } }, { port: 8_080 }, "deny"], [{ protocol: "TCP", destination: { notPorts: ["http"] } }, {}, "allow"],
    [{ protocol: "TCP", destination: { ports: ["1:100"], notPorts: ["50:90"] } }, {}, "deny"], [{ protocol: "TCP", source: { ports: [40_000] } }, {}, "allow"], [{ protocol: "TCP", source: { ports: ["http"] } }, { peer: DB, sourcePort: 8_080 }, "allow"],
    [{ protocol: "SCTP", destination: { ports: [80] } }, { protocol: 132 }, "allow"], [{ protocol: "SCTP", destination: { ports: [80] } }, {}, "deny"], [{ destination: { ports: [80] } }, {}, "deny"],
  ])("%j of %j", (rule, sketch, expected) => expect(into([gnp("p", ingress({ ...ALLOW, ...rule }))], sketch).split(" ")[0]).toBe(expected));
});

describe("rule 12: a Service stands for who is behind it", () => {
  const behind = slice("db", [DB, "203.0.113.7"], [{ port: 5_432, protocol: "TCP" }]);
  const egress = (services: object): Manifest => np("p", { types: ["Egress"], egress: [{ ...ALLOW, destination: { services } }] });
  test.each<[Sketch, string]>([[{ peer: DB, port: 5_432 }, "allow"], [{ peer: DB }, "deny"], [{ peer: DB, port: 5_432, protocol: 17 }, "deny"], [{ peer: "203.0.113.7", port: 5_432 }, "allow"], [{ peer: OTHER, port: 5_432 }, "deny"]])(
    "as a destination with its ports: %j", (sketch, expected) => expect(outOf([behind, egress({ name: "db" })], sketch).split(" ")[0]).toBe(expected),
  );
  test.each<[Sketch, string]>([[{ peer: DB }, "allow"], [{ peer: DB, protocol: 1, icmp: { type: 8, code: 0 } }, "allow"], [{ peer: OTHER }, "deny"]])(
    "as a source without ports: %j", (sketch, expected) => expect(into([behind, np("p", { ingress: [{ ...ALLOW, source: { services: { name: "db" } } }] })], sketch).split(" ")[0]).toBe(expected),
  );
  test("in another namespace it is another", () => expect(outOf([behind, egress({ name: "db", namespace: "b" })], { peer: DB, port: 5_432 })).toBe("deny end of default"));
});

describe("rule 13: protocols and ICMP", () => {
  const echo = { type: 8, code: 0 };
  test.each<[object, Sketch, string]>([
    [{ protocol: "UDP" }, {}, "deny"], [{ protocol: "udp" }, { protocol: 17 }, "allow"], [{ protocol: 47 }, { protocol: 47 }, "allow"], [{ protocol: "47" }, { protocol: 47 }, "allow"], [{ protocol: "UDPLite" }, { protocol: 136 }, "allow"],
    [{ notProtocol: "TCP" }, {}, "deny"], [{ notProtocol: 17 }, {}, "allow"], [{ protocol: "ICMP" }, { protocol: 1, icmp: echo }, "allow"], [{ protocol: "ICMP", icmp: { type: 8 } }, { protocol: 1, icmp: { type: 8, code: 3 } }, "allow"],
    [{ protocol: "ICMP", icmp: { type: 8, code: 1 } }, { protocol: 1, icmp: echo }, "deny"], [{ protocol: "ICMP", notICMP: { type: 8 } }, { protocol: 1, icmp: echo }, "deny"], [{ protocol: "ICMP", notICMP: { type: 8, code: 1 } }, { protocol: 1, icmp: echo }, "allow"],
    [{ protocol: "ICMPv6", icmp: { type: 128 } }, { peer: "fd00::2", protocol: 58, icmp: { type: 128, code: 0 } }, "allow"], [{ protocol: "ICMPv6" }, { protocol: 58, icmp: { type: 128, code: 0 } }, "deny"], [{ protocol: "ICMP", icmp: { type: 255 } }, { protocol: 1, icmp: { type: 255, code: 0 } }, "deny"],
    [{ icmp: { type: 8 } }, { protocol: 1, icmp: echo }, "deny"],
  ])("%j of %j", (rule, sketch, expected) => expect(into([gnp("p", ingress({ ...ALLOW, ...rule }))], sketch).split(" ")[0]).toBe(expected));
});

describe("rule 14: what a proxy would read is not looked at", () => {
  const http = { methods: ["GET"], paths: [{ prefix: "/api" }] };
  test.each<[object, string]>([[{ ...ALLOW, protocol: "TCP", http }, "allow p 0"], [{ ...ALLOW, http, source: { nets: ["198.51.100.0/24"] } }, "deny end of default"], [{ ...ALLOW, protocol: "UDP", http }, "deny end of default"], [{ ...DENY, http }, "deny p 0"]])(
    "%j", (rule, expected) => expect(into([gnp("p", ingress(rule))])).toBe(expected),
  );
});

describe("rule 15: network sets are members with addresses of their own", () => {
  const from = (selector: string, spec: object = {}): Manifest => gnp("p", ingress({ ...ALLOW, source: { selector, ...spec } }));
  const sets = [globalSet("wide", { zone: "office" }, ["203.0.113.0/24", "2001:db8::/32"]), globalSet("narrow", { zone: "office", floor: "1" }, ["203.0.113.8/29"]), networkSet("own", { zone: "lab" }, ["198.51.100.0/24"])];
  test.each<[Manifest, string, string]>([
    [from("zone == 'office'"), OUTSIDE, "allow"], [from("zone == 'office'"), "2001:db8::1", "allow"], [from("zone == 'office'"), "203.0.114.1", "deny"], [from("floor == '1'"), OUTSIDE, "allow"], [from("floor == '1'"), "203.0.113.7", "deny"],
    [from("zone == 'office' && !has(floor)"), OUTSIDE, "allow"], [from("zone == 'lab'"), "198.51.100.1", "allow"], [from("zone == 'lab'", { namespaceSelector: "team == 'red'" }), "198.51.100.1", "allow"], [from("zone == 'lab'", { namespaceSelector: "team == 'blue'" }), "198.51.100.1", "deny"],
    [from("zone == 'office'", { namespaceSelector: "all()" }), OUTSIDE, "deny"], [from("zone == 'office'", { namespaceSelector: "global()" }), OUTSIDE, "allow"],
  ])("%j from %s", (policy, peer, expected) => expect(into([...sets, policy], { peer }).split(" ")[0]).toBe(expected));
});

describe("rule 16: what an endpoint is and which labels it has", () => {
  test.each<[string, boolean]>([
    ["app == 'web'", true], ["projectcalico.org/namespace == 'a'", true], ["projectcalico.org/orchestrator == 'k8s'", true], ["projectcalico.org/serviceaccount == 'front'", true], ["pcns.team == 'red'", true], ["pcsa.role == 'front'", true],
    ["pcns.team == 'blue'", false], ["has(role)", false], ["pcns.projectcalico.org/name == 'a'", true],
  ])("%s", (selector, isSelected) => expect(into([gnp("p", { selector })])).toBe(isSelected ? "deny end of default" : OPEN));
  test.each<[string, Manifest, boolean]>([
    ["on the host's network", pod("a/x", OUTSIDE, { app: "x" }, { hostNetwork: true }), false], ["without a node", pod("a/x", OUTSIDE, { app: "x" }, { nodeName: "" }), false], ["that is finished", pod("a/x", OUTSIDE, { app: "x" }, {}, { phase: "Failed" }), false],
    ["of an unknown namespace", pod("nowhere/x", OUTSIDE, { app: "x" }), false], ["that runs", pod("a/x", OUTSIDE, { app: "x" }), true],
  ])("a pod %s", (_, other, isMember) => expect(into([other, gnp("p", ingress({ ...ALLOW, source: { selector: "app == 'x'" } }))])).toBe(isMember ? "allow p 0" : "deny end of default"));
  test("a service account with a name of 63 characters is no label", () => {
    const name = "s".repeat(63);
    const world = worldOf([...ground.filter(({ metadata }) => metadata.name !== "web"), account(name), pod("a/web", WEB, {}, { serviceAccountName: name }), gnp("p", { selector: "has(projectcalico.org/serviceaccount)" })]);
    expect(ask([], "ingress", {}, world)).toBe(OPEN);
  });
});
