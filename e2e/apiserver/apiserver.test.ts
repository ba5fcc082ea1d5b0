import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "./testing.ts";

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await startTestCluster();
});
afterEach(() => cluster[Symbol.asyncDispose]());

type Any = KubeObject & { spec?: Record<string, unknown>; status?: unknown; metadata: { generation?: number; deletionTimestamp?: string; finalizers?: string[] } };
const pool = (name: string, spec: object): Any => ({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec: spec as Record<string, unknown> });
const pod = (name: string, more: object = {}): Any => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name, ...more }, spec: { containers: [{ name: "c", image: "i" }] } });

describe("objects", () => {
  it("get defaults, an identity and a revision; an update of the spec counts as a generation", async () => {
    const made = await cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16" }));
    expect(made).toMatchObject({ metadata: { name: "p", generation: 1 }, spec: { cidr: "10.0.0.0/16", vxlanMode: "Never", allowedUses: ["Workload", "Tunnel"] } });
    const updated = await cluster.datastore.update<Any>(calicoTypes.ipPools, { ...made, spec: { ...made.spec, natOutgoing: true } });
    expect([updated.metadata.generation, updated.metadata.uid]).toEqual([2, made.metadata.uid]);
    expect(Number(updated.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion));
    const labelled = await cluster.datastore.patch<Any>(calicoTypes.ipPools, { name: "p" }, { metadata: { labels: { a: "b" } } }, { type: "merge" });
    expect(labelled.metadata.generation).toBe(2);
  });

  it("an update with an old revision is a conflict, a second create exists already", async () => {
    const made = await cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16" }));
    await cluster.datastore.update<Any>(calicoTypes.ipPools, { ...made, spec: { ...made.spec, natOutgoing: true } });
    await expect(cluster.datastore.update<Any>(calicoTypes.ipPools, made)).rejects.toMatchObject({ code: "Conflict" });
    await expect(cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16" }))).rejects.toMatchObject({ code: "AlreadyExists" });
    await expect(cluster.datastore.get(calicoTypes.ipPools, { name: "q" })).rejects.toMatchObject({ code: "NotFound", status: 404 });
  });

  it("a custom resource that is not valid is refused with the field", async () => {
    await expect(cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16", blockSize: 10 }))).rejects.toMatchObject({ code: "Invalid", causes: [{ field: "spec.blockSize" }] });
    await expect(cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16", natOutgoing: "yes" }))).rejects.toMatchObject({ code: "Invalid", causes: [{ field: "spec.natOutgoing" }, { field: "<nil>" }] });
    await expect(cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16", blocksize: 26 }), { fieldValidation: "Strict" })).rejects.toThrow(/unknown field "spec.blocksize"/);
    expect((await cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16", blocksize: 26 }))).spec).not.toHaveProperty("blocksize");
    await expect(cluster.datastore.patch<Any>(calicoTypes.ipPools, { name: "p" }, { spec: { cidr: "10.1.0.0/16" } }, { type: "merge" })).rejects.toMatchObject({ code: "Invalid", causes: [{ field: "spec.cidr" }] });
  });

  it("status is written apart from the spec", async () => {
    await cluster.datastore.create<Any>(calicoTypes.ipPools, pool("p", { cidr: "10.0.0.0/16" }));
    const condition = { type: "Allocatable", status: "True", reason: "OK", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    await cluster.datastore.patch<Any>(calicoTypes.ipPools, { name: "p" }, { status: { conditions: [condition] }, spec: { disabled: true } }, { type: "merge", subresource: "status" });
    const after = await cluster.datastore.patch<Any>(calicoTypes.ipPools, { name: "p" }, { status: null, spec: { natOutgoing: true } }, { type: "merge" });
    expect(after).toMatchObject({ status: { conditions: [condition] }, spec: { natOutgoing: true } });
    expect(after.spec).not.toHaveProperty("disabled");
  });

  it("an object with finalizers goes when the last one is gone, a bound pod after its grace", async () => {
    await cluster.datastore.create<Any>(coreTypes.pods, pod("a", { finalizers: ["x/y"] }));
    await cluster.datastore.delete(coreTypes.pods, { namespace: "default", name: "a" }, { gracePeriodSeconds: 0 });
    expect((await cluster.datastore.get<Any>(coreTypes.pods, { namespace: "default", name: "a" })).metadata.deletionTimestamp).toBeDefined();
    await cluster.datastore.create<Any>(coreTypes.pods, { ...pod("b"), spec: { nodeName: "n", containers: [{ name: "c", image: "i" }] } });
    await cluster.datastore.delete(coreTypes.pods, { namespace: "default", name: "b" });
    expect((await cluster.datastore.get<Any>(coreTypes.pods, { namespace: "default", name: "b" })).metadata.deletionTimestamp).toBeDefined();
    await cluster.datastore.delete(coreTypes.pods, { namespace: "default", name: "b" }, { gracePeriodSeconds: 0 });
    await expect(cluster.datastore.get(coreTypes.pods, { namespace: "default", name: "b" })).rejects.toMatchObject({ code: "NotFound" });
  });

  it("are selected by labels and fields, page by page, at one revision", async () => {
    for (let i = 0; i < 7; i += 1) await cluster.datastore.create<Any>(coreTypes.pods, pod(`p${i}`, { labels: { even: String(i % 2 === 0) } }));
    const names = async (options: object): Promise<string[]> => (await cluster.datastore.list<Any>(coreTypes.pods, options)).items.map(({ metadata }) => metadata.name);
    expect(await names({ labelSelector: "even=true" })).toEqual(["p0", "p2", "p4", "p6"]);
    expect(await names({ labelSelector: "even in (false),!odd" })).toEqual(["p1", "p3", "p5"]);
    expect(await names({ fieldSelector: "metadata.name=p3" })).toEqual(["p3"]);
    const pages: [number, string][] = [];
    for await (const page of cluster.datastore.listPages<Any>(coreTypes.pods, { pageSize: 3 })) pages.push([page.items.length, page.resourceVersion]);
    expect(pages.map(([count]) => count)).toEqual([3, 3, 1]);
    expect(new Set(pages.map(([, revision]) => revision)).size).toBe(1);
  });

  it("need a namespace that exists, and go with it", async () => {
    await expect(cluster.datastore.create<Any>(coreTypes.pods, { ...pod("a"), metadata: { namespace: "nowhere", name: "a" } })).rejects.toMatchObject({ code: "NotFound" });
    await cluster.datastore.create<Any>(coreTypes.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "n" } });
    await cluster.datastore.create<Any>(coreTypes.pods, { ...pod("a"), metadata: { namespace: "n", name: "a" } });
    await cluster.datastore.delete(coreTypes.namespaces, { name: "n" });
    expect((await cluster.datastore.list(coreTypes.pods)).items).toEqual([]);
  });
});

it("tokens decide who may ask, and a review says whose a token is", async () => {
  await using guarded = await startTestCluster({ tokens: [{ token: "t", username: "system:serviceaccount:a:b", uid: "1", groups: ["g"] }] });
  expect((await fetch(`${guarded.server.url}/api/v1/pods`)).status).toBe(401);
  expect((await fetch(`${guarded.server.url}/readyz`)).status).toBe(200);
  expect(await guarded.datastore.createTokenReview("t")).toMatchObject({ authenticated: true, username: "system:serviceaccount:a:b" });
  expect(await guarded.datastore.createTokenReview("other")).toMatchObject({ authenticated: false });
});
