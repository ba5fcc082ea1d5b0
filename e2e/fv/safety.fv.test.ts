/**
 * Policy holds at every instant: felix is killed at random points and started again while policies and pods come and go, and what others do to
 * nftables is undone or impossible. A probe sends a packet of each flow every millisecond; policy sees every one of them.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterUpdate } from "@calico/calc";
import { dropPolicy, dropWorkload, ingressPolicy, putPolicy, putWorkload, UDP, workload, type RuleWish } from "../rig/objects.ts";
import { seeded } from "../rig/population.ts";
import { openRig, type Rig } from "../rig/rig.ts";
import { startProbe, type Flow, type Outcome } from "../rig/traffic.ts";

const CHURN_MS = 25_000;
const PROBE_US = 1_000;
const PODS = 12;
const OPEN_PORT = 7_000;
const CLOSED_PORT = 7_001;
const BESIDE = 40;

describe("policy at every instant", () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await openRig({ parameters: { FELIX_LOGSEVERITYSCREEN: "Warning" } });
    for (let n = 0; n < PODS; n += 1) rig.addPod(`pod-${n}`, `10.65.0.${n + 2}`, { app: `app-${n % 3}`, pod: `pod-${n}` });
  });
  afterEach(async () => rig.close());

  const pod = (n: number): Flow["from"] => rig.pod(`pod-${n % PODS}`);
  const flows = (port: number): Flow[] => Array.from({ length: PODS }, (_, n) => ({ from: pod(n), to: pod(n + 1), port }));

  /** Every pod, written one way or the other. */
  const everybody = (form: number): RuleWish => [
    { from: "has(app)" }, { from: 'app in {"app-0", "app-1", "app-2"}' }, { nets: ["10.65.0.0/24"] }, { nets: ["10.65.0.0/25", "10.65.0.128/25"] }, { nets: ["10.65.0.0/25", `198.51.100.${form % 256}/32`] }, { from: `has(pod) && !has(nothing-${form})` },
  ][form % 6] ?? {};

  /** The policy that lets everybody send to the open port of one app's pods, or nobody to the closed one, which a policy behind it opens. */
  function openFor(app: number, form: number): ClusterUpdate {
    return putPolicy(ingressPolicy("rig", `open-${app}`, `app == "app-${app}"`, [{ ...everybody(form), protocol: UDP, ports: form % 2 === 0 ? [OPEN_PORT] : [OPEN_PORT, 9_000 + (form % 100)] }], 300));
  }
  function closedFor(app: number, form: number): ClusterUpdate {
    return putPolicy(ingressPolicy("rig", `closed-${app}`, `app == "app-${app}"`, [{ action: "Deny", ...everybody(form), protocol: UDP, ports: form % 2 === 0 ? [CLOSED_PORT] : [CLOSED_PORT, 9_000 + (form % 100)] }], 300));
  }
  const start = (): void => {
    rig.sync.feed([putPolicy(ingressPolicy("rig", "behind", "has(app)", [{ protocol: UDP, ports: [CLOSED_PORT] }], 400))]);
    for (let app = 0; app < 3; app += 1) rig.sync.feed([openFor(app, app), closedFor(app, app)]);
    rig.felix.start();
  };

  /** Policies that come and go beside them, and that allow neither the closed port nor deny the open one. */
  function beside(n: number, form: number): ClusterUpdate {
    const applies = [`app == "app-${n % 3}"`, "has(app)", `pod == "pod-${n % PODS}"`][form % 3] ?? "has(app)";
    const name = `beside-${n}`;
    if (form % 4 === 0) return dropPolicy(ingressPolicy("rig", name, applies, []).id);
    return putPolicy(ingressPolicy("rig", name, applies, [
      { from: `group == "g-${form % 7}"`, protocol: UDP, ports: [8_000 + (form % 50)] }, { action: "Deny", from: `group == "g-${form % 5}"`, protocol: UDP },
    ], form % 200));
  }

  const remote = (n: number): ReturnType<typeof workload> => workload({ namespace: "rig", pod: `r-${n}`, node: "elsewhere", address: `10.128.0.${n}`, labels: { group: `g-${n % 7}` } });

  it("4 Design: felix killed at random points under churn: what is forbidden never passes, what is allowed is never lost", async () => {
    const seed = Number(process.env["SAFETY_SEED"] ?? Date.now() % 1_000_000);
    const random = seeded(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    start();
    await rig.felix.untilReady();
    await rig.attachAll();
    const probe = await startProbe([...flows(OPEN_PORT), ...flows(CLOSED_PORT)], PROBE_US, CHURN_MS + 30_000);
    const until = performance.now() + CHURN_MS;
    const churn = async (): Promise<number> => {
      let changes = 0;
      while (performance.now() < until) {
        const kind = below(10);
        const n = 1 + below(200);
        if (kind < 2) rig.sync.feed([openFor(below(3), below(1_000))]);
        else if (kind < 4) rig.sync.feed([closedFor(below(3), below(1_000))]);
        else if (kind < 7) rig.sync.feed([beside(below(BESIDE), below(1_000))]);
        else rig.sync.feed([below(2) === 0 ? putWorkload(remote(n)) : dropWorkload(remote(n))]);
        changes += 1;
        await new Promise((resolve) => setTimeout(resolve, below(8)));
      }
      return changes;
    };
    const kills = async (): Promise<number> => {
      let count = 0;
      while (performance.now() < until) {
        // Some starts are cut off before they are through, some after a while of service.
        await new Promise((resolve) => setTimeout(resolve, below(1_200)));
        await rig.felix.kill("SIGKILL");
        rig.felix.start();
        count += 1;
      }
      return count;
    };
    const [changes, killed] = await Promise.all([churn(), kills()]);
    await rig.felix.untilReady();
    const outcomes = await probe.stop();
    const said = `seed ${seed}, ${changes} changes, ${killed} kills`;
    expect.soft(outcomes.slice(0, PODS).filter(({ sent, passed }) => sent !== passed).map(lossOf), `flows that are allowed: ${said}`).toEqual([]);
    expect.soft(outcomes.slice(PODS).filter(({ passed }) => passed > 0).map(lossOf), `flows that are forbidden: ${said}`).toEqual([]);
    expect([outcomes.length, outcomes.every(({ sent }) => sent > CHURN_MS / 4), changes > 500, killed > 10]).toEqual([2 * PODS, true, true, true]);
  });

  it("5 Dataplanes: a foreign flush of all rules passes an owned table by", async () => {
    start();
    await rig.felix.untilReady();
    const probe = await startProbe([...flows(OPEN_PORT), ...flows(CLOSED_PORT)], PROBE_US, 20_000);
    const before = await rig.felix.metrics();
    for (let n = 0; n < 20; n += 1) rig.network.exec(["nft", "flush", "ruleset"]);
    expect(() => rig.network.exec(["nft", "delete", "table", "inet", "calico"])).toThrow(/Operation not permitted/);
    const outcomes = await probe.stop();
    expect(outcomes.slice(0, PODS).map(({ sent, passed }) => sent - passed)).toEqual(Array.from({ length: PODS }, () => 0));
    expect(outcomes.slice(PODS).map(({ passed }) => passed)).toEqual(Array.from({ length: PODS }, () => 0));
    expect((await rig.felix.metrics()).get("felix_nft_calls")).toBe(before.get("felix_nft_calls"));
  });
});

/** Where a flow was otherwise than it should be, in milliseconds since its first packet. */
function lossOf({ sent, passed, edges }: Outcome, flow: number): string {
  const [first] = edges;
  return `flow ${flow}: ${passed} of ${sent} passed, turning at ${edges.slice(1, 9).map(({ at, passed: now }) => `${Number(at - (first?.at ?? 0n)) / 1e6} ms ${now ? "passes" : "drops"}`).join(", ")}`;
}
