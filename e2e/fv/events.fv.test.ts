import { calicoTypes, coreTypes, type KubeObject, type ResourceType } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT, SERVER_IMAGE } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { calicoPolicy, hasKubectl, healthOf, inject, kubectl, onKubernetes, run, startDemoLab, stopLab } from "./cluster.ts";

type Event = KubeObject & { involvedObject: { kind: string; name: string; uid?: string; resourceVersion?: string }; reason: string; message: string; count: number };

const FELIX_HEALTH = 9099;
const pod = (name: string): KubeObject => ({
  apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name, annotations: { "cni.projectcalico.org/ipv4pools": '["tiny"]' } },
  spec: { nodeName: "node-1", containers: [{ name: "server", image: SERVER_IMAGE, ports: [{ containerPort: DEMO_PORT, protocol: "TCP" }] }] },
} as KubeObject);

describe("events", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvevents", 29);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  const eventsOf = async (kind: string, name: string): Promise<Event[]> =>
    (await lab.datastore.list<Event>(coreTypes.events, { fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}` })).items;

  async function untilEvent(kind: string, name: string, wanted: (event: Event) => boolean): Promise<Event> {
    let found: Event | undefined;
    await untilTrue(`an Event about ${kind} ${name}`, async () => (found = (await eventsOf(kind, name)).find(wanted)) !== undefined, 15_000);
    return found as Event;
  }

  const get = (type: ResourceType, name: string, namespace?: string): Promise<KubeObject> => lab.datastore.get<KubeObject>(type, { name, ...(namespace === undefined ? {} : { namespace }) });

  it.skipIf(onKubernetes)("an object that cannot be used: one Event per revision names the field, and kubectl describe shows it", async () => {
    // A server with older definitions stores what the rules of this version refuse.
    await inject(lab, { skipChecks: true });
    await lab.apply([calicoPolicy("shop", "odd", { selector: "app === 'x'", types: ["Ingress"], ingress: [{ action: "Allow" }] })]);
    const stored = await get(calicoTypes.networkPolicies, "odd", "shop");
    const first = await untilEvent("NetworkPolicy", "odd", ({ reason }) => reason === "InvalidObject");
    expect(first).toMatchObject({ type: "Warning", count: 1, involvedObject: { apiVersion: "projectcalico.org/v3", uid: stored.metadata.uid, resourceVersion: stored.metadata.resourceVersion }, source: { component: "calico-typha" } });
    expect(first.message).toContain("spec.selector");
    await lab.datastore.patch(calicoTypes.networkPolicies, { namespace: "shop", name: "odd" }, { spec: { selector: "app ==== 'x'" } }, { type: "merge" });
    await untilEvent("NetworkPolicy", "odd", ({ involvedObject }) => involvedObject.resourceVersion !== stored.metadata.resourceVersion);
    expect((await eventsOf("NetworkPolicy", "odd")).length).toBe(2);
    await inject(lab, { skipChecks: false });
    if (hasKubectl) expect((await kubectl(lab, ["describe", "networkpolicies.projectcalico.org", "-n", "shop", "odd"])).stdout).toMatch(/Events:[\s\S]*Warning +InvalidObject[\s\S]*calico-typha +spec\.selector/);
    await lab.datastore.delete(calicoTypes.networkPolicies, { namespace: "shop", name: "odd" });
  });

  it("a pool without free addresses: told on the pod and on the pool, repetitions are counted", async () => {
    await lab.apply([{ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "tiny" }, spec: { cidr: "10.99.0.0/31", blockSize: 32, assignmentMode: "Manual", nodeSelector: "all()" } }]);
    for (const name of ["one", "two"]) await lab.apply([pod(name)]);
    await lab.untilRunning(["shop/one", "shop/two"]);
    await lab.apply([pod("three")]);
    const uid = (await get(coreTypes.pods, "three", "shop")).metadata.uid;
    const onPod = await untilEvent("Pod", "three", ({ reason }) => reason === "NoFreeAddress");
    expect(onPod).toMatchObject({ involvedObject: { uid, namespace: "shop" }, message: expect.stringContaining("pool tiny 10.99.0.0/31: 2 of 2 addresses in use") });
    const onPool = await untilEvent("IPPool", "tiny", ({ reason }) => reason === "NoFreeAddress");
    expect(onPool).toMatchObject({ metadata: { namespace: "default" }, involvedObject: { uid: (await get(calicoTypes.ipPools, "tiny")).metadata.uid }, message: expect.stringContaining("a pod on node node-1") });
    expect([(await eventsOf("Pod", "three")).length, (await eventsOf("IPPool", "tiny")).length]).toEqual([1, 1]);
    if (hasKubectl) {
      expect((await kubectl(lab, ["describe", "pod", "-n", "shop", "three"])).stdout).toMatch(/Events:[\s\S]*NoFreeAddress[\s\S]*calico-ipam/);
      expect((await kubectl(lab, ["get", "events"])).stdout).toMatch(/NoFreeAddress +ippool\/tiny +no address is free/);
    }
    for (const name of ["one", "two", "three"]) await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name }, { gracePeriodSeconds: 0 });
  });

  it("two nodes with one address: felix is not ready and says which, until one of them goes", async () => {
    const annotations = { "projectcalico.org/IPv4Address": `${lab.plan.nodes[1]?.address ?? ""}/24` };
    await lab.datastore.create(coreTypes.nodes, { apiVersion: "v1", kind: "Node", metadata: { name: "ghost", annotations } });
    await untilTrue("felix of node-2 not to be ready", async () => {
      const { status, text } = await healthOf(lab, "node-2", FELIX_HEALTH);
      return status !== 200 && text.includes("node ghost has the address");
    }, 10_000);
    expect((await untilEvent("Node", "node-2", ({ reason }) => reason === "DuplicateAddress")).message).toContain("delete the Node object of a machine that is gone");
    expect((await healthOf(lab, "node-3", FELIX_HEALTH)).status).toBe(200);
    await lab.datastore.delete(coreTypes.nodes, { name: "ghost" });
    await untilTrue("felix of node-2 to be ready", async () => (await healthOf(lab, "node-2", FELIX_HEALTH)).status === 200, 10_000);
  });

  it("two machines with one name: the one that was there first says so", async () => {
    const node = await get(coreTypes.nodes, "node-3");
    const present = node.metadata.annotations?.["projectcalico.org/IPv4Address"];
    const announce = (address: string | undefined): Promise<unknown> => lab.datastore.patch(coreTypes.nodes, { name: "node-3" }, { metadata: { annotations: { "projectcalico.org/IPv4Address": address } } }, { type: "merge" });
    await announce("172.62.255.250/16");
    await untilEvent("Node", "node-3", ({ reason, message }) => reason === "DuplicateName" && message.includes("172.62.255.250"));
    expect((await healthOf(lab, "node-3", FELIX_HEALTH)).status).not.toBe(200);
    await announce(present);
    await untilTrue("felix of node-3 to be ready", async () => (await healthOf(lab, "node-3", FELIX_HEALTH)).status === 200, 10_000);
  });

  it("a Node that lost its address gets it again, and the routes to it come back", async () => {
    const address = (await get(coreTypes.nodes, "node-3")).metadata.annotations?.["projectcalico.org/IPv4Address"];
    await lab.datastore.patch(coreTypes.nodes, { name: "node-3" }, { metadata: { annotations: { "projectcalico.org/IPv4Address": null } } }, { type: "merge" });
    await untilTrue("the address to be announced again", async () => (await get(coreTypes.nodes, "node-3")).metadata.annotations?.["projectcalico.org/IPv4Address"] === address, 10_000);
    await untilTrue("felix of node-3 to be ready", async () => (await healthOf(lab, "node-3", FELIX_HEALTH)).status === 200, 10_000);
    await untilTrue("node-1 to have routes to it", async () => run(lab, "node/node-1", "ip", "route").includes(`via ${String(address).split("/")[0]} `), 20_000);
  });
});
