import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { globalPolicy, startDemoLab, stopLab, untilReach } from "./cluster.ts";
import { startHostServer } from "./host-server.ts";

const PORT = 7_777;

let lab: Lab;
let server: { stop(): void };
beforeAll(async () => {
  lab = await startDemoLab("fvautohep", 27);
  server = await startHostServer(lab, "node/node-2", PORT);
});
afterAll(async () => {
  server.stop();
  expect(await stopLab(lab)).toEqual([]);
});

type HostEndpoint = KubeObject & { readonly spec: { readonly node: string; readonly interfaceName?: string; readonly expectedIPs?: readonly string[]; readonly profiles?: readonly string[] } };
const present = async (): Promise<readonly HostEndpoint[]> => (await lab.datastore.list<HostEndpoint>(calicoTypes.hostEndpoints)).items;
const names = async (): Promise<string> => (await present()).map(({ metadata }) => metadata.name).sort().join();
const configure = (hostEndpoint: object): Promise<void> => lab.apply([{ apiVersion: "projectcalico.org/v3", kind: "KubeControllersConfiguration", metadata: { name: "default" }, spec: { controllers: { node: { hostEndpoint } } } }]);
const ALL = "node-1-auto-hep,node-2-auto-hep,node-3-auto-hep";

it("every node gets one of itself when that is asked for, and everything is still allowed", async () => {
  expect(await names()).toBe("");
  await configure({ autoCreate: "Enabled" });
  await untilTrue("one for each node", async () => (await names()) === ALL, 15_000);
  const [first] = await present();
  expect(first?.spec).toMatchObject({ node: "node-1", interfaceName: "*", profiles: ["projectcalico-default-allow"] });
  expect(first?.spec.expectedIPs).toContain(lab.plan.nodes[0]?.address);
  expect(first?.metadata.labels).toMatchObject({ "projectcalico.org/created-by": "calico-kube-controllers" });
  // That they are in force shows where a policy closes a port; without it their profile lets everything in.
  const untilReached = (wanted: boolean): Promise<void> => untilTrue(`the node ${wanted ? "" : "not "}to be reached`, async () => (await lab.probe("node/node-1", "node/node-2", PORT, "tcp", 500)).reached === wanted, 15_000);
  await lab.apply([globalPolicy("closed", { selector: "projectcalico.org/created-by == 'calico-kube-controllers'", types: ["Ingress"], ingress: [{ action: "Deny", protocol: "TCP", destination: { ports: [PORT] } }, { action: "Allow" }] })]);
  await untilReached(false);
  await lab.datastore.delete(calicoTypes.globalNetworkPolicies, { name: "closed" });
  await untilReached(true);
  await untilReach(lab, () => true);
});

it("they follow the labels of their nodes, and are made and put right again", async () => {
  await lab.datastore.patch(coreTypes.nodes, { name: "node-1" }, { metadata: { labels: { rack: "a" } } }, { type: "merge" });
  await untilTrue("the label on the host endpoint too", async () => (await present())[0]?.metadata.labels?.["rack"] === "a", 10_000);
  await lab.datastore.patch(calicoTypes.hostEndpoints, { name: "node-1-auto-hep" }, { spec: { profiles: [] } }, { type: "merge" });
  await untilTrue("the profile to be back", async () => (await present())[0]?.spec.profiles?.length === 1, 10_000);
  await lab.datastore.delete(calicoTypes.hostEndpoints, { name: "node-2-auto-hep" });
  await untilTrue("it to be there again", async () => (await names()) === ALL, 10_000);
});

it("those that are not wanted any more go, and nobody else's", async () => {
  await lab.apply([{ apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: "mine" }, spec: { node: "nowhere", interfaceName: "eth9" } }]);
  const templates = [{ generateName: "rack-a", interfaceCIDRs: ["0.0.0.0/0"], nodeSelector: "rack == 'a'", labels: { of: "template" } }];
  await configure({ autoCreate: "Enabled", createDefaultHostEndpoint: "Disabled", templates });
  await untilTrue("that of the template alone", async () => (await names()) === "mine,node-1-rack-a-auto-hep", 15_000);
  expect((await present()).at(-1)?.metadata.labels).toMatchObject({ rack: "a", of: "template" });
  await configure({ autoCreate: "Disabled" });
  await untilTrue("them to be gone", async () => (await names()) === "mine", 15_000);
});

it("a label that a host endpoint cannot have is told as an Event", async () => {
  await lab.apply([{ apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: "odd", labels: { "projectcalico.org/namespace": "shop" } }, spec: { node: "nowhere", interfaceName: "eth9" } }]);
  type Event = KubeObject & { readonly reason: string; readonly message: string };
  const events = async (): Promise<readonly Event[]> => (await lab.datastore.list<Event>(coreTypes.events, { fieldSelector: "involvedObject.kind=HostEndpoint,involvedObject.name=odd" })).items;
  await untilTrue("an Event", async () => (await events()).length > 0, 15_000);
  expect((await events())[0]).toMatchObject({ reason: "DoubtfulObject", message: "metadata.labels[projectcalico.org/namespace]: is a label that only pods have; it is not used." });
});
