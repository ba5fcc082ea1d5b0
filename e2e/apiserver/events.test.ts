import { coreTypes, createEventRecorder, type EventRecorder, type Happening, type KubeObject } from "@calico/datastore";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startTestCluster, type TestCluster } from "./testing.ts";

let cluster: TestCluster;
let recorders: EventRecorder[];
beforeEach(async () => {
  recorders = [];
  cluster = await startTestCluster();
});
afterEach(async () => {
  for (const recorder of recorders) recorder.stop();
  await cluster[Symbol.asyncDispose]();
});

const LIMITS = { quietMs: 0, perObject: 10, perObjectRefillMs: 60_000, burst: 50, refillMs: 1, maxSeries: 100 };
function recorder(): EventRecorder {
  const made = createEventRecorder({ datastore: cluster.datastore, component: "calico-test", host: "node-1", limits: LIMITS });
  recorders.push(made);
  return made;
}
const about = (name: string, message: string, namespace?: string): Happening =>
  ({ regarding: { apiVersion: "projectcalico.org/v3", kind: namespace === undefined ? "IPPool" : "NetworkSet", name, uid: "u", ...(namespace === undefined ? {} : { namespace }) }, type: "Warning", reason: "Tested", message });
const events = async (): Promise<KubeObject[]> => (await cluster.datastore.list<KubeObject>(coreTypes.events)).items;

describe("event recorder", () => {
  it("writes one Event of a series, counts repetitions, and keeps the newest message", async () => {
    const record = recorder();
    record.record(about("p", "one"));
    await vi.waitUntil(async () => (await events()).length === 1);
    record.record(about("p", "two"));
    await vi.waitUntil(async () => (await events())[0]?.["count"] === 2);
    expect(await events()).toEqual([expect.objectContaining({
      metadata: expect.objectContaining({ namespace: "default", name: expect.stringMatching(/^p\.[0-9a-f]{16}$/) }), involvedObject: { apiVersion: "projectcalico.org/v3", kind: "IPPool", name: "p", uid: "u" },
      type: "Warning", reason: "Tested", message: "two", count: 2, source: { component: "calico-test", host: "node-1" },
    })]);
  });

  it("another run and another replica count into the same Event", async () => {
    recorder().record(about("s", "m", "kube-system"));
    await vi.waitUntil(async () => (await events()).length === 1);
    recorder().record(about("s", "m", "kube-system"));
    await vi.waitUntil(async () => (await events())[0]?.["count"] === 2);
    expect((await events()).map(({ metadata }) => metadata.namespace)).toEqual(["kube-system"]);
  });

  it("goes on after errors, and gives up what is refused", async () => {
    const record = recorder();
    cluster.server.faults.internalErrors = 2;
    record.record(about("gone", "m", "no-such-namespace"));
    record.record(about("p", "m"));
    await vi.waitUntil(async () => (await events().catch(() => [])).length === 1, { timeout: 10_000 });
    expect([(await events())[0]?.metadata.namespace, record.dropped]).toEqual(["default", 1]);
  });
});
