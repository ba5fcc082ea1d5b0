import { DatastoreError, type Datastore, type KubeObject, type ResourceType, type WatchSink } from "@calico/datastore";
import { createFakeClock, silentLogger } from "@calico/service-kit";
import { describe, expect, it } from "vitest";
import { isAsWanted, isAuto, settingsOf, wantedHostEndpoints, type AutoHostEndpoint, type HostEndpointSettings, type NodeView } from "./auto-host-endpoints.ts";
import { createHostEndpointKeeper, reconcile } from "./host-endpoint-keeper.ts";

const view = (name: string): NodeView => ({ name, labels: { rack: "1" }, addresses: ["192.0.2.1", "fd00::1"] as unknown as NodeView["addresses"] });
const enabled = settingsOf({ autoCreate: "Enabled" });
const CREATED_BY = { "projectcalico.org/created-by": "calico-kube-controllers" };

/** An API server with host endpoints and nodes; what it is asked to do is written down. */
function cluster(objects: readonly KubeObject[], nodeNames: readonly string[]) {
  const present = new Map(objects.map((object) => [object.metadata.name, object]));
  const done: string[] = [];
  let fail: string | null = null;
  const refuse = (name: string): void => {
    if (fail === name) throw new DatastoreError("Unavailable", name);
  };
  return {
    present, done,
    failAt: (name: string | null) => void (fail = name),
    api: {
      get: (_: unknown, { name }: { name: string }): Promise<never> => (nodeNames.includes(name) ? Promise.resolve({} as never) : Promise.reject(new DatastoreError("NotFound", name))),
      create: async (_: unknown, object: KubeObject): Promise<never> => {
        refuse(object.metadata.name);
        if (present.has(object.metadata.name)) throw new DatastoreError("AlreadyExists", object.metadata.name);
        present.set(object.metadata.name, { ...object, metadata: { ...object.metadata, uid: "u", resourceVersion: "1" } });
        done.push(`create ${object.metadata.name}`);
        return object as never;
      },
      update: async (_: unknown, object: KubeObject): Promise<never> => {
        refuse(object.metadata.name);
        present.set(object.metadata.name, object);
        done.push(`update ${object.metadata.name} at ${object.metadata.resourceVersion}`);
        return object as never;
      },
      delete: async (_: unknown, { name }: { name: string }, options: object = {}): Promise<void> => {
        refuse(name);
        present.delete(name);
        done.push(`delete ${name} ${JSON.stringify(options)}`);
      },
    } as never,
  };
}

const auto = (node: string, over: Partial<AutoHostEndpoint["spec"]> = {}, labels: Record<string, string> = { rack: "1", ...CREATED_BY }): KubeObject => ({
  apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: `${node}-auto-hep`, uid: `u-${node}`, resourceVersion: "7", labels }, spec: { node, interfaceName: "*", expectedIPs: ["192.0.2.1", "fd00::1"], profiles: ["projectcalico-default-allow"], ...over },
});
const pass = (store: ReturnType<typeof cluster>, nodes: readonly NodeView[], settings: HostEndpointSettings = enabled): Promise<boolean> =>
  reconcile(store.api, { nodes: new Map(nodes.map((node) => [node.name, node])), present: new Map(store.present), settings }, new Set(), silentLogger);

describe("keeping them", () => {
  it("makes what is missing and leaves what is right", async () => {
    const store = cluster([auto("n1")], ["n1", "n2"]);
    expect(await pass(store, [view("n1"), view("n2")])).toBe(true);
    expect(store.done).toEqual(["create n2-auto-hep"]);
    expect(await pass(store, [view("n1"), view("n2")])).toBe(true);
    expect(store.done).toHaveLength(1);
  });

  it.each<[string, KubeObject]>([
    ["a label", auto("n1", {}, { rack: "2", ...CREATED_BY })], ["an address", auto("n1", { expectedIPs: [] })], ["the profile", auto("n1", { profiles: [] })], ["the interface", auto("n1", { interfaceName: "eth0" })],
  ])("corrects %s with the revision that was seen", async (_, changed) => {
    const store = cluster([changed], ["n1"]);
    expect(await pass(store, [view("n1")])).toBe(true);
    expect(store.done).toEqual(["update n1-auto-hep at 7"]);
    expect(isAsWanted(store.present.get("n1-auto-hep") as KubeObject, wantedHostEndpoints([view("n1")], enabled).get("n1-auto-hep") as AutoHostEndpoint)).toBe(true);
  });

  it("removes them when they are disabled, exactly those that were seen", async () => {
    const store = cluster([auto("n1"), auto("n2")], ["n1", "n2"]);
    expect(await pass(store, [view("n1"), view("n2")], settingsOf({}))).toBe(true);
    expect(store.done).toEqual(["n1", "n2"].map((node) => `delete ${node}-auto-hep {"uid":"u-${node}","resourceVersion":"7"}`));
  });

  it("removes one whose node is gone, and only when the API server says so too", async () => {
    const store = cluster([auto("n1"), auto("n2")], ["n2"]);
    expect(await pass(store, [])).toBe(true);
    expect(store.done).toEqual(['delete n1-auto-hep {"uid":"u-n1","resourceVersion":"7"}']);
  });

  it("keeps what a template made while it cannot be read, but not of nodes that are gone, and not when all are disabled", async () => {
    const made = (node: string, template: string): KubeObject => ({ ...auto(node), metadata: { ...auto(node).metadata, name: `${node}-${template}-auto-hep` } });
    const templates = [{ generateName: "lan", interfaceCIDRs: ["10.0.0.0/33"] }];
    const objects = [made("n1", "lan"), made("n1", "wan"), made("gone", "lan")];
    const store = cluster(objects, ["n1"]);
    expect(await pass(store, [view("n1")], settingsOf({ autoCreate: "Enabled", createDefaultHostEndpoint: "Disabled", templates }))).toBe(true);
    expect([...store.present.keys()]).toEqual(["n1-lan-auto-hep"]);
    expect(await pass(store, [view("n1")], settingsOf({ autoCreate: "Disabled", templates }))).toBe(true);
    expect([...store.present.keys()]).toEqual([]);
  });

  it("never touches what somebody else made, by whatever name or label", async () => {
    const mine = { ...auto("n1", { interfaceName: "eth0" }), metadata: { name: "n1-auto-hep", labels: {} } };
    const labelled = { ...auto("n2"), metadata: { name: "n2-eth0", labels: CREATED_BY } };
    expect([mine, labelled, auto("n1")].map(isAuto)).toEqual([false, false, true]);
    for (const settings of [enabled, settingsOf({})]) {
      const store = cluster([mine, labelled], ["n1"]);
      expect(await pass(store, [view("n1")], settings)).toBe(true);
      expect(store.done).toEqual([]);
    }
  });

  it("does the rest when one fails, and says that it is not done", async () => {
    const store = cluster([auto("gone")], ["n1", "n2"]);
    store.failAt("n1-auto-hep");
    expect(await pass(store, [view("n1"), view("n2")])).toBe(false);
    expect(store.done.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["create n2-auto-hep", "delete gone-auto-hep"]);
    store.failAt(null);
    expect(await pass(store, [view("n1"), view("n2")])).toBe(true);
  });
});

/** A keeper of a cluster whose informers see what it holds. */
function keeperOf(store: ReturnType<typeof cluster>, nodes: readonly string[], log = silentLogger) {
  const sinks = new Map<string, WatchSink<KubeObject>>();
  const listed = Promise.withResolvers<void>();
  const datastore = {
    ...(store.api as Datastore),
    async *listPages({ kind }: ResourceType) {
      if (kind === "HostEndpoint") await listed.promise;
      yield { items: (kind === "Node" ? nodes.map((name) => node(name, "1")) : [...store.present.values()]) as never[], resourceVersion: "1" };
    },
    watch({ kind }: ResourceType, _: unknown, sink: unknown) {
      sinks.set(kind, sink as WatchSink<KubeObject>);
      return { close() {} };
    },
  } as Datastore;
  const clock = createFakeClock();
  return { sinks, listed, clock, keeper: createHostEndpointKeeper({ datastore, clock, log }) };
}
const node = (name: string, resourceVersion: string): KubeObject => ({ apiVersion: "v1", kind: "Node", metadata: { name, resourceVersion, labels: {} } });

it("the keeper waits until it knows what is wanted and what there is, and then follows changes", async () => {
  const store = cluster([], ["n1", "n2"]);
  const { sinks, listed, clock, keeper } = keeperOf(store, ["n1"]);
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  keeper.configure(enabled);
  await expect.poll(() => sinks.has("Node")).toBe(true);
  clock.advance(1_000);
  expect(store.done).toEqual([]);
  listed.resolve();
  await expect.poll(() => {
    clock.advance(500);
    return store.done;
  }).toEqual(["create n1-auto-hep"]);
  sinks.get("HostEndpoint")?.onEvent({ type: "ADDED", object: { ...(store.present.get("n1-auto-hep") as KubeObject), metadata: { ...(store.present.get("n1-auto-hep") as KubeObject).metadata, resourceVersion: "2" } } });
  sinks.get("Node")?.onEvent({ type: "ADDED", object: node("n2", "3") });
  await expect.poll(() => store.done).toEqual(["create n1-auto-hep", "create n2-auto-hep"]);
  stop.abort();
  await running;
});

it("a keeper that leads again waits for what is wanted now", async () => {
  const store = cluster([], ["n1"]);
  const { listed, clock, keeper, sinks } = keeperOf(store, ["n1"]);
  listed.resolve();
  const term = async (act: () => Promise<void>): Promise<void> => {
    const stop = new AbortController();
    const running = keeper.run(stop.signal);
    await act();
    stop.abort();
    await running;
  };
  await term(async () => {
    keeper.configure(enabled);
    await expect.poll(() => {
      clock.advance(500);
      return store.done;
    }).toEqual(["create n1-auto-hep"]);
  });
  keeper.configure(settingsOf({}));
  sinks.clear();
  await term(async () => {
    await expect.poll(() => sinks.size).toBe(2);
    for (let i = 0; i < 20; i += 1) {
      clock.advance(1_000);
      await Promise.resolve();
    }
    expect(store.done).toEqual(["create n1-auto-hep"]);
    keeper.configure(enabled);
    sinks.get("Node")?.onEvent({ type: "ADDED", object: node("n2", "3") });
    await expect.poll(() => {
      clock.advance(500);
      return store.done;
    }).toEqual(["create n1-auto-hep", "create n2-auto-hep"]);
  });
});

it("the keeper says once what is wrong with a template, and again after a change", () => {
  const said: unknown[] = [];
  const { keeper } = keeperOf(cluster([], []), [], { ...silentLogger, warn: (message, fields) => void said.push([message, fields]) });
  const configure = (...interfaceCIDRs: string[]): void => keeper.configure(settingsOf({ autoCreate: "Enabled", templates: [{ generateName: "lan", interfaceCIDRs }] }));
  for (const net of ["10.0.0.0/33", "10.0.0.0/33", "10.0.0.0/8", "10.0.0.0/33"]) configure(net);
  const warning = ["A template of host endpoints cannot be used; those that it made stay as they are", { field: "controllers.node.hostEndpoint.templates[0].interfaceCIDRs[0]", message: '"10.0.0.0/33" is not a CIDR' }];
  expect(said).toEqual([warning, warning]);
});
