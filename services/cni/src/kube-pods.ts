/** Pods through the API server: read for an ADD, annotated after it. */
import { coreTypes, isDatastoreError, type Datastore, type KubeObject } from "@calico/datastore";
import { CONTAINER_ID_ANNOTATION, POD_IP_ANNOTATION, POD_IPS_ANNOTATION, type IpAddress } from "@calico/model";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import { CniError, CODE } from "./errors.ts";
import type { PodDirectory, PodInfo } from "./ports.ts";

type Task = { readonly namespace: string; readonly pod: string; readonly containerId: string; readonly run: () => Promise<void> };

/** A pod that could not be annotated in this time has larger trouble; felix has its addresses from the ADD. */
const GIVE_UP_AFTER = 20;

export function createKubePods(datastore: Datastore, clock: Clock, log: Logger): PodDirectory {
  const stopping = new AbortController();
  /** The last thing to do for each pod: a newer one replaces an older one that did not run yet. */
  const tasks = new Map<string, Task>();
  const running = new Set<Promise<void>>();

  async function find(namespace: string, name: string): Promise<PodInfo> {
    try {
      const [pod, owner] = await Promise.all([datastore.get<KubeObject>(coreTypes.pods, { namespace, name }), datastore.get<KubeObject>(coreTypes.namespaces, { name: namespace })]);
      return { uid: pod.metadata.uid ?? "", annotations: pod.metadata.annotations ?? {}, namespaceAnnotations: owner.metadata.annotations ?? {}, namespaceLabels: owner.metadata.labels ?? {} };
    } catch (error) {
      if (isDatastoreError(error, "NotFound")) throw new CniError(CODE.failed, `pod ${namespace}/${name} does not exist`, "", { cause: error });
      throw new CniError(CODE.tryLater, `the API server cannot be asked for pod ${namespace}/${name}`, error instanceof Error ? error.message : "", { cause: error });
    }
  }

  function enqueue(task: Task): void {
    const key = `${task.namespace}/${task.pod}`;
    const waiting = tasks.has(key);
    tasks.set(key, task);
    if (waiting) return;
    const done = work(key).finally(() => running.delete(done));
    running.add(done);
  }

  async function work(key: string): Promise<void> {
    const backoff = createBackoff({ firstMs: 100, maxMs: 10_000 });
    while (!stopping.signal.aborted) {
      const task = tasks.get(key);
      if (task === undefined) return;
      try {
        await task.run();
      } catch (error) {
        if (!isDatastoreError(error, "NotFound") && backoff.attempts < GIVE_UP_AFTER) {
          await delay(clock, backoff.next(), stopping.signal);
          continue;
        }
        if (!isDatastoreError(error, "NotFound")) log.error("A pod could not be annotated", { pod: key, error });
      }
      if (tasks.get(key) === task) tasks.delete(key);
    }
  }

  /** Patches only when `keep` says so of the pod as it is now; guarded by its resourceVersion. */
  async function annotate(namespace: string, name: string, annotations: Record<string, string>, keep: (pod: KubeObject) => boolean): Promise<void> {
    const pod = await datastore.get<KubeObject>(coreTypes.pods, { namespace, name });
    if (!keep(pod)) return;
    await datastore.patch(coreTypes.pods, { namespace, name }, { metadata: { resourceVersion: pod.metadata.resourceVersion, annotations } }, { type: "merge", subresource: "status" });
  }

  return {
    find,
    announce(namespace, pod, uid, containerId, addresses) {
      const [first] = addresses;
      const annotations = { [POD_IP_ANNOTATION]: first === undefined ? "" : hostCidr(first), [POD_IPS_ANNOTATION]: addresses.map(hostCidr).join(","), [CONTAINER_ID_ANNOTATION]: containerId };
      enqueue({ namespace, pod, containerId, run: () => annotate(namespace, pod, annotations, (found) => found.metadata.uid === uid) });
    },
    withdraw(namespace, pod, containerId) {
      const annotations = { [POD_IP_ANNOTATION]: "", [POD_IPS_ANNOTATION]: "" };
      // What waits to be written of another container replaces these addresses anyway.
      const waiting = tasks.get(`${namespace}/${pod}`);
      if (waiting !== undefined && waiting.containerId !== containerId) return;
      enqueue({ namespace, pod, containerId, run: () => annotate(namespace, pod, annotations, (found) => found.metadata.annotations?.[CONTAINER_ID_ANNOTATION] === containerId) });
    },
    get backlog() {
      return tasks.size;
    },
    async stop() {
      const cut = clock.setTimer(2_000, () => stopping.abort());
      await Promise.all(running);
      cut[Symbol.dispose]();
    },
  };
}

function hostCidr(address: IpAddress): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}
