/** The pods of a cluster that runs elsewhere. */
import { coreTypes, createInformer, type Datastore, type Informer, type KubeObject } from "@calico/datastore";
import { containerPod, isRunningContainer, type ContainerPod } from "../cluster/container-pod.ts";
import { podView } from "../kubelet/pod-view.ts";

export interface ClusterPods {
  start(): Promise<void>;
  /** Those on the pod network that run, by "namespace/name". */
  running(): ReadonlyMap<string, ContainerPod>;
  /** Why others do not run yet. */
  waiting(): ReadonlyMap<string, string>;
  /** A running pod. Throws with what there is. */
  named(key: string): ContainerPod;
  stop(): void;
}

export function followPods(datastore: Datastore): ClusterPods {
  const running = new Map<string, ContainerPod>();
  const waiting = new Map<string, string>();
  let informer: Informer | null = null;

  function forget(key: string): void {
    running.delete(key);
    waiting.delete(key);
  }
  function onPod(pod: ContainerPod): void {
    const { view } = pod;
    forget(view.key);
    if (view.hostNetwork || view.deleting || view.finished) return;
    if (isRunningContainer(pod)) running.set(view.key, pod);
    else waiting.set(view.key, pod.why);
  }

  return {
    async start() {
      informer = createInformer({
        datastore, type: coreTypes.pods, transform: (raw: KubeObject) => containerPod(raw, podView(raw)),
        handler: { onUpsert: (_key, pod) => onPod(pod), onDelete: ({ namespace = "", name }) => forget(`${namespace}/${name}`), onSynced: () => undefined },
      });
      informer.start();
      await informer.synced;
    },
    running: () => running,
    waiting: () => waiting,
    named(key) {
      const pod = running.get(key);
      if (pod !== undefined) return pod;
      const why = waiting.get(key);
      throw new Error(why === undefined ? `there is no running pod ${key} on the pod network; there are ${[...running.keys()].sort().join(", ") || "none"}` : `${key} does not run yet: ${why}`);
    },
    stop: () => informer?.stop(),
  };
}
