import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openNftables, type Command, type Nftables, type Rule, type SetElement, type SetSpec, type Statement } from "../../nftables/index.ts";
import { eventually } from "../index.ts";
import { dumpRuleset } from "./dump-rules.ts";
import type { MachinePacket } from "./packet.ts";
import { createMachine, type LocalAddresses, type Machine } from "./run.ts";
import { openWire, type Wire } from "./wire.ts";

const TABLE = "machine";
const OWN: LocalAddresses = new Map([["in0", ["10.9.0.1", "fd09::1"]], ["lo", ["127.0.0.1", "::1"]]]);
const RULESETS = 250;
const PACKETS = 12;

let wire: Wire;
let nft: Nftables;
beforeAll(() => {
  wire = openWire(["10.9.0.1/32", "fd09::1/128"]);
  nft = wire.receiver.run(() => openNftables(wire.receiver.sys));
});
afterAll(() => {
  nft.close();
  wire[Symbol.dispose]();
});

const SETS = {
  hosts4: { name: "hosts4", key: ["ipv4_addr"] }, hosts6: { name: "hosts6", key: ["ipv6_addr"] }, ranges4: { name: "ranges4", key: ["ipv4_addr"], interval: true }, ranges6: { name: "ranges6", key: ["ipv6_addr"], interval: true },
  ports: { name: "ports", key: ["inet_service"], interval: true }, triples4: { name: "triples4", key: ["ipv4_addr", "inet_proto", "inet_service"] },
  byPort: { name: "by-port", key: ["inet_proto", "inet_service"], map: true }, byInput: { name: "by-input", key: ["ifname"], map: true }, byOutput: { name: "by-output", key: ["ifname"], map: true },
} as const satisfies Record<string, SetSpec>;
const ADDRESSES = { 4: ["10.9.0.1", "10.9.0.2", "10.9.0.77", "10.9.1.0", "192.0.2.255"], 6: ["fd09::1", "fd09::2", "fd09:0:0:1::", "fd09::4d", "2001:db8::9"] } as const;
const PORTS = [80, 81, 443, 8_080];
const CHAINS = ["a", "b", "c"] as const;

const side = fc.constantFrom("source", "destination");
const not = fc.constantFrom({}, { not: true as const });
const port = fc.constantFrom(...PORTS, 1, 65_535);
const one = (statement: Statement): Statement[] => [statement];
const match = (statement: fc.Arbitrary<object>): fc.Arbitrary<Statement[]> => fc.tuple(statement, not).map(([what, how]) => one({ ...what, ...how } as Statement));
/** An address lies where the family's header has it, so that the family comes first. */
const ofFamily = (make: (family: 4 | 6) => fc.Arbitrary<Statement[]>): fc.Arbitrary<Statement[]> => fc.constantFrom(4 as const, 6 as const).chain((family) => make(family).map((rest) => [...one({ kind: "family", family }), ...rest]));
const statements: fc.Arbitrary<Statement[]> = fc.oneof(
  match(fc.record({ kind: fc.constant("protocol"), protocol: fc.constantFrom(6, 17, 1, 58, 47) })),
  ofFamily((family) => match(fc.record({ kind: fc.constant("address"), side, cidr: fc.constantFrom(...(family === 4 ? ["10.9.0.0/24", "10.9.0.2/32", "0.0.0.0/1", "10.9.0.64/26"] : ["fd09::/64", "fd09::2/128", "2000::/3"])) }))),
  ofFamily((family) => match(fc.record({ kind: fc.constant("address-set"), side, family: fc.constant(family), set: fc.constantFrom(`hosts${family}`, `ranges${family}`) }))),
  match(fc.tuple(side, port, port).map(([which, a, b]) => ({ kind: "port", side: which, first: Math.min(a, b), last: Math.max(a, b) }))),
  match(fc.record({ kind: fc.constant("port-set"), side, set: fc.constant("ports") })),
  match(fc.record({ kind: fc.constant("address-port-set"), side, family: fc.constant(4), set: fc.constant("triples4") })).map((rest) => [...one({ kind: "family", family: 4 }), ...rest]),
  ofFamily((family) => match(fc.record({ kind: fc.constant("icmp"), family: fc.constant(family), type: fc.constantFrom(8, 13, 128), code: fc.constantFrom(null, 0) }))),
  match(fc.record({ kind: fc.constant("ct-state"), states: fc.subarray(["new", "invalid", "established"], { minLength: 1 }) })),
  match(fc.constant({ kind: "ct-dnat" })),
  match(fc.record({ kind: fc.constant("mark"), mask: fc.constantFrom(1, 3), value: fc.constantFrom(0, 1, 2) })),
  match(fc.record({ kind: fc.constant("interface"), direction: fc.constantFrom("in", "out"), name: fc.constantFrom("in0", "out0") })),
  match(fc.record({ kind: fc.constant("interface"), direction: fc.constantFrom("in", "out"), name: fc.constantFrom("i", "o", "x"), prefix: fc.constant(true) })),
  match(fc.constantFrom({ kind: "local-source" }, { kind: "local-destination" })),
  fc.constant<Statement[]>([]),
);
const actions = (jumps: readonly string[]): fc.Arbitrary<Statement[]> => fc.oneof(
  fc.constantFrom<Statement[][]>([], [{ kind: "verdict", verdict: "accept" }], [{ kind: "verdict", verdict: "drop" }], [{ kind: "verdict", verdict: "return" }], [{ kind: "verdict", verdict: "continue" }], [{ kind: "reject", how: "admin-prohibited" }], [{ kind: "port-map", map: "by-port" }],
    [{ kind: "interface-map", direction: "in", map: "by-input" }], [{ kind: "interface-map", direction: "out", map: "by-output" }]),
  fc.record({ mask: fc.constantFrom(1, 2, 3), value: fc.constantFrom(0, 1, 2) }).map(({ mask, value }): Statement[] => [{ kind: "set-mark", mask, value: value & mask }]),
  ...(jumps.length === 0 ? [] : [fc.tuple(fc.constantFrom("jump" as const, "goto" as const), fc.constantFrom(...jumps)).map(([kind, chain]): Statement[] => [{ kind, chain }])]),
);
/** The maps lead to the last chain, which leads nowhere. */
const withoutMaps = (list: readonly Statement[]): boolean => !list.some(({ kind }) => kind === "port-map" || kind === "interface-map");
const rules = (jumps: readonly string[], isLast: boolean): fc.Arbitrary<Rule[]> => fc.array(fc.tuple(statements, statements, actions(jumps).filter((list) => !isLast || withoutMaps(list))).map(([first, second, action]): Rule => ({ statements: [...first, ...second, { kind: "counter" }, ...action] })), { maxLength: 5 });
const target = fc.constantFrom({ jump: "c" }, { goto: "c" }, { verdict: "accept" as const }, { verdict: "drop" as const }, { verdict: "return" as const }, { verdict: "continue" as const });
const keyed = (keys: readonly string[][]): fc.Arbitrary<SetElement[]> => fc.subarray(keys.map((key) => ({ key })));
const mapped = (keys: readonly string[][]): fc.Arbitrary<SetElement[]> => fc.array(target, { minLength: keys.length, maxLength: keys.length }).chain((targets) => fc.subarray(keys.map((key, i): SetElement => ({ key, verdict: targets[i] ?? { verdict: "drop" } }))));
const between = (ranges: readonly [string, string | null][]): fc.Arbitrary<SetElement[]> => fc.subarray(ranges.map(([start, end]): SetElement => ({ start, end })));
const ruleset = fc.record({
  input: rules(CHAINS, false), forward: rules(CHAINS, false), late: rules([], true), a: rules(["b", "c"], false), b: rules(["c"], false), c: rules([], true), policy: fc.constantFrom("accept" as const, "drop" as const),
  members: fc.record({
    hosts4: keyed(ADDRESSES[4].map((address) => [address])), hosts6: keyed(ADDRESSES[6].map((address) => [address])), triples4: keyed([["10.9.0.1", "6", "80"], ["10.9.0.2", "17", "443"], ["10.9.0.1", "17", "81"]]),
    ranges4: between([["0.0.0.0", "10.9.0.1"], ["10.9.0.2", "10.9.0.77"], ["10.9.0.78", "10.9.1.1"], ["192.0.2.0", null]]), ranges6: between([["fd09::1", "fd09::2"], ["fd09::2", null], ["::", "3000::"]]), ports: between([["0", "80"], ["80", "81"], ["443", "8081"], ["65535", null]]),
    byPort: mapped([["6", "80"], ["6", "81"], ["17", "80"], ["17", "65535"], ["1", "0"], ["58", "0"]]), byInput: mapped([["in0"], ["out0"]]), byOutput: mapped([["out0"], [""]]),
  }),
});

type Content = { readonly policy: "accept" | "drop"; readonly members: Record<keyof typeof SETS, SetElement[]> } & Record<"input" | "forward" | "late" | "a" | "b" | "c", Rule[]>;

function commandsOf({ policy, members, ...chains }: Content): Command[] {
  const base = (hook: "input" | "forward", priority: number) => ({ type: "filter", hook, priority, policy }) as const;
  const add = (chain: string, list: readonly Rule[]): Command[] => list.map((rule) => ({ do: "add-rule", chain, rule }));
  return [
    { do: "add-table", flags: 0 },
    { do: "add-chain", chain: "input", base: base("input", 0) }, { do: "add-chain", chain: "forward", base: base("forward", 0) },
    { do: "add-chain", chain: "late", base: base("forward", 5) }, ...CHAINS.map((chain): Command => ({ do: "add-chain", chain })),
    ...Object.values(SETS).map((set): Command => ({ do: "add-set", set })),
    ...Object.entries(chains).flatMap(([name, list]) => add(name, list)),
    ...(Object.keys(SETS) as (keyof typeof SETS)[]).flatMap((name): Command[] => (members[name].length === 0 ? [] : [{ do: "add-elements", set: SETS[name], elements: members[name] }])),
    // Says when a packet has come, and which were let through.
    ...(["input", "forward"] as const).flatMap((hook): Command[] => [-150, 100].flatMap((priority): Command[] => [
      { do: "add-chain", chain: `${hook}${priority}`, base: { type: "filter", hook, priority, policy: "accept" } }, { do: "add-rule", chain: `${hook}${priority}`, rule: { statements: [{ kind: "counter" }] } },
    ])),
  ];
}

const packet: fc.Arbitrary<Omit<MachinePacket, "inInterface" | "outInterface" | "ctState">> = fc.constantFrom(4 as const, 6 as const).chain((family) => fc.record({
  family: fc.constant(family), protocol: fc.constantFrom(6, 17, family === 4 ? 1 : 58, 47),
  // No packet could be an answer to another.
  source: fc.record({ address: fc.constantFrom(...ADDRESSES[family].slice(3)), port: fc.constantFrom(...PORTS) }),
  destination: fc.record({ address: fc.constantFrom(...ADDRESSES[family].slice(0, 3)), port: fc.constantFrom(...PORTS) }),
  icmp: family === 4 ? fc.constantFrom({ type: 8, code: 0 }, { type: 13, code: 0 }) : fc.constant({ type: 128, code: 0 }),
}));

const isOwn = (address: string): boolean => [...OWN.values()].flat().includes(address);
/** Packets that each counter of the table has seen, by the handles of their rules. */
const counters = (): Map<bigint, bigint> => new Map([...(nft.dumpTable(TABLE)?.chains.values() ?? [])].flat().flatMap(({ handle, packets }) => (packets === null ? [] : [[handle, packets]])));

/** Sends packets one by one: the kernel counts exactly where the machine says that it would. */
async function compare(machine: Machine, packets: readonly MachinePacket[]): Promise<void> {
  const expected = counters();
  for (const each of packets) {
    const outcome = machine.run(each.outInterface === "" ? "input" : "forward", each);
    for (const handle of outcome.counted) expected.set(handle, (expected.get(handle) ?? 0n) + 1n);
    wire.send(each);
    await eventually(`the kernel to treat ${JSON.stringify(each)} as the machine does: ${JSON.stringify(outcome.trace)}`, () => same(expected, counters()), 1_500);
  }
}

function same(expected: ReadonlyMap<bigint, bigint>, actual: ReadonlyMap<bigint, bigint>): boolean {
  return expected.size === actual.size && [...expected].every(([handle, packets]) => actual.get(handle) === packets);
}

const machineOfKernel = (): Machine => createMachine(wire.receiver.run(() => dumpRuleset(wire.receiver.sys, TABLE)), OWN);

test(`${RULESETS} random tables: the kernel treats packets on a wire as the machine does`, async () => {
  let closed = 0;
  await fc.assert(fc.asyncProperty(ruleset, fc.array(packet, { minLength: PACKETS, maxLength: PACKETS }), async (content, sketches) => {
    nft.commit(TABLE, commandsOf(content));
    const packets = sketches.map((sketch): MachinePacket => ({ ...sketch, ctState: "new", inInterface: "in0", outInterface: isOwn(sketch.destination.address) ? "" : "out0" }));
    const machine = machineOfKernel();
    closed += packets.filter((each) => machine.run(each.outInterface === "" ? "input" : "forward", each).verdict === "drop").length;
    try {
      await compare(machine, packets);
    } finally {
      nft.commit(TABLE, [{ do: "delete-table" }]);
    }
  }), { numRuns: RULESETS, endOnFailure: true });
  expect(closed).toBeGreaterThan(RULESETS);
}, 120_000);

/** What nft itself writes: concatenations with ranges, maps of them, anonymous sets, comparisons, masks, byte order. */
const BY_NFT = `table inet ${TABLE} {
  map buckets { type inet_proto . inet_service : verdict; flags interval; elements = { tcp . 80-81 : jump a, udp . 443-8080 : goto b, 47 . 0-65535 : drop, icmp . 0-65535 : continue } }
  map places { typeof meta nfproto . ip saddr . th dport : verdict; flags interval; elements = { ipv4 . 10.9.1.0/25 . 1-442 : jump a, ipv4 . 192.0.2.0-192.0.2.255 . 8080 : goto b } }
  set spans { type ipv4_addr . inet_service; flags interval; elements = { 10.9.0.9-10.9.1.7 . 80-443, 192.0.2.0/24 . 1-80 } }
  set wide { type ipv6_addr . inet_proto . inet_service; flags interval; elements = { fd09::/64 . tcp . 0-100, 2001:db8::/32 . udp . 443 } }
  map steps { type ipv4_addr : verdict; flags interval; elements = { 10.9.0.1-10.9.0.76 : jump a, 10.9.0.77 : jump b, 10.9.1.0/24 : continue } }
  map marks { type inet_service : mark; elements = { 80 : 0x1, 443 : 0x2 } }
  chain input { type filter hook input priority 0; policy accept
    counter comment "first"
    meta l4proto . th dport vmap @buckets
    counter meta nfproto . ip saddr . th dport vmap @places
    ip6 saddr . meta l4proto . th dport @wide counter accept
    counter comment "last"
  }
  chain forward { type filter hook forward priority 0; policy accept
    counter comment "first"
    ip saddr . th dport @spans counter jump b
    ip saddr . th dport != @spans counter
    ip6 saddr . meta l4proto . th dport @wide counter
    ip daddr vmap @steps
    meta mark set th dport map @marks counter
    meta mark 0x2 counter
    meta mark and 0x3 != 0x0 counter
    th dport { 80, 443-8080 } counter
    th dport != { 81, 8080 } counter
    th sport > 100 counter
    th sport <= 443 counter
    ip saddr & 0.0.0.255 == 0.0.0.255 counter
    ct status ! dnat counter
    ct state vmap { new : continue, invalid : drop }
    meta l4proto { tcp, 47 } counter
    oifname { "out0", "lo" } counter
    oifname "o*" counter
    meta l4proto . th dport vmap @buckets
    counter comment "last"
  }
  chain a { counter; meta l4proto tcp counter return; counter; }
  chain b { counter; icmp type { echo-request, timestamp-request } counter; ip daddr 10.9.0.0/24 counter drop; }
}
`;

const load = (text: string): void => void wire.receiver.exec("sh", "-c", `printf '%s' "$1" | nft -f -`, "sh", text);

test("a table of nft's own making: the kernel treats packets on a wire as the machine does", async () => {
  load(BY_NFT);
  try {
    const packets = fc.sample(packet, { numRuns: 600, seed: 7 }).map((sketch): MachinePacket => ({ ...sketch, ctState: "new", inInterface: "in0", outInterface: isOwn(sketch.destination.address) ? "" : "out0" }));
    await compare(machineOfKernel(), packets);
    expect([...counters().values()].every((seen) => seen > 0n), "every rule was met").toBe(true);
  } finally {
    nft.commit(TABLE, [{ do: "delete-table" }]);
  }
}, 60_000);

test.each([
  ["ct mark 1 accept", "ct of key 3"], ["meta skuid 0 accept", "key 10 of meta"], ["limit rate over 1/second accept", "limit over a rate"], ["numgen random mod 2 0 accept", "numgen"], ["meta priority set 1", "key 2 of meta"],
])("what it does not know is an error that names the rule: %s", (rule, what) => {
  load(`table inet ${TABLE} {\nchain x {\n${rule} comment "strange"\n}\n}\n`);
  try {
    expect(machineOfKernel).toThrow(what);
    expect(machineOfKernel).toThrow(/chain x, rule \d+ \(strange\)/);
  } finally {
    nft.commit(TABLE, [{ do: "delete-table" }]);
  }
});

test("nor does it pass over sets that forget", () => {
  load(`table inet ${TABLE} {\nset s {\ntype ipv4_addr; timeout 1h;\n}\n}\n`);
  expect(machineOfKernel).toThrow("set s: the machine does not know the flags");
  nft.commit(TABLE, [{ do: "delete-table" }]);
});
