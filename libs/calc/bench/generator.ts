/**
 * Made-up clusters for benchmarks, as objects of the model. Pure: the same seed gives the same cluster. Two kinds of labels: those of
 * a host of isolated customers (15 on a pod, five of them its own), and tags (five of small sets and a marker, which policies ask for).
 */
import {
  all, and, labelEquals, labelPresent, NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, namespaceProfileId, ORCHESTRATOR_LABEL, policyId, selector, workloadEndpointId,
  type Cidr, type EntityMatch, type IpAddress, type Labels, type NetworkSet, type Node, type Policy, type PolicyKind, type PortRange, type Profile, type Rule, type Selector, type Tier, type WorkloadEndpoint,
} from "@calico/model";
import type { ClusterUpdate } from "../src/ports.ts";

export type ClusterShape = {
  readonly nodes: number;
  /** Pods on a node: this many, and up to ten more on some. */
  readonly podsPerNode: number;
  readonly namespaces: number;
  readonly policies: number;
  readonly networkSets: number;
  readonly labels: "customers" | "tags";
};

export interface Cluster {
  readonly tiers: readonly Tier[];
  readonly nodes: readonly Node[];
  readonly profiles: readonly Profile[];
  readonly policies: readonly Policy[];
  readonly networkSets: readonly NetworkSet[];
  readonly endpoints: readonly WorkloadEndpoint[];
  /** The pod of a number on a node, in a namespace that the number gives: more of the same kind. */
  podOf(n: number, node: string): WorkloadEndpoint;
  /** Every object once, kind after kind. */
  updates(): Generator<ClusterUpdate>;
  /**
   * What happens in so many seconds, by the time at which it happens: by default fifty pods a second go and as many others come,
   * a policy changes every second and the labels of a namespace every ten. Ends with the objects changed; may be called again.
   */
  churn(seconds: number, rates?: ChurnRates): Generator<{ readonly atMs: number; readonly update: ClusterUpdate }>;
}

/** A cluster of one kind of objects, in which nothing happens. */
export type FixedCluster = Omit<Cluster, "churn" | "podOf">;

/** Events per second. */
export type ChurnRates = { readonly pods: number; readonly policies: number; readonly namespaces: number };

export const DEFAULT_SHAPE: ClusterShape = { nodes: 100, podsPerNode: 100, namespaces: 100, policies: 1_000, networkSets: 100, labels: "customers" };
const DEFAULT_CHURN: ChurnRates = { pods: 50, policies: 1, namespaces: 0.1 };
/** Nets in a network set, one after the other. */
const SET_SIZES = [1, 1, 1, 1, 2, 3, 4, 5, 100, 1_000];
const ZIPF_EXPONENT = 1.1;
const PLATFORM_TIER = "platform";
const DEFAULT_TIERS: readonly Tier[] = [{ name: "default", order: null, defaultAction: "Deny" }];

export const anySide: EntityMatch = { nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null, nodes: null };

/** The cluster that a seed and a shape give. */
export function cluster(seed: number, shape: Partial<ClusterShape> = {}): Cluster {
  const { nodes, podsPerNode, namespaces, policies, networkSets, labels } = { ...DEFAULT_SHAPE, ...shape };
  const random = createRandom(seed);
  const namespace = zipf(namespaces, random);
  const labelsOf = labels === "customers" ? customerLabels : tagLabels;
  let pods = 0;
  const podOn = (node: number): WorkloadEndpoint => {
    const n = pods;
    pods += 1;
    return endpointOf(n, nodeName(node), namespaceName(namespace()), labelsOf(n));
  };
  const made = {
    tiers: [{ name: PLATFORM_TIER, order: 100, defaultAction: "Pass" } as const, ...DEFAULT_TIERS],
    nodes: Array.from({ length: nodes }, (_, n): Node => ({ name: nodeName(n), labels: { "kubernetes.io/hostname": nodeName(n) }, ipv4: `172.16.${n >> 8}.${n & 255}/16` as Cidr, ipv6: null, addresses: [`172.16.${n >> 8}.${n & 255}` as IpAddress], asNumber: null, routeReflectorClusterId: null, vxlan: null })),
    profiles: Array.from({ length: namespaces }, (_, n) => profileOf(n, 0)),
    policies: Array.from({ length: policies }, (_, n) => (labels === "customers" ? mixedPolicy(n, 0, { namespace, networkSets, random }) : tagPolicy(n))),
    networkSets: networkSetsOf(networkSets),
    endpoints: Array.from({ length: nodes }, (_, node) => Array.from({ length: podsPerNode + (podsPerNode > 10 ? node % 11 : 0) }, () => podOn(node))).flat(),
  };
  /** What is there now, for churn. */
  const live = [...made.endpoints];
  const revisions = { policies: 0, namespaces: 0 };

  function change(kind: keyof ChurnRates): ClusterUpdate[] {
    switch (kind) {
      case "pods": {
        const at = random.below(live.length);
        const gone = live[at];
        if (gone === undefined) return [];
        const next = podOn(random.below(nodes));
        live[at] = next;
        return [{ kind: "WorkloadEndpoint", id: gone.id, value: null }, { kind: "WorkloadEndpoint", id: next.id, value: next }];
      }
      case "policies": {
        revisions.policies += 1;
        const n = random.below(policies);
        const value = labels === "customers" ? mixedPolicy(n, revisions.policies, { namespace, networkSets, random }) : tagPolicy(n, revisions.policies);
        return [{ kind: "Policy", id: value.id, value }];
      }
      case "namespaces": {
        revisions.namespaces += 1;
        const value = profileOf(random.below(namespaces), revisions.namespaces);
        return [{ kind: "Profile", id: value.id, value }];
      }
    }
  }

  return {
    ...made,
    podOf: (n, node) => endpointOf(n, node, namespaceName(n % namespaces), labelsOf(n)),
    updates: () => updatesOf(made),
    *churn(seconds, rates = DEFAULT_CHURN) {
      const kinds = Object.keys(rates) as (keyof ChurnRates)[];
      const next = new Map(kinds.map((kind) => [kind, random.exponential(rates[kind])]));
      for (;;) {
        const [kind, at] = [...next].reduce((first, other) => (other[1] < first[1] ? other : first));
        if (at >= seconds) return;
        for (const update of change(kind)) yield { atMs: at * 1_000, update };
        next.set(kind, at + random.exponential(rates[kind]));
      }
    },
  };
}

/** One namespace for each customer: its pods talk among themselves and ask DNS. Pods are on the nodes in turn. */
export function isolatedCustomers(customers: number, podsEach: number, nodes: number): FixedCluster {
  const made = {
    tiers: DEFAULT_TIERS,
    nodes: [],
    profiles: Array.from({ length: customers }, (_, n) => profileOf(n, 0)),
    policies: Array.from({ length: customers }, (_, n) => isolation(n, `isolation`, 0)),
    networkSets: [],
    endpoints: Array.from({ length: customers * podsEach }, (_, n) => endpointOf(n, nodeName(n % nodes), namespaceName(Math.floor(n / podsEach)), customerLabels(n))),
  };
  return { ...made, updates: () => updatesOf(made) };
}

/** Policies that ask for markers of pods, and pods with a marker each. `local` of them are on the first node, the others on one more. */
export function tagged(endpoints: number, local: number, policies: number): FixedCluster {
  const made = { tiers: DEFAULT_TIERS, nodes: [], profiles: Array.from({ length: 100 }, (_, n) => profileOf(n, 0)), policies: Array.from({ length: policies }, (_, n) => tagPolicy(n)), networkSets: [],
    endpoints: Array.from({ length: endpoints + local }, (_, n) => endpointOf(n, nodeName(n < endpoints ? 1 : 0), namespaceName(n % 100), tagLabels(n))) };
  return { ...made, updates: () => updatesOf(made) };
}

/** Policies of every pod, each of which names a network set. */
export function ofNetworkSets(endpoints: number, local: number, policies: number): FixedCluster {
  const made = { ...tagged(endpoints, local, 0), policies: Array.from({ length: policies }, (_, n) => policyOf(n, "sets", { selector: all(), inbound: [ruleOf("Allow", { selector: labelEquals("network-set-name", `set-${n}`) })] })), networkSets: networkSetsOf(policies) };
  return { ...made, updates: () => updatesOf(made) };
}

export const nodeName = (n: number): string => `node-${n}`;
export const namespaceName = (n: number): string => `customer-${n}`;

function* updatesOf({ tiers, nodes, profiles, policies, networkSets, endpoints }: Omit<FixedCluster, "updates">): Generator<ClusterUpdate> {
  for (const value of tiers) yield { kind: "Tier", id: value.name, value };
  for (const value of nodes) yield { kind: "Node", id: value.name, value };
  for (const value of policies) yield { kind: "Policy", id: value.id, value };
  for (const value of profiles) yield { kind: "Profile", id: value.id, value };
  for (const value of networkSets) yield { kind: "NetworkSet", id: value.id, value };
  for (const value of endpoints) yield { kind: "WorkloadEndpoint", id: value.id, value };
}

function profileOf(n: number, revision: number): Profile {
  const own: Labels = { "kubernetes.io/metadata.name": namespaceName(n), "namespace-id": text(n, 20), production: String((n + revision) % 2 === 0), team: TEAMS[(n + revision) % TEAMS.length] ?? "" };
  return { id: namespaceProfileId(namespaceName(n)), labels: Object.fromEntries(Object.entries(own).map(([key, value]) => [`${NAMESPACE_LABEL_PREFIX}${key}`, value])), inbound: [], outbound: [] };
}

/** No string of it is shared with another one, as if it had come out of JSON. */
export function endpointOf(n: number, node: string, namespace: string, labels: Labels): WorkloadEndpoint {
  const pod = `app-${hex(n * 7 + 3, 9)}-${hex(n * 17 + 5, 5)}`;
  const uid = `${hex(n, 8)}-${hex(n * 31, 4)}-4${hex(n * 7, 3)}-9${hex(n * 3, 3)}-${hex(n * 2_654_435_761, 12)}`;
  const made: WorkloadEndpoint = {
    id: workloadEndpointId(namespace, pod, uid), uid, node, namespace, pod, interfaceName: `cali${hex(n * 2_654_435_761, 11)}`, addresses: [addressOf(n)],
    labels: { ...labels, [NAMESPACE_LABEL]: namespace, [ORCHESTRATOR_LABEL]: "k8s" }, profiles: [namespaceProfileId(namespace)], ports: [], revision: String(1_000_000 + n),
  };
  return JSON.parse(JSON.stringify(made)) as WorkloadEndpoint;
}

const addressOf = (n: number): IpAddress => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` as IpAddress;

const TEAMS = ["platform", "payments", "identity", "growth", "infra"];
const oneOf = (values: readonly string[], n: number): string => values[n % values.length] ?? "";

function customerLabels(n: number): Labels {
  return {
    "pod-id": text(n * 5, 20), "instance-id": text(n * 5 + 1, 20), "short-id": text(n * 5 + 2, 10), "config-hash": text(n * 5 + 3, 20), "version-tag": text(n * 5 + 4, 8),
    enabled: String(n % 2), debug: String((n >> 1) % 2), canary: String((n >> 2) % 2), managed: String((n >> 3) % 2),
    environment: oneOf(["dev", "staging", "prod"], n), tier: oneOf(APP_TIERS, n), region: oneOf(["us-east", "us-west", "eu-west", "ap-south"], n), team: oneOf(TEAMS, n),
    "managed-by": "saas-controller", "tenant-id": text(n % 5_000, 10),
  };
}

const APP_TIERS = ["frontend", "backend", "middleware", "data"];
const MARKERS = 31;
const markerOf = (n: number): string => `example.com/marker-${n % MARKERS}`;

function tagLabels(n: number): Labels {
  return { ...Object.fromEntries([10, 11, 20, 30, 40].map((every) => [`one-in-${every}`, `value-${n % every}`])), [markerOf(n)]: "true" };
}

export const ruleOf = (action: Rule["action"], source: Partial<EntityMatch>, destination: Partial<EntityMatch> = {}): Rule => ({
  action, ipVersion: 0, protocol: (destination.ports?.length ?? 0) > 0 ? 6 : null, notProtocol: null, icmp: null, notIcmp: null, source: { ...anySide, ...source }, destination: { ...anySide, ...destination }, index: 0,
});

function policyOf(n: number, name: string, over: Partial<Policy> & Pick<Policy, "selector">): Policy {
  const kind: PolicyKind = over.kind ?? "NetworkPolicy";
  const namespace = over.namespace ?? (kind === "NetworkPolicy" ? "default" : "");
  return {
    kind, namespace, tier: "default", order: null, ingress: true, egress: (over.outbound?.length ?? 0) > 0, inbound: [], outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "1",
    ...over, name: `${name}-${n}`, id: policyId(kind, namespace, `${name}-${n}`),
  };
}

const inNamespace = (namespace: string): Selector => labelEquals(NAMESPACE_LABEL, namespace);

function isolation(namespace: number, name: string, revision: number): Policy {
  const own = inNamespace(namespaceName(namespace));
  return policyOf(namespace, name, {
    namespace: namespaceName(namespace), selector: own, revision: String(revision), inbound: [ruleOf("Allow", { selector: own })],
    outbound: [ruleOf("Allow", {}, { selector: own }), { ...ruleOf("Allow", {}, { nets: ["10.96.0.10/32" as Cidr], ports: [{ first: 53, last: 53 }] }), protocol: 17 }],
  });
}

function tagPolicy(n: number, revision = 0): Policy {
  const inbound = Array.from({ length: 5 }, (_, rule) => ruleOf("Allow", { selector: labelPresent(markerOf(n + rule)) }));
  return policyOf(n, "tag", { selector: labelPresent(markerOf(n + revision)), inbound });
}

type Sources = { readonly namespace: () => number; readonly networkSets: number; readonly random: Random };

/** Of twenty policies twelve isolate a namespace, four are for a tier of an application, two across namespaces, one names a network set, one is global. */
function mixedPolicy(n: number, revision: number, { namespace, networkSets, random }: Sources): Policy {
  const name = namespaceName(namespace());
  const [own, ports] = [inNamespace(name), portsOf(n + revision, random)];
  const common = { namespace: name, revision: String(revision) };
  switch (Math.max(0, (n % 20) - 11)) {
    case 0: return policyOf(n, "isolation", { ...common, selector: own, inbound: [ruleOf("Allow", { selector: own }, { ports })] });
    case 1: case 2: case 3: case 4: return policyOf(n, "app", { ...common, selector: and(own, labelEquals("tier", oneOf(APP_TIERS, n + 1))), inbound: [ruleOf("Allow", { selector: and(own, labelEquals("tier", oneOf(APP_TIERS, n))) }, { ports })] });
    case 5: case 6: return policyOf(n, "cross", { ...common, selector: own, inbound: [ruleOf("Allow", { selector: and(labelEquals(`${NAMESPACE_LABEL_PREFIX}team`, oneOf(TEAMS, n + revision)), labelEquals("environment", "prod")) }, { ports })] });
    case 7: return policyOf(n, "nets", { ...common, selector: own, outbound: [networkSets > 0 ? ruleOf("Allow", {}, { selector: labelEquals("network-set-name", `set-${random.below(networkSets)}`), ports }) : ruleOf("Allow", {}, { nets: ["192.0.2.0/24" as Cidr], ports })] });
    default: return policyOf(n, "global", { kind: "GlobalNetworkPolicy", namespace: "", tier: PLATFORM_TIER, revision: String(revision), selector: selector(`environment == "prod" && team == "${oneOf(TEAMS, n)}"`), inbound: [ruleOf("Deny", { selector: selector(`debug == "1" && region != "${oneOf(["us-east", "eu-west"], n)}"`) }, { ports })] });
  }
}

function portsOf(n: number, random: Random): PortRange[] {
  return Array.from({ length: 1 + (n % 5) }, () => 1_024 + random.below(30_000)).map((first) => ({ first, last: first }));
}

function networkSetsOf(count: number): NetworkSet[] {
  let next = 0;
  return Array.from({ length: count }, (_, n) => ({
    id: `/set-${n}`, labels: { "network-set-name": `set-${n}` }, profiles: [],
    nets: Array.from({ length: SET_SIZES[n % SET_SIZES.length] ?? 1 }, () => `${addressIn(next++)}/32` as Cidr),
  }));
}

const addressIn = (n: number): string => `172.${16 + ((n >> 16) & 15)}.${(n >> 8) & 255}.${n & 255}`;
const hex = (n: number, length: number): string => Math.abs(n).toString(16).padStart(length, "0").slice(-length);

/** Text that looks like an id, from a number. */
function text(n: number, length: number): string {
  const random = createRandom(n + 1);
  let out = "";
  while (out.length < length) out += hex(Math.floor(random.next() * 2 ** 32), 8);
  return out.slice(0, length);
}

export interface Random {
  /** From 0 to below 1. */
  next(): number;
  below(limit: number): number;
  /** Seconds to the next of events that come so many times a second. */
  exponential(rate: number): number;
}

/** Numbers that look random and follow from the seed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { next, below: (limit) => Math.floor(next() * limit), exponential: (rate) => (rate > 0 ? -Math.log(1 - next()) / rate : Number.POSITIVE_INFINITY) };
}

/** Numbers below `count`, the first ones far more often. */
function zipf(count: number, random: Random): () => number {
  const sums: number[] = [];
  for (let n = 1; n <= count; n += 1) sums.push((sums.at(-1) ?? 0) + 1 / n ** ZIPF_EXPONENT);
  return () => {
    const wanted = random.next() * (sums.at(-1) ?? 0);
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
