import type { KubeObject } from "@calico/datastore";
import { parsePolicyId, policyId, type PolicyKind } from "@calico/model";
import type { felix } from "@calico/proto/status";
import { describe, expect, it } from "vitest";
import { demandsOf, isInForce, leftovers, renderReports, reportOf, type ClusterObjects, type Demand, type PolicyReport } from "./policy-status.ts";
import type { Answer } from "./queries.ts";

const pod = (name: string, node: string, labels: Record<string, string>, over: { metadata?: object; status?: object } = {}): KubeObject =>
  ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "a", name, uid: `u-${name}`, labels, ...over.metadata }, spec: { nodeName: node }, status: { podIP: "10.0.0.1", phase: "Running", ...over.status } });
const policy = (kind: PolicyKind, name: string, spec: object): ClusterObjects["policies"][number] => ({ kind, object: { apiVersion: "v1", kind, metadata: { name, resourceVersion: "9", ...(kind === "GlobalNetworkPolicy" ? {} : { namespace: "a" }) }, spec } });
const cluster = (pods: readonly KubeObject[], ...policies: ClusterObjects["policies"]): ClusterObjects => ({ policies, pods, namespaces: [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "a", labels: { team: "blue" } } }], serviceAccounts: [], hostEndpoints: [] });

describe("demandsOf", () => {
  const counts = (objects: ClusterObjects): Record<string, Record<string, number>> => Object.fromEntries(demandsOf(objects).map(({ name, endpointsByNode }) => [name, Object.fromEntries(endpointsByNode)]));
  const web = { app: "web" };

  it("counts the endpoints that each kind of policy selects, by node", () => {
    expect(counts(cluster(
      [pod("w1", "n1", web), pod("w2", "n1", web), pod("w3", "n2", web), pod("db", "n3", { app: "db" })],
      policy("KubernetesNetworkPolicy", "k", { podSelector: { matchLabels: web } }), policy("NetworkPolicy", "np", { selector: "app == 'db'" }),
      policy("GlobalNetworkPolicy", "gnp", { namespaceSelector: "team == 'blue'" }), policy("NetworkPolicy", "nobody", { selector: "app == 'other'" }),
    ))).toEqual({ k: { n1: 2, n2: 1 }, np: { n3: 1 }, gnp: { n1: 2, n2: 1, n3: 1 }, nobody: {} });
  });

  it.each<[string, KubeObject]>([
    ["has no address yet", pod("w", "n1", web, { status: { podIP: "" } })],
    ["is finished", pod("w", "n1", web, { status: { phase: "Succeeded" } })],
    ["is being deleted", pod("w", "n1", web, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } })],
    ["is on the network of its node", { ...pod("w", "n1", web), spec: { nodeName: "n1", hostNetwork: true } }],
  ])("asks for nothing on behalf of a pod that %s", (_, one) => expect(counts(cluster([one], policy("NetworkPolicy", "all", {})))).toEqual({ all: {} }));

  it("counts host endpoints beside pods: of global policies that are for hosts too", () => {
    const host = (name: string, node: string): KubeObject => ({ apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name, labels: { role: "host" } }, spec: { node, interfaceName: "*", profiles: ["projectcalico-default-allow"] } });
    const objects = { ...cluster([pod("w", "n1", web)], policy("GlobalNetworkPolicy", "all", {}), policy("GlobalNetworkPolicy", "raw", { doNotTrack: true, applyOnForward: true }), policy("NetworkPolicy", "pods", {})), hostEndpoints: [host("h1", "n1"), host("h2", "n2"), host("h3", "n2"), { ...host("bad", "n3"), spec: {} }] };
    expect(counts(objects)).toEqual({ all: { n1: 2, n2: 2 }, raw: { n1: 1, n2: 2 }, pods: { n1: 1 } });
  });

  it("tells what of a policy cannot be used", () => {
    expect(demandsOf(cluster([], policy("NetworkPolicy", "broken", { selector: "app = 'web'" })))).toMatchObject([{ usable: false, findings: [expect.stringMatching(/^spec\.selector /)] }]);
  });
});

const id = policyId("NetworkPolicy", "a", "p");
const answer = (held: Partial<felix.PolicyStatus> | null, over: Partial<felix.StatusResponse> = {}): Answer<felix.StatusResponse> => ({
  value: {
    node: "", version: "1", inSync: true, epoch: "", sequence: 0n, endpoints: [], commits: 0n, commitErrors: 0n, lastError: "", dataplane: "nftables", overlay: "", endpointCount: 0, endpointsReady: 0, ruleCounters: [],
    policies: held === null ? [] : [{ id, revision: "9", endpoints: 2, endpointsReady: 2, failure: "", ...held }], ...over,
  },
});
const demand = (nodes: Record<string, number>, over: Partial<Demand> = {}): Demand => ({ ...(parsePolicyId(id) as NonNullable<ReturnType<typeof parsePolicyId>>), id, revision: "9", findings: [], usable: true, endpointsByNode: new Map(Object.entries(nodes)), ...over });

describe("reportOf", () => {
  it.each<[string, Answer<felix.StatusResponse> | undefined, string | null]>([
    ["a node that has it", answer({}), null],
    ["a node that has a newer one than was listed", answer({ revision: "10" }), null],
    ["a node that has no such policy", answer(null), "not in the kernel yet"],
    ["a node whose commits fail", answer(null, { lastError: "EBUSY" }), "not in the kernel yet: EBUSY"],
    ["a node with an older one", answer({ revision: "8" }), "revision 8 is in force, not yet 9"],
    ["a node whose kernel refuses it", answer({ failure: "EINVAL" }), "EINVAL"],
    ["a node with an endpoint that is not ready", answer({ endpointsReady: 1 }), "in force for 1 of 2 endpoints"],
    ["a node that does not know of an endpoint", answer({ endpoints: 1, endpointsReady: 1 }), "in force for 1 of 2 endpoints"],
    ["a felix that just started", answer(null, { inSync: false, lastError: "typha is away" }), "felix is not in sync: typha is away"],
    ["a node that is silent", { silence: "no answer within 2 s" }, "no answer within 2 s"],
    ["a node that is not in the cluster", undefined, "is no Node of the cluster"],
  ])("of %s", (_, from, reason) => {
    const report = reportOf(demand({ n1: 2, n2: 2 }), new Map([["n1", answer({})], ...(from === undefined ? [] : [["n2", from] as const])]));
    expect([report.nodes, report.inForce, report.missing.map((missing) => missing.reason), isInForce(report)]).toEqual([2, reason === null ? 2 : 1, reason === null ? [] : [reason], reason === null]);
  });

  it("counts a node that still has what no longer selects anything there", () => {
    expect(reportOf(demand({}), new Map([["n1", answer({ revision: "8" })], ["n2", answer(null)], ["n3", { silence: "no answer" }]]))).toMatchObject({ nodes: 1, inForce: 0, missing: [{ node: "n1", unknown: false }] });
  });

  it("nothing is missing of a policy that selects nothing, and everything of one that cannot be used", () => {
    const answers = new Map([["n1", answer(null)]]);
    expect(isInForce(reportOf(demand({}), answers))).toBe(true);
    expect(isInForce(reportOf(demand({}, { usable: false }), answers))).toBe(false);
  });
});

it("leftovers are policies that nodes have and nobody wrote", () => {
  const answers = new Map([["n1", answer({})], ["n2", answer({})], ["n3", { silence: "no answer" }]]);
  expect(leftovers([demand({})], answers)).toEqual([]);
  expect(leftovers([], answers)).toMatchObject([{ kind: "NetworkPolicy", namespace: "a", name: "p", revision: null, nodes: 2, inForce: 0 }]);
});

it("renderReports names at most three nodes", () => {
  const report = (name: string, over: Partial<PolicyReport>): PolicyReport => ({ kind: "NetworkPolicy", namespace: "a", name, revision: "9", endpoints: 4, nodes: 4, inForce: 4, missing: [], findings: [], usable: true, ...over });
  const silent = (node: string) => ({ node, reason: "no answer", unknown: true });
  expect(renderReports([
    report("good", {}), report("late", { inForce: 0, missing: ["n1", "n2", "n3", "n4"].map(silent) }), report("idle", { endpoints: 0, nodes: 0, inForce: 0 }),
    report("partly", { findings: ["spec.ingress[0] is left out"] }), report("broken", { endpoints: 0, nodes: 0, inForce: 0, usable: false, findings: ["spec.selector cannot be read"] }),
  ])).toBe(`\
KIND            NAMESPACE   NAME     IN FORCE   ENDPOINTS   REMARKS
NetworkPolicy   a           good     4 of 4     4
NetworkPolicy   a           late     0 of 4     4           n1: unknown, no answer; n2: unknown, no answer; n3: unknown, no answer; and 1 more nodes
NetworkPolicy   a           idle     0 of 0     0           selects no endpoint
NetworkPolicy   a           partly   4 of 4     4           in part: spec.ingress[0] is left out
NetworkPolicy   a           broken   0 of 0     0           spec.selector cannot be read
`);
});
