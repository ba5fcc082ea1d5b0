/** A cluster of many namespaces, alike from run to run: the pods and policies that one node shares with it, and those that it need not know. */
import type { ClusterUpdate } from "@calico/calc";
import type { Policy, WorkloadEndpoint } from "@calico/model";
import { ingressPolicy, namespaceProfile, putPolicy, putProfile, putWorkload, workload, type RuleWish } from "./objects.ts";

export type PopulationWish = {
  readonly seed: number;
  /** Pods of the whole cluster, 100 in a namespace. */
  readonly pods: number;
  /** Policies of the whole cluster, spread evenly over namespaces; those of the node's namespaces come first. */
  readonly policies: number;
  /** Of them in the node's namespaces. */
  readonly activePolicies: number;
  /** Namespaces that have pods on the node. */
  readonly localNamespaces: number;
};

export type Population = { readonly namespaces: readonly string[]; readonly remote: readonly WorkloadEndpoint[]; readonly policies: readonly Policy[] };

export const PODS_PER_NAMESPACE = 100;
const APPS = 10;
const NODES = 100;

/** Numbers from 0 up to, not including, 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const namespaceName = (n: number): string => `ns-${n}`;
export const appName = (n: number): string => `app-${n % APPS}`;
const inNamespace = (namespace: string, rest: string): string => `projectcalico.org/namespace == "${namespace}" && ${rest}`;
/** Selects the pods of one app of a namespace. */
export const appIn = (namespace: string, app: number): string => inNamespace(namespace, `app == "${appName(app)}"`);

export function population({ seed, pods, policies, activePolicies, localNamespaces }: PopulationWish): Population {
  const random = seeded(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const namespaces = Array.from({ length: Math.max(localNamespaces + 1, Math.ceil(pods / PODS_PER_NAMESPACE)) }, (_, i) => namespaceName(i));
  const remote = Array.from({ length: pods }, (_, i) => remotePod(namespaces[i % namespaces.length] ?? "", i));
  const made = Array.from({ length: policies }, (_, i) => {
    const home = i < activePolicies ? i % localNamespaces : localNamespaces + (i % (namespaces.length - localNamespaces));
    return ingressPolicy(namespaceName(home), `p-${i}`, appIn(namespaceName(home), below(APPS)), [peers(namespaceName(home), namespaces, random)], i);
  });
  return { namespaces, remote, policies: made };
}

/** A pod of another node. */
export function remotePod(namespace: string, n: number): WorkloadEndpoint {
  return workload({ namespace, pod: `r-${n}`, node: `node-${n % NODES}`, address: `10.${128 + Math.floor(n / 65_536)}.${Math.floor(n / 256) % 256}.${n % 256}`, labels: { app: appName(Math.floor(n / 7)), team: `team-${n % 50}` } });
}

/** Of ten rules six are for an app of the own namespace, two for the namespace, one for another namespace's app, one for ranges. */
function peers(home: string, namespaces: readonly string[], random: () => number): RuleWish {
  const below = (limit: number): number => Math.floor(random() * limit);
  const ports = Array.from({ length: 1 + below(5) }, () => 1_024 + below(30_000));
  const kind = below(10);
  if (kind < 6) return { from: appIn(home, below(APPS)), ports };
  if (kind < 8) return { from: inNamespace(home, "has(app)"), ports };
  if (kind < 9) return { from: appIn(namespaces[below(namespaces.length)] ?? home, below(APPS)), ports };
  return { nets: Array.from({ length: 1 + below(5) }, () => `172.16.${below(256)}.0/24`), ports };
}

/** Everything as changes, what others refer to first. */
export function* changesOf({ namespaces, remote, policies }: Population): Generator<ClusterUpdate> {
  for (const name of namespaces) yield putProfile(namespaceProfile(name));
  for (const pod of remote) yield putWorkload(pod);
  for (const policy of policies) yield putPolicy(policy);
}
