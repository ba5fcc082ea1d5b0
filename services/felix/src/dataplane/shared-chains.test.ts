import type { PolicyId } from "@calico/calc";
import { beforeEach, expect, it } from "vitest";
import { chainContent, rule } from "../rules/chain.ts";
import type { ChainNode } from "../rules/policy-list.ts";
import { SharedChains } from "./shared-chains.ts";

/** What the table was told to hold: chains by their rules' comments, and sets. */
let chains: Map<string, string>;
let sets: Set<string>;
let leaves: string[];
let guarded: string[];
const table = {
  setChain: (name: string, content: ChainNode["content"] | null): void => void (content === null ? chains.delete(name) : chains.set(name, content.rules.map(({ comment }) => comment).join())),
  changeSet: (): void => {},
  setSet: (name: string, set: unknown): void => void (set === null ? sets.delete(name) : sets.add(name)),
};
beforeEach(() => {
  chains = new Map();
  sets = new Set();
  guarded = [];
  leaves = [];
});
const create = (): SharedChains => new SharedChains({ acquire: ({ names }) => void guarded.push(names[4]), release: ({ names }) => void guarded.splice(guarded.indexOf(names[4]), 1) }, {
  acquire: ({ asks }) => void leaves.push(...asks), release: ({ asks }) => asks.forEach((chain) => leaves.splice(leaves.indexOf(chain), 1)),
});
const guard = (name: string): ChainNode["guards"][number] => ({ sets: [], names: { 4: name, 6: `${name}6` } });

const node = (name: string, text: string, over: Partial<ChainNode> = {}): ChainNode => {
  const own: ChainNode = { name, content: chainContent([rule([], text)]), maps: [], children: [], guards: [], asks: [], blocks: [], policies: ["p" as PolicyId], followsPorts: true, again: () => own, ...over };
  return own;
};
const map = (name: string): ChainNode["maps"][number] => ({ spec: { name, key: ["inet_proto", "inet_service"], map: true }, elements: [] });

it("holds a chain and what it leads to as long as somebody uses it", () => {
  const shared = create();
  const leaf = node("leaf", "1", { maps: [map("m")], guards: [guard("g")], asks: ["pi-1", "pi-2"] });
  for (const name of ["a", "b"]) shared.acquire(node(name, "1", { children: [leaf] }), table);
  shared.acquire(shared.get("a") ?? leaf, table);
  expect([[...chains.keys()], [...sets]]).toEqual([["leaf", "a", "b"], ["m"]]);
  expect([guarded, leaves]).toEqual([["g"], ["pi-1", "pi-2"]]);
  for (const name of ["a", "b"]) shared.release(name, table);
  expect([...chains.keys()]).toEqual(["leaf", "a"]);
  expect([shared.leadsTo("a", new Set(["leaf"])), shared.leadsTo("a", new Set(["b"]))]).toEqual([true, false]);
  shared.release("a", table);
  expect([chains.size, sets.size, guarded, leaves, shared.get("leaf")]).toEqual([0, 0, [], [], undefined]);
});

it("another content takes the place of one, with other chains and maps behind it", () => {
  const shared = create();
  shared.acquire(node("a", "1", { children: [node("old", "1"), node("kept", "1")], maps: [map("m1"), map("m2")], guards: [guard("g1"), guard("g2")], asks: ["pi-1", "pi-2"] }), table);
  shared.acquire(node("a", "2", { children: [node("kept", "2"), node("new", "1")], maps: [map("m2"), map("m3")], guards: [guard("g2")], asks: ["pi-2", "pi-3"] }), table);
  expect([guarded, leaves]).toEqual([["g2"], ["pi-2", "pi-3"]]);
  expect([Object.fromEntries(chains), [...sets].sort()]).toEqual([{ a: "2", kept: "2", new: "1" }, ["m2", "m3"]]);
  for (let uses = 2; uses > 0; uses -= 1) shared.release("a", table);
  expect([chains.size, sets.size, guarded]).toEqual([0, 0, []]);
});

it("compiles a chain once, however many of its policies changed", () => {
  const shared = create();
  const policies = Array.from({ length: 40 }, (_, n) => `p${n}` as PolicyId);
  let compiled = 0;
  const again = (): ChainNode => {
    compiled += 1;
    return node("long", String(compiled), { policies, again });
  };
  shared.acquire(again(), table);
  shared.recompile(new Map(policies.slice(0, 30).map((id) => [id, "ports"])), table);
  shared.recompile(new Map(policies.slice(38).map((id) => [id, "ports"])), table);
  shared.recompile(new Map([["other" as PolicyId, "more"]]), table);
  expect([compiled, Object.fromEntries(chains)]).toEqual([3, { long: "3" }]);
});

it("compiles anew what depends on a policy, and nothing that is stale", () => {
  const shared = create();
  shared.acquire(node("ports", "1", { again: () => node("ports", "2") }), table);
  shared.acquire(node("passes", "1", { followsPorts: false, again: () => node("passes", "2", { followsPorts: false, again: () => node("passes", "3") }) }), table);
  shared.acquire(node("other", "1", { policies: [], again: () => node("other", "2") }), table);
  shared.recompile(new Map([["p" as PolicyId, "ports"]]), table);
  expect(Object.fromEntries(chains)).toEqual({ ports: "2", passes: "1", other: "1" });
  shared.recompile(new Map([["p" as PolicyId, "more"]]), table);
  expect(Object.fromEntries(chains)).toEqual({ ports: "2", passes: "2", other: "1" });
  shared.invalidate();
  shared.recompile(new Map([["p" as PolicyId, "more"]]), table);
  expect([shared.get("passes"), Object.fromEntries(chains)]).toEqual([undefined, { ports: "2", passes: "2", other: "1" }]);
  shared.acquire(node("passes", "new"), table);
  expect([shared.get("passes")?.content.rules[0]?.comment, shared.get("ports")]).toEqual(["new", undefined]);
});
