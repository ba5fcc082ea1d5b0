/** What the chart's admission policies do, done by the embedded server too. */
import { calicoTypes, isDatastoreError, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCluster, type TestCluster } from "./testing.ts";

type Policy = KubeObject & { readonly spec: Record<string, unknown> };
const object = (kind: string, name: string, spec: object, namespace?: string): KubeObject => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, spec });

describe("admission policies", () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startTestCluster();
  });
  afterAll(() => cluster[Symbol.asyncDispose]());

  it("fill in tier, types and label, and keep the label right", async () => {
    const made = await cluster.datastore.create(calicoTypes.networkPolicies, object("NetworkPolicy", "a", { egress: [{ action: "Allow" }] }, "default")) as Policy;
    expect([made.spec, made.metadata.labels]).toEqual([{ tier: "default", egress: [{ action: "Allow" }], types: ["Egress"] }, { "projectcalico.org/tier": "default" }]);
    const moved = await cluster.datastore.patch<Policy>(calicoTypes.networkPolicies, { namespace: "default", name: "a" }, { spec: { tier: "security" }, metadata: { labels: { app: "a" } } }, { type: "merge" });
    expect([moved.spec["tier"], moved.metadata.labels]).toEqual(["security", { app: "a", "projectcalico.org/tier": "security" }]);
    const { items } = await cluster.datastore.list(calicoTypes.networkPolicies, { labelSelector: "projectcalico.org/tier=security" });
    expect(items).toHaveLength(1);
  });

  it("count what is put without what was filled in as no change", async () => {
    const made = await cluster.datastore.create(calicoTypes.globalNetworkPolicies, object("GlobalNetworkPolicy", "a", {})) as Policy;
    const put = await cluster.datastore.update<KubeObject>(calicoTypes.globalNetworkPolicies, { ...object("GlobalNetworkPolicy", "a", {}), metadata: { name: "a", resourceVersion: made.metadata.resourceVersion ?? "" } });
    expect([put.metadata.generation, put.metadata.labels]).toEqual([1, made.metadata.labels]);
  });

  it("keep the built-in tiers", async () => {
    await cluster.datastore.create(calicoTypes.tiers, object("Tier", "default", { order: 1_000_000, defaultAction: "Deny" }));
    const refusalOf = (tried: Promise<unknown>): Promise<string> => tried.then(() => "", (error: unknown) => (isDatastoreError(error, "Forbidden") ? error.message : String(error)));
    expect(await refusalOf(cluster.datastore.delete(calicoTypes.tiers, { name: "default" }))).toContain("tier default is built in and cannot be deleted; delete or move the policies in it");
    expect(await refusalOf(cluster.datastore.patch(calicoTypes.tiers, { name: "default" }, { spec: { order: 5 } }, { type: "merge" }))).toContain("tier default is built in: its order is always 1000000 and its defaultAction Deny; write these, or make a tier of your own");
    expect(await refusalOf(cluster.datastore.create(calicoTypes.tiers, object("Tier", "kube-admin", { order: 1_000 })))).toContain("tier kube-admin is built in: its order is always 1000 and its defaultAction Pass");
    expect((await cluster.datastore.list(calicoTypes.tiers)).items).toHaveLength(1);
  });
});
