/**
 * Sets and resyncs of the table on a kernel of its own namespace, in this process: `node src/bench/main.ts sets|resync`. Prints a JSON line for
 * each figure; `npm run bench -- felix-sets felix-resync` runs it.
 */
import type { IpSetId } from "@calico/calc";
import type { Rule } from "@calico/kernel";
import { createTestNetns, type TestNetns } from "@calico/kernel/testing";
import { createLogger } from "@calico/service-kit";
import { createIpSets, type IpSets } from "../dataplane/ip-sets.ts";
import { createNftTable, type NftTable } from "../dataplane/nft-table.ts";
import { chainContent, rule } from "../rules/chain.ts";

const log = createLogger("felix", "Error", { write: (line) => process.stderr.write(line) });
const figure = (name: string, metric: string, value: number, unit: string): void => void process.stdout.write(`${JSON.stringify({ name, metric, value: Number(value.toPrecision(4)), unit })}\n`);
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

type Bed = { readonly netns: TestNetns; readonly table: NftTable; readonly sets: IpSets; flush(): void; commit(): Promise<void> };

/** A table in a namespace of its own. */
function open({ isOwned = true, netns = createTestNetns("felix-bench") }: { isOwned?: boolean; netns?: TestNetns } = {}): Bed {
  const table = netns.run(() => createNftTable({ log, onForeignChange: () => {}, isOwned }));
  const sets = createIpSets();
  return {
    netns, table, sets,
    flush() {
      const { replaced, changed, removed } = sets.takeChanges();
      for (const [name, set] of replaced) table.setSet(name, set);
      for (const [name, change] of changed) table.changeSet(name, change);
      for (const name of removed) table.setSet(name, null);
    },
    commit: () => table.commit(),
  };
}

function close({ netns, table }: Bed): void {
  table[Symbol.dispose]();
  netns[Symbol.dispose]();
}

const setId = (n: number): IpSetId => `s:${n}` as IpSetId;
const address = (n: number): string => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`;
const ruleOn = (bed: Bed, set: number, port: number): Rule => rule([
  { kind: "protocol", protocol: 6 }, { kind: "port", side: "destination", first: port, last: port }, { kind: "address-set", side: "source", family: 4, set: bed.sets.nameOf(setId(set), 4) ?? "" }, { kind: "counter" }, { kind: "verdict", verdict: "accept" },
]);

/** Sets of `members` each, and a chain for each with `rules` rules that look into it, all reached from one hook. */
function fill(bed: Bed, count: number, members: number, rules: number): void {
  for (let n = 0; n < count; n += 1) bed.sets.set(setId(n), "net", Array.from({ length: members }, (_, i) => address(n * members + i)));
  bed.flush();
  for (let n = 0; n < count; n += 1) bed.table.setChain(`c-${n}`, chainContent(Array.from({ length: rules }, (_, i) => ruleOn(bed, n, 1_000 + i))));
  const jumps = Array.from({ length: count }, (_, n) => rule([{ kind: "jump", chain: `c-${n}` }]));
  bed.table.setChain("hook", chainContent(jumps, { type: "filter", hook: "forward", priority: 0, policy: "accept" }));
}

/** Median of the time of `work`, in microseconds, with the elements that one run changes. */
async function timed(bed: Bed, runs: number, work: (run: number) => Promise<void>): Promise<{ us: number; cpuUs: number; elements: number }> {
  const times: number[] = [];
  for (let run = 0; run < 10; run += 1) await work(run);
  const before = bed.table.stats.elements;
  const cpu = process.cpuUsage();
  for (let run = 0; run < runs; run += 1) {
    const began = performance.now();
    await work(run);
    times.push((performance.now() - began) * 1_000);
  }
  const { user, system } = process.cpuUsage(cpu);
  return { us: median(times), cpuUs: (user + system) / runs, elements: (bed.table.stats.elements - before) / runs };
}

/** What `work` says, one turn after the other. */
async function turns(count: number, work: (turn: number) => Promise<number>): Promise<number[]> {
  const said: number[] = [];
  for (let turn = 0; turn < count; turn += 1) said.push(await work(turn));
  return said;
}

/** B2: members that come and go. */
async function benchSets(): Promise<void> {
  const costs = new Map<number, number>();
  for (const count of [100, 500, 2_000]) {
    const bed = open();
    try {
      fill(bed, count, 10, 1);
      await bed.commit();
      const { us, cpuUs } = await timed(bed, 300, async (run) => {
        bed.sets.change(setId(7), run % 2 === 0 ? [address(900_000)] : [], run % 2 === 0 ? [] : [address(900_000)]);
        bed.flush();
        await bed.commit();
      });
      costs.set(count, us);
      figure(`one member of ${count} sets, on the table`, "median", us, "us");
      figure(`one member of ${count} sets, on the table`, "CPU", cpuUs, "us");
      if (count !== 2_000) continue;
      const joins = await timed(bed, 100, async (run) => {
        for (let n = 0; n < 200; n += 1) bed.sets.change(setId(n), run % 2 === 0 ? [address(900_001)] : [], run % 2 === 0 ? [] : [address(900_001)]);
        bed.flush();
        await bed.commit();
      });
      figure("a pod that joins or leaves 200 of 2000 sets, on the table", "median", joins.us, "us");
      figure("a pod that joins or leaves 200 of 2000 sets, on the table", "elements", joins.elements, "per change");
    } finally {
      close(bed);
    }
  }
  figure("one member, on the table, 100 to 2000 sets", "exponent", Math.log((costs.get(2_000) ?? 1) / (costs.get(100) ?? 1)) / Math.log(20), "");
  const ranges = new Map<number, number>();
  for (const count of [1_000, 10_000]) {
    const bed = open();
    try {
      bed.sets.set(setId(0), "net", Array.from({ length: count }, (_, i) => `10.${i >> 7}.${(i & 127) * 2}.0/24`));
      bed.flush();
      await bed.commit();
      const { us, elements } = await timed(bed, 300, async (run) => {
        bed.sets.change(setId(0), run % 2 === 0 ? ["192.0.2.0/24"] : [], run % 2 === 0 ? [] : ["192.0.2.0/24"]);
        bed.flush();
        await bed.commit();
      });
      ranges.set(count, us);
      figure(`one CIDR of ${count}, on the table`, "median", us, "us");
      figure(`one CIDR of ${count}, on the table`, "elements", elements, "per change");
    } finally {
      close(bed);
    }
  }
  figure("one CIDR, on the table, 1000 to 10000", "exponent", Math.log10((ranges.get(10_000) ?? 1) / (ranges.get(1_000) ?? 1)), "");
}

/** B3: the kernel's table is read and compared, as it is and with a hundredth of it gone. */
async function benchResync(): Promise<void> {
  const [chains, members, rules] = [2_000, 100, 10] as const;
  const bed = open({ isOwned: false });
  try {
    let began = performance.now();
    fill(bed, chains, members, rules);
    await bed.commit();
    figure(`${chains} sets of ${members}, ${chains * rules} rules from nothing`, "once", performance.now() - began, "ms");
    const noop = await turns(7, async () => {
      const commands = bed.table.stats.commands;
      bed.table.suspect();
      began = performance.now();
      await bed.commit();
      if (bed.table.stats.commands !== commands) throw new Error("a resync of what is right wrote something");
      return performance.now() - began;
    });
    figure("resync that finds everything right", "median", median(noop), "ms");
    // The kernel's event about a commit tells that nothing came after it; those of the first one were too many.
    bed.sets.change(setId(7), [address(900_000)], []);
    bed.flush();
    await new Promise((resolve) => setTimeout(resolve, 200));
    await bed.commit();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const quiet = await turns(7, async () => {
      began = performance.now();
      bed.table.suspect();
      await bed.commit();
      return performance.now() - began;
    });
    figure("resync when there was no transaction since the last commit", "median", median(quiet), "ms");
    bed.sets.change(setId(7), [], [address(900_000)]);
    bed.flush();
    await bed.commit();
    const written = new Set<number>();
    const drift = await turns(5, async (turn) => {
      const names = Array.from({ length: chains / 100 }, (_unused, n) => n * 100 + turn);
      const script = names.flatMap((n) => [`flush chain inet calico c-${n}`, `flush set inet calico ${bed.sets.nameOf(setId(n), 4) ?? ""}`]).join("\n");
      bed.netns.exec("sh", "-c", `echo '${script}' | nft -f -`);
      const { commands, elements } = bed.table.stats;
      bed.table.suspect();
      began = performance.now();
      await bed.commit();
      const took = performance.now() - began;
      const restored = bed.table.stats.elements - elements;
      if (restored !== names.length * members) throw new Error(`${restored} members were written, ${names.length * members} were gone`);
      written.add(bed.table.stats.commands - commands);
      return took;
    });
    figure("resync with a hundredth of it gone", "median", median(drift), "ms");
    figure("resync with a hundredth of it gone", "commands", Math.max(...written), "commands");
  } finally {
    close(bed);
  }
}

const benches: Readonly<Record<string, () => void | Promise<void>>> = { sets: benchSets, resync: benchResync };
for (const name of process.argv.slice(2)) await benches[name]?.();
process.exit(0);
