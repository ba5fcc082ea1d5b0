import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { globalPolicy, startDemoLab, stopLab, untilReach } from "./cluster.ts";
import { startHostServer } from "./host-server.ts";

const PORT = 7_777;
/** BIRD's, which is a failsafe. */
const FAILSAFE = 179;
let lab: Lab;
let server: { stop(): void };
beforeAll(async () => {
  lab = await startDemoLab("fvhep", 31);
  server = await startHostServer(lab, "node/node-2", PORT);
});
afterAll(async () => {
  server.stop();
  expect(await stopLab(lab)).toEqual([]);
});

const hostEndpoint = { apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: "node-2-uplink", labels: { role: "guarded" } }, spec: { node: "node-2", interfaceName: "eth0" } };
const hostPolicy = (ingress: readonly object[], over: object = {}): KubeObject => globalPolicy("hosts", { selector: "role == 'guarded'", types: ["Ingress", "Egress"], ingress, egress: [{ action: "Allow" }], ...over });
const reaches = async (from: string, to: string, port: number): Promise<boolean> => (await lab.probe(from, to, port, "tcp", 500)).reached;
const untilReached = (from: string, to: string, port: number, wanted: boolean): Promise<void> => untilTrue(`${from} ${wanted ? "to reach" : "not to reach"} ${to} on port ${port}`, async () => (await reaches(from, to, port)) === wanted, 10_000);
const nodeOf = async (): Promise<ReadonlyMap<string, string>> =>
  new Map((await lab.datastore.list<KubeObject & { readonly spec: { readonly nodeName: string } }>(coreTypes.pods)).items.map(({ metadata, spec }) => [`${metadata.namespace}/${metadata.name}`, spec.nodeName]));

it("closes a node but for its failsafe ports; pods behind it are not touched", async () => {
  expect(await reaches("node/node-1", "node/node-2", PORT)).toBe(true);
  await lab.apply([hostPolicy([]), hostEndpoint]);
  await untilReached("node/node-1", "node/node-2", PORT, false);
  expect([await reaches("node/node-1", "node/node-2", FAILSAFE), await reaches("node/node-2", "node/node-1", FAILSAFE)]).toEqual([true, true]);
  await untilReach(lab, () => true);
});

it("opens what a policy allows", async () => {
  await lab.apply([hostPolicy([{ action: "Allow", protocol: "TCP", source: { nets: [`${lab.plan.nodes[0]?.address}/32`] }, destination: { ports: [PORT] } }])]);
  await untilReached("node/node-1", "node/node-2", PORT, true);
  expect(await reaches("node/node-3", "node/node-2", PORT)).toBe(false);
});

it("polices what is forwarded to pods when a policy says so, and never what a node sends to its own pods", async () => {
  const nodes = await nodeOf();
  const onGuarded = (pod: string): boolean => nodes.get(pod) === "node-2";
  expect([...nodes.keys()].some(onGuarded)).toBe(true);
  await lab.apply([globalPolicy("forwarded", { selector: "role == 'guarded'", order: 1, applyOnForward: true, types: ["Ingress"], ingress: [{ action: "Deny", protocol: "TCP", destination: { ports: [8080] } }, { action: "Allow" }] })]);
  await untilReach(lab, (from, to) => !onGuarded(to) || onGuarded(from));
  for (const pod of [...nodes.keys()].filter(onGuarded)) expect(await reaches("node/node-2", pod, 8080)).toBe(true);
});

it("leaves nothing when it goes", async () => {
  await lab.datastore.delete(calicoTypes.hostEndpoints, { name: hostEndpoint.metadata.name });
  await untilReach(lab, () => true);
  await untilReached("node/node-3", "node/node-2", PORT, true);
});
