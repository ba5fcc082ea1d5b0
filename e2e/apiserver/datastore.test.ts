import { assign, blockFaults, type BlockSpec, type NodeView } from "@calico/ipam";
import { calicoTypes, coreTypes, createAllocationStore, createInformer, runLeaderElection, type Informer, type KubeObject, type ResourceType } from "@calico/datastore";
import { convertIpPool, type IpPool } from "@calico/model";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { untilTrue } from "../lab/wait.ts";
import { startTestCluster, type TestCluster } from "./testing.ts";

let cluster: TestCluster;
let informers: Informer[];
beforeEach(async () => {
  cluster = await startTestCluster();
  informers = [];
});
afterEach(async () => {
  for (const informer of informers) informer.stop();
  await cluster[Symbol.asyncDispose]();
});

const pod = (name: string, labels: Record<string, string> = {}): KubeObject => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name, labels }, spec: { containers: [{ name: "c", image: "i" }] } } as KubeObject);
const create = (name: string): Promise<KubeObject> => cluster.datastore.create(coreTypes.pods, pod(name));
const remove = (name: string): Promise<void> => cluster.datastore.delete(coreTypes.pods, { namespace: "default", name }, { gracePeriodSeconds: 0 });

/** Follows pods; `seen` is what somebody has who trusts the calls alone. */
function follow(options: { silenceMs?: number } = {}): { informer: Informer; seen: Map<string, string>; calls: string[]; syncs: () => number } {
  const seen = new Map<string, string>();
  const calls: string[] = [];
  let syncs = 0;
  const informer = createInformer<KubeObject, string>({
    datastore: cluster.open(), type: coreTypes.pods, transform: ({ metadata }) => (metadata.labels?.["skip"] === "yes" ? null : (metadata.labels?.["v"] ?? "")), ...options,
    handler: {
      onUpsert({ name }, value) {
        seen.set(name, value);
        calls.push(`${name}=${value}`);
      },
      onDelete({ name }) {
        if (!seen.delete(name)) throw new Error(`${name} was never there`);
        calls.push(`-${name}`);
      },
      onSynced: () => void (syncs += 1),
    },
  });
  informers.push(informer);
  informer.start();
  return { informer, seen, calls, syncs: () => syncs };
}
const until = (what: string, holds: () => boolean): Promise<void> => untilTrue(what, async () => holds(), 10_000);

describe("informer", () => {
  it("lists, then follows; what the transform leaves out is not there", async () => {
    await create("a");
    const { informer, seen, calls } = follow();
    await informer.synced;
    expect([...seen.keys()]).toEqual(["a"]);
    await create("b");
    await cluster.datastore.patch(coreTypes.pods, { namespace: "default", name: "a" }, { metadata: { labels: { v: "2" } } }, { type: "merge" });
    await cluster.datastore.patch(coreTypes.pods, { namespace: "default", name: "b" }, { metadata: { labels: { skip: "yes" } } }, { type: "merge" });
    await until("b to be left out", () => !seen.has("b") && seen.get("a") === "2");
    expect(calls).toEqual(["a=", "b=", "a=2", "-b"]);
  });

  it("after a forgotten history it lists again and delivers the differences alone", async () => {
    for (const name of ["a", "b", "c"]) await create(name);
    const { informer, seen, calls, syncs } = follow();
    await informer.synced;
    calls.length = 0;
    await cluster.server.inject({ silentWatches: true });
    await remove("b");
    await create("d");
    await cluster.server.inject({ silentWatches: false, compact: true, dropWatches: true });
    await until("the second list", () => syncs() >= 2);
    expect(calls.toSorted()).toEqual(["-b", "d="]);
    expect([...seen.keys()].toSorted()).toEqual(["a", "c", "d"]);
  });

  it("a watch that says nothing any more is opened anew", async () => {
    const { informer, seen } = follow({ silenceMs: 300 });
    await informer.synced;
    await cluster.server.inject({ silentWatches: true });
    await create("a");
    await cluster.server.inject({ silentWatches: false });
    await until("the pod that the silent watch hid", () => seen.has("a"));
  });

  it("goes on after refusals, errors and an absence of the server", async () => {
    const { informer, seen } = follow();
    await informer.synced;
    await cluster.server.inject({ dropWatches: true, tooManyRequests: 1, internalErrors: 2 });
    await untilTrue("the pod to be created", () => create("a").then(() => true), 10_000);
    await until("a pod after refusals", () => seen.has("a"));
    await cluster.server.inject({ awayMs: 400 });
    await until("the informer to notice", () => informer.trouble !== null);
    await untilTrue("the server to be back", () => create("b").then(() => true), 10_000);
    await until("a pod after the absence", () => seen.has("b"));
    expect(informer.trouble).toBeNull();
  });

  it("of a kind that a cluster need not have: none, without trouble, until there is the kind", async () => {
    const seen = new Set<string>();
    const follower = (type: ResourceType, isOptional: boolean): Informer => createInformer<KubeObject, true>({
      datastore: cluster.open(), type, isOptional, transform: () => true, handler: { onUpsert: ({ name }) => void (isOptional && seen.add(name)), onDelete: ({ name }) => void seen.delete(name), onSynced: () => undefined },
    });
    const [optional, needed] = [follower(coreTypes.clusterNetworkPolicies, true), follower(coreTypes.clusterNetworkPolicies, false)];
    informers.push(optional, needed);
    for (const informer of informers) informer.start();
    await optional.synced;
    await until("the other to miss it", () => needed.trouble?.includes("are its CustomResourceDefinitions there") === true);
    expect([optional.trouble, optional.revision, needed.isSynced]).toEqual([null, "", false]);
    const { group, version, kind, plural } = coreTypes.clusterNetworkPolicies;
    const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
    await cluster.datastore.create(coreTypes.customResourceDefinitions, { apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", metadata: { name: `${plural}.${group}` }, spec: { group, scope: "Cluster", names: { kind, plural, singular: kind.toLowerCase() }, versions: [{ name: version, served: true, storage: true, schema }] } } as KubeObject);
    await untilTrue("the kind to be served", () => cluster.datastore.create(coreTypes.clusterNetworkPolicies, { apiVersion: `${group}/${version}`, kind, metadata: { name: "p" } } as KubeObject).then(() => true), 10_000);
    await untilTrue("the object of the new kind", async () => seen.has("p"), 6_000);
    expect(optional.trouble).toBeNull();
  });

  it("loses nothing under a storm of changes, dropped watches and compactions", async () => {
    const { informer, seen } = follow();
    await informer.synced;
    const present = new Set<string>();
    for (let i = 0; i < 300; i += 1) {
      const name = `p${i % 40}`;
      if (present.delete(name)) await remove(name);
      else {
        await create(name);
        present.add(name);
      }
      if (i % 50 === 25) await cluster.server.inject({ dropWatches: true, compact: i % 100 === 25 });
    }
    await until("the same pods on both sides", () => [...seen.keys()].toSorted().join() === [...present].toSorted().join());
  });
});

describe("leader election", () => {
  it("has one leader; the next takes over at once when it steps down", async () => {
    const led: string[] = [];
    const candidate = (identity: string) => runLeaderElection({
      datastore: cluster.open(), namespace: "kube-system", name: "test", identity, retryMs: 20, leaseDurationMs: 60_000, onStarted: () => void led.push(identity), onStopped: () => void led.push(`-${identity}`),
    });
    const first = candidate("a");
    await until("a to lead", () => first.isLeader);
    const second = candidate("b");
    await until("b to see a", () => second.leader === "a");
    expect(second.isLeader).toBe(false);
    await first.stop();
    await until("b to lead", () => second.isLeader);
    await second.stop();
    expect(led).toEqual(["a", "-a", "b", "-b"]);
  });

  it("takes over from a leader that is not heard any more, which has stopped by itself before", async () => {
    const events: string[] = [];
    const lost = cluster.open();
    const first = runLeaderElection({ datastore: lost, namespace: "kube-system", name: "test", identity: "a", retryMs: 20, leaseDurationMs: 600, onStarted: () => void events.push("a"), onStopped: () => void events.push("-a") });
    await until("a to lead", () => first.isLeader);
    lost.close();
    const second = runLeaderElection({ datastore: cluster.open(), namespace: "kube-system", name: "test", identity: "b", retryMs: 20, leaseDurationMs: 600, onStarted: () => void events.push("b"), onStopped: () => void events.push("-b") });
    await until("b to lead", () => second.isLeader);
    expect(events).toEqual(["a", "-a", "b"]);
    await Promise.all([first.stop(), second.stop()]);
  });
});

it("nodes that take addresses of one pool at the same time, under conflicts, never get the same one", async () => {
  const { value } = convertIpPool({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" }, spec: { cidr: "10.0.0.0/24", blockSize: 28 } });
  cluster.server.faults.conflicts = { ipamblocks: 5, blockaffinities: 3 };
  const taken = await Promise.all(["a", "b", "c"].map(async (node) => {
    const store = createAllocationStore(cluster.open(), () => {});
    const blocks = new Map<string, never>();
    const view: NodeView = { node, pools: [value as IpPool], nodeLabels: {}, maxBlocksPerHost: 20, autoAllocateBlocks: true, strictAffinity: false, blocks, isReserved: () => false, now: "2026-01-01T00:00:00Z" };
    const addresses: string[] = [];
    for (let i = 0; i < 40; i += 1) {
      const [result] = await store.run(assign(view, [{ family: 4, count: 1, attribute: { handle_id: `${node}-${i}` }, requestedPools: [], namespaceLabels: {} }]));
      addresses.push(...(result?.addresses ?? []));
    }
    return addresses;
  }));
  const all = taken.flat();
  expect([all.length, new Set(all).size]).toEqual([120, 120]);
  const { items } = await cluster.datastore.list<KubeObject & { spec: BlockSpec }>(calicoTypes.ipamBlocks);
  expect(items.flatMap(({ spec }) => blockFaults(spec))).toEqual([]);
});
