import { expect, it } from "vitest";
import { chainContent, rule, type ChainContent } from "../rules/chain.ts";
import { PolicyLeaves } from "./policy-leaves.ts";

const content = (...comments: string[]): ChainContent => chainContent(comments.map((comment) => rule([], comment)));
function create(): { leaves: PolicyLeaves; chains: () => Record<string, string[]> } {
  const leaves = new PolicyLeaves();
  const chains = new Map<string, string[]>();
  const setChain = (name: string, held: ChainContent | null): void => void (held === null ? chains.delete(name) : chains.set(name, held.rules.map(({ comment = "" }) => comment)));
  return {
    leaves,
    chains() {
      leaves.place({ setChain });
      return Object.fromEntries(chains);
    },
  };
}
const block = { name: "pk-1", members: ["a", "b", "c"] };

it("a policy's rules are where lists lead to, and as often", () => {
  const { leaves, chains } = create();
  leaves.set("a", content("a1"));
  leaves.set("b", content("b1", "b2"));
  leaves.set("c", content("c1"));
  expect(chains()).toEqual({});
  leaves.acquire({ asks: ["a"], blocks: [block] });
  leaves.acquire({ asks: ["a"], blocks: [block] });
  expect(chains()).toEqual({ a: ["a1"], "pk-1": ["a1", "b1", "b2", "c1"] });
  expect([leaves.placesOf("a"), leaves.placesOf("c"), leaves.placesOf("x"), leaves.membersOf("pk-1"), leaves.membersOf("a")]).toEqual([
    ["a", "pk-1"], ["pk-1"], [], ["a", "b", "c"], ["a"],
  ]);
  leaves.release({ asks: ["a"], blocks: [block] });
  expect(Object.keys(chains())).toEqual(["a", "pk-1"]);
  leaves.release({ asks: ["a"], blocks: [] });
  expect(Object.keys(chains())).toEqual(["pk-1"]);
  leaves.release({ asks: [], blocks: [block] });
  expect([chains(), leaves.placesOf("b")]).toEqual([{}, []]);
});

it("a change of a policy is one of its chain and its blocks, whether it comes before or after what leads there", () => {
  const { leaves, chains } = create();
  leaves.acquire({ asks: ["b"], blocks: [block] });
  expect(chains()).toEqual({ b: [], "pk-1": [] });
  leaves.set("b", content("b1"));
  leaves.set("c", content("c1"));
  expect(chains()).toEqual({ b: ["b1"], "pk-1": ["b1", "c1"] });
  leaves.set("b", content("b2", "b3"));
  expect([chains(), leaves.placesOf("c")]).toEqual([{ b: ["b2", "b3"], "pk-1": ["b2", "b3", "c1"] }, ["pk-1"]]);
  leaves.set("b", null);
  expect(chains()).toEqual({ b: [], "pk-1": ["c1"] });
});
