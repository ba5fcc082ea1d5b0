import { openNftables } from "@calico/kernel";
import { createTestNetns, eventually, type TestNetns } from "@calico/kernel/testing";
import { createLogger } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { chainContent, rule } from "../rules/chain.ts";
import { createNftTable, desiredSet, type NftTable } from "./nft-table.ts";

let netns: TestNetns;
let open: Disposable[];
beforeEach(() => {
  netns = createTestNetns();
  open = [];
});
afterEach(() => {
  for (const each of open) each[Symbol.dispose]();
  netns[Symbol.dispose]();
});

const addresses = { name: "addresses", key: ["ipv4_addr"] } as const;

/** A table of many chains and a set, that is committed again whenever somebody else changes something. */
function start(isOwned: boolean): NftTable {
  const log = createLogger("felix", "Fatal", { write: () => {} });
  const table = netns.run(() => createNftTable({ log, isOwned, onForeignChange: () => table.commit() }));
  open.push(table);
  table.setSet(addresses.name, desiredSet(addresses, Array.from({ length: 200 }, (_, n) => ({ key: [`10.0.0.${n}`] }))));
  for (let n = 0; n < 200; n += 1) table.setChain(`c-${n}`, chainContent([rule([{ kind: "address-set", side: "source", family: 4, set: addresses.name }, { kind: "counter" }, { kind: "verdict", verdict: "accept" }], `rule ${n}`)]));
  table.commit();
  return table;
}

/** The table as nft shows it, without its counters. */
const listing = (): string => netns.exec("nft", "-s", "list", "table", "inet", "calico");

/** Times of the transactions from now on: who made each, and when it was told. */
function watch(): { processId: number; at: number }[] {
  const seen: { processId: number; at: number }[] = [];
  const nft = netns.run(() => openNftables(netns.sys));
  const subscription = nft.subscribe({ onGeneration: ({ processId }) => void seen.push({ processId, at: performance.now() }), onOverflow: () => {} });
  open.push(subscription, nft);
  return seen;
}

describe("the table and others", () => {
  it.each([
    ["flush ruleset"], ["flush chain inet calico c-7"], ["delete element inet calico addresses { 10.0.0.3 }"], ["add element inet calico addresses { 192.0.2.1 }"], ["add rule inet calico c-9 drop"], ["add chain inet calico strange"],
  ])("not owned: `nft %s` is undone within 50 ms", async (what) => {
    start(false);
    const before = listing();
    const seen = watch();
    netns.exec("nft", ...what.split(" "));
    await eventually("the table to be as it was", () => seen.some(({ processId }) => processId === process.pid));
    const [theirs, ours] = [seen.find(({ processId }) => processId !== process.pid), seen.find(({ processId }) => processId === process.pid)];
    expect(listing()).toBe(before);
    expect((ours?.at ?? Infinity) - (theirs?.at ?? 0)).toBeLessThan(50);
  });

  it("owned: nobody else can change it, and a flush of everything passes it by", () => {
    const table = start(true);
    const before = listing();
    const { commits } = table.stats;
    netns.exec("nft", "flush", "ruleset");
    expect(() => netns.exec("nft", "flush", "chain", "inet", "calico", "c-7")).toThrow(/Operation not permitted/);
    expect([listing(), table.stats.commits]).toEqual([before, commits]);
  });

  it("without a transaction since its own a resync reads nothing; after somebody's it does", async () => {
    const table = start(true);
    const seen = watch();
    table.setChain("c-0", null);
    table.commit();
    await eventually("the event of the commit", () => seen.length === 1);
    const time = (): number => {
      const began = performance.now();
      table.suspect();
      table.commit();
      return performance.now() - began;
    };
    const quiet = Math.min(...Array.from({ length: 5 }, time));
    netns.exec("nft", "add", "table", "inet", "other");
    await eventually("the event of the other table", () => seen.length === 2);
    expect([quiet * 5 < time(), table.stats.commits]).toEqual([true, 2]);
  });

  it("a resync of what is right writes nothing, one of what is not writes the difference", () => {
    const table = start(false);
    const { commands, elements } = table.stats;
    table.suspect();
    table.commit();
    expect(table.stats.commands).toBe(commands);
    netns.exec("nft", "delete element inet calico addresses { 10.0.0.3, 10.0.0.4 }; flush chain inet calico c-3");
    table.suspect();
    table.commit();
    expect([table.stats.commands - commands, table.stats.elements - elements]).toEqual([3, 2]);
    expect(listing()).toContain("rule 3");
  });
});
