import type { ClusterHalf, ClusterUpdate } from "@calico/calc";
import type { Datastore, KubeObject, WatchSink } from "@calico/datastore";
import { createFakeClock, silentLogger } from "@calico/service-kit";
import { expect, it } from "vitest";
import { createHub } from "./hub.ts";
import { createNodeConfigStore, type NodeConfigStore } from "./node-config.ts";
import { createSources } from "./sources.ts";

const node = (name: string, resourceVersion: string, labels: Record<string, string>): KubeObject => ({ apiVersion: "v1", kind: "Node", metadata: { name, uid: name, resourceVersion, labels } });

it("resolves the configuration of one node when its labels change, and of none when a kubelet writes its status", async () => {
  let nodes: WatchSink<KubeObject> | undefined;
  const datastore = {
    async *listPages({ kind }) {
      yield { items: (kind === "Node" ? [node("a", "1", { rack: "1" }), node("b", "2", {})] : []) as never[], resourceVersion: "2" };
    },
    watch({ kind }, _, sink) {
      if (kind === "Node") nodes = sink as never;
      return { close() {} };
    },
  } as Partial<Datastore> as Datastore;
  const resolved: string[] = [];
  const store = createNodeConfigStore();
  const config: NodeConfigStore = {
    ...store,
    resolve(name, labels) {
      resolved.push(`${name} ${JSON.stringify(labels)}`);
      return store.resolve(name, labels);
    },
  };
  const hub = createHub({ clock: createFakeClock(), config, labelsOf: (name) => sources.labelsOf(name), retentionMs: 1_000, maxTombstones: 10, log: silentLogger });
  const sources = createSources({ datastore, half: { onUpdate() {} } as unknown as ClusterHalf, hub, config, findings: { set() {}, objects: 0 }, log: silentLogger, onUpdate() {} });
  sources.start();
  await sources.ready;
  await expect.poll(() => nodes).toBeDefined();
  for (const name of ["a", "b"]) hub.open(name, { onValue() {}, onDelta() {}, onRemove() {} });
  resolved.length = 0;
  nodes?.onEvent({ type: "MODIFIED", object: node("a", "3", { rack: "1" }) });
  expect(resolved).toEqual([]);
  nodes?.onEvent({ type: "MODIFIED", object: node("a", "4", { rack: "2" }) });
  nodes?.onEvent({ type: "DELETED", object: node("b", "5", {}) });
  expect(resolved).toEqual(['a {"rack":"2"}', "b {}"]);
  sources.stop();
});

it("feeds host endpoints to the calculation, with the profile that always exists, and tells what of them cannot be used", async () => {
  const objects: KubeObject[] = [
    { apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: "a-eth0", uid: "1", resourceVersion: "1", labels: { role: "edge" } }, spec: { node: "a", interfaceName: "eth0", profiles: ["projectcalico-default-allow", "mine"] } },
    { apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: "nowhere", uid: "2", resourceVersion: "2" }, spec: { node: "a" } },
  ];
  let events: WatchSink<KubeObject> | undefined;
  const datastore = {
    async *listPages({ kind }) {
      yield { items: (kind === "HostEndpoint" ? objects : []) as never[], resourceVersion: "2" };
    },
    watch({ kind }, _, sink) {
      if (kind === "HostEndpoint") events = sink as never;
      return { close() {} };
    },
  } as Partial<Datastore> as Datastore;
  const updates: ClusterUpdate[] = [];
  const findings: string[] = [];
  const config = createNodeConfigStore();
  const hub = createHub({ clock: createFakeClock(), config, labelsOf: () => ({}), retentionMs: 1_000, maxTombstones: 10, log: silentLogger });
  const sources = createSources({
    datastore, half: { onUpdate: (update: ClusterUpdate) => updates.push(update) } as unknown as ClusterHalf, hub, config, log: silentLogger, onUpdate() {},
    findings: { set: ({ kind, name }, _, list) => findings.push(...list.map(({ severity, field }) => `${kind} ${name} ${severity} ${field}`)), objects: 0 },
  });
  sources.start();
  await sources.ready;
  await expect.poll(() => events).toBeDefined();
  expect(updates.find(({ kind }) => kind === "Profile")).toMatchObject({ id: "projectcalico-default-allow", value: { labels: {}, inbound: [{ action: "Allow" }], outbound: [{ action: "Allow" }] } });
  const told = (): unknown[] => updates.filter(({ kind }) => kind === "HostEndpoint").map(({ id, value }) => [id, value]);
  const value = { id: "hep/a-eth0", name: "a-eth0", node: "a", interfaceName: "eth0", expectedIps: [], labels: { role: "edge" }, profiles: ["projectcalico-default-allow"], ports: [], revision: "1" };
  expect(told()).toEqual([["hep/a-eth0", value], ["hep/nowhere", null]]);
  expect(findings).toEqual(["HostEndpoint a-eth0 error spec.profiles[1]", "HostEndpoint nowhere critical spec.interfaceName"]);
  const [first] = objects;
  events?.onEvent({ type: "MODIFIED", object: { ...first, metadata: { ...first?.metadata, name: "a-eth0", resourceVersion: "3", annotations: { note: "x" } } } as KubeObject });
  events?.onEvent({ type: "DELETED", object: { ...first, metadata: { ...first?.metadata, name: "a-eth0", resourceVersion: "4" } } as KubeObject });
  expect(told().slice(2)).toEqual([["hep/a-eth0", null]]);
  sources.stop();
});

it("keeps of staged policies what is wrong with them, and lets none into the calculation", async () => {
  const staged: Record<string, KubeObject> = {
    StagedNetworkPolicy: { apiVersion: "projectcalico.org/v3", kind: "StagedNetworkPolicy", metadata: { name: "bad", namespace: "shop", resourceVersion: "1" }, spec: { selector: "a = 'b'" } } as KubeObject,
    StagedGlobalNetworkPolicy: { apiVersion: "projectcalico.org/v3", kind: "StagedGlobalNetworkPolicy", metadata: { name: "good", resourceVersion: "1" }, spec: { ingress: [{ action: "Deny" }] } } as KubeObject,
    StagedKubernetesNetworkPolicy: { apiVersion: "projectcalico.org/v3", kind: "StagedKubernetesNetworkPolicy", metadata: { name: "odd", namespace: "shop", resourceVersion: "1" }, spec: { stagedAction: "Sett" } } as KubeObject,
  };
  const datastore = {
    async *listPages({ kind }) {
      yield { items: (staged[kind] === undefined ? [] : [staged[kind]]) as never[], resourceVersion: "1" };
    },
    watch: () => ({ close() {} }),
  } as Partial<Datastore> as Datastore;
  const updates: ClusterUpdate[] = [];
  const found: string[] = [];
  const config = createNodeConfigStore();
  const hub = createHub({ clock: createFakeClock(), config, labelsOf: () => ({}), retentionMs: 1_000, maxTombstones: 10, log: silentLogger });
  const sources = createSources({
    datastore, half: { onUpdate: (update: ClusterUpdate) => void updates.push(update) } as unknown as ClusterHalf, hub, config, log: silentLogger, onUpdate() {},
    findings: { set: ({ kind, name }, _, findings) => void found.push(...findings.map(({ severity, field }) => `${kind} ${name} ${severity} ${field}`)), objects: 0 },
  });
  sources.start();
  await sources.ready;
  sources.stop();
  expect(found.sort()).toEqual(["StagedKubernetesNetworkPolicy odd error spec.stagedAction", "StagedNetworkPolicy bad critical spec.selector"]);
  expect(updates.filter(({ kind }) => kind !== "Tier" && kind !== "Profile")).toEqual([]);
});
