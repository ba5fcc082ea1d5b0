/**
 * B1: from the bytes of a policy change on felix' sync stream to the kernel's commit, and to the first packet that meets the new verdict.
 * Each change turns the verdict of one flow between two pods of the node; a probe sends a packet of it every millisecond.
 * At the end the pod that is asked gets policies with ports of their own, as in B4, and everything is measured once more.
 * BENCH_CHANGES_SECONDS: how long each part takes (10). BENCH_CHANGES_ON_POD: policies on the pod in the last one (10000).
 */
import type { ClusterUpdate } from "@calico/calc";
import { openNftables, openSys, withNetns } from "@calico/kernel";
import { dropPolicy, dropWorkload, ingressPolicy, putPolicy, putWorkload, UDP, type RuleWish } from "../rig/objects.ts";
import { namespaceName, remotePod } from "../rig/population.ts";
import type { Rig } from "../rig/rig.ts";
import type { Step } from "../rig/sync-server.ts";
import { startProbe } from "../rig/traffic.ts";
import { LOCAL_NAMESPACES, LOCAL_PODS, localName, openLargeNode, ownCpuSeconds, setting, watchMachine } from "./felix-node.ts";
import type { Report } from "./report.ts";

const CHANGES_PER_SECOND = 10;
const CHURN_PER_SECOND = 50;
const PROBE_US = 1_000;
const PORT = 5_000;
const ROUND = 6;
const WARM_UP_SECONDS = 3;

type Kind = "rule port" | "selector" | "add" | "delete";
type Turn = { readonly kind: Kind; readonly opens: boolean; readonly update: ClusterUpdate };
type Made = Turn & { readonly step: Step };

export async function benchFelixChanges(report: Report, say: (line: string) => void): Promise<void> {
  const seconds = setting("BENCH_CHANGES_SECONDS", 10);
  const rig = await openLargeNode({});
  try {
    rig.felix.start();
    await rig.felix.untilReady();
    await rig.attachAll();
    // The flow is open at the beginning and at the end of each round.
    await rig.sync.change(...turns(0).filter(({ kind, opens }) => kind === "rule port" && opens).map(({ update }) => update));
    const { ipSets, policies, endpoints } = rig.sync.stats();
    const metrics = await rig.felix.metrics();
    say(`${endpoints} endpoints, ${policies} policies, ${ipSets} sets in the cluster; on the node ${metrics.get("felix_active_local_policies")} policies, ${metrics.get("felix_nft_chains")} chains, ${metrics.get("felix_nft_sets")} sets`);
    await measure(rig, WARM_UP_SECONDS, null, createSilentReport(), "");
    await measure(rig, seconds, null, report, "");
    await measure(rig, seconds, churn(), report, ", 50 pods/s beside it");
    const many = setting("BENCH_CHANGES_ON_POD", 10_000);
    say(`${many} policies on the pod that is asked`);
    await rig.sync.change(...Array.from({ length: many }, (_, i) => putPolicy(ingressPolicy(namespaceName(1), `many-${i}`, `local == "${localName(1)}"`, [{ from: `local == "${localName(i % LOCAL_PODS)}"`, ports: [10_000 + (i % 50_000)] }], i))));
    await measure(rig, seconds, null, report, `, ${many} policies on the pod`);
  } finally {
    await rig.close();
  }
}

const createSilentReport = (): Report => ({ add: () => undefined, percentiles: () => ({ p50: 0, p99: 0 }), table: () => "" });

/** The changes of a round; they open and close the flow in turns: by a rule's port, by its selector, by a policy that comes and goes. */
function turns(round: number): Turn[] {
  const [client, server] = [`local == "${localName(0)}"`, `local == "${localName(1)}"`];
  const named = (name: string, rule: RuleWish): ReturnType<typeof ingressPolicy> => ingressPolicy(namespaceName(1), name, server, [rule], 5_000);
  const byPort = (port: number): ClusterUpdate => putPolicy(named("by-port", { from: client, protocol: UDP, ports: [port] }));
  const bySelector = (from: string): ClusterUpdate => putPolicy(named("by-selector", { from, protocol: UDP, ports: [PORT] }));
  const added = named("added", { from: client, protocol: UDP, ports: [PORT] });
  return [
    { kind: "rule port", opens: false, update: byPort(PORT + 1) },
    { kind: "selector", opens: true, update: bySelector(client) },
    { kind: "selector", opens: false, update: bySelector(`local == "nobody-${round % 7}"`) },
    { kind: "add", opens: true, update: putPolicy(added) },
    { kind: "delete", opens: false, update: dropPolicy(added.id) },
    { kind: "rule port", opens: true, update: byPort(PORT) },
  ];
}

/** Pods of other nodes that come and go in the namespaces, and so in the sets, that the node's policies speak of. */
function churn(): (rig: Rig) => number {
  let next = 1_000_000;
  const present: ReturnType<typeof remotePod>[] = [];
  return ({ sync }) => {
    const pod = remotePod(namespaceName(next % LOCAL_NAMESPACES), next);
    next += 1;
    sync.feed([putWorkload(pod)]);
    present.push(pod);
    const gone = present.length > 25 ? present.shift() : undefined;
    if (gone !== undefined) sync.feed([dropWorkload(gone)]);
    return next;
  };
}

async function measure(rig: Rig, seconds: number, churning: ((rig: Rig) => unknown) | null, report: Report, suffix: string): Promise<void> {
  const sys = openSys();
  const generations: bigint[] = [];
  const acks: { sequence: number; generation: bigint | null }[] = [];
  const nft = withNetns(sys, `/run/netns/${rig.network.namespace}`, () => openNftables(sys));
  const events = nft.subscribe({ onGeneration: ({ processId }) => void (processId === rig.felix.pid && generations.push(process.hrtime.bigint())), onOverflow: () => undefined });
  const steps = rig.sync.onStep(({ sequence, writtenAt }) => {
    const last = generations.at(-1);
    acks.push({ sequence, generation: last !== undefined && last > writtenAt ? last : null });
  });
  const timer = churning === null ? null : setInterval(() => void churning(rig), 1_000 / CHURN_PER_SECOND);
  const before = await rig.felix.metrics();
  const cpuBefore = rig.felix.cpuSeconds();
  const machine = watchMachine(() => ownCpuSeconds() + rig.felix.cpuSeconds());
  const began = performance.now();
  const probe = await startProbe([{ from: rig.pod(localName(0)), to: rig.pod(localName(1)), port: PORT }], PROBE_US, (seconds + 20) * 1_000);
  const made: Made[] = [];
  try {
    for (let n = 0; n < Math.ceil((seconds * CHANGES_PER_SECOND) / ROUND) * ROUND; n += 1) {
      const due = began + (n * 1_000) / CHANGES_PER_SECOND;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      const turn = turns(Math.floor(n / ROUND))[n % ROUND];
      if (turn === undefined) continue;
      const step = await rig.sync.change(turn.update);
      if (step === null) throw new Error(`a change (${turn.kind}) did not concern the node`);
      made.push({ ...turn, step });
    }
    // The last change needs its packet, too.
    await new Promise((resolve) => setTimeout(resolve, 200));
  } finally {
    if (timer !== null) clearInterval(timer);
    steps[Symbol.dispose]();
    events[Symbol.dispose]();
    nft.close();
  }
  const [outcome] = await probe.stop();
  const elapsed = (performance.now() - began) / 1_000;
  const after = await rig.felix.metrics();
  const t1: number[] = [];
  const t2: number[] = [];
  const byKind = new Map<Kind, number[]>();
  for (const { kind, opens, step } of made) {
    const committed = acks.find(({ sequence }) => sequence === step.sequence)?.generation ?? step.ackedAt;
    const turned = outcome?.edges.find(({ at, passed }) => at >= step.writtenAt && passed === opens);
    if (turned === undefined) throw new Error(`after a change (${kind}) no packet met the new verdict`);
    t1.push(milliseconds(committed - step.writtenAt));
    t2.push(milliseconds(turned.at - step.writtenAt));
    byKind.set(kind, [...(byKind.get(kind) ?? []), milliseconds(turned.at - step.writtenAt)]);
  }
  const name = (what: string): string => `policy change, ${what}${suffix}`;
  report.percentiles(name("to the commit (t1)"), t1, "ms");
  report.percentiles(name("to the first packet (t2)"), t2, "ms");
  for (const [kind, samples] of byKind) report.percentiles(name(`${kind}, to the first packet`), samples, "ms");
  const grown = (metric: string): number => (after.get(metric) ?? 0) - (before.get(metric) ?? 0);
  report.add(name("commands"), "mean", grown("felix_nft_commands") / made.length, "per change");
  report.add(name("transactions"), "mean", grown("felix_nft_calls") / made.length, "per change");
  report.add(name("felix' apply alone"), "mean", (grown("felix_int_dataplane_apply_time_seconds_sum") / grown("felix_int_dataplane_apply_time_seconds_count")) * 1_000, "ms");
  report.add(name("felix"), "CPU", ((rig.felix.cpuSeconds() - cpuBefore) / elapsed) * 100, "% of a core");
  report.add(name("other work of the machine"), "share", machine(), "% of its cores");
}

const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds) / 1e6;
