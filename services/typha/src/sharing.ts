/** Equal values kept once: what comes out of JSON shares nothing, though pods of one workload are alike. */
import type { Labels, WorkloadEndpoint } from "@calico/model";

/** Of a generation; there are two. */
const TEXTS = 4_096;
const VALUES = 1_024;

export interface Sharing {
  /** The same endpoint, in as little room as it takes. */
  endpoint(endpoint: WorkloadEndpoint): WorkloadEndpoint;
}

/** Remembers what was seen lately, in bounded room: what is rare may be kept twice. */
export function createSharing(): Sharing {
  const texts = createRecent<string>(TEXTS);
  const values = createRecent<object>(VALUES);
  const text = (value: string): string => texts.get(value, () => value);
  const shared = <T extends object>(value: T, make: () => T): T => values.get(JSON.stringify(value), make) as T;
  return {
    endpoint(endpoint) {
      return {
        ...endpoint,
        node: text(endpoint.node), namespace: text(endpoint.namespace),
        // A list that grew has room for more; its copy has not.
        addresses: endpoint.addresses.slice(),
        labels: shared(endpoint.labels, () => withTexts(endpoint.labels, text)),
        profiles: shared(endpoint.profiles, () => endpoint.profiles.slice()),
        ports: shared(endpoint.ports, () => endpoint.ports.slice()),
      };
    },
  };
}

/** Keys are one for all objects already. */
function withTexts(labels: Labels, text: (value: string) => string): Labels {
  const copy: Record<string, string> = { ...labels };
  for (const key of Object.keys(copy)) Object.defineProperty(copy, key, { value: text(copy[key] ?? ""), enumerable: true, writable: true, configurable: true });
  return copy;
}

type Recent<V> = { get(key: string, make: () => V): V };

/** Two generations: what is asked for again moves to the young one, and the old one is thrown away when the young one is full. */
function createRecent<V>(generation: number): Recent<V> {
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  return {
    get(key, make) {
      const known = young.get(key);
      if (known !== undefined) return known;
      const value = old.get(key) ?? make();
      if (young.size >= generation) {
        old = young;
        young = new Map();
      }
      young.set(key, value);
      return value;
    },
  };
}
