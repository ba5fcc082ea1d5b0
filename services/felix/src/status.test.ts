import type { NodeEndpoint, ResolvedEndpoint, ResolvedHostEndpoint } from "@calico/calc";
import type { EndpointId, IpAddress, PolicyId, ProfileId } from "@calico/model";
import { felix } from "@calico/proto";
import { expect, it } from "vitest";
import { statusOf, type StatusSources } from "./status.ts";

const [web, db, deny, allow] = ["wep/a/web/u", "wep/a/db/u", "KubernetesNetworkPolicy/a/deny", "NetworkPolicy/a/allow"] as [EndpointId, EndpointId, PolicyId, PolicyId];
const endpoint = (id: EndpointId, policies: readonly PolicyId[]): ResolvedEndpoint => ({
  id, uid: `uid of ${id}`, namespace: "a", pod: id, interfaceName: "cali1", addresses: ["10.0.0.1" as IpAddress], profiles: [], tiers: [{ name: "default", defaultAction: "Deny", ingress: policies, egress: policies }],
});
const sources: StatusSources = {
  node: "n1", version: "1", connection: "connected to typha",
  engine: {
    isInSync: true, isApplied: true, step: null, lastError: "", commits: 3, commitErrors: 1, policies: new Set([deny, allow]), endpoints: new Map([[web, endpoint(web, [deny])], [db, endpoint(db, [deny, allow])]]),
    hostEndpoints: new Map(), revisionsInForce: new Map([[deny, "8"], [allow, "9"]]), waitingFor: () => null, unresolved: () => [],
  },
  dataplane: { isReady: () => true, failures: () => [], overlay: () => "VXLAN 10.65.0.1 on eth0", counters: (id) => (id === deny ? [{ direction: "ingress", rule: 1, tier: null, packets: 7n }] : []) },
};
const withEngine = (over: Partial<StatusSources["engine"]>, dataplane: Partial<StatusSources["dataplane"]> = {}): StatusSources => ({ ...sources, engine: { ...sources.engine, ...over }, dataplane: { ...sources.dataplane, ...dataplane } });
const brief = (from: StatusSources): felix.StatusResponse => statusOf(from, { brief: true, countersOf: [] });

it("counts for each policy in the kernel the endpoints that it applies to", () => {
  expect(brief(sources)).toMatchObject({
    inSync: true, endpointCount: 2, endpointsReady: 2, endpoints: [],
    policies: [{ id: deny, revision: "8", endpoints: 2, endpointsReady: 2, failure: "" }, { id: allow, revision: "9", endpoints: 1, endpointsReady: 1, failure: "" }],
  });
});

it.each<[string, StatusSources, string]>([
  ["whose interface is gone", withEngine({}, { isReady: (id) => id !== db, failures: () => [{ id: db, reason: "interface cali1 does not exist" }] }), "interface cali1 does not exist"],
  ["that waits for a commit", withEngine({ lastError: "EBUSY" }, { isReady: (id) => id !== db }), "EBUSY"],
  ["whose policy waits for a set", withEngine({ waitingFor: (uid) => (uid.includes(db) ? "set s has not arrived" : null) }), "set s has not arrived"],
])("an endpoint %s is told with the reason, and its policies are not in force for it", (_, from, reason) => {
  expect(brief(from)).toMatchObject({ endpointCount: 2, endpointsReady: 1, endpoints: [{ id: db, ready: false, waitingFor: reason, policies: [] }], policies: [{ endpoints: 2, endpointsReady: 1 }, { endpoints: 1, endpointsReady: 0 }] });
});

it("endpoints that were only announced count, with what they wait for", () => {
  const announced: NodeEndpoint = { id: "wep/a/new/u" as EndpointId, uid: "u", namespace: "a", pod: "new", interfaceName: "cali2", addresses: [], labels: {}, profiles: ["kns.a" as ProfileId], ports: [], revision: "1" };
  expect(brief(withEngine({ unresolved: () => [{ endpoint: announced, reason: "no interface yet" }] }))).toMatchObject({ endpointCount: 3, endpointsReady: 2, endpoints: [{ id: announced.id, waitingFor: "no interface yet" }] });
});

it("a policy that the kernel refused is told with the reason", () => {
  expect(brief(withEngine({}, { failures: () => [{ id: allow, reason: "EINVAL" }] })).policies).toMatchObject([{ failure: "" }, { failure: "EINVAL" }]);
});

it("counters are told of those that were asked for", () => {
  expect([brief(sources).ruleCounters, statusOf(sources, { brief: true, countersOf: [allow, deny] }).ruleCounters]).toEqual([[], [{ owner: deny, egress: false, rule: 1, tier: "", packets: 7n }]]);
});

it("a full answer has every endpoint with its policies; an empty request asks for it", () => {
  expect(statusOf(sources, felix.StatusRequest.decode(new Uint8Array())).endpoints).toMatchObject([{ id: web, ready: true, policies: [deny] }, { id: db, ready: true, policies: [deny, allow] }]);
});

it("a brief answer about a full node fits on NATS many times over", () => {
  const policies = Array.from({ length: 1_000 }, (_, i) => `NetworkPolicy/namespace-${i}/policy-with-a-long-name-${i}` as PolicyId);
  const endpoints = new Map(Array.from({ length: 250 }, (_, i) => [`wep/a/${i}`, endpoint(`wep/a/${i}` as EndpointId, policies)]));
  expect(felix.StatusResponse.encode(brief(withEngine({ endpoints, revisionsInForce: new Map(policies.map((id) => [id, "123456"])) }))).finish().length).toBeLessThan(128 * 1024);
});

it("a host endpoint is told like a pod: its policies of every place, and what keeps it from being in force", () => {
  const of = (...ingress: PolicyId[]) => [{ name: "default", defaultAction: "Deny" as const, ingress, egress: [] }];
  const early = "GlobalNetworkPolicy//early" as PolicyId;
  const eth0: ResolvedHostEndpoint = { id: "hep/eth0" as EndpointId, name: "eth0", interfaceName: "eth0", expectedIps: ["192.0.2.1" as IpAddress], tiers: of(allow), forward: of(allow), preDnat: of(early), untracked: [], profiles: [] };
  const from = withEngine({ endpoints: new Map(), hostEndpoints: new Map([[eth0.id, eth0]]) });
  const told = { id: eth0.id, interfaceName: "eth0", addresses: ["192.0.2.1"], ready: true, waitingFor: "", policies: [allow, early] };
  expect(statusOf(from, { brief: false, countersOf: [] })).toMatchObject({ endpointCount: 1, endpointsReady: 1, endpoints: [told], policies: [{ id: deny, endpoints: 0 }, { id: allow, endpoints: 1, endpointsReady: 1 }] });
  const absent = withEngine({ endpoints: new Map(), hostEndpoints: new Map([[eth0.id, eth0]]) }, { isReady: () => false, failures: () => [{ id: eth0.id, reason: "interface eth0 does not exist" }] });
  expect(brief(absent)).toMatchObject({ endpointsReady: 0, endpoints: [{ ...told, ready: false, waitingFor: "interface eth0 does not exist", policies: [] }] });
});
