import type { EndpointTier, ResolvedHostEndpoint } from "@calico/calc";
import type { EndpointId, PolicyId, ProfileId } from "@calico/model";
import type { Statement } from "@calico/kernel";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChainContent } from "./chain.ts";
import { ACCEPT_MARK, CHAIN, MAP, PASS_MARK } from "./constants.ts";
import { hostChain, renderHostEndpoints, type HostBinding, type Place } from "./host-chains.ts";
import { hostRules } from "./host-hooks.ts";
import { policyChain, profileChain, STAGES } from "./names.ts";
import { LIST_SIZES, listedPolicy, type ChainNode } from "./policy-list.ts";
import type { PolicyShape } from "./policy-shape.ts";
import { renderRules } from "./policy-rules.ts";
import type { RenderSettings } from "./settings.ts";
import { staticChains } from "./static-chains.ts";

const settings: RenderSettings = {
  interfacePrefix: "cali", defaultEndpointToHostAction: "Return", iptablesFilterDenyAction: "Drop", natPortRange: "", natOutgoingAddress: "", disableConntrackInvalidCheck: false, vxlanPort: 4789,
  allowVXLANPacketsFromWorkloads: false, allowIPIPPacketsFromWorkloads: false, ipv6Support: true, logPrefix: "calico-packet", logActionRateLimit: "", logActionRateLimitBurst: 5,
  failsafeInboundHostPorts: [{ protocol: 6, port: 22, net: null }], failsafeOutboundHostPorts: [], workloadSourceSpoofing: "Disabled",
};
const tier = (ingress: readonly string[], egress: readonly string[] = [], defaultAction: "Deny" | "Pass" = "Deny"): EndpointTier => ({ name: "default", defaultAction, ingress: ingress as PolicyId[], egress: egress as PolicyId[] });
const binding = (interfaceName: string, over: Partial<ResolvedHostEndpoint> = {}): HostBinding => ({
  interfaceName, endpoint: { id: `hep/${interfaceName}` as EndpointId, name: `of ${interfaceName}`, interfaceName, expectedIps: [], tiers: [], untracked: [], preDnat: [], forward: [], profiles: [], ...over },
});
const shape: PolicyShape = { isEmpty: false, hasPass: true, action: null, ports: null, peers: null };
const render = (bindings: readonly HostBinding[], over: Partial<RenderSettings> = {}) => {
  const table = renderHostEndpoints(bindings, { ...settings, ...over }, (direction, stage) => ({ policy: (id) => listedPolicy(id, policyChain(id, direction, stage), shape), known: () => undefined, peer: direction === "ingress" ? "source" : "destination", guard: () => null, fewestGuarded: 64, sizes: LIST_SIZES }));
  const chains = new Map(table.chains);
  const add = ({ name, content, children }: ChainNode): void => {
    chains.set(name, content);
    children.forEach(add);
  };
  table.lists.forEach(add);
  return { ...table, chains };
};
const targets = ({ rules }: ChainContent): string[] => rules.flatMap(({ statements }) => statements.flatMap((statement) => (statement.kind === "jump" || statement.kind === "goto" ? [statement.chain] : [])));
const ends = ({ rules }: ChainContent): (Statement | undefined)[] => rules.map(({ statements }) => statements.at(-1));

describe("places", () => {
  it("none while there are no host endpoints: the chains are those of a node without", () => {
    const table = render([]);
    expect([table.hooks.size, table.chains.size, table.sets]).toEqual([0, 0, []]);
    expect(Object.values(hostRules(table.hooks, settings, true)).flat()).toEqual([]);
  });

  it("closed ones for any host endpoint, the others for those with policy there", () => {
    const used = (over: Partial<ResolvedHostEndpoint>): Place[] => [...render([binding("eth0", over)]).hooks.keys()];
    const closed: Place[] = ["host-from", "host-to", "translated-to"];
    expect(used({})).toEqual(closed);
    expect(used({ tiers: [tier(["p"], ["p"])] })).toEqual(closed);
    expect(used({ untracked: [tier(["p"])] })).toEqual(["untracked-from", ...closed]);
    expect(used({ untracked: [tier([], ["p"])] })).toEqual(["untracked-to", ...closed]);
    expect(used({ preDnat: [tier(["p"])] })).toEqual(["pre-dnat-from", ...closed]);
    expect(used({ forward: [tier(["p"])] })).toEqual([...closed, "forward-from"]);
    expect(used({ forward: [tier([], ["p"])] })).toEqual([...closed, "forward-to"]);
  });

  it("an interface with a host endpoint of its own is not the wildcard's, wherever that has policy", () => {
    const { sets, hooks } = render([binding("*", { untracked: [tier(["p"], ["p"])], preDnat: [tier(["p"])], forward: [tier(["p"], ["p"])] }), binding("eth0")]);
    const own = sets.filter(({ spec }) => spec.map === true).map(({ spec, elements }) => [spec.name, elements]);
    const to = (verdict: object): object[] => [{ key: ["eth0"], verdict }];
    expect(Object.fromEntries(own)).toEqual({
      "untracked-from": to({ verdict: "accept" }), "untracked-to": to({ verdict: "accept" }), "pre-dnat-from": to({ verdict: "accept" }), "forward-from": to({ verdict: "accept" }), "forward-to": to({ verdict: "accept" }),
      "host-from": to({ goto: "host-from-eth0" }), "host-to": to({ goto: "host-to-eth0" }), "translated-to": to({ goto: "translated-to-eth0" }),
    });
    expect([...hooks.values()]).toEqual(Array.from({ length: 8 }, () => ({ named: true, wildcard: true })));
  });

  it("Reject has rules of its own where the kernel cannot answer", () => {
    const stages = (iptablesFilterDenyAction: "Drop" | "Reject"): string[] => [...(render([binding("eth0", { tiers: [tier(["p"], ["p"])] })], { iptablesFilterDenyAction }).uses.get("p" as PolicyId) ?? [])];
    expect(stages("Drop")).toEqual(["host ingress", "host egress"]);
    expect(stages("Reject")).toEqual(["host ingress", "host egress", "translated egress"]);
  });
});

describe("policy by stage", () => {
  const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };
  const lastOf = (action: "Allow" | "Deny" | "Pass", stage: (typeof STAGES)[number], direction: "ingress" | "egress"): Statement[] => {
    const rules = [{ action, ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null, source: side, destination: side, index: 0 }] as const;
    const owner = { tier: "default", kind: "GlobalNetworkPolicy", namespace: "", name: "p" } as const;
    return [...renderRules(rules, { direction, stage, inProfile: false, owner, settings: { ...settings, iptablesFilterDenyAction: "Reject" }, setName: () => "" }).rules].flatMap(({ statements }) => statements).filter(({ kind }) => kind !== "counter" && kind !== "protocol");
  };
  const accept = { kind: "verdict", verdict: "accept" };
  const mark = { kind: "set-mark", mask: ACCEPT_MARK, value: ACCEPT_MARK };
  const answers = [{ kind: "reject", how: "tcp-reset" }, { kind: "reject", how: "admin-prohibited" }];
  const silent = [{ kind: "verdict", verdict: "drop" }];

  it.each([
    ["workload", "ingress", [accept], answers], ["workload", "egress", [accept], answers], ["host", "ingress", [accept], answers], ["host", "egress", [accept], answers], ["translated", "egress", [accept], silent],
    ["forward", "ingress", [accept], answers], ["forward", "egress", [accept], answers], ["pre-dnat", "ingress", [mark, accept], silent], ["untracked", "ingress", [{ kind: "no-track" }, mark, accept], silent],
    ["untracked", "egress", [{ kind: "no-track" }, mark, accept], silent],
  ] as const)("%s %s: Allow and Deny", (stage, direction, allow, deny) => {
    expect([lastOf("Allow", stage, direction), lastOf("Deny", stage, direction)]).toEqual([allow, deny]);
    expect(lastOf("Pass", stage, direction)).toEqual([{ kind: "set-mark", mask: PASS_MARK, value: PASS_MARK }, { kind: "verdict", verdict: "return" }]);
  });

  it("what nobody decides is denied of the host, goes on when forwarded, and before that is for the next place; a tier's end denies only where packets are tracked and translated", () => {
    const both = [tier(["p"], ["p"])];
    const { chains } = render([binding("eth0", { tiers: both, forward: both, preDnat: [tier(["p"])], untracked: both })]);
    const ending = (prefix: string): unknown[] => [...chains].filter(([name]) => name.startsWith(prefix)).map(([, content]) => ends(content).at(-1));
    const drop = { kind: "verdict", verdict: "drop" };
    expect(Object.fromEntries(["li-host-", "le-host-", "li-forward-", "le-forward-", "ti-host-", "to-host-", "ti-forward-", "to-forward-"].map((prefix) => [prefix, ending(prefix)]))).toEqual({
      "li-host-": [drop], "le-host-": [drop], "li-forward-": [accept], "le-forward-": [accept], "ti-host-": [drop], "to-host-": [drop], "ti-forward-": [drop], "to-forward-": [drop],
    });
    for (const prefix of ["li-pre-dnat-", "li-untracked-", "le-untracked-", "ti-pre-dnat-", "ti-untracked-", "to-untracked-"]) expect([prefix, ending(prefix)]).not.toEqual([prefix, [drop]]);
  });
});

const someTiers = fc.array(fc.record({ ingress: fc.subarray(["p", "q"]), egress: fc.subarray(["p", "r"]), action: fc.constantFrom("Deny" as const, "Pass" as const) }).map(({ ingress, egress, action }) => tier(ingress, egress, action)), { maxLength: 2 });
const someBindings = fc.uniqueArray(fc.record({ interfaceName: fc.constantFrom("*", "eth0", "eth1", "lo"), tiers: someTiers, untracked: someTiers, preDnat: someTiers, forward: someTiers, profiles: fc.subarray(["a", "b"]) }), { selector: ({ interfaceName }) => interfaceName, maxLength: 4 })
  .map((all) => all.map(({ interfaceName, profiles, ...over }) => binding(interfaceName, { ...over, profiles: profiles as ProfileId[] })));

it("everything that a chain or a map leads to is there, and nothing that nobody leads to", () => {
  fc.assert(fc.property(someBindings, fc.boolean(), fc.constantFrom("Drop" as const, "Reject" as const), (bindings, overlay, iptablesFilterDenyAction) => {
    const { chains, sets, hooks, uses } = render(bindings, { iptablesFilterDenyAction });
    const policies = [...uses].flatMap(([id, each]) => [...each].map((use) => {
      const [stage, direction] = use.split(" ") as [(typeof STAGES)[number], "ingress" | "egress"];
      return (id === "a" || id === "b" ? profileChain : policyChain)(id, direction, stage);
    }));
    const fixed = staticChains(settings, overlay, hooks);
    const all = new Map([...fixed, ...chains]);
    const known = new Set([...all.keys(), ...policies]);
    const reached = new Set([...all.values()].flatMap(targets));
    for (const { elements } of sets) for (const element of elements) if ("key" in element && element.verdict !== undefined && "goto" in element.verdict) reached.add(element.verdict.goto);
    for (const name of reached) expect([name, known.has(name)]).toEqual([name, true]);
    for (const name of [...chains.keys(), ...policies]) expect([name, reached.has(name) || name === CHAIN.hostDiscovery || name.startsWith("failsafe-")]).toEqual([name, true]);
    const named = [...all.values()].flatMap(({ rules }) => rules.flatMap(({ statements }) => statements.flatMap((statement) => (statement.kind === "interface-map" ? [statement.map] : []))));
    expect(new Set(named)).toEqual(new Set([MAP.from, MAP.to, ...sets.filter(({ spec }) => spec.map === true).map(({ spec }) => spec.name)]));
    // The wildcard never stands for what a host says to itself.
    for (const content of fixed.values()) for (const { statements } of content.rules) {
      const last = statements.at(-1);
      if (last?.kind === "goto" && last.chain.endsWith("/any") && last.chain !== hostChain("host-from", "*")) expect(statements[0]).toMatchObject({ kind: "interface", name: "lo", not: true });
    }
  }));
});
