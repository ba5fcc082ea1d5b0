/** B3: a resync of a large table; a cold start; and a restart of felix, by SIGKILL, under traffic. */
import { withNetns, openNftables, openSys } from "@calico/kernel";
import { startProbe } from "../rig/traffic.ts";
import { localName, openLargeNode, median, LOCAL_PODS } from "./felix-node.ts";
import { onTheTable } from "./felix-sets.ts";
import type { Report } from "./report.ts";

const STARTS = 5;
const RESTARTS = 5;

export async function benchFelixResync(report: Report): Promise<void> {
  await onTheTable("resync", report);
  const rig = await openLargeNode({});
  try {
    // In a namespace without policies, so that everybody may send to them.
    for (const n of [0, 1, 2]) rig.addPod(`open-${n}`, `10.65.200.${n + 2}`, {}, "open");
    const cold: number[] = [];
    const sinceStart: number[] = [];
    for (let turn = 0; turn < STARTS; turn += 1) {
      let writtenAt = 0n;
      let ackedAt = 0n;
      const listening = rig.sync.onStep((acked) => {
        if (!acked.isSnapshot) return;
        ({ writtenAt, ackedAt } = acked);
      });
      const began = process.hrtime.bigint();
      rig.felix.start();
      await rig.felix.untilReady();
      listening[Symbol.dispose]();
      cold.push(Number(ackedAt - writtenAt) / 1e6);
      sinceStart.push(Number(ackedAt - began) / 1e6);
      if (turn === STARTS - 1) continue;
      await rig.felix.kill("SIGKILL");
      rig.network.exec(["nft", "delete", "table", "inet", "calico"]);
    }
    report.add(`cold start, 10000 endpoints, 1000 policies, ${LOCAL_PODS} local: from the snapshot's bytes to its acknowledgement`, "median", median(cold), "ms");
    report.add("the same, from the start of the process", "median", median(sinceStart), "ms");
    await rig.attachAll();
    const before = kernelOf(rig.network.namespace);
    const flows = [0, 1, 2].map((n) => ({ from: rig.pod(localName(n)), to: rig.pod(`open-${n}`), port: 7_777 }));
    const probe = await startProbe(flows, 1_000, 120_000);
    const back: number[] = [];
    for (let turn = 0; turn < RESTARTS; turn += 1) {
      await rig.felix.kill("SIGKILL");
      const began = performance.now();
      rig.felix.start();
      await rig.felix.untilReady();
      back.push(performance.now() - began);
    }
    const outcomes = await probe.stop();
    report.add("restart under traffic", "ready after", median(back), "ms");
    report.add(`restart under traffic, ${RESTARTS} times, ${flows.length} flows`, "lost", outcomes.reduce((sum, { sent, passed }) => sum + sent - passed, 0), `of ${outcomes.reduce((sum, { sent }) => sum + sent, 0)} packets`);
    const after = kernelOf(rig.network.namespace);
    if (after !== before) throw new Error("a restart with unchanged state left another table in the kernel");
  } finally {
    await rig.close();
  }
}

/** What the kernel's table holds, as text. */
function kernelOf(namespace: string): string {
  const sys = openSys();
  const nft = withNetns(sys, `/run/netns/${namespace}`, () => openNftables(sys));
  try {
    const dump = nft.dumpTable("calico");
    const chains = [...(dump?.chains ?? [])].map(([name, rules]) => `${name}: ${rules.map(({ hash }) => hash).join(" ")}`);
    const sets = [...(dump?.sets ?? [])].map(([name, { elements }]) => `${name}: ${elements.toSorted(byText).join(" ")}`);
    return [...chains, ...sets].toSorted(byText).join("\n");
  } finally {
    nft.close();
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
