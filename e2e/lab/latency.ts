/** Measures how long a change takes from the API call to the kernel of each node. */
import { openNftables, openSys, withNetns } from "@calico/kernel";
import type { NodeHost } from "./node-host.ts";

export type ChangeTiming = {
  /** The API's own part: call to answer. */
  readonly apiMs: number;
  /** Call to the node's nftables generation event, by node; null: none came. */
  readonly kernelMs: Readonly<Record<string, number | null>>;
};

export type GenerationWatch = {
  /** Makes a change and waits until every one of `nodes` has committed something after it began. */
  timeChange(change: () => Promise<unknown>, nodes: readonly string[], timeoutMs: number): Promise<ChangeTiming>;
  close(): void;
};

/** Listens to the nftables generation events of every node. */
export function watchGenerations(hosts: readonly NodeHost[]): GenerationWatch {
  const sys = openSys();
  const listeners = new Set<(node: string) => void>();
  const open = hosts.map((host) => {
    const nftables = withNetns(sys, `/run/netns/${host.plan.namespace}`, () => openNftables(sys));
    const subscription = withNetns(sys, `/run/netns/${host.plan.namespace}`, () =>
      nftables.subscribe({ onGeneration: () => listeners.forEach((listener) => listener(host.plan.name)), onOverflow: () => undefined }),
    );
    return { nftables, subscription };
  });
  return {
    async timeChange(change, nodes, timeoutMs) {
      const kernelMs: Record<string, number | null> = Object.fromEntries(nodes.map((node) => [node, null]));
      const started = performance.now();
      let settle: () => void = () => undefined;
      const all = new Promise<void>((resolve) => (settle = resolve));
      const listener = (node: string): void => {
        if (kernelMs[node] !== null) return;
        kernelMs[node] = performance.now() - started;
        if (Object.values(kernelMs).every((value) => value !== null)) settle();
      };
      listeners.add(listener);
      const timer = setTimeout(settle, timeoutMs);
      try {
        await change();
        const apiMs = performance.now() - started;
        await all;
        return { apiMs, kernelMs };
      } finally {
        clearTimeout(timer);
        listeners.delete(listener);
      }
    },
    close() {
      for (const { nftables, subscription } of open) {
        subscription[Symbol.dispose]();
        nftables.close();
      }
    },
  };
}
