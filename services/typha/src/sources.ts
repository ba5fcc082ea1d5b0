/** One informer per kind, converted and fed to the cluster half. */
import type { ClusterHalf, ClusterUpdate } from "@calico/calc";
import { apiVersionOf, calicoTypes, coreTypes, createInformer, type Datastore, type Informer, type KubeObject, type ObjectKey, type ResourceType } from "@calico/datastore";
import {
  builtInProfiles, builtInTiers, convertBlock, convertClusterNetworkPolicy, convertEndpointSlice, convertGlobalNetworkPolicy, convertGlobalNetworkSet, convertHostEndpoint, convertIpPool, convertKubernetesNetworkPolicy, convertNamespace, convertNetworkPolicy, convertNetworkSet,
  convertNode, convertPod, convertServiceAccount, convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy, convertStagedNetworkPolicy, convertTier, hostEndpointId, policyId, type Block, type Conversion, type Finding, type HostEndpoint, type Labels, type PolicyKind,
  type WorkloadEndpoint,
} from "@calico/model";
import { startSpan, traceparentOf, type Logger } from "@calico/service-kit";
import type { Findings, ObjectRef } from "./findings.ts";
import type { Hub } from "./hub.ts";
import type { NodeConfigStore } from "./node-config.ts";
import { createSharing } from "./sharing.ts";

export interface Sources {
  start(): void;
  stop(): void;
  /** Fulfilled when every kind was listed once. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  /** What is not being followed, in words; null: everything is. */
  readonly trouble: string | null;
  /** Highest resource version seen, by plural name. */
  revisions(): Record<string, string>;
  labelsOf(node: string): Labels;
}

export type SourceOptions = {
  readonly datastore: Datastore;
  readonly half: ClusterHalf;
  readonly hub: Pick<Hub, "traceparent" | "onConfigChange">;
  readonly config: NodeConfigStore;
  readonly findings: Findings;
  readonly log: Logger;
  /** Called for each object that changed. */
  readonly onUpdate: (kind: string) => void;
};

/** How a kind enters the calculation. */
type Kind<M> = {
  /** The cluster need not have it. */
  readonly isOptional?: boolean;
  readonly type: ResourceType;
  readonly convert: (raw: KubeObject) => { readonly value: M | null; readonly findings: readonly Finding[] };
  readonly apply: (key: ObjectKey, value: M | null) => void;
};

export function createSources({ datastore, half, hub, config, findings, log, onUpdate }: SourceOptions): Sources {
  const nodeLabels = new Map<string, Labels>();
  const endpoints = new Map<string, WorkloadEndpoint>();
  const hostEndpoints = new Map<string, HostEndpoint>();
  const sharing = createSharing();
  const blockCidrs = new Map<string, string>();
  const update = (change: ClusterUpdate): void => half.onUpdate(change);

  function kind<M>({ type, convert, apply, isOptional = false }: Kind<M>): Informer {
    const traced = (work: () => void): void => {
      const span = startSpan("typha.update", { kind: type.kind });
      hub.traceparent = traceparentOf(span);
      onUpdate(type.kind);
      try {
        work();
      } finally {
        hub.traceparent = "";
        span.end();
      }
    };
    const refOf = ({ namespace = "", name }: ObjectKey, uid = "", generation = 0): ObjectRef => ({ apiVersion: apiVersionOf(type), kind: type.kind, namespace, name, uid, generation });
    return createInformer<KubeObject, { value: M | null; findings: readonly Finding[]; uid: string | undefined; generation: number | undefined }>({
      datastore, type, log, isOptional, transform: (raw) => ({ ...convert(raw), uid: raw.metadata.uid, generation: raw.metadata.generation }),
      handler: {
        onUpsert: (key, converted, revision) => traced(() => {
          findings.set(refOf(key, converted.uid, converted.generation), revision, converted.findings);
          apply(key, converted.value);
        }),
        onDelete: (key) => traced(() => {
          findings.set(refOf(key), "", []);
          apply(key, null);
        }),
        onSynced: (revision) => log.info("Kind in sync", { kind: type.kind, revision }),
      },
    });
  }

  /** A kind whose objects are identified by a name that the key gives. */
  const keyed = <M>(type: ResourceType, convert: (raw: KubeObject) => Conversion<M>, toUpdate: (key: ObjectKey, value: M | null) => ClusterUpdate): Informer =>
    kind<M>({ type, convert, apply: (key, value) => update(toUpdate(key, value)) });

  /** A kind that changes nothing on a node: only what is wrong with its objects is kept. Definitions of an older release lack it. */
  const checked = (type: ResourceType, convert: (raw: KubeObject) => Conversion<unknown>): Informer =>
    kind<true>({ type, isOptional: true, convert: (raw) => ({ value: true, findings: convert(raw).findings }), apply: () => undefined });

  const policyUpdate = (policyKind: PolicyKind) => (key: ObjectKey, value: Extract<ClusterUpdate, { kind: "Policy" }>["value"]): ClusterUpdate =>
    ({ kind: "Policy", id: policyId(policyKind, key.namespace ?? "", key.name), value });

  function applyPod(key: ObjectKey, value: WorkloadEndpoint | null): void {
    const name = `${key.namespace ?? ""}/${key.name}`;
    const before = endpoints.get(name);
    if (before !== undefined && value !== null && sameEndpoint(before, value)) return;
    if (before !== undefined && before.id !== value?.id) update({ kind: "WorkloadEndpoint", id: before.id, value: null });
    if (value === null) endpoints.delete(name);
    else {
      const kept = sharing.endpoint(value);
      endpoints.set(name, kept);
      update({ kind: "WorkloadEndpoint", id: kept.id, value: kept });
    }
  }

  function applyHostEndpoint({ name }: ObjectKey, value: HostEndpoint | null): void {
    const before = hostEndpoints.get(name);
    if (before !== undefined && value !== null && JSON.stringify({ ...before, revision: value.revision }) === JSON.stringify(value)) return;
    if (value === null) hostEndpoints.delete(name);
    else hostEndpoints.set(name, value);
    update({ kind: "HostEndpoint", id: hostEndpointId(name), value });
  }

  /** A block is identified by its CIDR, which its name gives only one way. */
  function applyBlock({ name }: ObjectKey, value: Block | null): void {
    const cidr = value?.cidr ?? blockCidrs.get(name);
    if (cidr === undefined) return;
    if (value === null) blockCidrs.delete(name);
    else blockCidrs.set(name, value.cidr);
    update({ kind: "Block", id: cidr, value });
  }

  for (const value of builtInProfiles) update({ kind: "Profile", id: value.id, value });
  const builtIn = new Map(builtInTiers.map((tier) => [tier.name, tier]));
  for (const [name, value] of builtIn) update({ kind: "Tier", id: name, value });

  const specKind = (type: ResourceType, set: (name: string, spec: Readonly<Record<string, unknown>> | null) => void): Informer => kind<Readonly<Record<string, unknown>>>({
    type,
    convert: (raw) => ({ value: (raw["spec"] as Record<string, unknown> | undefined) ?? {}, findings: [] }),
    apply(key, spec) {
      set(key.name, spec);
      hub.onConfigChange();
    },
  });

  const informers: ReadonlyMap<string, Informer> = new Map(Object.entries({
    namespaces: keyed(coreTypes.namespaces, convertNamespace, (key, value) => ({ kind: "Profile", id: `kns.${key.name}` as never, value })),
    serviceaccounts: keyed(coreTypes.serviceAccounts, convertServiceAccount, (key, value) => ({ kind: "Profile", id: `ksa.${key.namespace ?? ""}.${key.name}` as never, value })),
    nodes: kind({
      type: coreTypes.nodes,
      convert: convertNode,
      apply(key, value) {
        const before = nodeLabels.get(key.name);
        if (value === null) nodeLabels.delete(key.name);
        else nodeLabels.set(key.name, value.labels);
        update({ kind: "Node", id: key.name, value });
        // Every kubelet writes the status of its Node again and again.
        if (JSON.stringify(before) !== JSON.stringify(value?.labels)) hub.onConfigChange(key.name);
      },
    }),
    pods: kind<WorkloadEndpoint>({ type: coreTypes.pods, convert: convertPod, apply: applyPod }),
    "networkpolicies.networking.k8s.io": keyed(coreTypes.networkPolicies, convertKubernetesNetworkPolicy, policyUpdate("KubernetesNetworkPolicy")),
    clusternetworkpolicies: kind({ type: coreTypes.clusterNetworkPolicies, isOptional: true, convert: convertClusterNetworkPolicy, apply: (key, value) => update(policyUpdate("KubernetesClusterNetworkPolicy")(key, value)) }),
    "networkpolicies.projectcalico.org": keyed(calicoTypes.networkPolicies, convertNetworkPolicy, policyUpdate("NetworkPolicy")),
    globalnetworkpolicies: keyed(calicoTypes.globalNetworkPolicies, convertGlobalNetworkPolicy, policyUpdate("GlobalNetworkPolicy")),
    stagednetworkpolicies: checked(calicoTypes.stagedNetworkPolicies, convertStagedNetworkPolicy),
    stagedglobalnetworkpolicies: checked(calicoTypes.stagedGlobalNetworkPolicies, convertStagedGlobalNetworkPolicy),
    stagedkubernetesnetworkpolicies: checked(calicoTypes.stagedKubernetesNetworkPolicies, convertStagedKubernetesNetworkPolicy),
    tiers: keyed(calicoTypes.tiers, convertTier, (key, value) => ({ kind: "Tier", id: key.name, value: value ?? builtIn.get(key.name) ?? null })),
    networksets: keyed(calicoTypes.networkSets, convertNetworkSet, (key, value) => ({ kind: "NetworkSet", id: `${key.namespace ?? ""}/${key.name}`, value })),
    globalnetworksets: keyed(calicoTypes.globalNetworkSets, convertGlobalNetworkSet, (key, value) => ({ kind: "NetworkSet", id: `/${key.name}`, value })),
    hostendpoints: kind<HostEndpoint>({ type: calicoTypes.hostEndpoints, convert: convertHostEndpoint, apply: applyHostEndpoint }),
    endpointslices: keyed(coreTypes.endpointSlices, convertEndpointSlice, (key, value) => ({ kind: "ServiceSlice", id: `${key.namespace ?? ""}/${key.name}`, value })),
    ippools: keyed(calicoTypes.ipPools, convertIpPool, (key, value) => ({ kind: "IpPool", id: key.name, value })),
    ipamblocks: kind<Block>({ type: calicoTypes.ipamBlocks, convert: convertBlock, apply: applyBlock }),
    felixconfigurations: specKind(calicoTypes.felixConfigurations, (name, spec) => config.setFelixConfiguration(name, spec)),
    bgpconfigurations: specKind(calicoTypes.bgpConfigurations, (name, spec) => config.setBgpConfiguration(name, spec)),
    bgppeers: specKind(calicoTypes.bgpPeers, (name, spec) => config.setBgpPeer(name, spec)),
  }));

  const all = [...informers.values()];
  let isReady = false;
  const ready = Promise.all(all.map((informer) => informer.synced)).then(() => {
    isReady = true;
  });
  return {
    start: () => all.forEach((informer) => informer.start()),
    stop: () => all.forEach((informer) => informer.stop()),
    ready,
    get isReady() {
      return isReady;
    },
    get trouble() {
      for (const [name, informer] of informers) if (informer.trouble !== null) return `${name}: ${informer.trouble}`;
      return null;
    },
    revisions: () => Object.fromEntries([...informers].filter(([, informer]) => informer.revision !== "").map(([name, informer]) => [name, informer.revision])),
    labelsOf: (node) => nodeLabels.get(node) ?? {},
  };
}

/** True when only the revision differs: a status update of a pod, for instance. */
function sameEndpoint(a: WorkloadEndpoint, b: WorkloadEndpoint): boolean {
  return a.id === b.id && a.node === b.node && a.interfaceName === b.interfaceName && JSON.stringify([a.addresses, a.labels, a.profiles, a.ports, a.allowedSourcePrefixes]) === JSON.stringify([b.addresses, b.labels, b.profiles, b.ports, b.allowedSourcePrefixes]);
}
