/** Pods whose network a benchmark sets up itself, by calling the plugin as a container runtime does. */
import { randomBytes } from "node:crypto";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { cniAdd, cniDel, type CniResult, type Conflist, type Sandbox } from "../lab/kubelet/cni-runtime.ts";
import { UNMANAGED } from "../lab/kubelet/pod-view.ts";
import type { Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";

export type Attached = { readonly sandbox: Sandbox; readonly result: CniResult; readonly milliseconds: number };

/** Makes a pod of the API, bound to a node, that the lab's kubelet leaves alone. */
export async function createPod(lab: Lab, host: NodeHost, name: string): Promise<Sandbox> {
  const pod = { apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name, labels: { app: "bench" }, annotations: { [UNMANAGED]: "true" } }, spec: { nodeName: host.plan.name, containers: [{ name: "c", image: "bench" }] } };
  const { metadata } = await lab.datastore.create<KubeObject>(coreTypes.pods, pod as KubeObject);
  return sandboxOf(lab, name, metadata.uid ?? "");
}

/** A namespace and a container id; without a pod of the API for plugins that know none. */
export function sandboxOf(lab: Lab, name: string, uid: string): Sandbox {
  return { containerId: randomBytes(32).toString("hex"), netnsPath: lab.network.createNamespace(`${lab.plan.name}-pod-${name}`), namespace: "default", pod: name, uid };
}

/** Runs ADD and times it, from the start of the plugin's process to its end. */
export async function attach(host: NodeHost, sandbox: Sandbox, list?: Conflist): Promise<Attached> {
  const started = performance.now();
  const result = await (list === undefined ? cniAdd(host, sandbox) : cniAdd(host, sandbox, list));
  return { sandbox, result, milliseconds: performance.now() - started };
}

/** Runs DEL and times it, then removes the namespace and the pod. */
export async function detach(lab: Lab, host: NodeHost, { sandbox, result }: Attached, list?: Conflist): Promise<number> {
  const started = performance.now();
  await (list === undefined ? cniDel(host, sandbox, result) : cniDel(host, sandbox, result, list));
  const milliseconds = performance.now() - started;
  lab.network.removeNamespace(sandbox.netnsPath.slice("/run/netns/".length));
  if (sandbox.uid !== "") await lab.datastore.delete(coreTypes.pods, { namespace: "default", name: sandbox.pod }, { gracePeriodSeconds: 0 });
  return milliseconds;
}

export const addressOf = ({ result }: Attached): string => result.ips?.[0]?.address.split("/")[0] ?? "";
