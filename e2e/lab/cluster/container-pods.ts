/**
 * The pods of a real cluster as the lab sees them: where each one's network namespace is, under a name that `ip netns`
 * knows, and the lab's own server on the ports that pods of its image declare.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { coreTypes, createInformer, type Datastore, type Informer } from "@calico/datastore";
import { SERVER_IMAGE } from "../demo.ts";
import type { Kubelet, RunningPod } from "../kubelet/kubelet.ts";
import type { PodNetwork, PodServers } from "../kubelet/pod-network.ts";
import { podView, type PodView } from "../kubelet/pod-view.ts";
import { KUBELET_FOLDERS, type NodeHost } from "../node-host.ts";
import { podNamespaceName } from "../topology.ts";
import { isRunningContainer, type ContainerPod, containerPod } from "./container-pod.ts";

type Attached = RunningPod & { readonly containerId: string; readonly servers: PodServers | null };

/** Where containerd keeps the pid of a container's first process. */
const TASKS = "io.containerd.runtime.v2.task/k8s.io";

export function createContainerPods(options: { labName: string; datastore: Datastore; hosts: readonly NodeHost[]; network: PodNetwork; log: (line: string) => void }): Kubelet {
  const { labName, datastore, hosts, network, log } = options;
  const hostByNode = new Map(hosts.map((host) => [host.plan.name, host]));
  const running = new Map<string, Attached>();
  const waiting = new Map<string, string>();
  let informer: Informer | null = null;

  function onPod(pod: ContainerPod): void {
    const { view } = pod;
    if (view.hostNetwork) return;
    const host = hostByNode.get(view.node ?? "");
    const current = running.get(view.key);
    if (current !== undefined && (current.view.uid !== view.uid || current.containerId !== pod.containerId || view.deleting || view.finished)) detach(view.key);
    if (host === undefined || view.deleting || view.finished || !isRunningContainer(pod)) {
      if (view.deleting || view.finished) waiting.delete(view.key);
      else waiting.set(view.key, pod.why);
      return;
    }
    if (running.has(view.key)) return;
    try {
      running.set(view.key, attach(host, view, pod));
      waiting.delete(view.key);
    } catch (error) {
      // Its container ended meanwhile; the kubelet will say so.
      waiting.set(view.key, error instanceof Error ? error.message : String(error));
      log(`pod ${view.key}: ${waiting.get(view.key)}`);
    }
  }

  function attach(host: NodeHost, view: PodView, { containerId, image, addresses }: ContainerPod): Attached {
    const pid = readFileSync(join(host.dir, KUBELET_FOLDERS["/run/containerd"], TASKS, containerId, "init.pid"), "utf8").trim();
    const netns = podNamespaceName(labName, view.namespace, view.name, view.uid);
    if (!isSame(`/run/netns/${netns}`, `/proc/${pid}/ns/net`)) {
      spawnSync("ip", ["netns", "del", netns], { stdio: "ignore" });
      const { status, stderr } = spawnSync("ip", ["netns", "attach", netns, pid], { encoding: "utf8" });
      if (status !== 0) throw new Error(`its network namespace cannot be named: ${stderr.trim()}`);
    }
    const servers = image === SERVER_IMAGE ? network.serve(`/run/netns/${netns}`, view.ports, view.key) : null;
    return { view, host, netns, addresses, containerId, servers };
  }

  function detach(key: string): void {
    const pod = running.get(key);
    if (pod === undefined) return;
    running.delete(key);
    pod.servers?.close();
    network.removeNamespace(pod.netns);
  }

  return {
    async start() {
      informer = createInformer({
        datastore,
        type: coreTypes.pods,
        transform: (raw) => containerPod(raw, podView(raw)),
        handler: {
          onUpsert: (_key, pod) => onPod(pod),
          onDelete: (key) => {
            const name = typeof key === "string" ? key : `${key.namespace ?? ""}/${key.name}`;
            waiting.delete(name);
            detach(name);
          },
          onSynced: () => undefined,
        },
      });
      informer.start();
      await informer.synced;
    },
    pods: () => running,
    waiting: () => waiting,
    async stop() {
      informer?.stop();
      for (const key of [...running.keys()]) detach(key);
    },
  };
}

/** True: both paths are one namespace. */
function isSame(path: string, other: string): boolean {
  try {
    return statSync(path).ino === statSync(other).ino;
  } catch {
    return false;
  }
}
