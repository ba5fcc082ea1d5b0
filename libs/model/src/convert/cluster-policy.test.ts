import { describe, expect, test } from "vitest";
import type { Policy, Rule } from "../model.ts";
import { convertClusterNetworkPolicy } from "./cluster-policy.ts";
import type { Finding } from "./conversion.ts";
import { ANYONE, ruleForAll } from "./rules.ts";

const everywhere = { namespaces: {} };
const convert = (spec: object): { value: Policy | null; findings: readonly Finding[] } => convertClusterNetworkPolicy({ metadata: { name: "p", resourceVersion: "7" }, spec: { tier: "Admin", priority: 5, subject: everywhere, ...spec } });
const POD = 'projectcalico.org/orchestrator == "k8s"';
const IN_NAMESPACE = "has(projectcalico.org/namespace)";

test("a whole policy", () => {
  const { value, findings } = convert({
    subject: { pods: { namespaceSelector: { matchLabels: { env: "prod" } }, podSelector: { matchLabels: { app: "db" } } } },
    ingress: [
      { name: "monitoring", action: "Accept", from: [{ namespaces: { matchLabels: { team: "ops" } } }], protocols: [{ tcp: { destinationPort: { range: { start: 9000, end: 9100 } } } }, { udp: {} }] },
      { action: "Pass", from: [everywhere] },
    ],
    egress: [{ action: "Deny", to: [{ networks: ["10.0.0.0/8", "fd00::/8"] }, { pods: { namespaceSelector: {}, podSelector: { matchLabels: { a: "b" } } } }], protocols: [{ sctp: { destinationPort: { number: 7 } } }] }],
  });
  expect(findings).toEqual([]);
  const shown = (rules: readonly Rule[] = []): unknown[] => rules.map(({ action, protocol, source, destination, index }) => [action, protocol, source.selector?.text ?? null, destination.selector?.text ?? null, destination.nets, destination.ports, index]);
  expect({ ...value, selector: value?.selector.text, inbound: shown(value?.inbound), outbound: shown(value?.outbound) }).toEqual({
    id: "KubernetesClusterNetworkPolicy//p", kind: "KubernetesClusterNetworkPolicy", namespace: "", name: "p", tier: "kube-admin", order: 5, revision: "7",
    selector: `(pcns.env == "prod" && ${POD} && app == "db")`, ingress: true, egress: true, doNotTrack: false, preDnat: false, applyOnForward: false,
    inbound: [
      ["Allow", 6, `(pcns.team == "ops" && ${POD})`, null, [], [{ first: 9000, last: 9100 }], 0], ["Allow", 17, `(pcns.team == "ops" && ${POD})`, null, [], [], 0],
      ["Pass", null, `(${IN_NAMESPACE} && ${POD})`, null, [], [], 1],
    ],
    outbound: [["Deny", 132, null, null, ["10.0.0.0/8", "fd00::/8"], [{ first: 7, last: 7 }], 0], ["Deny", 132, null, `(${IN_NAMESPACE} && ${POD} && a == "b")`, [], [{ first: 7, last: 7 }], 0]],
  });
});

test.each(["constructor", "__proto__", "toString", "admin", ""])("%j is no tier and no action, whatever an object has by itself", (word) => {
  expect(convert({ tier: word })).toEqual({ value: null, findings: [expect.objectContaining({ severity: "critical", field: "spec.tier" })] });
  const { value, findings } = convert({ ingress: [{ action: word, from: [everywhere] }], egress: [{ action: "Accept", to: [everywhere], protocols: [{ [word]: {} }] }] });
  expect([value?.inbound, value?.outbound]).toEqual([[ruleForAll("Deny", 0)], []]);
  expect(findings).toHaveLength(2);
});

test("the baseline, and only the direction that has rules", () => {
  expect(convert({ tier: "Baseline", ingress: [{ action: "Deny", from: [everywhere] }], egress: [] }).value).toMatchObject({ tier: "kube-baseline", ingress: true, egress: false });
});

test("a named port is one of any protocol", () => {
  expect(convert({ ingress: [{ action: "Accept", from: [everywhere], protocols: [{ destinationNamedPort: "http" }] }] }).value?.inbound.map(({ protocol, destination }) => [protocol, destination.namedPorts])).toEqual([[6, ["http"]], [17, ["http"]], [132, ["http"]]]);
});

test("nodes are told by the labels of Nodes, as destinations alone", () => {
  const { value, findings } = convert({ egress: [
    { action: "Accept", to: [{ nodes: { matchLabels: { "kubernetes.io/os": "linux" } } }], protocols: [{ tcp: { destinationPort: { number: 6443 } } }] },
    { action: "Deny", to: [{ nodes: {} }, { networks: ["0.0.0.0/0"] }] },
  ] });
  expect(findings).toEqual([]);
  expect(value?.outbound.map(({ action, protocol, destination }) => [action, protocol, destination.nodes?.text ?? null, destination.selector, destination.nets, destination.ports])).toEqual([
    ["Allow", 6, 'kubernetes.io/os == "linux"', null, [], [{ first: 6443, last: 6443 }]], ["Deny", null, "all()", null, [], []], ["Deny", null, null, null, ["0.0.0.0/0"], []],
  ]);
});

describe.each<[string, object, string]>([
  ["names of domains", { to: [{ domainNames: ["example.org"] }] }, "to[0].domainNames"],
  ["nodes and networks in one peer", { to: [{ nodes: {}, networks: ["10.0.0.0/8"] }] }, "to[0].nodes"],
  ["nodes and pods in one peer", { to: [{ nodes: {}, namespaces: {} }] }, "to[0].namespaces"],
  ["nodes of a selector that cannot be read", { to: [{ nodes: { matchExpressions: [{ key: "a", operator: "Gt" }] } }] }, "to[0].nodes.matchExpressions[0]"],
  ["a named port of nodes", { to: [{ namespaces: {} }, { nodes: {} }], protocols: [{ destinationNamedPort: "http" }] }, "protocols"],
  ["a named port of networks", { to: [{ networks: ["10.0.0.0/8"] }], protocols: [{ udp: {} }, { destinationNamedPort: "http" }] }, "protocols"],
])("an egress rule with %s", (_, rule, field) => {
  test.each([["Accept", []], ["Deny", [ruleForAll("Deny", 0)]], ["Pass", [ruleForAll("Deny", 0)]]])("of action %s never opens anything", (action, outbound) => {
    const { value, findings } = convert({ egress: [{ action, ...rule }] });
    expect([value?.egress, value?.outbound, findings.map((finding) => [finding.severity, finding.field])]).toEqual([true, outbound, [["error", `spec.egress[0].${field}`]]]);
  });
});

describe.each<[string, object, string]>([
  ["no peers", { from: [] }, "from"],
  ["networks as a source", { from: [{ networks: ["10.0.0.0/8"] }] }, "from[0].networks"],
  ["nodes", { from: [{ nodes: {} }] }, "from[0].nodes"],
  ["pods and namespaces", { from: [{ namespaces: {}, pods: {} }] }, "from[0]"],
  ["a selector that cannot be read", { from: [{ namespaces: { matchExpressions: [{ key: "a", operator: "Gt" }] } }] }, "from[0].namespaces.matchExpressions[0]"],
  ["no protocols in the list", { from: [everywhere], protocols: [] }, "protocols"],
  ["two protocols in one", { from: [everywhere], protocols: [{ tcp: {}, udp: {} }] }, "protocols[0]"],
  ["a range backwards", { from: [everywhere], protocols: [{ tcp: { destinationPort: { range: { start: 2, end: 1 } } } }] }, "protocols[0].tcp.destinationPort"],
  ["a field of a newer version", { from: [everywhere], schedule: {} }, "schedule"],
])("a rule with %s", (_, rule, field) => {
  test.each([["Accept", []], ["Deny", [ruleForAll("Deny", 0)]], ["Pass", [ruleForAll("Deny", 0)]]])("of action %s never opens anything", (action, inbound) => {
    const { value, findings } = convert({ ingress: [{ action, ...rule }] });
    expect([value?.ingress, value?.inbound, findings.map((finding) => [finding.severity, finding.field])]).toEqual([true, inbound, [["error", `spec.ingress[0].${field}`]]]);
  });
});

test("an unknown action, a rule that is none, rules that are no list: everything is denied", () => {
  expect(convert({ ingress: [{ action: "Allow", from: [everywhere] }, 1] }).value?.inbound).toEqual([ruleForAll("Deny", 0), ruleForAll("Deny", 1)]);
  expect(convert({ egress: "x" }).value).toMatchObject({ egress: true, outbound: [ruleForAll("Deny", 0)] });
});

test("a field of the policy that is not known may restrict it", () => {
  const { value, findings } = convert({ only: "prod", ingress: [{ action: "Accept", from: [everywhere] }, { action: "Deny", from: [everywhere] }] });
  expect(value?.inbound.map(({ action, source }) => [action, source === ANYONE])).toEqual([["Deny", false]]);
  expect(findings).toEqual([expect.objectContaining({ severity: "error", field: "spec.only" })]);
});

test.each<[object, string]>([[{ tier: "Admins" }, "spec.tier"], [{ subject: {} }, "spec.subject"], [{ subject: { namespaces: 1 } }, "spec.subject.namespaces"], [{ subject: undefined }, "spec.subject"]])("%j is not in force", (spec, field) => {
  expect(convert(spec)).toEqual({ value: null, findings: [expect.objectContaining({ severity: "critical", field })] });
});

test("a priority that cannot be read puts it last", () => {
  const { value, findings } = convert({ priority: 1_001 });
  expect([value?.order, findings.map(({ field }) => field)]).toEqual([null, ["spec.priority"]]);
});
