import type { WorkloadEndpoint } from "@calico/model";
import { felix } from "@calico/proto/status";
import { expect, it, test } from "vitest";
import type { ProbeAnswer, Side } from "./policy-eval.ts";
import { countIn, renderCount, wantedCounters, type Wanted } from "./rule-counters.ts";

const pod = (name: string, node: string, address: string): [string, WorkloadEndpoint] => [`shop/${name}`, { id: `wep/shop/${name}/u`, node, addresses: [address] } as unknown as WorkloadEndpoint];
const manifests = { pods: new Map([pod("web", "n1", "10.65.0.1"), pod("db", "n2", "10.65.0.2")]) };
const side = (over: Partial<Side>): Side => ({ allow: true, tier: "default", policy: null, rule: null, because: "", nearest: null, ...over });
const answer = (egress: Side | null, ingress: Side | null, to = "shop/db"): ProbeAnswer => ({ from: "shop/web", to, port: 80, protocol: "TCP", allow: true, egress, ingress, forwarded: [] });

test.each<[string, ProbeAnswer, Wanted[]]>([
  ["a rule of a policy, and a rule of a profile", answer(side({ tier: null, policy: "Profile/kns.shop", rule: 0 }), side({ policy: "NetworkPolicy/shop/in", rule: 2 })), [
    { direction: "egress", node: "n1", owner: "kns.shop", rule: 0, tier: "" }, { direction: "ingress", node: "n2", owner: "NetworkPolicy/shop/in", rule: 2, tier: "default" },
  ]],
  ["a policy of no namespace", answer(null, side({ policy: "GlobalNetworkPolicy/deny", rule: 0, tier: "admin" })), [{ direction: "ingress", node: "n2", owner: "GlobalNetworkPolicy//deny", rule: 0, tier: "admin" }]],
  ["the end of a tier, and of everything", answer(side({ allow: false }), side({ allow: false, tier: null })), [
    { direction: "egress", node: "n1", owner: "wep/shop/web/u", rule: null, tier: "default" }, { direction: "ingress", node: "n2", owner: "wep/shop/db/u", rule: null, tier: "" },
  ]],
  ["a pod by its address", answer(null, side({ allow: false }), "10.65.0.2"), [{ direction: "ingress", node: "n2", owner: "wep/shop/db/u", rule: null, tier: "default" }]],
  ["a rule of a host endpoint's policy", { ...answer(null, side({ policy: "GlobalNetworkPolicy/hosts", rule: 1, hostEndpoint: "n1-eth0" })), to: "node:n1" }, [{ direction: "ingress", node: "n1", owner: "GlobalNetworkPolicy//hosts", rule: 1, tier: "default" }]],
  ["what no policy is asked about, and a node to its own pod", answer(null, side({ tier: null })), []],
])("counts %s", (_, given, wanted) => expect(wantedCounters(manifests, given)).toEqual(wanted));

const wanted: Wanted = { direction: "ingress", node: "n2", owner: "NetworkPolicy/shop/in", rule: 2, tier: "default" };
const reply = (...ruleCounters: felix.RuleCounter[]) => ({ value: felix.StatusResponse.encode(felix.StatusResponse.fromPartial({ ruleCounters })).finish() });
const counter = (over: Partial<felix.RuleCounter> = {}): felix.RuleCounter => ({ owner: wanted.owner, egress: false, rule: 2, tier: "", packets: 7n, ...over });

it("finds the count in what the node answers", () => {
  expect(renderCount(countIn(reply(counter({ egress: true, packets: 1n }), counter({ rule: 0, packets: 2n }), counter()), wanted))).toBe("    counter on n2: 7 packets");
  expect(countIn(reply(counter({ owner: "wep/x", tier: "a", packets: 5n }), counter({ owner: "wep/x", tier: "", packets: 6n })), { ...wanted, owner: "wep/x", rule: null, tier: "" })).toEqual({ node: "n2", packets: "6", trouble: null });
});

test.each([
  [{ silence: "no answer within 5 s" }, "felix: no answer within 5 s"],
  [reply(), "the node does not have this rule in its kernel"],
  [{ value: Uint8Array.of(255, 255) }, "felix: an answer that cannot be read: "],
])("says why there is none", (given, trouble) => expect(renderCount(countIn(given, wanted))).toContain(`    counter on n2: ${trouble}`));
