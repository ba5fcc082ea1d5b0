/** The largest objects that people may write, in the kernel: how much of it they take, and how much a small change writes. */
import { createMachine, createTestNetns, dumpRuleset, type KernelRuleset, type TestNetns } from "@calico/kernel/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TABLE } from "../rules/constants.ts";
import { createTestCluster, type TestCluster } from "../testing/differential/cluster.ts";
import { openDataplane } from "../testing/differential/judge.ts";
import type { Manifest } from "../testing/differential/manifests.ts";
import type { Dataplane } from "./dataplane.ts";

let netns: TestNetns;
let dataplane: Dataplane;
let cluster: TestCluster;
beforeEach(async () => {
  netns = createTestNetns("fb");
  dataplane = openDataplane();
  await netns.runAsync(() => dataplane.start());
  cluster = createTestCluster(dataplane.sink);
});
afterEach(async () => {
  await dataplane.stop();
  netns[Symbol.dispose]();
});

const gauge = (name: string): number => dataplane.gauges().find(([found]) => found === name)?.[2]() ?? -1;
/** Commands that it takes to put changes into the kernel. */
async function put(...changes: Manifest[]): Promise<number> {
  const before = gauge("felix_nft_commands");
  cluster.change(changes);
  await netns.runAsync(() => dataplane.apply());
  return gauge("felix_nft_commands") - before;
}
const kernel = (): KernelRuleset => netns.run(() => dumpRuleset(netns.sys, TABLE));
const elements = ({ sets }: KernelRuleset): number => [...sets.values()].reduce((sum, set) => sum + set.elements.length, 0);
const rules = ({ chains }: KernelRuleset): number => [...chains.values()].reduce((sum, chain) => sum + chain.rules.length, 0);

const ground: readonly Manifest[] = [{ apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } }, { apiVersion: "v1", kind: "Pod", metadata: { namespace: "a", name: "x", uid: "1" }, spec: { nodeName: "n1" }, status: { podIPs: [{ ip: "10.65.0.1" }] } }];
const policy = (...ingress: object[]): Manifest => ({ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { namespace: "a", name: "p" }, spec: { types: ["Ingress"], ingress } });
const allowed = (ruleset: KernelRuleset, source: string, port: number): boolean => createMachine(ruleset).run("forward", {
  family: 4, protocol: 6, source: { address: source, port: 40_000 }, destination: { address: "10.65.0.1", port }, inInterface: "eth0", outInterface: cluster.endpoints()[0]?.interfaceName ?? "", ctState: "new",
}).verdict === "accept";

test.each<[string, (string | number)[], number, readonly [number, boolean][]]>([
  ["every port in one range", ["1:65535"], 4, [[1, true], [65_535, true]]],
  ["every port but one", ["1:8079", "8081:65535"], 8, [[8_079, true], [8_080, false], [8_081, true], [65_535, true]]],
  ["1,024 ranges", Array.from({ length: 1_024 }, (_, i) => `${64 * i + 1}:${64 * i + 32}`), 3_000, [[1, true], [32, true], [33, false], [65_473, true], [65_505, false]]],
])("65,535 ports: %s are ranges in the kernel, never a member for each port", async (_, ports, mostElements, answers) => {
  await put(...ground);
  const before = elements(kernel());
  await put(policy({ action: "Allow", protocol: "TCP", destination: { ports } }));
  const after = kernel();
  expect(elements(after) - before).toBeLessThanOrEqual(mostElements);
  expect(answers.map(([port]) => [port, allowed(after, "203.0.113.9", port)])).toEqual(answers);
});

test.each<[string, number, number, readonly [number, boolean][]]>([
  ["60 ports each: a member for each port of a map", 60, 8 * 64, [[1_000, true], [1_059, true], [1_060, false], [8_059, true], [8_060, false]]],
  ["900 ports each: no map", 900, 20, [[1_000, true], [1_899, true], [1_900, false], [8_899, true], [8_900, false]]],
])("eight policies with a range of %s, at most 64 members a policy", async (_, ports, mostElements, answers) => {
  await put(...ground);
  const before = elements(kernel());
  const named = (n: number): Manifest => ({ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { namespace: "a", name: `p${n}` }, spec: { types: ["Ingress"], ingress: [{ action: n % 2 === 0 ? "Allow" : "Log", protocol: "TCP", destination: { ports: [`${1_000 * n}:${1_000 * n + ports - 1}`] } }, { action: "Allow", protocol: "TCP", destination: { ports: [`${1_000 * n}:${1_000 * n + ports - 1}`] } }] } });
  await put(...Array.from({ length: 8 }, (_unused, n) => named(n + 1)));
  const after = kernel();
  expect(elements(after) - before).toBeLessThanOrEqual(mostElements);
  expect(answers.map(([port]) => [port, allowed(after, "203.0.113.9", port)])).toEqual(answers);
});

test("10,000 CIDRs in a network set: neighbours are one range, and the rules are as few as for one CIDR", async () => {
  const set = (nets: string[]): Manifest => ({ apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkSet", metadata: { name: "s", labels: { zone: "far" } }, spec: { nets } });
  const far = policy({ action: "Allow", source: { namespaceSelector: "global()", selector: "zone == 'far'" } });
  await put(...ground, far, set(["11.0.0.0/24"]));
  const small = rules(kernel());
  await put(set(Array.from({ length: 10_000 }, (_, i) => `11.${i >> 7}.${2 * (i & 127)}.0/24`)));
  const large = kernel();
  expect(rules(large)).toBe(small);
  expect(elements(large)).toBeLessThanOrEqual(20_100);
  expect([allowed(large, "11.78.30.255", 80), allowed(large, "11.78.31.0", 80), allowed(large, "11.78.32.0", 80)]).toEqual([true, false, false]);
  await put(set(Array.from({ length: 10_000 }, (_, i) => `11.${i >> 8}.${i & 255}.0/24`)));
  expect(elements(kernel())).toBeLessThanOrEqual(100);
});

test("1,024 rules in a policy, each in the kernel a bounded number of times; the last one still decides", async () => {
  await put(...ground);
  const before = rules(kernel());
  const many = (port: number): object[] => Array.from({ length: 1_024 }, (_, i) => ({ action: i % 2 === 0 ? "Allow" : "Deny", protocol: "TCP", source: { nets: [`11.${i >> 8}.${i & 255}.0/24`] }, destination: { ports: [i === 1_022 ? port : 1_000 + i] } }));
  await put(policy(...many(7)));
  const ruleset = kernel();
  expect(rules(ruleset) - before).toBeLessThanOrEqual(3 * 1_024);
  expect([allowed(ruleset, "11.3.254.1", 7), allowed(ruleset, "11.3.254.1", 8), allowed(ruleset, "11.3.253.1", 2_021), allowed(ruleset, "11.0.0.1", 1_000)]).toEqual([true, false, false, true]);
  expect(await put(policy(...many(7)))).toBe(0);
}, 30_000);
