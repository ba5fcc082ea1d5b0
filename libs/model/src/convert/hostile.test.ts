import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Policy } from "../model.ts";
import * as conversions from "./index.ts";

const converters = Object.entries({
  convertPod: conversions.convertPod, convertNamespace: conversions.convertNamespace, convertServiceAccount: conversions.convertServiceAccount, convertNode: conversions.convertNode,
  convertIpPool: conversions.convertIpPool, convertBlock: conversions.convertBlock, convertTier: conversions.convertTier, convertNetworkSet: conversions.convertNetworkSet,
  convertGlobalNetworkSet: conversions.convertGlobalNetworkSet, convertKubernetesNetworkPolicy: conversions.convertKubernetesNetworkPolicy,
  convertNetworkPolicy: conversions.convertNetworkPolicy, convertGlobalNetworkPolicy: conversions.convertGlobalNetworkPolicy,
  convertHostEndpoint: conversions.convertHostEndpoint, convertClusterNetworkPolicy: conversions.convertClusterNetworkPolicy, convertEndpointSlice: conversions.convertEndpointSlice,
});

const VALID = {
  apiVersion: "v1", kind: "Any",
  metadata: { name: "x", namespace: "shop", uid: "u", resourceVersion: "1", labels: { a: "b", "kubernetes.io/service-name": "web" }, annotations: { "projectcalico.org/IPv4Address": "172.30.0.11/24" } },
  spec: {
    node: "n", interfaceName: "eth0", expectedIPs: ["10.0.0.1"], profiles: ["kns.shop"],
    nodeName: "n", containers: [{ ports: [{ name: "web", containerPort: 80 }] }], cidr: "10.65.0.0/26", affinity: "host:n", attributes: [{ secondary: { node: "m" } }], allocations: [0, null, 0], nets: ["10.0.0.0/8"], order: 1, selector: "a == 'b'",
    podSelector: { matchLabels: { a: "b" }, matchExpressions: [{ key: "k", operator: "In", values: ["v"] }] }, policyTypes: ["Ingress"], types: ["Ingress"],
    ingress: [{ action: "Allow", protocol: "TCP", source: { nets: ["10.0.0.0/8"], selector: "a == 'b'" }, destination: { ports: [80, "web"] }, from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
    tier: "Admin", priority: 1, subject: { namespaces: {} }, egress: [{ action: "Accept", to: [{ networks: ["10.0.0.0/8"] }], protocols: [{ tcp: { destinationPort: { number: 80 } } }] }],
  },
  addressType: "IPv4", endpoints: [{ addresses: ["10.65.0.2"] }], ports: [{ port: 80, protocol: "TCP" }],
  status: { podIPs: [{ ip: "10.65.0.2" }] },
};

/** Every path into a value, as lists of keys. */
function pathsOf(value: unknown, path: readonly string[] = []): string[][] {
  const below = typeof value === "object" && value !== null ? Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key])) : [];
  return [[...path], ...below];
}

/** A copy with the value at a path replaced. */
function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.map((item: unknown, i) => (String(i) === key ? replaced(item, rest, by) : item));
  return Object.fromEntries(Object.entries(value as object).map(([name, inner]) => [name, name === key ? replaced(inner, rest, by) : (inner as unknown)]));
}

const junk = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>({ ["__proto__"]: { x: 1 } }, { constructor: null, toString: 1 }, [[[]]], "\ud800", "x".repeat(5_000), -1, 1e308, "__proto__", "constructor", "toString", "*", Array.from({ length: 100 }, () => 0)));
const mutated = fc.tuple(fc.constantFrom(...pathsOf(VALID)), junk).map(([path, by]) => replaced(VALID, path, by));

describe.each(converters)("%s", (_, convert) => {
  test("answers any value, and always the same", () => {
    fc.assert(fc.property(fc.oneof(junk, mutated), (raw) => {
      const before = JSON.stringify(raw);
      const { value, findings } = convert(raw);
      expect(JSON.stringify(raw)).toBe(before);
      expect(convert(raw)).toEqual({ value, findings });
      expect(findings.every(({ field, message }) => field !== "" && message.length < 1_000)).toBe(true);
    }), { numRuns: 300 });
  });
});

test("a deeply nested object is no trouble", () => {
  let deep: unknown = {};
  for (let i = 0; i < 50_000; i += 1) deep = { selector: deep, from: [deep] };
  const raw = { metadata: { name: "x", namespace: "shop", labels: deep }, spec: { podSelector: deep, ingress: [deep, { action: "Allow", source: deep }], cidr: deep } };
  for (const [, convert] of converters) expect(() => convert(raw)).not.toThrow();
});

test("thousands of mistakes are told in a few findings", () => {
  const { findings } = conversions.convertGlobalNetworkPolicy({ metadata: { name: "x" }, spec: { ingress: Array.from({ length: 5_000 }, () => ({ action: "Allow", protocol: "?" })) } });
  expect(findings).toHaveLength(50);
});

/** Replacing any part of a deny rule by anything leaves a policy that denies in that direction. */
test("damage to a deny rule never opens anything", () => {
  const rule = { action: "Deny", protocol: "TCP", ipVersion: 4, source: { nets: ["10.0.0.0/8"], notNets: ["10.1.0.0/16"], selector: "a == 'b'" }, destination: { ports: [80, "web"] } };
  const damage = fc.tuple(fc.constantFrom(...pathsOf(rule)), junk).map(([path, by]) => replaced(rule, path, by));
  fc.assert(fc.property(damage, (damaged) => {
    fc.pre(!(typeof damaged === "object" && damaged !== null && ["Allow", "Log", "Pass"].includes((damaged as { action?: string }).action ?? "")));
    const policy = conversions.convertGlobalNetworkPolicy({ metadata: { name: "x" }, spec: { ingress: [damaged] } }).value as Policy;
    expect(policy.inbound.map(({ action }) => action)).toEqual(["Deny"]);
  }), { numRuns: 1_000 });
});

/** What the names of an object's own functions give must be a finding, not a value. */
test("no conversion gives anything but data", () => {
  const isData = (value: unknown): boolean => typeof value !== "function" && (typeof value !== "object" || value === null || Object.values(value).every(isData));
  const words = fc.constantFrom("constructor", "toString", "__proto__", "hasOwnProperty", "valueOf");
  fc.assert(fc.property(fc.constantFrom(...converters), fc.tuple(fc.constantFrom(...pathsOf(VALID)), words).map(([path, by]) => replaced(VALID, path, by)), ([, convert], raw) => {
    // A selector is a predicate beside its text.
    const value = JSON.parse(JSON.stringify(convert(raw).value, (key, inner: unknown) => (typeof inner === "function" && key !== "evaluate" ? { unexpected: key } : inner))) as unknown;
    expect(JSON.stringify(value)).not.toContain('"unexpected"');
    expect(isData(value)).toBe(true);
  }), { numRuns: 3_000 });
});
