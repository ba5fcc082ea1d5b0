import type { IpSetId, NodeRule, PolicyId } from "@calico/calc";
import type { Action, PortRange } from "@calico/model";
import type { Rule } from "@calico/kernel";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { policyChain } from "./names.ts";
import { portSections } from "./port-index.ts";
import { compileList, LIST_SIZES, listedPolicy, type Block, type ChainNode, type ListContext } from "./policy-list.ts";
import { sameShape, shapeOf } from "./policy-shape.ts";

const side = { nets: [], notNets: [], ports: [], notPorts: [], ipSets: [], notIpSets: [], portSets: [], notPortSets: [] };
const rule = (action: Action, protocol: number | null, ...ports: PortRange[]): NodeRule => ruleFrom(null, action, protocol, ...ports);
/** Of members of a set. */
const ruleFrom = (set: string | null, action: Action, protocol: number | null, ...ports: PortRange[]): NodeRule => ({ action, ipVersion: 0, protocol, notProtocol: null, icmp: null, notIcmp: null, source: { ...side, ipSets: set === null ? [] : [set as IpSetId] }, destination: { ...side, ports }, index: 0 });
const range = (first: number, last = first): PortRange => ({ first, last });

type Packet = { readonly protocol: number; readonly port: number; /** The sets that its sender is in. */ readonly from?: readonly string[] };
type Policies = Readonly<Record<string, readonly NodeRule[]>>;
const matches = ({ protocol, source: { ipSets }, destination: { ports } }: NodeRule, packet: Packet): boolean => ipSets.every((id) => packet.from?.includes(id) === true) && (protocol === null || protocol === packet.protocol) && (ports.length === 0 || ports.some(({ first, last }) => first <= packet.port && packet.port <= last));
const decisionOf = (rules: readonly NodeRule[], packet: Packet): Action | null => rules.find((each) => each.action !== "Log" && matches(each, packet))?.action ?? null;
const contextOf = (policies: Policies, sizes = LIST_SIZES): ListContext => ({ sizes, policy: (id) => listedPolicy(id, policyChain(id, "ingress"), shapeOf(policies[id] ?? [], "ingress")), known: () => undefined, peer: "source", fewestGuarded: 4,
  guard: (sets) => (sets.some((id) => id.startsWith("wide")) ? null : { sets, names: { 4: sets.join(" "), 6: "" } }),
});
const idsOf = (policies: Policies): PolicyId[] => Object.keys(policies) as PolicyId[];

/** Walks a compiled list as the kernel does. Returns the decision and the policies asked. */
function walk(policies: Policies, packet: Packet, sizes = LIST_SIZES): { decision: Action | null; asked: string[] } {
  const { rules, maps, children, ...leaves } = compileList("list", idsOf(policies), contextOf(policies, sizes));
  const asks = new Set(leaves.asks);
  const blocks = new Map<string, Block>(leaves.blocks.map((block) => [block.name, block]));
  const nodes = new Map<string, ChainNode>();
  const allMaps = new Map(maps.map((map) => [map.spec.name, map]));
  const collect = (node: ChainNode): void => {
    nodes.set(node.name, node);
    for (const map of node.maps) allMaps.set(map.spec.name, map);
    for (const chain of node.asks) asks.add(chain);
    for (const block of node.blocks) blocks.set(block.name, block);
    node.children.forEach(collect);
  };
  children.forEach(collect);
  const policyOf = new Map(idsOf(policies).map((id) => [policyChain(id, "ingress"), id]));
  const asked: string[] = [];
  let passed = false;
  /** What ended the walk; null: the chain returned. */
  function chain(list: readonly Rule[]): Action | null {
    for (const { statements } of list) {
      let ended: Action | null = null;
      for (const statement of statements) {
        if (statement.kind === "mark" && !passed) break;
        if (statement.kind === "family" && statement.family !== 4) break;
        if (statement.kind === "address-set" && !statement.set.split(" ").some((id) => packet.from?.includes(id) === true)) break;
        if (statement.kind === "verdict") return null;
        if (statement.kind === "jump") ended = jump(statement.chain);
        if (statement.kind === "port-map") {
          const found = allMaps.get(statement.map)?.elements.find((element) => "key" in element && element.key.join() === `${packet.protocol},${packet.port}`);
          if (found !== undefined && "key" in found && found.verdict !== undefined && "jump" in found.verdict) ended = jump(found.verdict.jump);
        }
      }
      if (ended !== null) return ended;
    }
    return null;
  }
  function jump(name: string): Action | null {
    const node = nodes.get(name);
    if (node !== undefined) return chain(node.content.rules);
    const members = blocks.get(name)?.members ?? (asks.has(name) ? [name] : []);
    if (members.length === 0) throw new Error(`${name} is not held`);
    for (const member of members) {
      const id = policyOf.get(member) ?? ("" as PolicyId);
      asked.push(id);
      const decision = decisionOf(policies[id] ?? [], packet);
      passed ||= decision === "Pass";
      if (decision !== null) return decision === "Pass" ? null : decision;
    }
    return null;
  }
  const decision = chain(rules);
  return { decision: passed && decision === null ? "Pass" : decision, asked };
}

const web = (n: number): Policies => Object.fromEntries(Array.from({ length: n }, (_, i) => [`p${i}`, [rule("Allow", 6, range(1_000 + i))]]));

describe("the map of ports in a list", () => {
  const denies = (ports: readonly (number | null)[]): Policies => Object.fromEntries([...ports.map((port, n): [string, NodeRule[]] => [`deny-${n}`, [port === null ? rule("Deny", 6) : rule("Deny", 6, range(port))]]), ["allow", [rule("Allow", null)]]]);
  const mapsOf = (policies: Policies): string[] => compileList("list", idsOf(policies), contextOf(policies)).maps.map(({ spec }) => spec.name);
  const before = mapsOf(denies([80, 81, 82, 83, 84]));

  it("is the same one when ports change", () => {
    expect(before).toHaveLength(1);
    expect(mapsOf(denies([80, 81, 82, 83, 90]))).toEqual(before);
  });

  it("is another one when a policy goes from it into the rules around it: who is on the way looks into the old one", () => {
    expect(mapsOf(denies([null, 81, 82, 83, 84]))).toHaveLength(1);
    expect(mapsOf(denies([null, 81, 82, 83, 84]))).not.toEqual(before);
  });
});

describe("a compiled list", () => {
  const action = fc.constantFrom<Action>("Allow", "Deny", "Pass", "Log");
  const ports = fc.array(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 4 })).map(([first, more]) => range(first, first + more)), { maxLength: 2 });
  const anyRule = fc.tuple(fc.constantFrom(null, "a", "a", "b", "c", "wide"), action, fc.constantFrom(6, 6, 6, 17, 1, null), ports).map(([set, what, protocol, where]) => ruleFrom(set, what, protocol, ...(protocol === 6 || protocol === 17 ? where : [])));
  const guardedRule = fc.tuple(fc.constantFrom("a", "b", "c"), action, fc.constantFrom(6, null)).map(([set, what, protocol]) => ruleFrom(set, what, protocol));
  const policies = fc.oneof(fc.array(fc.array(anyRule, { maxLength: 3 }), { maxLength: 30 }), fc.array(fc.array(guardedRule, { minLength: 1, maxLength: 3 }), { maxLength: 30 }), fc.array(fc.constantFrom(2, 3, 5).map((port) => [rule("Allow", 6, range(port))]), { maxLength: 30 }))
    .map((list): Policies => Object.fromEntries(list.map((rules, i) => [`p${i}`, rules])));

  it("decides as one policy after the other", () => {
    fc.assert(fc.property(policies, fc.constantFrom(1, 6, 17), fc.integer({ min: 0, max: 17 }), fc.subarray(["a", "b", "wide"]), (list, protocol, port, from) => {
      const packet = { protocol, port, from };
      const linear = idsOf(list).map((id) => decisionOf(list[id] ?? [], packet)).find((decision) => decision !== null) ?? null;
      expect(walk(list, packet).decision).toBe(linear);
      // What is asked twice counts and logs twice.
      const { decision, asked } = walk(list, packet, { piece: 8, group: 4, block: 2 });
      expect([decision, asked]).toEqual([linear, [...new Set(asked)]]);
    }), { numRuns: 3_000 });
  });

  it("asks a few of ten thousand policies with ports of their own", () => {
    const { decision, asked } = walk(web(10_000), { protocol: 6, port: 9_999 });
    expect([decision, asked.at(-1), asked.length < 32]).toEqual(["Allow", "p8999", true]);
  });

  it("asks in order those of one port, whatever they do", () => {
    const list: Policies = { ...web(10), deny: [rule("Deny", 6, range(1_004, 1_006))], last: [rule("Allow", 6, range(1_005, 1_050))] };
    expect([walk(list, { protocol: 6, port: 1_005 }), walk(list, { protocol: 6, port: 1_040 }), walk(list, { protocol: 17, port: 1_005 })]).toEqual([
      { decision: "Allow", asked: ["p5"] }, { decision: "Allow", asked: ["last"] }, { decision: null, asked: [] },
    ]);
  });

  it("asks policies of any port in their place, unless all do the same", () => {
    const any = (what: Action): Policies => ({ any: [rule(what, null)] });
    expect(walk({ ...any("Deny"), ...web(10) }, { protocol: 6, port: 1_003 })).toEqual({ decision: "Deny", asked: ["any"] });
    expect(walk({ ...any("Allow"), ...web(10) }, { protocol: 6, port: 1_003 })).toEqual({ decision: "Allow", asked: ["p3"] });
  });

  it("asks of ten thousand policies with selectors of their own those in a group with one that matches", () => {
    const list: Policies = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`p${i}`, [ruleFrom(`s${i}`, i % 2 === 0 ? "Allow" : "Deny", null)]]));
    const { decision, asked } = walk(list, { protocol: 6, port: 80, from: ["s9998"] });
    expect([decision, asked.at(-1), asked.length < 129]).toEqual(["Allow", "p9998", true]);
    // Of the last group of a piece there may be too few.
    expect(walk(list, { protocol: 6, port: 80, from: ["nobody"] })).toMatchObject({ decision: null, asked: { length: expect.toSatisfy((count: number) => count < 200) as number } });
  });

  it("has no map when ranges overlap too much", () => {
    const list: Policies = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, [rule(i % 2 === 0 ? "Allow" : "Deny", 6, range(1_000 + (i % 30), 1_060 - (i % 30)))]]));
    expect(compileList("list", idsOf(list), contextOf(list)).maps).toEqual([]);
    expect(walk(list, { protocol: 6, port: 1_030 })).toEqual({ decision: "Allow", asked: ["p0"] });
  });

  it("asks whoever speaks of more ports than a map should have whatever the port", () => {
    const list: Policies = { ...web(10), wide: [rule("Deny", 6, range(1_000, 1_064))], last: [rule("Allow", 6, range(1_020))] };
    expect([walk(list, { protocol: 6, port: 1_003 }), walk(list, { protocol: 6, port: 1_020 }), walk(list, { protocol: 6, port: 80 })]).toEqual([
      { decision: "Allow", asked: ["p3"] }, { decision: "Deny", asked: ["wide"] }, { decision: null, asked: ["wide", "last"] },
    ]);
  });

  it("of a long list has chains for blocks of policies, not for each", () => {
    const { children } = compileList("list", idsOf(web(10_000)), contextOf(web(10_000)));
    const [blocks, asks] = [children.flatMap((child) => child.blocks), children.flatMap((child) => child.asks)];
    expect([blocks.flatMap(({ members }) => members).length + asks.length, blocks.length + asks.length < 1_500, compileList("list", idsOf(web(100)), contextOf(web(100))).blocks]).toEqual([10_000, true, []]);
  });

  test("a policy more changes one piece of a long list", () => {
    const namesOf = (list: Policies): string[] => compileList("list", idsOf(list), contextOf(list)).children.map(({ name }) => name);
    const before = namesOf(web(10_000));
    const after = namesOf(Object.fromEntries([...Object.entries(web(10_000)).slice(0, 5_000), ["new", [rule("Allow", 6, range(80))]], ...Object.entries(web(10_000)).slice(5_000)]));
    expect(before.length).toBeGreaterThan(8);
    expect(after.filter((name) => !before.includes(name)).length).toBeLessThanOrEqual(2);
  });
});

test.each<[string, readonly NodeRule[], readonly NodeRule[], boolean]>([
  ["other addresses", [rule("Allow", 6, range(80))], [{ ...rule("Allow", 6, range(80)), ipVersion: 4 }], true],
  ["other ports", [rule("Allow", 6, range(80))], [rule("Allow", 6, range(81))], false],
  ["another protocol", [rule("Allow", 6, range(80))], [rule("Allow", 17, range(80))], false],
  ["another action", [rule("Allow", 6, range(80))], [rule("Deny", 6, range(80))], false],
  ["another set of senders", [ruleFrom("a", "Allow", 6, range(80))], [ruleFrom("b", "Allow", 6, range(80))], false],
  ["no rules", [rule("Allow", 6, range(80))], [], false],
  ["neighbouring ranges", [rule("Allow", 6, range(80), range(81))], [rule("Allow", 6, range(80, 81))], true],
])("%s: the same shape is %s", (_, a, b, same) => expect(sameShape(shapeOf(a, "ingress"), shapeOf(b, "ingress"))).toBe(same));

test("sections of ports", () => {
  expect(portSections([[range(1, 10)], [range(5)], [range(5, 20), range(30)], []], 100)).toEqual([
    { first: 1, last: 4, items: [0] }, { first: 5, last: 5, items: [0, 1, 2] }, { first: 6, last: 10, items: [0, 2] }, { first: 11, last: 20, items: [2] }, { first: 30, last: 30, items: [2] },
  ]);
  expect(portSections([[range(1, 10)], [range(5)]], 3)).toBeNull();
  expect(portSections([[range(0, 65_535)]], 1)).toEqual([{ first: 0, last: 65_535, items: [0] }]);
});
