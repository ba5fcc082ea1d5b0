/**
 * B4: what policies cost packets: connections, a stream, and the first packet of a connection between two pods of a node, with P policies on
 * the pod that is asked. Beside felix the same policies in Calico's layout, a chain and a jump for each, by nft and iptables where they are.
 * BENCH_PACKETS_POLICIES: the largest P (10000). BENCH_PACKETS_TURNS: pairs of measurements (5).
 */
import { spawnSync } from "node:child_process";
import { dropPolicy, ingressPolicy, putPolicy, putWorkload, workload } from "../rig/objects.ts";
import { createNodeNetwork, type PodInterface } from "../rig/node-network.ts";
import { openRig, type Rig } from "../rig/rig.ts";
import { connectionRate, firstPacketUs, streamRate } from "../rig/traffic.ts";
import { exponent, median, ratios, setting } from "./felix-node.ts";
import { LINEAR_PORT, linearIptables, linearNft } from "./linear-layouts.ts";
import type { Report } from "./report.ts";

const SECONDS = 0.4;
/** Of a stream into the pod with the most policies: a shorter one varies too much. */
const STREAM_SECONDS = 2;
const SYNS = 20_000;
const SYN_LIMIT_MS = 400;
const PORT = LINEAR_PORT;
/** Groups of other nodes' pods that the rules speak of. */
const GROUPS = 10_000;

type Variant = "agree" | "same port" | "alternating";
type Server = { readonly policies: number; readonly pod: PodInterface };
type Bench = { readonly name: string; readonly client: PodInterface; readonly stranger: PodInterface; readonly servers: readonly Server[] };

export async function benchFelixPackets(report: Report, say: (line: string) => void): Promise<void> {
  const largest = setting("BENCH_PACKETS_POLICIES", 10_000);
  const turns = setting("BENCH_PACKETS_TURNS", 5);
  const sizes = [0, 10, 100, 1_000, 10_000].filter((size) => size <= largest);
  const rig = await openRig();
  try {
    const bench = { client: rig.addPod("client", "10.65.0.2", { role: "client" }), stranger: rig.addPod("stranger", "10.65.0.3", { role: "stranger" }), servers: sizes.map((policies, i) => ({ policies, pod: rig.addPod(`server-${policies}`, `10.65.0.${10 + i}`, { server: `p${policies}` }) })) };
    rig.sync.feed(Array.from({ length: Math.min(GROUPS, largest) }, (_, i) => putWorkload(workload({ namespace: "rig", pod: `r-${i}`, node: "elsewhere", address: groupAddress(i), labels: { group: `g-${i}`, shared: `s-${i % 100}` } }))));
    rig.felix.start();
    await rig.felix.untilReady();
    for (const variant of ["agree", "same port", "alternating"] as const) {
      say(`felix, ${variant}`);
      const began = performance.now();
      const ids = await apply(rig, variant, sizes);
      report.add(`felix, ${variant}: ${ids.length} policies into the kernel`, "once", performance.now() - began, "ms");
      await measure({ name: `felix, ${variant}`, ...bench }, turns, report);
      await rig.sync.change(...ids.map(dropPolicy));
    }
  } finally {
    await rig.close();
  }
  for (const program of ["nft", "iptables-legacy", "iptables-nft"] as const) {
    if (spawnSync(program, ["--version"]).status !== 0) {
      say(`${program} is not here, its layout is not measured`);
      continue;
    }
    await measureLinear(program, sizes, turns, report, say);
  }
}

const groupAddress = (group: number): string => `10.128.${group >> 8}.${group & 255}`;

/** For each server its policies, of which the last one lets the client in. Returns their ids when they are in the kernel. */
async function apply(rig: Rig, variant: Variant, sizes: readonly number[]): Promise<ReturnType<typeof ingressPolicy>["id"][]> {
  const policies = sizes.flatMap((size) => Array.from({ length: size }, (_, i) => {
    const isLast = i === size - 1;
    const from = isLast ? 'role == "client"' : variant === "agree" ? `shared == "s-${i % 100}"` : `group == "g-${i}"`;
    const port = isLast || variant !== "agree" ? PORT : 10_000 + (i % 50_000);
    return ingressPolicy("rig", `${variant}-${size}-${i}`.replace(" ", "-"), `server == "p${size}"`, [{ action: variant === "alternating" && !isLast && i % 2 === 0 ? "Deny" : "Allow", from, ports: [port] }], i);
  }));
  await rig.sync.change(...policies.map(putPolicy));
  return policies.map(({ id }) => id);
}

/** In turns, every server after the one without policies: the ratio of each pair counts. */
async function measure({ name, client, stranger, servers }: Bench, turns: number, report: Report): Promise<void> {
  const bare = servers.find(({ policies }) => policies === 0);
  if (bare === undefined) throw new Error("a server without policies is needed to compare with");
  const largest = Math.max(...servers.map(({ policies }) => policies));
  const matched: { size: number; cost: number }[] = [];
  const unmatched: { size: number; cost: number }[] = [];
  for (const { policies, pod } of servers) {
    if (policies === 0) continue;
    const streamSeconds = policies === largest ? STREAM_SECONDS : SECONDS;
    const pairs: { connections: number; perSecond: number; stream: number; first: number; firstBare: number; none: number }[] = [];
    for (let turn = 0; turn <= turns; turn += 1) {
      const [without, withThem] = [await connectionRate({ from: client, to: bare.pod, port: PORT }, SECONDS), await connectionRate({ from: client, to: pod, port: PORT }, SECONDS)];
      const [streamWithout, streamWith] = [await streamRate({ from: client, to: bare.pod, port: PORT }, streamSeconds), await streamRate({ from: client, to: pod, port: PORT }, streamSeconds)];
      const [firstBare, first, none] = [await firstPacketUs({ from: client, to: bare.pod, port: PORT }, SYNS, SYN_LIMIT_MS), await firstPacketUs({ from: client, to: pod, port: PORT }, SYNS, SYN_LIMIT_MS), await firstPacketUs({ from: stranger, to: pod, port: PORT }, SYNS, SYN_LIMIT_MS)];
      // The first turn warms up.
      if (turn > 0) pairs.push({ connections: withThem / without, perSecond: withThem, stream: streamWith / streamWithout, first, firstBare, none });
    }
    const of = `${name}, ${policies} policies`;
    ratios(report, `${of}: connections`, pairs.map(({ connections }) => connections), "of those without policies");
    ratios(report, `${of}: TCP stream`, pairs.map(({ stream }) => stream), "of that without policies");
    const first = median(pairs.map((pair) => pair.first));
    const none = median(pairs.map((pair) => pair.none));
    report.add(`${of}: first packet, the last policy allows it`, "median", first, "us");
    report.add(`${of}: first packet, no policy allows it`, "median", none, "us");
    report.add(`${of}: connections`, "median", median(pairs.map(({ perSecond }) => perSecond)), "per second");
    report.add(`${of}: first packet without policies, beside it`, "median", median(pairs.map((pair) => pair.firstBare)), "us");
    matched.push({ size: policies, cost: first });
    unmatched.push({ size: policies, cost: none });
  }
  for (const [what, costs] of [["the last policy allows it", matched], ["no policy allows it", unmatched]] as const) {
    const [small, large] = [costs[0], costs.at(-1)];
    if (small !== undefined && large !== undefined && small !== large) report.add(`${name}: first packet, ${what}, ${small.size} to ${large.size} policies`, "exponent", exponent(small, large), "");
  }
}

async function measureLinear(program: "nft" | "iptables-legacy" | "iptables-nft", sizes: readonly number[], turns: number, report: Report, say: (line: string) => void): Promise<void> {
  const network = createNodeNetwork();
  try {
    const client = network.addPod("client", "10.65.0.2");
    const stranger = network.addPod("stranger", "10.65.0.3");
    const servers = sizes.map((policies, i) => ({ policies, pod: network.addPod(`server-${policies}`, `10.65.0.${10 + i}`) }));
    for (const { address, interfaceName } of [client, stranger, ...servers.map(({ pod }) => pod)]) network.exec(["ip", "route", "add", address, "dev", interfaceName]);
    say(`a jump for each policy, by ${program}`);
    const began = performance.now();
    if (program === "nft") network.exec(["nft", "-f", "-"], linearNft(servers, client.address));
    else network.exec([`${program}-restore`, "--noflush"], linearIptables(servers, client.address));
    report.add(`linear ${program}: ${sizes.reduce((sum, size) => sum + size, 0)} policies into the kernel`, "once", performance.now() - began, "ms");
    await measure({ name: `linear ${program}`, client, stranger, servers }, turns, report);
  } finally {
    network[Symbol.dispose]();
  }
}
