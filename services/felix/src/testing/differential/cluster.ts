/** A cluster whose objects change: its calculation for one node, and the same objects for the judge. */
import { createClusterHalf, createEvaluator, createNodeHalf, type ClusterHalf, type ClusterUpdate, type DataplaneSink, type Evaluator, type NodeHalf, type NodeUpdate, type ObjectKey } from "@calico/calc";
import {
  builtInTiers, convertClusterNetworkPolicy, convertEndpointSlice, convertGlobalNetworkPolicy, convertGlobalNetworkSet, convertHostEndpoint, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertNetworkSet, convertNode, convertPod, convertServiceAccount, convertTier,
  type HostEndpoint, type WorkloadEndpoint,
} from "@calico/model";
import { isGone, keyOf, type Change, type Manifest } from "./manifests.ts";

export const NODE = "n1";

type Kind = ClusterUpdate["kind"];
type ValueOf<K extends Kind> = NonNullable<Extract<ClusterUpdate, { kind: K }>["value"]>;
const of = <K extends Kind>(kind: K, value: ValueOf<K> | null, id: (value: ValueOf<K>) => string): ClusterUpdate | null => (value === null ? null : { kind, id: id(value), value } as unknown as ClusterUpdate);

/** The object as the calculation takes it; null: it cannot be used, which is as if it were not there. */
function parse(object: Manifest): ClusterUpdate | null {
  const id = (value: { readonly id: string }): string => value.id;
  switch (object.kind) {
    case "Namespace": return of("Profile", convertNamespace(object).value, id);
    case "ServiceAccount": return of("Profile", convertServiceAccount(object).value, id);
    case "Node": return of("Node", convertNode(object).value, ({ name }) => name);
    case "Pod": return of("WorkloadEndpoint", convertPod(object).value, id);
    case "HostEndpoint": return of("HostEndpoint", convertHostEndpoint(object).value, id);
    case "NetworkSet": return of("NetworkSet", convertNetworkSet(object).value, id);
    case "GlobalNetworkSet": return of("NetworkSet", convertGlobalNetworkSet(object).value, id);
    case "EndpointSlice": return of("ServiceSlice", convertEndpointSlice(object).value, id);
    case "Tier": return of("Tier", convertTier(object).value, ({ name }) => name);
    case "NetworkPolicy": return of("Policy", (object.apiVersion.startsWith("networking") ? convertKubernetesNetworkPolicy : convertNetworkPolicy)(object).value, id);
    case "GlobalNetworkPolicy": return of("Policy", convertGlobalNetworkPolicy(object).value, id);
    case "ClusterNetworkPolicy": return of("Policy", convertClusterNetworkPolicy(object).value, id);
    default: throw new Error(`no kind ${object.kind}`);
  }
}

/** Both APIs have a kind NetworkPolicy; who deletes one deletes both. */
const KUBERNETES = "Kubernetes";
const placeOf = (object: Manifest): string => `${object.apiVersion.startsWith("networking") ? KUBERNETES : ""}${keyOf(object)}`;

export interface TestCluster {
  /** Takes changes and reports to the dataplane what follows for the node. */
  change(changes: readonly Change[]): void;
  /** What every object together means. */
  evaluator(): Evaluator;
  endpoints(): WorkloadEndpoint[];
  hostEndpoints(): HostEndpoint[];
}

export function createTestCluster(sink: DataplaneSink): TestCluster {
  const node = createNodeHalf({ node: NODE, sink });
  const cluster = connect(node);
  const present = new Map<string, ClusterUpdate>();
  let isStarted = false;
  node.onSnapshotStart();
  for (const tier of builtInTiers) cluster.onUpdate({ kind: "Tier", id: tier.name, value: tier });

  function put(place: string, update: ClusterUpdate | null): void {
    const before = present.get(place);
    if (before !== undefined && (before.kind !== update?.kind || before.id !== update.id)) cluster.onUpdate(goneOf(before));
    if (update === null) present.delete(place);
    else {
      cluster.onUpdate(update);
      present.set(place, update);
    }
  }

  const all = <K extends Kind>(kind: K): ValueOf<K>[] => [...present.values()].flatMap((update) => (update.kind === kind ? [update.value as ValueOf<K>] : []));
  return {
    change(changes) {
      for (const each of changes) {
        if (isGone(each)) for (const place of [each.delete, `${KUBERNETES}${each.delete}`]) put(place, null);
        else put(placeOf(each), parse(each));
      }
      if (!isStarted) node.onInSync();
      isStarted = true;
      node.flush();
    },
    evaluator: () => createEvaluator({ policies: all("Policy"), tiers: [...builtInTiers, ...all("Tier")], profiles: all("Profile"), endpoints: all("WorkloadEndpoint"), hostEndpoints: all("HostEndpoint"), networkSets: all("NetworkSet"), serviceSlices: all("ServiceSlice"), nodes: all("Node") }),
    endpoints: () => all("WorkloadEndpoint"),
    hostEndpoints: () => all("HostEndpoint"),
  };
}

/** What is left of an object that is gone: of a tier that is always there, what it always is. */
function goneOf(update: ClusterUpdate): ClusterUpdate {
  const tier = update.kind === "Tier" ? builtInTiers.find(({ name }) => name === update.id) : undefined;
  return tier === undefined ? { ...update, value: null } : { kind: "Tier", id: tier.name, value: tier };
}

/** The cluster half of one node: it hears of what it needs, as over a stream. */
function connect(node: NodeHalf): ClusterHalf {
  const wanted = new Set<ObjectKey>();
  const isNode = (name: string): boolean => name === NODE || name === "*";
  const tell = (key: ObjectKey): void => {
    const value: NodeUpdate | undefined = half.valueOf(key);
    if (value !== undefined) node.onUpdate(value);
  };
  const half: ClusterHalf = createClusterHalf({
    onValueChange: (key) => void (wanted.has(key) && tell(key)),
    onIpSetDelta: (id, added, removed) => void (wanted.has(`IpSet:${id}`) && node.onUpdate({ kind: "IpSetDelta", id, added, removed })),
    onInterestStart(name, key) {
      if (!isNode(name)) return;
      wanted.add(key);
      tell(key);
    },
    onInterestStop(name, key) {
      if (!isNode(name)) return;
      wanted.delete(key);
      const colon = key.indexOf(":");
      node.onUpdate({ kind: "Remove", of: key.slice(0, colon) as "Policy", id: key.slice(colon + 1) });
    },
  });
  return half;
}
