import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createTestNetns, eventually, type TestNetns } from "../testing/index.ts";
import { openNftables, TABLE_OWNER, TABLE_PERSIST, TransactionError, elementText, type Command, type Nftables, type SetElement, type SetSpec, type Statement } from "./index.ts";

const T = "test";
let netns: TestNetns;
let nft: Nftables;
beforeEach(() => {
  netns = createTestNetns();
  nft = netns.run(() => openNftables(netns.sys));
});
afterEach(() => {
  nft.close();
  netns[Symbol.dispose]();
});

const listing = (): string => netns.exec("nft", "list", "table", "inet", T);
const withRule = (...statements: Statement[]): Command[] => [{ do: "add-table", flags: 0 }, { do: "add-chain", chain: "c" }, { do: "add-rule", chain: "c", rule: { statements } }];
const ADDRESSES: SetSpec = { name: "addresses", key: ["ipv4_addr"] };
const RANGES: SetSpec = { name: "ranges", key: ["ipv4_addr"], interval: true };

describe("statements, as nft prints them", () => {
  test.each<[Statement[], string]>([
    [[{ kind: "interface", direction: "in", name: "eth0" }], 'iifname "eth0"'],
    [[{ kind: "interface", direction: "out", name: "cali", prefix: true, not: true }], 'oifname != "cali*"'],
    [[{ kind: "family", family: 6 }], "meta nfproto ipv6"],
    [[{ kind: "protocol", protocol: 6 }], "meta l4proto tcp"],
    [[{ kind: "protocol", protocol: 17, not: true }], "meta l4proto != udp"],
    [[{ kind: "family", family: 4 }, { kind: "address", side: "source", cidr: "10.0.0.0/8" }], "ip saddr 10.0.0.0/8"],
    [[{ kind: "family", family: 4 }, { kind: "address", side: "destination", cidr: "10.0.0.1/32", not: true }], "ip daddr != 10.0.0.1"],
    [[{ kind: "family", family: 6 }, { kind: "address", side: "source", cidr: "fd00::/9" }], "ip6 saddr fd00::/9"],
    [[{ kind: "protocol", protocol: 6 }, { kind: "port", side: "destination", first: 80, last: 80 }], "tcp dport 80"],
    [[{ kind: "protocol", protocol: 6 }, { kind: "port", side: "source", first: 80, last: 90, not: true }], "tcp sport != 80-90"],
    [[{ kind: "family", family: 4 }, { kind: "icmp", family: 4, type: 8, code: null }], "icmp type echo-request"],
    [[{ kind: "ct-state", states: ["established", "related"] }], "ct state established,related"],
    [[{ kind: "ct-dnat" }], "ct status dnat"],
    [[{ kind: "ct-dnat", not: true }], "ct status ! dnat"],
    [[{ kind: "mark", mask: 0x10, value: 0x10 }], "meta mark & 0x00000010 == 0x00000010"],
    [[{ kind: "local-destination" }], "fib daddr type local"],
    [[{ kind: "local-source" }], "fib saddr type local"],
    [[{ kind: "local-source", outgoing: true, not: true }], "fib saddr . oif type != local"],
    [[{ kind: "set-mark", mask: 0x10, value: 0x10 }], "meta mark set meta mark | 0x00000010"],
    [[{ kind: "set-mark", mask: 0x10, value: 0 }], "meta mark set meta mark & 0xffffffef"],
    [[{ kind: "counter" }, { kind: "verdict", verdict: "drop" }], "counter packets 0 bytes 0 drop"],
    [[{ kind: "log", prefix: "calico" }], 'log prefix "calico" level info'],
    [[{ kind: "limit", rate: 10, unitSeconds: 60, burst: 7 }], "limit rate 10/minute burst 7 packets"],
    [[{ kind: "reject", how: "admin-prohibited" }], "reject with icmpx admin-prohibited"],
    [[{ kind: "protocol", protocol: 6 }, { kind: "reject", how: "tcp-reset" }], "reject with tcp reset"],
    [[{ kind: "verdict", verdict: "return" }], "return"],
    [[{ kind: "goto", chain: "other" }], "goto other"],
  ])("%j", (statements, text) => {
    nft.commit(T, [{ do: "add-table", flags: 0 }, { do: "add-chain", chain: "other" }, ...withRule(...statements).slice(1)]);
    expect(listing()).toContain(text);
  });

  test("the one of chains before connection tracking", () => {
    nft.commit(T, [
      { do: "add-table", flags: 0 }, { do: "add-chain", chain: "p", base: { type: "filter", hook: "prerouting", priority: -300, policy: "accept" } },
      { do: "add-rule", chain: "p", rule: { statements: [{ kind: "protocol", protocol: 17 }, { kind: "no-track" }] } },
    ]);
    expect(listing()).toMatch(/priority raw; policy accept;\s+meta l4proto udp notrack/);
  });

  test("the ones of nat chains", () => {
    const postrouting = { type: "nat", hook: "postrouting", priority: 100, policy: "accept" } as const;
    nft.commit(T, [
      { do: "add-table", flags: 0 }, { do: "add-chain", chain: "p", base: postrouting },
      { do: "add-rule", chain: "p", rule: { statements: [{ kind: "masquerade", fullyRandom: true }] } },
      { do: "add-rule", chain: "p", rule: { statements: [{ kind: "protocol", protocol: 6 }, { kind: "masquerade", fullyRandom: false, ports: { first: 1000, last: 2000 } }] } },
      { do: "add-rule", chain: "p", rule: { statements: [{ kind: "family", family: 4 }, { kind: "snat", family: 4, address: "10.0.0.9" }] } },
    ]);
    expect(listing()).toMatch(/masquerade fully-random[\s\S]*masquerade to :1000-2000[\s\S]*snat ip to 10\.0\.0\.9/);
    expect(listing()).toContain("type nat hook postrouting priority srcnat; policy accept;");
  });
});

describe("sets and maps", () => {
  test("members, intervals to the end of the addresses, triples and dispatch", () => {
    const dispatch: SetSpec = { name: "dispatch", key: ["ifname"], map: true };
    const triples: SetSpec = { name: "triples", key: ["ipv6_addr", "inet_proto", "inet_service"] };
    nft.commit(T, [
      { do: "add-table", flags: 0 }, { do: "add-chain", chain: "x" }, { do: "add-set", set: ADDRESSES }, { do: "add-set", set: RANGES }, { do: "add-set", set: dispatch }, { do: "add-set", set: triples },
      { do: "add-elements", set: ADDRESSES, elements: [{ key: ["10.0.0.1"] }, { key: ["10.0.0.2"] }] },
      { do: "add-elements", set: RANGES, elements: [{ start: "10.0.0.0", end: "10.0.1.0" }, { start: "255.0.0.0", end: null }] },
      { do: "add-elements", set: dispatch, elements: [{ key: ["cali1"], verdict: { goto: "x" } }] },
      { do: "add-elements", set: triples, elements: [{ key: ["fd00::1", "6", "8080"] }] },
    ]);
    const text = listing();
    expect(text).toMatch(/elements = \{ 10\.0\.0\.1, 10\.0\.0\.2 \}/);
    expect(text).toMatch(/elements = \{ 10\.0\.0\.0\/24, 255\.0\.0\.0\/8 \}/);
    expect(text).toContain('elements = { "cali1" : goto x }');
    expect(text).toContain("elements = { fd00::1 . tcp . 8080 }");
    const dump = nft.dumpTable(T);
    expect(dump?.sets.get("ranges")?.elements).toEqual(["10.0.0.0-10.0.1.0", "255.0.0.0-"]);
    expect(dump?.sets.get("dispatch")?.elements).toEqual(["cali1 : goto x"]);
    expect(dump?.sets.get("triples")?.elements).toEqual([elementText({ key: ["fd00::1", "6", "8080"] })]);
    nft.commit(T, [{ do: "delete-elements", set: RANGES, elements: [{ start: "255.0.0.0", end: null }] }, { do: "delete-elements", set: ADDRESSES, elements: [{ key: ["10.0.0.1"] }] }]);
    expect([...(nft.dumpTable(T)?.sets.values() ?? [])].map(({ name, elements }) => [name, elements.length])).toEqual(expect.arrayContaining([["ranges", 1], ["addresses", 1]]));
  });

  test("a map from protocol and port, with other verdicts in one transaction", () => {
    const ports: SetSpec = { name: "ports", key: ["inet_proto", "inet_service"], map: true };
    const element = (port: number, chain: string): SetElement => ({ key: ["6", String(port)], verdict: { jump: chain } });
    nft.commit(T, [
      { do: "add-table", flags: 0 }, { do: "add-chain", chain: "x" }, { do: "add-chain", chain: "y" }, { do: "add-chain", chain: "c" }, { do: "add-set", set: ports },
      { do: "add-elements", set: ports, elements: [element(80, "x"), element(81, "y")] }, { do: "add-rule", chain: "c", rule: { statements: [{ kind: "port-map", map: "ports" }] } },
    ]);
    expect(listing()).toMatch(/meta l4proto \. th dport vmap @ports/);
    nft.commit(T, [{ do: "delete-elements", set: ports, elements: [element(81, "y")] }, { do: "add-elements", set: ports, elements: [element(81, "x"), element(82, "y")] }]);
    expect([...(nft.dumpTable(T)?.sets.get("ports")?.elements ?? [])].sort()).toEqual(["6 . 80 : jump x", "6 . 81 : jump x", "6 . 82 : jump y"]);
  });

  test("everything is one interval", () => {
    nft.commit(T, [{ do: "add-table", flags: 0 }, { do: "add-set", set: RANGES }, { do: "add-elements", set: RANGES, elements: [{ start: "0.0.0.0", end: null }] }]);
    expect(nft.dumpTable(T)?.sets.get("ranges")?.elements).toEqual(["0.0.0.0-"]);
  });

  test("a hundred thousand members go into one transaction", () => {
    const elements = Array.from({ length: 100_000 }, (_, i) => ({ key: [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`] }));
    nft.commit(T, [{ do: "add-table", flags: 0 }, { do: "add-set", set: ADDRESSES }, { do: "add-elements", set: ADDRESSES, elements }]);
    expect(nft.dumpTable(T)?.sets.get("addresses")?.elements).toHaveLength(100_000);
  });
});

describe("transactions", () => {
  test("a late failure undoes everything and names the command", () => {
    const commands: Command[] = [{ do: "add-table", flags: 0 }, { do: "add-chain", chain: "c" }, { do: "add-rule", chain: "c", rule: { statements: [{ kind: "jump", chain: "missing" }], comment: "no such chain" } }];
    const run = (): void => nft.commit(T, commands);
    expect(run).toThrow(TransactionError);
    expect(run).toThrow("add-rule to c (no such chain): ENOENT");
    expect(nft.dumpTable(T)).toBeNull();
  });

  test("rules come back with hash, comment and packets", () => {
    const hash = "00112233445566778899aabbccddeeff";
    nft.commit(T, [{ do: "add-table", flags: 0 }, { do: "add-chain", chain: "c" }, { do: "add-rule", chain: "c", hash, rule: { statements: [{ kind: "counter" }], comment: "policy default/x rule 0" } }]);
    expect(nft.dumpTable(T)?.chains.get("c")).toEqual([{ handle: expect.any(BigInt), hash, comment: "policy default/x rule 0", packets: 0n }]);
    expect(listing()).toContain('comment "policy default/x rule 0"');
    nft.commit(T, [{ do: "add-chain", chain: "other" }, { do: "add-rule", chain: "other", rule: { statements: [{ kind: "verdict", verdict: "drop" }] } }]);
    expect([nft.dumpChain(T, "c"), nft.dumpChain(T, "missing"), nft.dumpChain("nothing", "c")]).toEqual([[{ handle: expect.any(BigInt), hash, comment: "policy default/x rule 0", packets: 0n }], [], []]);
  });

  test("a remapped element and a flushed chain in one transaction", () => {
    const dispatch: SetSpec = { name: "dispatch", key: ["ifname"], map: true };
    nft.commit(T, [{ do: "add-table", flags: 0 }, { do: "add-chain", chain: "a" }, { do: "add-chain", chain: "b" }, { do: "add-set", set: dispatch }, { do: "add-elements", set: dispatch, elements: [{ key: ["cali1"], verdict: { goto: "a" } }] }]);
    nft.commit(T, [
      { do: "delete-elements", set: dispatch, elements: [{ key: ["cali1"] }] }, { do: "add-elements", set: dispatch, elements: [{ key: ["cali1"], verdict: { goto: "b" } }] }, { do: "delete-chain", chain: "a" },
    ]);
    expect(nft.dumpTable(T)?.sets.get("dispatch")?.elements).toEqual(["cali1 : goto b"]);
    expect(nft.dumpTable(T)?.chains.has("a")).toBe(false);
  });

  test("an owned table is closed to others, outlives its owner and is adopted", () => {
    nft.commit(T, [{ do: "add-table", flags: TABLE_OWNER | TABLE_PERSIST }, { do: "add-chain", chain: "c" }]);
    expect(() => netns.exec("nft", "delete", "table", "inet", T)).toThrow("Operation not permitted");
    nft.close();
    nft = netns.run(() => openNftables(netns.sys));
    expect(nft.dumpTable(T)?.chains.has("c")).toBe(true);
    nft.commit(T, [{ do: "add-table", flags: TABLE_OWNER | TABLE_PERSIST }]);
    nft.commit(T, [{ do: "add-chain", chain: "d" }]);
    expect(() => netns.exec("nft", "flush", "ruleset")).not.toThrow();
    expect([...(nft.dumpTable(T)?.chains.keys() ?? [])]).toEqual(["c", "d"]);
  });

  test("every commit is told, with who made it", async () => {
    const seen: string[] = [];
    using _ = nft.subscribe({ onGeneration: ({ processName }) => void seen.push(processName), onOverflow() {} });
    netns.exec("nft", "add", "table", "inet", "other");
    await eventually("the commit of nft", () => seen.includes("nft"));
    nft.commit(T, [{ do: "add-table", flags: 0 }]);
    await eventually("the own commit", () => seen.length === 2);
  });
});
