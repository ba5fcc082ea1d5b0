/** What the allocator must know of the cluster, kept by informers: pools, this node's labels, settings, readiness. */
import { calicoTypes, coreTypes, createInformer, type Datastore, type Informer, type KubeObject } from "@calico/datastore";
import { canonicalCidr, contains, convertIpPool, NODE_VXLAN_ADDRESS_ANNOTATION, type Cidr, type IpAddress, type IpPool, type Labels } from "@calico/model";
import type { Logger } from "@calico/service-kit";

export interface ClusterView {
  start(): void;
  stop(): void;
  readonly pools: readonly IpPool[];
  /** UID of a pool; "" when it is not there. */
  uidOf(pool: string): string;
  readonly nodeLabels: Labels;
  /** The tunnel address that the Node object announces, or null. */
  readonly tunnelAddress: string | null;
  /** UID of the Node object; "" while it is not there. */
  readonly nodeUid: string;
  readonly maxBlocksPerHost: number;
  readonly autoAllocateBlocks: boolean;
  readonly strictAffinity: boolean;
  /** True for an address that an IPReservation keeps from being given to whoever asks for any. */
  readonly isReserved: (address: IpAddress) => boolean;
  /** In words what is not known yet of the cluster; null: nothing. */
  readonly unknown: string | null;
  /** In words what is missing before an address can be given; null: nothing. */
  readonly missing: string | null;
}

type NodeFacts = { readonly labels: Labels; readonly tunnelAddress: string | null; readonly uid: string };

/** `onChange` is called when pools or the node are others than before. */
export function createClusterView(datastore: Datastore, node: string, log: Logger, onChange: () => void): ClusterView {
  const pools = new Map<string, { pool: IpPool; uid: string }>();
  let self: NodeFacts | null = null;
  let settings: { maxBlocksPerHost?: number; autoAllocateBlocks?: boolean; strictAffinity?: boolean } = {};
  let datastoreReady = false;
  const reservations = new Map<string, readonly Cidr[]>();

  const informers: Informer[] = [
    createInformer<KubeObject, { pool: IpPool; uid: string }>({
      datastore, log, type: calicoTypes.ipPools,
      transform(raw) {
        const { value, findings } = convertIpPool(raw);
        for (const finding of findings) log.warn("A pool cannot be used", { pool: raw.metadata.name, ...finding });
        return value === null ? null : { pool: value, uid: raw.metadata.uid ?? "" };
      },
      handler: {
        onUpsert({ name }, pool) {
          pools.set(name, pool);
          onChange();
        },
        onDelete({ name }) {
          pools.delete(name);
          onChange();
        },
        onSynced: onChange,
      },
    }),
    createInformer<KubeObject, NodeFacts>({
      datastore, log, type: coreTypes.nodes, fieldSelector: `metadata.name=${node}`,
      transform: ({ metadata: { labels = {}, annotations = {}, uid = "" } }) => ({ labels, uid, tunnelAddress: annotations[NODE_VXLAN_ADDRESS_ANNOTATION] || null }),
      handler: {
        onUpsert(_, seen) {
          self = seen;
          onChange();
        },
        onDelete() {
          self = null;
        },
        onSynced: onChange,
      },
    }),
    createInformer<KubeObject & { spec?: typeof settings }, typeof settings>({
      datastore, log, type: calicoTypes.ipamConfigurations, transform: (raw) => (raw.metadata.name === "default" ? (raw.spec ?? {}) : null),
      handler: {
        onUpsert(_, spec) {
          settings = spec;
        },
        onDelete() {
          settings = {};
        },
        onSynced() {},
      },
    }),
    createInformer<KubeObject & { spec?: { reservedCIDRs?: readonly string[] } }, readonly Cidr[]>({
      datastore, log, type: calicoTypes.ipReservations,
      transform: (raw) => (raw.spec?.reservedCIDRs ?? []).flatMap((text) => {
        const parsed = canonicalCidr(text);
        if (parsed === null) log.warn("A reserved network cannot be read", { reservation: raw.metadata.name, cidr: text });
        return parsed ?? [];
      }),
      handler: { onUpsert: ({ name }, cidrs) => void reservations.set(name, cidrs), onDelete: ({ name }) => void reservations.delete(name), onSynced() {} },
    }),
    createInformer<KubeObject & { spec?: { datastoreReady?: boolean } }, boolean>({
      datastore, log, type: calicoTypes.clusterInformations, transform: (raw) => (raw.metadata.name === "default" ? raw.spec?.datastoreReady === true : null),
      handler: {
        onUpsert(_, ready) {
          datastoreReady = ready;
          onChange();
        },
        onDelete() {
          datastoreReady = false;
        },
        onSynced() {},
      },
    }),
  ];

  return {
    start: () => informers.forEach((informer) => informer.start()),
    stop: () => informers.forEach((informer) => informer.stop()),
    get pools() {
      return [...pools.values()].map(({ pool }) => pool);
    },
    uidOf: (name) => pools.get(name)?.uid ?? "",
    get nodeLabels() {
      return self?.labels ?? {};
    },
    get tunnelAddress() {
      return self?.tunnelAddress ?? null;
    },
    get nodeUid() {
      return self?.uid ?? "";
    },
    get maxBlocksPerHost() {
      return settings.maxBlocksPerHost ?? 0;
    },
    get autoAllocateBlocks() {
      return settings.autoAllocateBlocks ?? true;
    },
    get strictAffinity() {
      return settings.strictAffinity ?? false;
    },
    isReserved: (address) => [...reservations.values()].some((cidrs) => cidrs.some((cidr) => contains(cidr, address))),
    get unknown() {
      return unknown();
    },
    get missing() {
      return unknown() ?? (pools.size === 0 ? "there is no IPPool" : null);
    },
  };

  function unknown(): string | null {
    const trouble = informers.find((informer) => !informer.isSynced)?.trouble;
    if (trouble !== undefined) return `the API server was not read yet (${trouble ?? "waiting"})`;
    if (self === null) return `node ${node} is not registered`;
    return datastoreReady ? null : "ClusterInformation default does not say datastoreReady: true";
  }
}
