import { selector, type Cidr, type IpAddress, type Policy, type ProfileId, type Rule } from "@calico/model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createEvaluator, type Packet, type World } from "./evaluator.ts";
import type { NearestMiss } from "./nearest-miss.ts";
import { clusterChange, endpoint, hostEndpoint, policy, profile, rule, stage } from "./testing/objects.ts";

const at = (address: string, port: number): Packet["source"] => ({ address: address as IpAddress, port });
const tcp = (from: string, to: string, port: number): Packet => ({ protocol: 6, source: at(from, 40_000), destination: at(to, port) });
const x = endpoint("x");
const client = endpoint("client", { addresses: ["10.0.0.2" as IpAddress], labels: { app: "fronted" } });
const world = (policies: readonly Policy[]): World => ({ policies, tiers: [{ name: "default", order: 1, defaultAction: "Deny" }], profiles: [profile("kns.a", {})], endpoints: [x, client], networkSets: [], serviceSlices: [], nodes: [] });
const nearest = (inbound: readonly Rule[], packet: Packet): NearestMiss | null => createEvaluator(world([policy("p", 'app == "web"', inbound.map((each, index) => ({ ...each, index })))])).nearestMiss(x, "ingress", packet);

describe("the nearest miss", () => {
  it("is the Allow rule that the fewest things keep from matching, and says which", () => {
    const rules = [rule({ nets: ["192.0.2.0/24" as Cidr] }, { ports: [{ first: 443, last: 443 }] }), { ...rule({ selector: selector('app == "frontend"') }, { ports: [{ first: 80, last: 80 }] }) }, { ...rule({}), action: "Deny" as const }];
    expect(nearest(rules, tcp("10.0.0.2", "10.0.0.1", 80))).toEqual({ policy: "NetworkPolicy/a/p", rule: 1, misses: ['source a/client: label app is "fronted", not "frontend"'] });
    expect(nearest(rules, tcp("203.0.113.1", "10.0.0.1", 443))).toEqual({ policy: "NetworkPolicy/a/p", rule: 0, misses: ["source 203.0.113.1 is not in 192.0.2.0/24"] });
    expect(nearest([{ ...rule({}), action: "Deny" }], tcp("10.0.0.2", "10.0.0.1", 80))).toBeNull();
  });

  it.each<[Rule, string[]]>([
    [{ ...rule({}), protocol: 17 }, ["it is about UDP, not TCP"]],
    [{ ...rule({}), protocol: null, notProtocol: 6, ipVersion: 6 }, ["it is about IPv6", "it is about everything but TCP"]],
    [{ ...rule({}), protocol: null, icmp: { type: 8, code: null } }, ["it is about ICMP type 8"]],
    [rule({ notNets: ["10.0.0.0/8" as Cidr] }), ["source 10.0.0.2 is in 10.0.0.0/8, which is left out"]],
    [rule({ notSelector: selector('app == "fronted"') }), ['source a/client is left out by app == "fronted"']],
    [rule({}, { ports: [{ first: 1, last: 9 }], namedPorts: ["http"] }), ["destination port is 80, not 1-9 or http"]],
    [rule({}, { notPorts: [{ first: 80, last: 80 }] }), ["destination port 80 is left out"]],
    [rule({}, { service: { namespace: "a", name: "db" } }), ["destination 10.0.0.1 port 80/TCP is not behind Service a/db"]],
    [rule({}, { nodes: selector("has(rack)") }), ["destination 10.0.0.1 is no address of a Node that has(rack) selects"]],
  ])("%#", (each, misses) => {
    expect(nearest([each], tcp("10.0.0.2", "10.0.0.1", 80))?.misses).toEqual(misses);
  });

  it("of an address that nobody has", () => {
    expect(nearest([rule({ selector: selector("has(app)") })], tcp("203.0.113.1", "10.0.0.1", 80))?.misses).toEqual(["source 203.0.113.1 is nobody's that has(app) could select"]);
  });
});

it("a rule has no miss exactly when it matches", () => {
  const rules = clusterChange.filter((change) => change.kind === "Policy" && change.value !== null).map((change) => (change.value as Policy).inbound.slice(0, 1).map((each) => ({ ...each, action: "Allow" as const })));
  const packet = fc.tuple(fc.constantFrom("10.0.0.1", "10.0.0.2", "192.168.1.1"), fc.constantFrom(80, 85, 8080, 53)).map(([from, port]) => tcp(from, "10.0.0.1", port));
  fc.assert(fc.property(rules, packet, (inbound, each) => {
    if (inbound.length === 0) return;
    const evaluator = createEvaluator({ ...world([policy("p", "all()", inbound)]), serviceSlices: [{ id: "a/1", service: { namespace: "a", name: "v" }, addresses: ["10.0.0.1" as IpAddress], ports: [{ protocol: 6, port: 80 }] }], nodes: [{ labels: { app: "web" }, addresses: ["10.0.0.1" as IpAddress] }] });
    expect(evaluator.nearestMiss({ ...x, profiles: ["kns.a" as ProfileId] }, "ingress", each) === null).toBe(evaluator.verdict(x, "ingress", each).allowed);
  }), { numRuns: 1_000 });
});

it("is a rule in front of what decides: one behind a Deny or a Pass, in a later policy or a later tier would change nothing", () => {
  const udp = { ...rule({}), protocol: 17 };
  const inTier = (tier: string, name: string, order: number, rules: readonly Rule[]): Policy => ({ ...policy(name, "all()", rules.map((each, index) => ({ ...each, index }))), tier, order });
  const all = (action: Rule["action"]): Rule => ({ ...rule({}), action });
  const of = (policies: readonly Policy[], defaultAction: "Deny" | "Pass" = "Deny"): string | null => {
    const tiers = [{ name: "first", order: 1, defaultAction }, { name: "default", order: 2, defaultAction: "Deny" as const }];
    const miss = createEvaluator({ ...world(policies), tiers }).nearestMiss(x, "ingress", tcp("10.0.0.2", "10.0.0.1", 80));
    return miss === null ? null : `${miss.policy} ${miss.rule}`;
  };
  expect([
    of([inTier("default", "p", 1, [all("Deny"), udp])]),
    of([inTier("default", "p", 1, [all("Deny")]), inTier("default", "q", 2, [udp])]),
    of([inTier("first", "p", 1, [all("Deny")]), inTier("default", "q", 2, [udp])]),
    of([inTier("first", "p", 1, [{ ...udp, action: "Deny" }]), inTier("default", "q", 2, [udp])]),
    of([inTier("first", "p", 1, [{ ...udp, action: "Deny" }]), inTier("default", "q", 2, [udp])], "Pass"),
    of([inTier("first", "p", 1, [all("Pass"), udp]), inTier("default", "q", 2, [all("Deny")])]),
    of([inTier("first", "p", 1, [udp, all("Pass"), udp]), inTier("default", "q", 2, [all("Log"), all("Deny")])]),
  ]).toEqual([null, null, null, null, "NetworkPolicy/a/q 0", null, "NetworkPolicy/a/p 0"]);
});

describe("an Allow rule is named exactly when it would allow if it matched", () => {
  const written = fc.record({
    tier: fc.constantFrom("first", "default"), order: fc.constantFrom(1, 2, null), stage,
    rules: fc.array(fc.tuple(fc.constantFrom<Rule["action"]>("Allow", "Deny", "Pass", "Log"), fc.boolean()).map(([action, matches]): Rule => ({ ...rule({}), action, protocol: matches ? 6 : 17 })), { maxLength: 4 }),
  });
  const worlds = fc.tuple(fc.array(written, { maxLength: 5 }), fc.constantFrom<"Deny" | "Pass">("Deny", "Pass")).map(([list, defaultAction]): World => ({
    ...world(list.map(({ tier, order, rules, stage: its }, i) => ({ ...policy(`p${i}`, "all()", rules.map((each, index) => ({ ...each, index }))), tier, order, ...its }))),
    tiers: [{ name: "first", order: 1, defaultAction }, { name: "default", order: 2, defaultAction: "Deny" }],
  }));
  const host = hostEndpoint("h");
  const packet = tcp("10.0.0.2", "10.0.0.1", 80);
  it.each([["a pod"], ["a host"], ["what a host forwards"]])("of %s", (whose) => {
    fc.assert(fc.property(worlds, (all) => {
      const asked = (of: World): [boolean, NearestMiss | null] => {
        const evaluator = createEvaluator(of);
        if (whose === "a pod") return [evaluator.verdict(x, "ingress", packet).allowed, evaluator.nearestMiss(x, "ingress", packet)];
        const path = whose === "a host" ? "to host" : "forwarded in";
        return [evaluator.hostVerdict(host, path, packet).allowed, evaluator.hostNearestMiss(host, path, packet)];
      };
      const [allowed, miss] = asked(all);
      if (allowed) return;
      const cures = all.policies.flatMap(({ id, inbound }) => inbound.filter(({ action, protocol }) => action === "Allow" && protocol === 17).map(({ index }) => ({ id, index })))
        .filter(({ id, index }) => asked({ ...all, policies: all.policies.map((each) => (each.id === id ? { ...each, inbound: each.inbound.map((one) => (one.index === index ? { ...one, protocol: 6 } : one)) } : each)) })[0]);
      if (cures.length === 0) expect(miss).toBeNull();
      else expect(cures).toContainEqual({ id: miss?.policy, index: miss?.rule });
    }), { numRuns: 2_000 });
  });
});
