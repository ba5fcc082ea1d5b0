import type { HookedChain } from "@calico/kernel";
import { expect, it } from "vitest";
import { createForeignChains } from "./foreign-chains.ts";

const chain = (over: Partial<HookedChain>): HookedChain => ({ family: "ip", table: "filter", chain: "FORWARD", hook: "forward", policy: "drop", ...over });

it("says what was seen last while the kernel cannot be asked, and asks again", () => {
  let listed: HookedChain[] | null = null;
  const told: string[] = [];
  const note = (message: string): void => void told.push(message);
  using chains = createForeignChains({ info: note, warn: note }, {
    listBaseChains() {
      if (listed === null) throw new Error("the objects changed during every attempt to read them");
      return listed;
    },
    subscribe: () => ({ [Symbol.dispose]() {} }),
    close() {},
  });
  for (let i = 0; i < 2; i += 1) expect(chains.dropping()).toEqual([]);
  listed = [chain({}), chain({ hook: "input" }), chain({ policy: "accept", chain: "other" }), chain({ family: "inet", table: "calico" })];
  expect(chains.dropping()).toEqual(["chain FORWARD of table ip filter drops at forward what it does not accept"]);
  expect(told).toEqual(["The chains of other tables could not be listed, trying again", "Traffic of pods may end in a table that is not ours"]);
});
