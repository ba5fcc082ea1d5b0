import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { openConntrack, openSys, withNetns } from "@calico/kernel";
import { afterAll, beforeAll, expect, it } from "vitest";
import { addressOf, attach, createPod, sandboxOf, type Attached } from "../bench/sandboxes.ts";
import { cniAdd, cniCheck, cniDel, cniGc, readConflist } from "../lab/kubelet/cni-runtime.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { untilTrue } from "../lab/wait.ts";
import { run, startDemoLab, stopLab, untilHealthy } from "./cluster.ts";

let lab: Lab;
let host: NodeHost;
let pods: Attached[];
beforeAll(async () => {
  lab = await startDemoLab("fvcni", 17);
  host = lab.hosts[0] as NodeHost;
  pods = [];
  for (const name of ["a", "b", "c"]) pods.push(await attach(host, await createPod(lab, host, name)));
});
afterAll(async () => expect(await stopLab(lab)).toEqual([]));

const routes = (): string => run(lab, "node/node-1", "ip", "route");
const pod = (i: number): Attached => pods[i] as Attached;

/** Waits until the plugin's annotations of a pod are these. */
async function untilAnnotated(name: string, expected: Record<string, string>): Promise<void> {
  await untilTrue(`${name} to be annotated`, async () => {
    const { annotations = {} } = (await lab.datastore.get<KubeObject>(coreTypes.pods, { namespace: "default", name })).metadata;
    const found = Object.fromEntries(Object.entries(annotations).flatMap(([key, value]) => (key.startsWith("cni.projectcalico.org/") ? [[key.slice("cni.projectcalico.org/".length), value]] : [])));
    expect(found).toEqual(expected);
    return true;
  }, 5_000);
}

it("2.4 ADD: the host has a route to the pod alone, and the pod the annotations that are its endpoint", async () => {
  const address = addressOf(pod(0));
  expect(routes()).toMatch(new RegExp(`^${address.replaceAll(".", "\\.")} dev cali[0-9a-f]{11} `, "m"));
  await untilAnnotated("a", { podIP: `${address}/32`, podIPs: `${address}/32`, containerID: pod(0).sandbox.containerId });
});

it("2.4 DEL: of an older container leaves address and annotations of the newer one, whose own DEL clears them", async () => {
  const older = await attach(host, await createPod(lab, host, "again"));
  const newer = await attach(host, { ...sandboxOf(lab, "again-2", older.sandbox.uid), pod: "again" });
  const address = addressOf(newer);
  const containerID = newer.sandbox.containerId;
  await cniDel(host, older.sandbox, older.result);
  await untilAnnotated("again", { podIP: `${address}/32`, podIPs: `${address}/32`, containerID });
  expect(routes()).toContain(`${address} dev cali`);
  await cniDel(host, newer.sandbox, newer.result);
  await untilAnnotated("again", { podIP: "", podIPs: "", containerID });
  expect(routes()).not.toContain(`${address} dev cali`);
  for (const { sandbox } of [older, newer]) lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
});

it("2.4 ADD: gives the same when it is repeated, also after the daemon was started again", async () => {
  const { sandbox, result } = pod(0);
  expect(await cniAdd(host, sandbox)).toEqual(result);
  lab.supervisor.kill("cni@node-1", "SIGKILL");
  await untilTrue("the daemon to be back", async () => lab.supervisor.states().some(({ id, restarts, pid }) => id === "cni@node-1" && restarts > 0 && pid !== null), 10_000);
  await untilHealthy(lab, "node-1", 9096);
  expect(await cniAdd(host, sandbox)).toEqual(result);
});

it("2.4 CHECK: is content until somebody takes something away", async () => {
  const { sandbox, result } = pod(0);
  await cniCheck(host, sandbox, result);
  run(lab, "node/node-1", "nsenter", `--net=${sandbox.netnsPath}`, "ip", "route", "del", "default");
  await expect(cniCheck(host, sandbox, result)).rejects.toThrow(/the pod's route to 0\.0\.0\.0\/0 is gone/);
  run(lab, "node/node-1", "nsenter", `--net=${sandbox.netnsPath}`, "ip", "route", "add", "default", "via", "169.254.1.1", "dev", "eth0");
  await cniCheck(host, sandbox, result);
});

it("2.4 Spec: GC takes away what the runtime does not know, with its address and its route", async () => {
  const list = readConflist(host);
  if (list === null) throw new Error("no network configuration");
  // The kubelet's own containers on this node are named too: GC is about the whole node.
  const records = run(lab, "node/node-1", "sh", "-c", "ls /var/lib/calico/cni/containers").trim().split("\n").map((file) => file.replace("@eth0.json", ""));
  const gone = pod(1).sandbox.containerId;
  await cniGc(host, records.filter((id) => id !== gone).map((containerId) => ({ ...pod(0).sandbox, containerId })), { ...list, cniVersion: "1.1.0" });
  expect(routes()).not.toContain(`${addressOf(pod(1))} dev`);
  expect(routes()).toContain(`${addressOf(pod(0))} dev`);
  expect(JSON.stringify((await lab.datastore.list(calicoTypes.ipamBlocks)).items)).not.toContain('"pod":"b"');
});

it("2.4 Must get right: no ADD while the datastore is not ready, as during a migration", async () => {
  const sayReady = (datastoreReady: boolean) => lab.datastore.patch(calicoTypes.clusterInformations, { name: "default" }, { spec: { datastoreReady } }, { type: "merge" });
  const sandbox = await createPod(lab, host, "waiting");
  await sayReady(false);
  // An ADD before ipam has seen it succeeds, and is taken back.
  const isRefused = (): Promise<boolean> => cniAdd(host, sandbox).then((result) => cniDel(host, sandbox, result).then(() => false), (error: Error) => error.message.includes("datastoreReady") && error.message.includes("code 11"));
  await untilTrue("ADD to be refused", isRefused, 10_000);
  await sayReady(true);
  await untilTrue("ADD to work again", async () => (await cniAdd(host, sandbox)).ips !== undefined, 10_000);
  await cniDel(host, sandbox);
  lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
});

it("the connections of a pod go with it", async () => {
  const sys = openSys();
  using conntrack = withNetns(sys, lab.netnsOf("node/node-1"), () => openConntrack(sys));
  const [going, staying] = [await attach(host, await createPod(lab, host, "d")), await attach(host, await createPod(lab, host, "e"))];
  for (const each of [going, staying]) run(lab, "node/node-1", "bash", "-c", `echo x > /dev/udp/${addressOf(each)}/1009`);
  await cniDel(host, going.sandbox, going.result);
  expect([conntrack.deleteByAddresses([addressOf(going)]), conntrack.deleteByAddresses([addressOf(staying)])]).toEqual([0, 1]);
  await cniDel(host, staying.sandbox, staying.result);
});

it("2.4 DEL: of everything is fine twice, and with the namespace gone", async () => {
  const { sandbox, result } = pod(2);
  lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
  await cniDel(host, sandbox, result);
  await cniDel(host, sandbox, result);
  expect(routes()).not.toContain(`${addressOf(pod(2))} dev`);
});
