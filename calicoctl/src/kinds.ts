/** The kinds that calicoctl knows, by every name that people use for them. */
import { calicoTypes, coreTypes, type KubeObject, type ResourceType } from "@calico/datastore";
import { nearest } from "@calico/model";
import { kinds as customKinds } from "@calico/model/resources";
import { UsageError } from "./usage.ts";

export type Cell = (object: KubeObject) => string;
export type Columns = Readonly<Record<string, Cell>>;

export type CtlKind = {
  readonly kind: string;
  readonly type: ResourceType;
  /** Lower-case names beside the kind and its plural. */
  readonly aliases: readonly string[];
  readonly columns: Columns;
  /** Columns of `-o wide`, where they differ. */
  readonly wide: Columns;
  /** A view on an object of Kubernetes: read only here. */
  readonly isView: boolean;
  /** What a view shows of its object; undefined: nothing. */
  readonly view?: (object: KubeObject) => KubeObject | undefined;
};

/** A field by its path, as text: lists joined, nothing as "". */
export function field(object: unknown, path: string): string {
  const value = path.split(".").reduce<unknown>((at, part) => (typeof at === "object" && at !== null ? (at as Record<string, unknown>)[part] : undefined), object);
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map((item) => (typeof item === "object" ? JSON.stringify(item) : String(item))).join(",");
  return typeof value === "object" ? JSON.stringify(value) : String(value as string | number | boolean);
}

const spec = (path: string): Cell => (object) => field(object, `spec.${path}`);
const name: Cell = ({ metadata }) => metadata.name;
const namespace: Cell = ({ metadata }) => metadata.namespace ?? "";
const annotation = (key: string): Cell => ({ metadata }) => (metadata["annotations"] as Record<string, string> | undefined)?.[key] ?? "";

const POLICY_WIDE: Columns = { NAME: name, TIER: spec("tier"), ORDER: spec("order"), SELECTOR: spec("selector") };
const STAGED_WIDE: Columns = { ...POLICY_WIDE, ACTION: spec("stagedAction") };
const SPECIAL: Readonly<Record<string, { aliases?: readonly string[]; columns?: Columns; wide?: Columns }>> = {
  BGPConfiguration: { aliases: ["bgpconfig", "bgpconfigs"], columns: { NAME: name, LOGSEVERITY: spec("logSeverityScreen"), MESHENABLED: spec("nodeToNodeMeshEnabled"), ASNUMBER: spec("asNumber") } },
  BGPPeer: { aliases: ["bgpp", "bgpps", "bp", "bps"], columns: { NAME: name, PEERIP: spec("peerIP"), NODE: (object) => field(object, "spec.node") || field(object, "spec.nodeSelector") || "(global)", ASN: spec("asNumber") } },
  BlockAffinity: { aliases: ["affinity", "affinities"], columns: { NAME: name, CIDR: spec("cidr"), NODE: spec("node"), STATE: spec("state") } },
  ClusterInformation: { aliases: ["clusterinfo"], columns: { NAME: name, VERSION: spec("calicoVersion"), READY: spec("datastoreReady") } },
  FelixConfiguration: { aliases: ["felixconfig", "felixconfigs"] },
  GlobalNetworkPolicy: { aliases: ["gnp", "gnps"], columns: { NAME: name, TIER: spec("tier") }, wide: POLICY_WIDE },
  GlobalNetworkSet: { aliases: ["gns", "globalnetset"], wide: { NAME: name, NETS: spec("nets") } },
  HostEndpoint: { aliases: ["hep", "heps"], columns: { NAME: name, NODE: spec("node") }, wide: { NAME: name, NODE: spec("node"), INTERFACE: spec("interfaceName"), IPS: spec("expectedIPs"), PROFILES: spec("profiles") } },
  IPAMBlock: { columns: { NAME: name, CIDR: spec("cidr"), AFFINITY: spec("affinity"), FREE: (object) => String(listAt(object, "unallocated").length) } },
  IPAMConfiguration: { aliases: ["ipamconfig", "ipamconfigs"], columns: { NAME: name, STRICTAFFINITY: spec("strictAffinity"), AUTOALLOCATE: spec("autoAllocateBlocks"), MAXBLOCKS: spec("maxBlocksPerHost") } },
  IPPool: {
    aliases: ["ipp", "ipps", "pool", "pools"], columns: { NAME: name, CIDR: spec("cidr"), SELECTOR: spec("nodeSelector") },
    wide: { NAME: name, CIDR: spec("cidr"), NAT: spec("natOutgoing"), IPIPMODE: spec("ipipMode"), VXLANMODE: spec("vxlanMode"), DISABLED: spec("disabled"), DISABLEBGPEXPORT: spec("disableBGPExport"), SELECTOR: spec("nodeSelector"), ASSIGNMENTMODE: spec("assignmentMode") },
  },
  IPReservation: { aliases: ["ipresv", "ipreservation"], columns: { NAME: name, CIDRS: spec("reservedCIDRs") } },
  KubeControllersConfiguration: { aliases: ["kcc", "kubecontrollersconfig"] },
  NetworkPolicy: { aliases: ["np", "nps", "policy", "policies", "pol", "cnp"], columns: { NAMESPACE: namespace, NAME: name, TIER: spec("tier") }, wide: { NAMESPACE: namespace, ...POLICY_WIDE } },
  NetworkSet: { aliases: ["netset", "netsets"], columns: { NAMESPACE: namespace, NAME: name }, wide: { NAMESPACE: namespace, NAME: name, NETS: spec("nets") } },
  StagedGlobalNetworkPolicy: { aliases: ["sgnp", "sgnps"], columns: { NAME: name, TIER: spec("tier") }, wide: STAGED_WIDE },
  StagedKubernetesNetworkPolicy: { aliases: ["sknp", "sknps", "skpol", "skpols"], columns: { NAMESPACE: namespace, NAME: name }, wide: { NAMESPACE: namespace, NAME: name, PODSELECTOR: spec("podSelector"), ACTION: spec("stagedAction") } },
  StagedNetworkPolicy: { aliases: ["snp", "snps", "spol", "spols", "stagedpolicy"], columns: { NAMESPACE: namespace, NAME: name, TIER: spec("tier") }, wide: { NAMESPACE: namespace, ...STAGED_WIDE } },
  Tier: { columns: { NAME: name, ORDER: spec("order"), DEFAULTACTION: spec("defaultAction") } },
};

const custom = customKinds.map(({ kind, shortNames }): CtlKind => {
  const type = Object.values(calicoTypes).find((candidate) => candidate.kind === kind);
  if (type === undefined) throw new Error(`${kind} has no place in the API`);
  const { aliases = [], columns = { NAME: name }, wide = columns } = SPECIAL[kind] ?? {};
  return { kind, type, aliases: [...aliases, ...shortNames], columns, wide, isView: false };
});

const views: readonly CtlKind[] = [
  {
    kind: "Node", type: coreTypes.nodes, aliases: ["no", "nos"], isView: true, columns: { NAME: name },
    wide: {
      NAME: name, ASN: (object) => annotation("projectcalico.org/ASNumber")(object) || "(default)", IPV4: annotation("projectcalico.org/IPv4Address"), IPV6: annotation("projectcalico.org/IPv6Address"),
    },
  },
  {
    kind: "WorkloadEndpoint", type: coreTypes.pods, aliases: ["wep", "weps", "workload"], isView: true,
    columns: { NAMESPACE: namespace, WORKLOAD: name, NODE: spec("nodeName"), NETWORKS: (object) => field(object, "status.podIP") },
    wide: { NAMESPACE: namespace, WORKLOAD: name, NODE: spec("nodeName"), NETWORKS: (object) => field(object, "status.podIP"), PHASE: (object) => field(object, "status.phase") },
    view: (object) => (field(object, "spec.hostNetwork") === "true" ? undefined : object),
  },
  { kind: "Profile", type: coreTypes.namespaces, aliases: ["pro", "pros"], isView: true, columns: { NAME: ({ metadata }) => `kns.${metadata.name}` }, wide: { NAME: ({ metadata }) => `kns.${metadata.name}` } },
];

export const kinds: readonly CtlKind[] = [...custom, ...views];

/** The kind of a name in any case, singular, plural or short. Throws UsageError with what was probably meant. */
export function kindCalled(written: string): CtlKind {
  const wanted = written.toLowerCase();
  const namesOf = ({ kind, type, aliases, isView }: CtlKind): string[] => [kind.toLowerCase(), `${kind.toLowerCase()}s`, ...(isView ? [] : [type.plural]), ...aliases];
  const found = kinds.find((candidate) => namesOf(candidate).includes(wanted));
  if (found !== undefined) return found;
  const near = nearest(wanted, kinds.flatMap(namesOf));
  throw new UsageError(`there is no kind "${written}"${near === null ? "." : `; did you mean ${near}?`} Kinds: ${kinds.map(({ kind }) => kind).join(", ")}`);
}

function listAt(object: KubeObject, path: string): readonly unknown[] {
  const value = (object["spec"] as Record<string, unknown> | undefined)?.[path];
  return Array.isArray(value) ? value : [];
}
