/** How long pods of a real cluster take to be Ready and to be reached: by this process' clock, from events of a watch. */
import { coreTypes, createInformer, type KubeObject } from "@calico/datastore";
import type { Lab } from "../lab/lab.ts";

type PodObject = KubeObject & { readonly status?: { readonly podIP?: string; readonly conditions?: readonly { readonly type: string; readonly status: string }[] } };
type Seen = { readonly address: string; readonly ready: boolean };

export type Start = {
  /** Milliseconds from just before the call that made the pod, or its Deployment larger. */
  readonly readyMs: number;
  /** Until the first TCP connection. */
  readonly reachedMs: number;
  readonly address: string;
};

export type PodStarts = {
  /** Awaits the start of pods ("namespace/name") that are made after `began`; `from` says which pod connects to each. */
  started(began: number, count: number, prefix: string, from: (node: string) => string): Promise<Start[]>;
  /** Resolves when no pod whose key has the prefix is there. */
  gone(prefix: string): Promise<void>;
  stop(): void;
};

const TIMEOUT_MS = 180_000;
const CONNECT_TIMEOUT_MS = 250;
/** Between two connections that failed: each costs the cores that the pods start on. */
const CONNECT_PAUSE_MS = 5;

/** Watches all pods until it is stopped. Connections go to `port`. */
export async function watchPodStarts(lab: Lab, port: number): Promise<PodStarts> {
  const pods = new Map<string, Seen & { node: string }>();
  const listeners = new Set<() => void>();
  const changed = (): void => listeners.forEach((listener) => listener());
  const informer = createInformer<PodObject, Seen & { node: string }>({
    datastore: lab.datastore,
    type: coreTypes.pods,
    transform: (raw) => ({ node: (raw["spec"] as { nodeName?: string }).nodeName ?? "", address: raw.status?.podIP ?? "", ready: raw.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true }),
    handler: {
      onUpsert({ namespace, name }, pod) {
        pods.set(`${namespace}/${name}`, pod);
        changed();
      },
      onDelete({ namespace, name }) {
        pods.delete(`${namespace}/${name}`);
        changed();
      },
      onSynced: () => undefined,
    },
  });
  informer.start();
  await informer.synced;

  /** Resolves at the event after which the condition holds. */
  async function until(what: string, condition: () => boolean): Promise<void> {
    if (condition()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const listener = (): void => {
      if (condition()) resolve();
    };
    const timer = setTimeout(() => reject(new Error(`waited ${TIMEOUT_MS / 1_000} s in vain for ${what}`)), TIMEOUT_MS);
    listeners.add(listener);
    await promise.finally(() => {
      clearTimeout(timer);
      listeners.delete(listener);
    });
  }

  async function start(key: string, began: number, from: (node: string) => string): Promise<Start> {
    const ready = until(`${key} to be Ready`, () => pods.get(key)?.ready === true).then(() => performance.now() - began);
    await until(`an address of ${key}`, () => (pods.get(key)?.address ?? "") !== "");
    const { address = "", node = "" } = pods.get(key) ?? {};
    let reached = false;
    while (!reached) {
      ({ reached } = await lab.probe(from(node), address, port, "tcp", CONNECT_TIMEOUT_MS));
      if (!reached && performance.now() - began > TIMEOUT_MS) throw new Error(`${from(node)} does not reach ${key} at ${address}`);
      if (!reached) await new Promise((resolve) => setTimeout(resolve, CONNECT_PAUSE_MS));
    }
    return { reachedMs: performance.now() - began, readyMs: await ready, address };
  }

  return {
    async started(began, count, prefix, from) {
      const followed = new Map<string, Promise<Start>>();
      const follow = (): void => {
        for (const key of pods.keys()) if (key.startsWith(prefix) && !followed.has(key)) followed.set(key, start(key, began, from));
      };
      listeners.add(follow);
      follow();
      try {
        await until(`${count} pods ${prefix}`, () => followed.size >= count);
        return await Promise.all(followed.values());
      } finally {
        listeners.delete(follow);
      }
    },
    gone: (prefix) => until(`the pods ${prefix} to go`, () => ![...pods.keys()].some((key) => key.startsWith(prefix))),
    stop: () => informer.stop(),
  };
}
