import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import { inject, run, startDemoLab, stopLab, untilReach } from "./cluster.ts";
import { expectedReach, policies } from "./oracle.ts";

const SECONDS = 30;
const SEED = 77;

/** Always the same numbers for the same seed (mulberry32). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

describe(`${SECONDS} seconds of changes while services are killed`, () => {
  let lab: Lab;
  const pick = randomNumbers(SEED);
  const objects = new Map<string, KubeObject>();
  const killed: string[] = [];
  beforeAll(async () => {
    lab = await startDemoLab("fvchaos", 25, { parameters: { "kube-controllers": { KUBECONTROLLERS_LEAKGRACEPERIOD: "2s", KUBECONTROLLERS_LEAKSCANINTERVAL: "1s" } } });
    const batches = fc.sample(policies, { numRuns: 40, seed: SEED });
    const until = performance.now() + SECONDS * 1_000;
    for (let i = 0; performance.now() < until; i += 1) {
      await change(batches[i % batches.length] ?? []);
      if (i % 4 === 3) await kill();
    }
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  /** What fails because a service is down just now is what people would see too: they would try again, this goes on. */
  const attempt = (work: Promise<unknown>): Promise<unknown> => work.catch(() => undefined);

  async function change(batch: readonly KubeObject[]): Promise<void> {
    const pod = `churn-${pick(6)}`;
    if (pick(3) === 0) await attempt(lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: pod }, { gracePeriodSeconds: pick(2) }));
    else await attempt(lab.datastore.create(coreTypes.pods, { apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: pod, labels: { app: ["frontend", "backend", "curious"][pick(3)] ?? "" } }, spec: { containers: [{ name: "c", image: "i", ports: [{ name: "http", containerPort: DEMO_PORT, protocol: "TCP" }] }] } } as KubeObject));
    // Nodes change too: their labels decide about pools and peers.
    if (pick(4) === 0) await attempt(lab.datastore.patch(coreTypes.nodes, { name: `node-${1 + pick(3)}` }, { metadata: { labels: { rack: `r${pick(3)}` } } }, { type: "merge" }));
    const [policy] = batch;
    if (policy === undefined) return;
    const type = policy.kind === "GlobalNetworkPolicy" ? calicoTypes.globalNetworkPolicies : policy.apiVersion.startsWith("networking") ? coreTypes.networkPolicies : calicoTypes.networkPolicies;
    const renamed: KubeObject = { ...policy, metadata: { ...policy.metadata, name: `p${pick(4)}` } };
    const key = `${type.group} ${type.plural} ${renamed.metadata.namespace ?? ""}/${renamed.metadata.name}`;
    if (objects.has(key)) {
      await lab.datastore.delete(type, renamed.metadata);
      objects.delete(key);
    } else {
      await lab.datastore.create(type, renamed);
      objects.set(key, renamed);
    }
  }

  async function kill(): Promise<void> {
    const targets = lab.supervisor.states().filter(({ id, pid }) => id !== "apiserver" && pid !== null);
    const { id } = targets[pick(targets.length)] ?? { id: "" };
    if (id === "") return;
    killed.push(id);
    lab.supervisor.kill(id, "SIGKILL");
    if (pick(5) === 0) await inject(lab, { dropWatches: true, compact: pick(2) === 0 });
  }

  const wanted = async (): Promise<string[]> => (await lab.datastore.list<KubeObject>(coreTypes.pods)).items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).toSorted((a, b) => (a < b ? -1 : 1));

  it("really killed services, and the pods that should run do", async () => {
    expect(new Set(killed.map((id) => id.split("@")[0])).size).toBeGreaterThan(3);
    await untilTrue("exactly the pods that are there to run", async () => JSON.stringify([...lab.pods().keys()].toSorted((a, b) => (a < b ? -1 : 1))) === JSON.stringify(await wanted()), 60_000);
  });

  it("the kernel does what the objects say", async () => {
    await untilReach(lab, await expectedReach(lab, [...objects.values()]), 60_000).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}\nkilled: ${killed.join(", ")}\n${JSON.stringify([...objects.values()])}`);
    });
  });

  it("every node has the routes of its pods and no others", async () => {
    await untilTrue("the routes to be right", async () => {
      for (const { plan } of lab.hosts) {
        const expected = [...lab.pods().values()].filter(({ host }) => host.plan.name === plan.name).flatMap(({ addresses }) => addresses).toSorted((a, b) => (a < b ? -1 : 1));
        const present = [...run(lab, `node/${plan.name}`, "ip", "route").matchAll(/^(\S+) dev cali\S+ proto 80/gm)].map(([, address = ""]) => address).toSorted((a, b) => (a < b ? -1 : 1));
        if (JSON.stringify(expected) !== JSON.stringify(present)) throw new Error(`${plan.name} has routes to ${present.join(", ")}, its pods are ${expected.join(", ")}`);
      }
      return true;
    }, 30_000);
  });

  it("no address is held twice and none is lost", async () => {
    const check = (): { status: number | null; stdout: string } => spawnSync(nodeBinary, [join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), "ipam", "check", "--kubeconfig", lab.api.kubeconfig], { encoding: "utf8", timeout: 10_000 });
    await untilTrue(() => `allocations to agree with pods: ${check().stdout}`, async () => check().status === 0, 45_000);
  });
});
