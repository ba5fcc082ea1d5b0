/** Objects of a small cluster for tests, and arbitrary changes of them. */
import { all, selector, type Cidr, type EndpointId, type EntityMatch, type HostEndpoint, type IpAddress, type Policy, type PolicyId, type Profile, type ProfileId, type Rule, type WorkloadEndpoint } from "@calico/model";
import fc from "fast-check";
import type { ClusterUpdate } from "../ports.ts";

export const anySide: EntityMatch = { nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null, nodes: null };
export const rule = (source: Partial<EntityMatch>, destination: Partial<EntityMatch> = {}): Rule => ({
  action: "Allow", ipVersion: 0, protocol: 6, notProtocol: null, icmp: null, notIcmp: null,
  source: { ...anySide, ...source }, destination: { ...anySide, ...destination }, index: 0,
});
export const policy = (name: string, applies: string, inbound: readonly Rule[]): Policy => ({
  id: `NetworkPolicy/a/${name}` as PolicyId, kind: "NetworkPolicy", namespace: "a", name, tier: "default", order: null, selector: selector(applies),
  ingress: true, egress: false, inbound, outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "1",
});
export const profile = (id: string, labels: Record<string, string>): Profile => ({ id: id as ProfileId, labels, inbound: [rule({})], outbound: [rule({})] });
export const endpoint = (pod: string, over: Partial<WorkloadEndpoint> = {}): WorkloadEndpoint => ({
  id: `wep/a/${pod}/u` as EndpointId, uid: pod, node: "n1", namespace: "a", pod, interfaceName: `cali${pod}`, addresses: ["10.0.0.1" as IpAddress],
  labels: { app: "web" }, profiles: ["kns.a" as ProfileId], ports: [{ name: "http", protocol: 6, port: 8080 }], revision: "1", ...over,
});
export const hostEndpoint = (name: string, over: Partial<HostEndpoint> = {}): HostEndpoint => ({
  id: `hep/${name}` as EndpointId, name, node: "n1", interfaceName: "eth0", expectedIps: ["192.168.1.1" as IpAddress], labels: { app: "web" }, profiles: [], ports: [{ name: "http", protocol: 6, port: 8080 }], revision: "1", ...over,
});
export const put = <T extends { kind: ClusterUpdate["kind"]; id: string; value: unknown }>(update: T): ClusterUpdate => update as unknown as ClusterUpdate;
export const ofPolicy = (value: Policy): ClusterUpdate => put({ kind: "Policy", id: value.id, value });
export const ofProfile = (value: Profile): ClusterUpdate => put({ kind: "Profile", id: value.id, value });
export const ofEndpoint = (value: WorkloadEndpoint): ClusterUpdate => put({ kind: "WorkloadEndpoint", id: value.id, value });
export const ofHostEndpoint = (value: HostEndpoint): ClusterUpdate => put({ kind: "HostEndpoint", id: value.id, value });

export const selectorTexts = ["all()", 'app == "web"', 'app != "web"', 'team in {"red", "blue"}', "!has(team)", "has(team)", 'has(app) && team == "red"', 'app == "db" || team == "red"'];
/** Its canonical text is longer than what people may write. */
const LONG_TEXT = `app in {${Array.from({ length: 180 }, (_, i) => (i === 0 ? "'web'" : `'${i}'`)).join(",")}}`;
const anySelector = fc.constantFrom(...selectorTexts, LONG_TEXT).map(selector);
export const labels = fc.record({ app: fc.constantFrom("web", "db"), team: fc.constantFrom("red", "blue") }, { requiredKeys: [] });
export const addresses = fc.array(fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1") as fc.Arbitrary<IpAddress>, { maxLength: 3 });
const service = fc.constantFrom({ namespace: "a", name: "v" }, { namespace: "a", name: "w" });
const side = fc.record({
  selector: fc.option(anySelector), notSelector: fc.option(fc.constant(all())), namedPorts: fc.subarray(["http", "dns"]), notNamedPorts: fc.subarray(["http"]),
  ports: fc.subarray([{ first: 80, last: 90 }]),
  nets: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.subarray(["10.0.0.0/31", "fd00::/64"], { minLength: 1 })) as unknown as fc.Arbitrary<Cidr[]>,
  notNets: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.constantFrom(["10.0.0.1/32"], ["fd00::1/128"])) as unknown as fc.Arbitrary<Cidr[]>,
});
export const profiles = fc.subarray(["kns.a", "ksa.a.s"]) as unknown as fc.Arbitrary<ProfileId[]>;
const gone = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { freq: 3 });
const bySide = fc.oneof(side, fc.record({ service }), fc.record({ nodes: anySelector }));
/** What a rule says of the packet itself. */
const ofPacket: fc.Arbitrary<Partial<Rule>> = fc.constantFrom<Partial<Rule>[]>(
  {}, {}, {}, { ipVersion: 4 }, { ipVersion: 6 }, { protocol: null }, { protocol: null, notProtocol: 17 }, { protocol: 1, icmp: { type: 8, code: null } }, { protocol: 1, notIcmp: { type: 8, code: 0 } }, { protocol: 58, icmp: { type: 128, code: 0 }, ipVersion: 6 },
);
const anyRule = fc.tuple(fc.constantFrom("Allow", "Deny", "Pass", "Log"), bySide, bySide, ofPacket).map(([action, from, to, own]): Rule => ({ ...rule(from, to), ...own, action: action as Rule["action"] }));
/** Where policy meets what hosts send and receive. */
export const stage = fc.constantFrom(
  { doNotTrack: false, preDnat: false, applyOnForward: false }, { doNotTrack: false, preDnat: false, applyOnForward: true },
  { doNotTrack: true, preDnat: false, applyOnForward: true }, { doNotTrack: false, preDnat: true, applyOnForward: true },
);
const place = fc.tuple(fc.record({ tier: fc.constantFrom("default", "t"), order: fc.constantFrom(null, 1, 2), ingress: fc.boolean(), egress: fc.boolean() }), fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: stage }))
  .map(([at, early]) => ({ ...at, ...early }));
export const serviceSlice: fc.Arbitrary<ClusterUpdate> = fc.tuple(fc.constantFrom("a/v-1", "a/v-2", "a/w-1"), gone(fc.record({ service, addresses, ports: fc.subarray([{ protocol: 6, port: 80 }, { protocol: 6, port: 8080 }, { protocol: 17, port: 53 }]) })))
  .map(([id, value]) => put({ kind: "ServiceSlice", id, value: value === null ? null : { id, ...value } }));
export const clusterNode: fc.Arbitrary<ClusterUpdate> = fc.tuple(fc.constantFrom("n1", "n2", "n3"), gone(fc.record({ labels, addresses: addresses.map((list) => [...new Set(list)]), ipv4: fc.constantFrom(null, "192.0.2.1/25", "192.0.2.2/24", "192.0.2.200/24"), vxlan: fc.constantFrom(null, { address: "10.0.0.5", mac: "66:00:00:00:00:01" }, { address: "10.0.1.5", mac: "66:00:00:00:00:02" }) })))
  .map(([name, value]) => put({ kind: "Node", id: name, value: value === null ? null : { name, ipv6: null, asNumber: null, routeReflectorClusterId: null, ...value } }));
/** A policy of every endpoint, whose rules are about Nodes. */
export const nodePolicy: fc.Arbitrary<ClusterUpdate> = fc.tuple(fc.constantFrom("Allow" as const, "Deny" as const), anySelector, fc.constantFrom(null, 6, 17))
  .map(([action, nodes, protocol]): Rule => ({ ...rule({}, { nodes }), action, protocol }))
  .chain((first) => fc.constantFrom("p", "q").map((name) => ofPolicy({ ...policy(name, "all()", [first]), outbound: [first], egress: true })));
/** A policy of every endpoint, whose rules name Services or nobody. */
export const servicePolicy: fc.Arbitrary<ClusterUpdate> = fc.tuple(fc.constantFrom("Allow" as const, "Deny" as const), fc.record({ service }, { requiredKeys: [] }), fc.record({ service }, { requiredKeys: [] }), fc.constantFrom(null, 6, 17))
  .map(([action, from, to, protocol]): Rule => ({ ...rule(from, to), action, protocol }))
  .chain((first) => fc.constantFrom("p", "q").map((name) => ofPolicy({ ...policy(name, "all()", [first]), outbound: [first], egress: true })));
export const clusterChange: fc.Arbitrary<ClusterUpdate> = fc.oneof(
  fc.record({ name: fc.constantFrom("p", "q"), applies: fc.constantFrom(...selectorTexts, LONG_TEXT), inbound: fc.array(anyRule, { maxLength: 2 }), outbound: fc.array(anyRule, { maxLength: 2 }), place, there: fc.boolean() })
    .map(({ name, applies, inbound, outbound, place: at, there }) => put({ kind: "Policy", id: `NetworkPolicy/a/${name}`, value: there ? { ...policy(name, applies, inbound), outbound, ...at } : null })),
  fc.tuple(fc.constantFrom("kns.a", "ksa.a.s"), gone(labels), side)
    .map(([id, own, from]) => put({ kind: "Profile", id, value: own === null ? null : { ...profile(id, own), inbound: [rule(from)] } })),
  fc.tuple(fc.constantFrom("x", "y", "z"), gone(fc.record({ labels, addresses, profiles, node: fc.constantFrom("", "n1", "n2"), ports: fc.subarray([{ name: "http", protocol: 6, port: 8080 }, { name: "dns", protocol: 17, port: 53 }]) })))
    .map(([pod, over]) => put({ kind: "WorkloadEndpoint", id: endpoint(pod).id, value: over === null ? null : endpoint(pod, over) })),
  fc.tuple(fc.constantFrom("h", "i"), gone(fc.record({ labels, profiles, node: fc.constantFrom("n1", "n2"), expectedIps: fc.subarray(["10.0.0.2", "192.168.1.1"]) as unknown as fc.Arbitrary<IpAddress[]>, ports: fc.subarray([{ name: "http", protocol: 6, port: 8080 }]) })))
    .map(([name, over]) => put({ kind: "HostEndpoint", id: `hep/${name}`, value: over === null ? null : hostEndpoint(name, over) })),
  fc.tuple(fc.constantFrom("s", "t"), gone(fc.record({ labels, profiles, nets: fc.subarray(["10.0.0.1/32", "192.168.0.0/16"]) })))
    .map(([name, value]) => put({ kind: "NetworkSet", id: `a/${name}`, value: value === null ? null : { id: `a/${name}`, ...value } })),
  serviceSlice,
  fc.tuple(fc.constantFrom("10.0.0.0/26", "10.0.1.0/26", "10.0.1.64/32"), gone(fc.record({ node: fc.constantFrom("n1", "n2", null), lender: fc.constantFrom(null, "n1", "n3") })))
    .map(([cidr, value]) => put({ kind: "Block", id: cidr, value: value === null ? null : { cidr, node: value.node, borrowed: value.lender === null || value.lender === value.node ? [] : [{ address: cidr.slice(0, cidr.indexOf("/")), node: value.lender }] } })),
  fc.tuple(fc.constantFrom("10.0.0.0/16", "10.0.1.0/24"), gone(fc.constantFrom("Never", "Always", "CrossSubnet")))
    .map(([cidr, vxlanMode]) => put({ kind: "IpPool", id: cidr, value: vxlanMode === null ? null : { name: cidr, cidr, family: 4, ipipMode: "Never", vxlanMode, natOutgoing: false, disabled: false, disableBgpExport: false } })),
  clusterNode,
  fc.tuple(fc.constantFrom("default", "t"), gone(fc.constantFrom("Deny", "Pass")))
    .map(([name, action]) => put({ kind: "Tier", id: name, value: action === null ? null : { name, order: null, defaultAction: action } })),
);
