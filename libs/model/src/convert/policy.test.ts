import { describe, expect, test } from "vitest";
import type { Policy, Rule } from "../model.ts";
import type { Finding } from "./conversion.ts";
import { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";
import { ANYONE, ruleForAll } from "./rules.ts";

type Converted = { value: Policy | null; findings: readonly Finding[] };
const namespaced = (spec: unknown): Converted => convertNetworkPolicy({ metadata: { name: "p", namespace: "shop", resourceVersion: "7" }, spec });
const global = (spec: unknown): Converted => convertGlobalNetworkPolicy({ metadata: { name: "p", resourceVersion: "7" }, spec });
const first = (convert: (spec: unknown) => Converted, rule: unknown): Rule | undefined => convert({ ingress: [rule] }).value?.inbound[0];
const sides = (convert: (spec: unknown) => Converted, source: unknown): [string | undefined, string | undefined] => {
  const side = first(convert, { action: "Allow", source })?.source;
  return [side?.selector?.text, side?.notSelector?.text];
};
const OWN = 'projectcalico.org/namespace == "shop"';
const IN_NAMESPACE = "has(projectcalico.org/namespace)";

test("a whole policy", () => {
  const { value, findings } = global({
    tier: "security", order: 10.5, selector: "app == 'web'", types: ["Ingress", "Egress"], applyOnForward: true, performanceHints: ["AssumeNeededOnEveryNode"],
    ingress: [{ action: "Deny", protocol: "TCP", source: { notNets: ["10.0.0.0/8"] }, destination: { ports: [80, "8000:8080", "web"] }, metadata: { annotations: {} } }],
    egress: [{ action: "Pass" }],
  });
  expect(findings).toEqual([]);
  expect({ ...value, selector: value?.selector.text }).toEqual({
    id: "GlobalNetworkPolicy//p", kind: "GlobalNetworkPolicy", namespace: "", name: "p", tier: "security", order: 10.5, selector: 'app == "web"',
    ingress: true, egress: true, doNotTrack: false, preDnat: false, applyOnForward: true, revision: "7",
    inbound: [{
      ...ruleForAll("Deny", 0), ipVersion: 4, protocol: 6, source: { ...ANYONE, notNets: ["10.0.0.0/8"] },
      destination: { ...ANYONE, ports: [{ first: 80, last: 80 }, { first: 8000, last: 8080 }], namedPorts: ["web"] },
    }],
    outbound: [ruleForAll("Pass", 0)],
  });
});

test.each([
  [{}, [true, false]], [{ ingress: [{ action: "Allow" }] }, [true, false]], [{ egress: [{ action: "Allow" }] }, [false, true]],
  [{ ingress: [{ action: "Allow" }], egress: [{ action: "Allow" }] }, [true, true]], [{ types: ["Egress"] }, [false, true]], [{ types: ["egress"] }, [true, true]], [{ types: {} }, [true, true]],
])("rule 7: types of %j", (spec, [ingress, egress]) => {
  expect(namespaced(spec).value).toMatchObject({ ingress, egress });
});

describe("rule 8: whom a policy applies to", () => {
  test.each([
    [{}, OWN],
    [{ selector: "a == 'b' || c == 'd'" }, `((a == "b" || c == "d") && ${OWN})`],
    [{ selector: "all()", serviceAccountSelector: "role == 'db'" }, `(pcsa.role == "db" && ${OWN})`],
  ])("namespaced %j", (spec, text) => expect(namespaced(spec).value?.selector.text).toBe(text));
  test.each([
    [{}, "all()"],
    [{ namespaceSelector: "all()" }, IN_NAMESPACE],
    [{ namespaceSelector: "team == 'a'", selector: "has(b)" }, '(pcns.team == "a" && has(b))'],
  ])("global %j", (spec, text) => expect(global(spec).value?.selector.text).toBe(text));
});

describe("rule 9: whom a side of a rule stands for", () => {
  test.each([
    [{}, [undefined, undefined]],
    [{ selector: "a == 'b'" }, [`(${OWN} && a == "b")`, undefined]],
    [{ notSelector: "a == 'b'" }, [`(${OWN} && !a == "b")`, undefined]],
    [{ namespaceSelector: "all()" }, [IN_NAMESPACE, undefined]],
    [{ namespaceSelector: "global()" }, [`!${IN_NAMESPACE}`, undefined]],
    [{ namespaceSelector: "team == 'a'", selector: "b == 'c'", notSelector: "d == 'e'" }, ['(pcns.team == "a" && b == "c" && !d == "e")', undefined]],
    [{ serviceAccounts: { names: ["z", "y"], selector: "r == 's'" } }, [`(${OWN} && projectcalico.org/serviceaccount in {"y", "z"} && pcsa.r == "s")`, undefined]],
    [{ serviceAccounts: {} }, [OWN, undefined]],
    [{ nets: ["10.0.0.0/8"] }, [undefined, undefined]],
  ])("namespaced %j", (source, expected) => expect(sides(namespaced, source)).toEqual(expected));
  test.each([
    [{ selector: "all()" }, ["all()", undefined]],
    [{ notSelector: "a == 'b'" }, [undefined, 'a == "b"']],
    [{ selector: "c == 'd'", notSelector: "a == 'b'" }, ['(c == "d" && !a == "b")', undefined]],
    [{ serviceAccounts: { names: ["y"] } }, ['projectcalico.org/serviceaccount in {"y"}', undefined]],
  ])("global %j", (source, expected) => expect(sides(global, source)).toEqual(expected));
});

test.each([
  [{ protocol: "icmp", icmp: { type: 8, code: 0 } }, { protocol: 1, icmp: { type: 8, code: 0 }, ipVersion: 4 }],
  [{ protocol: "ICMPv6", notICMP: { type: 128 } }, { protocol: 58, notIcmp: { type: 128, code: null }, ipVersion: 6 }],
  [{ protocol: 47, ipVersion: 4 }, { protocol: 47, ipVersion: 4 }],
  [{ notProtocol: "UDPLite" }, { protocol: null, notProtocol: 136, ipVersion: 0 }],
  [{ protocol: "SCTP", destination: { notPorts: [1, "2"] } }, { protocol: 132, destination: { ...ANYONE, notPorts: [{ first: 1, last: 2 }] } }],
])("rules 11 and 13: %j", (rule, expected) => {
  expect(first(global, { action: "Allow", ...rule })).toMatchObject(expected);
});

describe("rule 12: Services", () => {
  test("the destination of egress and the source of ingress; in the policy's own namespace unless it says another", () => {
    const spec = {
      types: ["Ingress", "Egress"],
      ingress: [{ action: "Allow", protocol: "TCP", source: { services: { name: "client" }, ports: [80] } }],
      egress: [{ action: "Allow", destination: { services: { name: "db", namespace: "data" } } }],
    };
    const { value, findings } = namespaced(spec);
    expect(findings).toEqual([]);
    expect(value?.inbound[0]?.source).toEqual({ ...ANYONE, service: { namespace: "shop", name: "client" }, ports: [{ first: 80, last: 80 }] });
    expect(value?.outbound[0]?.destination).toEqual({ ...ANYONE, service: { namespace: "data", name: "db" } });
  });

  test.each([[{ destination: { services: { name: "db" }, ports: [80] } }, "destination.ports"], [{ source: { services: { name: "db" } } }, "source.services"]])("egress cannot use %j", (rule, field) => {
    const { value, findings } = namespaced({ types: ["Egress"], egress: [{ action: "Allow", protocol: "TCP", ...rule }] });
    expect([value?.outbound, findings]).toEqual([[], [expect.objectContaining({ severity: "error", field: `spec.egress[0].${field}` })]]);
  });
});

test("rule 14: HTTP is a proxy's business, with a word about it; elsewhere than in an ingress Allow it cannot be used", () => {
  const http = { methods: ["GET"], paths: [{ prefix: "/api" }] };
  const { value, findings } = namespaced({ types: ["Ingress", "Egress"], ingress: [{ action: "Allow", protocol: "TCP", http, destination: { ports: [80] } }, { action: "Deny", http }], egress: [{ action: "Allow", http }] });
  expect(value).toMatchObject({ inbound: [{ ...ruleForAll("Allow", 0), protocol: 6, destination: { ports: [{ first: 80, last: 80 }] } }, ruleForAll("Deny", 1)], outbound: [] });
  expect(findings.map(({ severity, field }) => [severity, field])).toEqual([["warning", "spec.ingress[0].http"], ["error", "spec.ingress[1].http"], ["error", "spec.egress[0].http"]]);
});

test.each<[object, 0 | 4 | 6]>([
  [{}, 0], [{ source: { selector: "all()" } }, 0], [{ source: { nets: ["10.0.0.0/8"] } }, 4], [{ source: { notNets: ["10.0.0.0/8"] } }, 4], [{ destination: { notNets: ["fd00::/8"] } }, 6], [{ source: { nets: ["fd00::/8"] }, destination: { notNets: ["fd01::/16"] } }, 6],
  [{ protocol: "ICMPv6" }, 6], [{ ipVersion: 4 }, 4], [{ ipVersion: 6, source: { notNets: ["fd00::/8"] } }, 6],
])("rule 10: %j is about the one family of its CIDRs, or both", (rule, ipVersion) => {
  expect(global({ ingress: [{ action: "Allow", ...rule }] }).value?.inbound.map((each) => each.ipVersion)).toEqual([ipVersion]);
});

/** Rules that cannot be used, with the field to be named. */
const UNUSABLE: readonly [string, Record<string, unknown>, string][] = [
  ["a placeholder for a CIDR", { source: { nets: ["/32"] } }, "source.nets[0]"],
  ["both families", { source: { nets: ["10.0.0.0/8", "fd00::/8"] } }, ""],
  ["nets of one family and others left out of the other", { source: { nets: ["10.0.0.0/8"] }, destination: { notNets: ["fd00::/8"] } }, ""],
  ["nets against ipVersion", { ipVersion: 6, destination: { nets: ["10.0.0.0/8"] } }, ""],
  ["nets against ICMP", { protocol: "ICMP", source: { notNets: ["fd00::/8"] } }, ""],
  ["everything left out", { source: { notNets: ["0.0.0.0/0"] } }, "source.notNets[0]"],
  ["ports without protocol", { destination: { ports: [80] } }, "destination.ports"],
  ["ports of ICMP", { protocol: "ICMP", source: { notPorts: [80] } }, "source.ports"],
  ["port zero", { protocol: "TCP", destination: { ports: [0] } }, "destination.ports[0]"],
  ["a range backwards", { protocol: "TCP", destination: { ports: ["90:80"] } }, "destination.ports[0]"],
  ["a port too high as a text", { protocol: "TCP", destination: { ports: ["700000"] } }, "destination.ports[0]"],
  ["ports that are no list", { protocol: "TCP", destination: { ports: 80 } }, "destination.ports"],
  ["a single = in a selector", { source: { selector: "app = 'web'" } }, "source.selector"],
  ["global() outside of a namespaceSelector", { source: { selector: "global()" } }, "source.selector"],
  ["a Service at its own end", { destination: { services: { name: "x", namespace: "a" } } }, "destination.services"],
  ["a Service of a global policy in no namespace", { source: { services: { name: "x" } } }, "source.services.namespace"],
  ["a Service without a name", { source: { services: { namespace: "a" } } }, "source.services.name"],
  ["a Service and CIDRs", { source: { services: { name: "x", namespace: "a" }, nets: ["10.0.0.0/8"] } }, "source.nets"],
  ["a Service and a selector", { source: { services: { name: "x", namespace: "a" }, notSelector: "a == 'b'" } }, "source.notSelector"],
  ["a Service with ports of a newer version", { source: { services: { name: "x", namespace: "a", port: 80 } } }, "source.services.port"],
  ["HTTP over UDP", { protocol: "UDP", http: { methods: ["GET"] } }, "http"],
  ["the syntax of Kubernetes", { from: [{ namespaceSelector: { matchLabels: { a: "b" } } }] }, "from"],
  ["a field of a newer version", { source: { domains: ["example.com"] } }, "source.domains"],
  ["a protocol nobody knows", { protocol: "QUIC" }, "protocol"],
  ["protocol zero", { protocol: 0 }, "protocol"],
  ["an ICMP code without type", { protocol: "ICMP", icmp: { code: 1 } }, "icmp.code"],
  ["an ICMP type too high", { protocol: "ICMP", icmp: { type: 255 } }, "icmp.type"],
  ["an ICMP type of TCP", { protocol: "TCP", icmp: { type: 8 } }, "icmp"],
  ["ipVersion 5", { ipVersion: 5 }, "ipVersion"],
  ["a service account that has no label", { source: { serviceAccounts: { names: ["a".repeat(63)] } } }, "source.serviceAccounts.names[0]"],
  ["a source that is no object", { source: "anyone" }, "source"],
];

describe.each(UNUSABLE)("a rule with %s", (_, rule, field) => {
  const path = field === "" ? "spec.ingress[0]" : `spec.ingress[0].${field}`;
  test.each([["Allow", []], ["Log", []], ["Deny", [ruleForAll("Deny", 0)]], ["Pass", [ruleForAll("Deny", 0)]]])("of action %s never opens anything", (action, inbound) => {
    const { value, findings } = global({ order: 5, types: ["Ingress"], ingress: [{ action, ...rule }] });
    expect(value).toMatchObject({ order: 5, ingress: true, egress: false, inbound });
    expect(findings).toEqual([expect.objectContaining({ severity: "error", field: path })]);
  });
});

test.each([[{}], [{ action: "allow" }], [{ action: "Reject" }], ["Allow"], [null]])("a rule without a known action denies everything: %j", (rule) => {
  const { value, findings } = global({ ingress: [rule, { action: "Allow" }] });
  expect(value?.inbound).toEqual([ruleForAll("Deny", 0), ruleForAll("Allow", 1)]);
  expect(findings).toHaveLength(1);
});

test("rules that are no list deny everything in their direction", () => {
  expect(global({ ingress: "all", egress: [{ action: "Allow" }] }).value).toMatchObject({ inbound: [ruleForAll("Deny", 0)], outbound: [ruleForAll("Allow", 0)] });
});

test("an unknown field of the policy closes what it may restrict", () => {
  const { value, findings } = namespaced({ selector: "all()", schedule: "night", ingress: ["Allow", "Deny", "Log", "Pass"].map((action) => ({ action })) });
  expect(value?.inbound).toEqual([ruleForAll("Deny", 1), ruleForAll("Deny", 3)]);
  expect(findings).toEqual([expect.objectContaining({ severity: "error", field: "spec.schedule" })]);
});

test.each([
  [{ selector: "app = 'web'" }, "spec.selector"], [{ selector: 7 }, "spec.selector"], [{ selector: "global()" }, "spec.selector"], [{ namespaceSelector: "global()" }, "spec.namespaceSelector"],
  [{ serviceAccountSelector: "(" }, "spec.serviceAccountSelector"], [{ tier: "No Tier" }, "spec.tier"], [{ tier: 3 }, "spec.tier"], ["text", "spec"],
])("a policy whose selector or tier cannot be read is absent and critical: %j", (spec, field) => {
  const given = typeof spec === "string" ? spec : { ingress: [{ action: "Deny" }], ...spec };
  expect(global(given)).toEqual({ value: null, findings: [expect.objectContaining({ severity: "critical", field })] });
});

test("what was meant is suggested", () => {
  expect(global({ selector: "app = 'web'" }).findings[0]?.suggestion).toContain("==");
  expect(global({ ingress: [{ action: "allow" }] }).findings[0]?.suggestion).toBe("did you mean Allow?");
  expect(global({ selecter: "all()" }).findings[0]?.suggestion).toBe("did you mean selector?");
  expect(global({ ingress: [{ action: "Allow", source: { net: ["10.0.0.0/8"] } }] }).findings[0]?.suggestion).toBe("did you mean nets?");
  expect(global({ ingress: [{ from: [] }] }).findings[0]?.suggestion).toContain("source");
});

test("findings that change nothing", () => {
  expect(global({ types: ["Ingress"], egress: [{ action: "Allow" }] }).findings).toEqual([expect.objectContaining({ severity: "warning", field: "spec.egress" })]);
  expect(global({ ingress: [{ action: "Allow", source: { nets: ["10.1.2.3/8"] } }] }).findings).toEqual([expect.objectContaining({ severity: "warning", field: "spec.ingress[0].source.nets[0]" })]);
  expect(convertNetworkPolicy({ metadata: { name: "security.p", namespace: "shop" } }).findings).toEqual([expect.objectContaining({ severity: "warning", field: "spec.tier" })]);
});

test("rule 18: stages of host policies", () => {
  expect(global({ preDNAT: true, applyOnForward: true })).toMatchObject({ value: { preDnat: true, doNotTrack: false, applyOnForward: true }, findings: [] });
  expect(global({ doNotTrack: true })).toMatchObject({ value: { doNotTrack: true, applyOnForward: true }, findings: [{ severity: "warning", field: "spec.applyOnForward" }] });
  expect(global({ order: "first" })).toMatchObject({ value: { order: null }, findings: [{ severity: "error", field: "spec.order" }] });
});

test.each<[object, string[]]>([
  [{ doNotTrack: true, preDNAT: true, applyOnForward: true }, ["spec.preDNAT"]], [{ doNotTrack: "true" }, ["spec.doNotTrack"]], [{ preDNAT: 1, applyOnForward: true }, ["spec.preDNAT"]], [{ applyOnForward: "true" }, ["spec.applyOnForward"]],
  [{ doNotTrack: true, preDNAT: "no", applyOnForward: {} }, ["spec.preDNAT", "spec.applyOnForward"]],
])("rule 18: with a stage that cannot be used the policy closes and opens nothing: %j", (stage, fields) => {
  const rules = ["Allow", "Deny", "Log", "Pass"].map((action) => ({ action }));
  const { value, findings } = global({ ...stage, ingress: rules, egress: rules });
  const closing = [ruleForAll("Deny", 1), ruleForAll("Deny", 3)];
  expect(value).toMatchObject({ doNotTrack: false, preDnat: false, applyOnForward: true, inbound: closing, outbound: closing });
  expect(findings.map(({ severity, field }) => [severity, field])).toEqual(fields.map((field) => ["error", field]));
});
