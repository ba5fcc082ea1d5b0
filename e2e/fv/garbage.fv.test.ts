import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, expect, it } from "vitest";
import { attach, createPod } from "../bench/sandboxes.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { startDemoLab, stopLab } from "./cluster.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await startDemoLab("fvgc", 27, { parameters: { "kube-controllers": { KUBECONTROLLERS_LEAKGRACEPERIOD: "1s", KUBECONTROLLERS_LEAKSCANINTERVAL: "500ms" } } });
});
afterAll(async () => expect(await stopLab(lab)).toEqual([]));

const holders = async (): Promise<string> => JSON.stringify((await lab.datastore.list<KubeObject>(calicoTypes.ipamBlocks)).items);

it("releases the address of a pod that vanished without a DEL, and of nobody else", async () => {
  const [host] = lab.hosts;
  if (host === undefined) throw new Error("no node");
  await attach(host, await createPod(lab, host, "vanishing"));
  await attach(host, await createPod(lab, host, "staying"));
  expect(await holders()).toContain('"pod":"vanishing"');
  await lab.datastore.delete(coreTypes.pods, { namespace: "default", name: "vanishing" }, { gracePeriodSeconds: 0 });
  await untilTrue("the address to be released", async () => !(await holders()).includes('"pod":"vanishing"'), 20_000);
  expect(await holders()).toContain('"pod":"staying"');
  expect(await holders()).toContain('"pod":"frontend"');
});

it("makes a handle again that was lost", async () => {
  const { items: [first] } = await lab.datastore.list<KubeObject>(calicoTypes.ipamHandles);
  const name = first?.metadata.name ?? "";
  await lab.datastore.delete(calicoTypes.ipamHandles, { name });
  await untilTrue("the handle to be there again", async () => (await lab.datastore.list(calicoTypes.ipamHandles)).items.some(({ metadata }) => metadata.name === name), 10_000);
});

it("leaves the objects as they are when it starts again", async () => {
  const before = JSON.stringify((await lab.datastore.list(calicoTypes.ipPools)).items);
  lab.supervisor.kill("kube-controllers@node-1", "SIGKILL");
  await untilTrue("kube-controllers to run again", async () => lab.supervisor.states().some(({ id, restarts, pid }) => id === "kube-controllers@node-1" && restarts > 0 && pid !== null), 10_000);
  await untilTrue("it to lead again", async () => (await fetch(`http://${lab.hosts[0]?.plan.address}:9094/readiness`)).status === 200, 30_000);
  expect(JSON.stringify((await lab.datastore.list(calicoTypes.ipPools)).items)).toBe(before);
});
