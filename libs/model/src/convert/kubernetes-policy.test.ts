import { describe, expect, test } from "vitest";
import type { EntityMatch, Policy, Rule } from "../model.ts";
import type { Finding } from "./conversion.ts";
import { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
import { ANYONE } from "./rules.ts";

const convert = (spec: unknown): { value: Policy | null; findings: readonly Finding[] } =>
  convertKubernetesNetworkPolicy({ metadata: { name: "p", namespace: "shop", resourceVersion: "7" }, spec });
const inbound = (...ingress: unknown[]): readonly Rule[] | undefined => convert({ podSelector: {}, ingress }).value?.inbound;
const allow = (rule: Partial<Rule>): Rule =>
  ({ action: "Allow", ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null, source: ANYONE, destination: ANYONE, index: 0, ...rule });
const shown = (sides: readonly Rule[] | undefined): (string | undefined)[] | undefined => sides?.map(({ source }) => source.selector?.text);

test("a policy is in the default tier at order 1000 and selects pods of its namespace", () => {
  const { value, findings } = convert({ podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Ingress"] });
  expect(findings).toEqual([]);
  expect({ ...value, selector: value?.selector.text }).toEqual({
    id: "KubernetesNetworkPolicy/shop/p", kind: "KubernetesNetworkPolicy", namespace: "shop", name: "p", tier: "default", order: 1000,
    selector: '(projectcalico.org/orchestrator == "k8s" && app == "web" && projectcalico.org/namespace == "shop")',
    ingress: true, egress: false, inbound: [], outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "7",
  });
});

test.each([
  [{}, { ingress: true, egress: false }],
  [{ egress: [] }, { ingress: true, egress: false }],
  [{ egress: [{}] }, { ingress: true, egress: true }],
  [{ policyTypes: [], egress: [{}] }, { ingress: true, egress: true }],
  [{ policyTypes: ["Egress"] }, { ingress: false, egress: true }],
  [{ policyTypes: ["Ingress"], egress: [{}] }, { ingress: true, egress: false }],
  [{ policyTypes: ["Sideways"] }, { ingress: true, egress: true }],
  [{ policyTypes: "Egress" }, { ingress: true, egress: true }],
])("directions of %j", (spec, directions) => {
  expect(convert({ podSelector: {}, ...spec }).value).toMatchObject(directions);
});

describe("peers", () => {
  test("none given is anybody", () => {
    expect(inbound({})).toEqual([allow({})]);
    expect(inbound({ from: [] })).toEqual([allow({})]);
    expect(inbound({ from: null, ports: [] })).toEqual([allow({})]);
  });

  test("two selectors in one peer are ANDed, two peers are two rules", () => {
    const namespaceSelector = { matchLabels: { team: "a" } };
    const podSelector = { matchExpressions: [{ key: "app", operator: "In", values: ["b", "a"] }] };
    expect(shown(inbound({ from: [{ namespaceSelector, podSelector }] })))
      .toEqual(['(pcns.team == "a" && projectcalico.org/orchestrator == "k8s" && app in {"a", "b"})']);
    expect(shown(inbound({ from: [{ namespaceSelector }, { podSelector }] }))).toEqual([
      '(pcns.team == "a" && projectcalico.org/orchestrator == "k8s")',
      '(projectcalico.org/namespace == "shop" && projectcalico.org/orchestrator == "k8s" && app in {"a", "b"})',
    ]);
  });

  test("an empty namespaceSelector is every namespace, an empty podSelector every pod of this one", () => {
    expect(shown(inbound({ from: [{ namespaceSelector: {} }, { podSelector: {} }] }))).toEqual([
      '(has(projectcalico.org/namespace) && projectcalico.org/orchestrator == "k8s")',
      '(projectcalico.org/namespace == "shop" && projectcalico.org/orchestrator == "k8s")',
    ]);
  });

  test.each([
    ["In", { values: ["x"] }, 'k in {"x"}'], ["NotIn", { values: ["x"] }, 'k not in {"x"}'], ["Exists", {}, "has(k)"], ["DoesNotExist", { values: [] }, "!has(k)"],
  ])("operator %s", (operator, more, text) => {
    expect(shown(inbound({ from: [{ podSelector: { matchExpressions: [{ key: "k", operator, ...more }] } }] }))?.[0]).toContain(` && ${text})`);
  });

  test("an ipBlock leaves out its exceptions", () => {
    const source: EntityMatch = { ...ANYONE, nets: ["10.0.0.0/8" as never], notNets: ["10.1.0.0/16" as never] };
    expect(inbound({ from: [{ ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }] })).toEqual([allow({ source })]);
  });

  test.each([
    ["no criterion", {}, "spec.ingress[0].from[0]"],
    ["an ipBlock and a selector", { ipBlock: { cidr: "10.0.0.0/8" }, podSelector: {} }, "spec.ingress[0].from[0].ipBlock"],
    ["a CIDR that is none", { ipBlock: { cidr: "/32" } }, "spec.ingress[0].from[0].ipBlock.cidr"],
    ["an exception that is none", { ipBlock: { cidr: "10.0.0.0/8", except: ["x"] } }, "spec.ingress[0].from[0].ipBlock.except[0]"],
    ["an exception of everything", { ipBlock: { cidr: "10.0.0.0/8", except: ["10.0.0.0/8"] } }, "spec.ingress[0].from[0].ipBlock.except[0]"],
    ["a newer field", { podSelector: {}, serviceAccountSelector: {} }, "spec.ingress[0].from[0].serviceAccountSelector"],
    ["a newer operator", { podSelector: { matchExpressions: [{ key: "k", operator: "Gt", values: ["1"] }] } }, "spec.ingress[0].from[0].podSelector.matchExpressions[0]"],
    ["In without values", { podSelector: { matchExpressions: [{ key: "k", operator: "In" }] } }, "spec.ingress[0].from[0].podSelector.matchExpressions[0]"],
    ["a value with quotes", { podSelector: { matchLabels: { k: `a'"` } } }, 'spec.ingress[0].from[0].podSelector.matchLabels["k"]'],
    ["a text", "everyone", "spec.ingress[0].from[0]"],
  ])("a peer with %s allows nobody and is reported", (_, peer, field) => {
    const { value, findings } = convert({ podSelector: {}, ingress: [{ from: [peer] }] });
    expect(value).toMatchObject({ ingress: true, inbound: [] });
    expect(findings).toEqual([expect.objectContaining({ severity: "error", field })]);
  });

  test("an unusable peer does not take the others with it", () => {
    expect(shown(inbound({ from: [{}, { podSelector: {} }] }))).toHaveLength(1);
  });
});

describe("ports", () => {
  test("are gathered by protocol; without protocol TCP", () => {
    const ports = [{ port: 80 }, { port: 81 }, { protocol: "UDP", port: 53 }, { port: "web" }, { port: 8000, endPort: 8080 }, { protocol: "SCTP" }];
    expect(inbound({ ports })).toEqual([
      allow({ protocol: 6, destination: { ...ANYONE, ports: [{ first: 80, last: 81 }, { first: 8000, last: 8080 }], namedPorts: ["web"] } }),
      allow({ protocol: 17, destination: { ...ANYONE, ports: [{ first: 53, last: 53 }] } }),
      allow({ protocol: 132 }),
    ]);
  });

  test("an entry without port means every port of its protocol", () => {
    expect(inbound({ ports: [{ port: 80 }, { protocol: "TCP" }] })).toEqual([allow({ protocol: 6 })]);
  });

  test("of an egress rule stand beside the peer", () => {
    const { value } = convert({ podSelector: {}, policyTypes: ["Egress"], egress: [{ to: [{ ipBlock: { cidr: "fd00::/8" } }], ports: [{ port: 443 }] }] });
    expect(value?.outbound).toEqual([allow({ protocol: 6, destination: { ...ANYONE, nets: ["fd00::/8" as never], ports: [{ first: 443, last: 443 }] } })]);
  });

  test.each([[{ port: 0 }], [{ port: 70_000 }], [{ port: "80" }], [{ port: 80, endPort: 79 }], [{ port: "web", endPort: 90 }], [{ protocol: "ICMP" }], [{ port: 80, host: "a" }], ["80"]])(
    "%j alone allows nothing: it does not become every port", (port) => {
      const { value, findings } = convert({ podSelector: {}, ingress: [{ ports: [port] }] });
      expect(value?.inbound).toEqual([]);
      expect(findings).toHaveLength(1);
    });
});

test.each([[{ podSelector: "app=web" }], [{ podSelector: { matchLables: { app: "web" } } }], ["text"]])("a policy whose pods cannot be read is absent and critical: %j", (spec) => {
  const { value, findings } = convert(spec);
  expect(value).toBeNull();
  expect(findings.map(({ severity }) => severity)).toEqual(["critical"]);
});

test("a field outside of the standard isolates, and says so", () => {
  const { value, findings } = convert({ podSelector: {}, ingress: [{}], audit: { metadata: {} } });
  expect(value).toMatchObject({ ingress: true, inbound: [] });
  expect(findings).toEqual([expect.objectContaining({ field: "spec.audit", suggestion: expect.stringContaining("action: Log") })]);
});
