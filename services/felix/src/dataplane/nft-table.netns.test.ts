import { openNftables, type Statement } from "@calico/kernel";
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
async function start(isOwned: boolean): Promise<NftTable> {
  const log = createLogger("felix", "Fatal", { write: () => {} });
  const table = netns.run(() => createNftTable({ log, isOwned, onForeignChange: () => void table.commit() }));
  open.push(table);
  table.setSet(addresses.name, desiredSet(addresses, Array.from({ length: 200 }, (_, n) => ({ key: [`10.0.0.${n}`] }))));
  for (let n = 0; n < 200; n += 1) table.setChain(`c-${n}`, chainContent([rule([{ kind: "address-set", side: "source", family: 4, set: addresses.name }, { kind: "counter" }, { kind: "verdict", verdict: "accept" }], `rule ${n}`)]));
  await table.commit();
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
    await start(false);
    const before = listing();
    const seen = watch();
    netns.exec("nft", ...what.split(" "));
    await eventually("the table to be as it was", () => seen.some(({ processId }) => processId === process.pid));
    const [theirs, ours] = [seen.find(({ processId }) => processId !== process.pid), seen.find(({ processId }) => processId === process.pid)];
    expect(listing()).toBe(before);
    expect((ours?.at ?? Infinity) - (theirs?.at ?? 0)).toBeLessThan(50);
  });

  it("owned: nobody else can change it, and a flush of everything passes it by", async () => {
    const table = await start(true);
    const before = listing();
    const { commits } = table.stats;
    netns.exec("nft", "flush", "ruleset");
    expect(() => netns.exec("nft", "flush", "chain", "inet", "calico", "c-7")).toThrow(/Operation not permitted/);
    expect([listing(), table.stats.commits]).toEqual([before, commits]);
  });

  it("without a transaction since its own a resync reads nothing; after somebody's it does", async () => {
    const table = await start(true);
    const seen = watch();
    table.setChain("c-0", null);
    await table.commit();
    await eventually("the event of the commit", () => seen.length === 1);
    const time = async (): Promise<number> => {
      const began = performance.now();
      table.suspect();
      await table.commit();
      return performance.now() - began;
    };
    const quiet = Math.min(await time(), await time(), await time(), await time(), await time());
    netns.exec("nft", "add", "table", "inet", "other");
    await eventually("the event of the other table", () => seen.length === 2);
    expect([quiet * 5 < (await time()), table.stats.commits]).toEqual([true, 3]);
  });

  it("a resync of what is right writes nothing, one of what is not writes the difference", async () => {
    const table = await start(false);
    const { commands, elements } = table.stats;
    table.suspect();
    await table.commit();
    expect(table.stats.commands).toBe(commands);
    netns.exec("nft", "delete element inet calico addresses { 10.0.0.3, 10.0.0.4 }; flush chain inet calico c-3");
    table.suspect();
    await table.commit();
    expect([table.stats.commands - commands, table.stats.elements - elements]).toEqual([3, 2]);
    expect(listing()).toContain("rule 3");
  });
});

describe("a table that was left behind", () => {
  const base = { type: "filter", hook: "forward", priority: 0, policy: "accept" } as const;
  const chain = (comment: string): ReturnType<typeof chainContent> => chainContent([rule([{ kind: "counter" }], comment)]);

  it.each([true, false])("takes another hook at the start (owned: %s)", async (isOwned) => {
    const first = await start(isOwned);
    first.setChain("hook", chainContent([rule([{ kind: "jump", chain: "c-1" }])], base));
    await first.commit();
    first[Symbol.dispose]();
    open.shift();
    const second = await start(isOwned);
    second.setChain("hook", chainContent([rule([{ kind: "jump", chain: "c-1" }])], base));
    second.setChain("another", chainContent([rule([{ kind: "jump", chain: "c-2" }])], { ...base, hook: "input" }));
    await second.commit();
    expect([listing().includes("chain another"), second.refused.size]).toEqual([true, 0]);
  });

  it("with a chain whose rules did not come any more: one that is refused drops, the others get theirs", async () => {
    const nft = netns.run(() => openNftables(netns.sys));
    nft.commit("calico", [{ do: "add-table", flags: 0 }, ...["left", "bad"].map((name) => ({ do: "add-chain", chain: name }) as const)]);
    nft.close();
    const log = createLogger("felix", "Fatal", { write: () => {} });
    const table = netns.run(() => createNftTable({ log, onForeignChange: () => {} }));
    open.push(table);
    table.setChain("left", chain("its rule"));
    table.setChain("bad", chainContent([rule([{ kind: "jump", chain: "not-there" }])]));
    await table.commit();
    expect([[...table.refused.keys()], /chain left \{[^}]*its rule/.test(listing()), /chain bad \{[^}]*drop/.test(listing())]).toEqual([["bad"], true, true]);
  });

  it("not owned, and flushed away in the middle of a commit: everything is there in the end, and nothing is refused", async () => {
    const log = createLogger("felix", "Fatal", { write: () => {} });
    const table = netns.run(() => createNftTable({ log, isOwned: false, onForeignChange: () => {} }));
    open.push(table);
    for (let n = 0; n < 6_000; n += 1) table.setChain(`c-${n}`, chain(`rule ${n}`));
    const flushing = new Promise<void>((resolve) => void setImmediate(() => {
      netns.exec("nft", "flush", "ruleset");
      resolve();
    }));
    await table.commit();
    await flushing;
    await table.commit();
    expect([table.refused.size, listing().match(/comment "rule/g)?.length]).toEqual([0, 6_000]);
  });
});

describe("what the kernel refuses", () => {
  const jump = (...names: string[]): ReturnType<typeof chainContent> => chainContent(names.map((chain) => rule([{ kind: "jump", chain }])));
  const accept = chainContent([rule([{ kind: "verdict", verdict: "accept" }])]);
  const chainsOf = (): string[] => [...listing().matchAll(/chain (\S+)/g)].map(([, name = ""]) => name).filter((name) => !name.startsWith("c-")).sort();

  it("holds up neither the rest nor later commits; what it still leads to goes when it goes", async () => {
    const table = await start(true);
    table.setChain("a", jump("b"));
    table.setChain("b", accept);
    await table.commit();
    table.setChain("a", jump("not-there", "nor-this"));
    table.setChain("b", null);
    table.setChain("other", accept);
    await table.commit();
    expect([chainsOf(), [...table.refused.keys()]]).toEqual([["a", "b", "other"], ["a"]]);
    const { commits } = table.stats;
    table.setChain("more", accept);
    await table.commit();
    expect([chainsOf(), table.stats.commits - commits]).toEqual([["a", "b", "more", "other"], 1]);
    table.setChain("a", accept);
    await table.commit();
    expect([chainsOf(), [...table.refused.keys()]]).toEqual([["a", "more", "other"], []]);
  });

  it("drops everything when somebody took away what it kept", async () => {
    const table = await start(false);
    table.setChain("a", jump("b"));
    table.setChain("b", accept);
    await table.commit();
    table.setChain("a", jump("not-there"));
    await table.commit();
    expect(listing()).toMatch(/chain a \{\s+jump b/);
    netns.exec("nft", "flush", "ruleset");
    table.suspect();
    await table.commit();
    expect([[...table.refused.keys()], /chain a \{\s+counter packets 0 bytes 0 drop/.test(netns.exec("nft", "list", "table", "inet", "calico"))]).toEqual([["a"], true]);
  });

  it("may be a rule that is too long for a message, or a value that is none", async () => {
    const table = await start(true);
    const sources = Array.from({ length: 400 }, (_, n): Statement => ({ kind: "address", side: "source", cidr: `10.${n >> 8}.${n & 255}.0/24`, not: true }));
    table.setChain("long", chainContent([rule([{ kind: "family", family: 4 }, ...sources, { kind: "verdict", verdict: "drop" }])]));
    table.setChain("odd", chainContent([rule([{ kind: "snat", family: 4, address: "foo" }])]));
    table.setChain("other", accept);
    await table.commit();
    expect([[...table.refused.keys()].sort(), chainsOf()]).toEqual([["long", "odd"], ["long", "odd", "other"]]);
  });
});

it("a map goes when the rules that look into it are no longer in force", async () => {
  const ports = { name: "ports", key: ["inet_proto", "inet_service"], map: true } as const;
  const table = await start(true);
  table.setChain("d", chainContent([rule([{ kind: "verdict", verdict: "drop" }])]));
  table.setSet(ports.name, desiredSet(ports, [{ key: ["6", "80"], verdict: { jump: "d" } }]));
  table.setChain("top", chainContent([rule([{ kind: "port-map", map: ports.name }])]));
  await table.commit();
  const { commits } = table.stats;
  table.setChain("top", chainContent([rule([{ kind: "jump", chain: "d" }])]));
  table.setSet(ports.name, null);
  const state = (): unknown[] => [table.stats.commits - commits, listing().includes("map ports"), /chain top \{\s+jump d/.test(listing())];
  // The turn that others get between the two transactions.
  const between = new Promise((resolve) => void setImmediate(() => resolve(state())));
  await table.commit();
  expect([await between, state()]).toEqual([[1, true, true], [2, false, true]]);
});

describe("much that comes at once", () => {
  const CHAINS = 6_000;
  const map = { name: "who", key: ["ifname"], map: true } as const;
  const open = (): NftTable => {
    const table = netns.run(() => createNftTable({ log: createLogger("felix", "Fatal", { write: () => {} }), onForeignChange: () => {} }));
    opened.push(table);
    return table;
  };
  const opened: Disposable[] = [];
  afterEach(() => {
    for (const each of opened.splice(0)) each[Symbol.dispose]();
  });

  /** Chains behind a map behind a hook, one of them with a rule that the kernel does not take. */
  function fill(table: NftTable, broken: number | null): void {
    table.setSet(addresses.name, desiredSet(addresses, Array.from({ length: 10_000 }, (_, n) => ({ key: [`10.0.${n >> 8}.${n & 255}`] }))));
    table.setSet(map.name, desiredSet(map, Array.from({ length: CHAINS }, (_, n) => ({ key: [`c${n}`], verdict: { goto: `c-${n}` } }))));
    table.setChain("hook", chainContent([rule([{ kind: "interface-map", direction: "in", map: map.name }])], { type: "filter", hook: "forward", priority: 0, policy: "accept" }));
    for (let n = 0; n < CHAINS; n += 1) {
      const set = n === broken ? "not-there" : addresses.name;
      table.setChain(`c-${n}`, chainContent([rule([{ kind: "address-set", side: "source", family: 4, set }, { kind: "verdict", verdict: "accept" }], `rule ${n}`)]));
    }
  }

  const counts = (): { rules: number; members: number; elements: number; hook: boolean } => {
    const nft = netns.run(() => openNftables(netns.sys));
    try {
      const dump = nft.dumpTable("calico");
      return { rules: [...(dump?.chains.values() ?? [])].flat().length, members: dump?.sets.get(addresses.name)?.elements.length ?? 0, elements: dump?.sets.get(map.name)?.elements.length ?? 0, hook: dump?.chains.has("hook") ?? false };
    } finally {
      nft.close();
    }
  };

  it("comes in many transactions, between which others get their turn; the hook comes in the last", async () => {
    const table = open();
    fill(table, null);
    const filling = table.commit();
    const before: { hook: boolean; rules: number }[] = [];
    let isDone = false;
    void filling.then(() => (isDone = true));
    while (!isDone) {
      if (before.length < 5) before.push(counts());
      await new Promise((resolve) => setImmediate(resolve));
    }
    await filling;
    expect([before.length, before.some(({ hook }) => hook)]).toEqual([5, false]);
    expect(counts()).toEqual({ rules: CHAINS + 1, members: 10_000, elements: CHAINS, hook: true });
    expect(table.stats.commits).toBeGreaterThan(5);
    const { commits } = table.stats;
    await table.commit();
    expect(table.stats.commits).toBe(commits);
  });

  it("a chain that the kernel refuses drops everything, though it came before its rules", async () => {
    const table = open();
    fill(table, CHAINS - 1);
    await table.commit();
    expect([...table.refused.keys()]).toEqual([`c-${CHAINS - 1}`]);
    expect(counts()).toEqual({ rules: CHAINS + 1, members: 10_000, elements: CHAINS, hook: true });
    expect(netns.exec("nft", "list", "chain", "inet", "calico", `c-${CHAINS - 1}`)).toMatch(/counter packets 0 bytes 0 drop comment "refused by the kernel"/);
  });
});
