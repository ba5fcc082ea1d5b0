/** The kinds of `projectcalico.org/v3` that are custom resources. */
import type { z } from "zod";
import type { Conversion } from "../convert/conversion.ts";
import { convertHostEndpoint } from "../convert/host-endpoint.ts";
import { convertIpPool } from "../convert/ip-pool.ts";
import { convertGlobalNetworkSet, convertNetworkSet } from "../convert/network-set.ts";
import { convertGlobalNetworkPolicy, convertNetworkPolicy } from "../convert/policy.ts";
import { convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy, convertStagedNetworkPolicy } from "../convert/staged-policy.ts";
import { convertTier } from "../convert/tier.ts";
import { bgpConfigurationSpec, bgpPeerSpec } from "./bgp.ts";
import { clusterInformationSpec, felixConfigurationSpec, kubeControllersConfigurationSpec, kubeControllersConfigurationStatus } from "./configurations.ts";
import { hostEndpointSpec, networkSetSpec } from "./endpoints.ts";
import { ipPoolSpec, ipPoolStatus, ipPoolTransitions } from "./ip-pool.ts";
import { blockAffinitySpec, ipamBlockSpec, ipamConfigurationSpec, ipamHandleSpec, ipReservationSpec } from "./ipam.ts";
import type { Transition } from "./rules.ts";
import { globalNetworkPolicySpec, networkPolicySpec, tierSpec, tierStatus } from "./policy.ts";
import { stagedGlobalNetworkPolicySpec, stagedKubernetesNetworkPolicySpec, stagedNetworkPolicySpec } from "./staged-policy.ts";

export const API_GROUP = "projectcalico.org";
export const API_VERSION = "v3";

export type Column = { readonly name: string; readonly type: "string" | "integer" | "number" | "boolean" | "date"; readonly path: string };

export type Kind = {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly spec: z.ZodType;
  readonly status: z.ZodType | null;
  /** Columns of `kubectl get` beside the name and the age. */
  readonly columns: readonly Column[];
  /** Reads the object as the calculation does: what it objects to is refused. */
  readonly convert: ((raw: unknown) => Conversion<unknown>) | null;
  /** What an update may not change. */
  readonly transitions: readonly Transition<never>[];
};

type Extras = Partial<Pick<Kind, "shortNames" | "namespaced" | "status" | "columns" | "convert" | "transitions">>;

const define = (kind: string, plural: string, spec: z.ZodType, extras: Extras = {}): Kind =>
  Object.freeze({ kind, plural, spec, shortNames: [], namespaced: false, status: null, columns: [], convert: null, transitions: [], ...extras });
const column = (name: string, path: string, type: Column["type"] = "string"): Column => ({ name, type, path: `.spec.${path}` });
const policyColumns = [column("Tier", "tier"), column("Order", "order", "number"), column("Selector", "selector")];
const stagedColumns = [column("Action", "stagedAction"), ...policyColumns];

export const kinds: readonly Kind[] = [
  define("BGPConfiguration", "bgpconfigurations", bgpConfigurationSpec, { shortNames: ["bgpconfig"], columns: [column("Mesh", "nodeToNodeMeshEnabled", "boolean"), column("AS", "asNumber")] }),
  define("BGPPeer", "bgppeers", bgpPeerSpec, { shortNames: ["bgpp"], columns: [column("PeerIP", "peerIP"), column("Nodes", "nodeSelector"), column("AS", "asNumber")] }),
  define("BlockAffinity", "blockaffinities", blockAffinitySpec, { shortNames: ["affinity"], columns: [column("CIDR", "cidr"), column("Node", "node"), column("State", "state")] }),
  define("ClusterInformation", "clusterinformations", clusterInformationSpec, { shortNames: ["clusterinfo"], columns: [column("Version", "calicoVersion"), column("Ready", "datastoreReady", "boolean")] }),
  define("FelixConfiguration", "felixconfigurations", felixConfigurationSpec, { shortNames: ["felixconfig"] }),
  define("GlobalNetworkPolicy", "globalnetworkpolicies", globalNetworkPolicySpec, { shortNames: ["gnp"], columns: policyColumns, convert: convertGlobalNetworkPolicy }),
  define("GlobalNetworkSet", "globalnetworksets", networkSetSpec, { shortNames: ["gns"], convert: convertGlobalNetworkSet }),
  define("HostEndpoint", "hostendpoints", hostEndpointSpec, { shortNames: ["hep"], columns: [column("Node", "node"), column("Interface", "interfaceName")], convert: convertHostEndpoint }),
  define("IPAMBlock", "ipamblocks", ipamBlockSpec, { columns: [column("CIDR", "cidr"), column("Affinity", "affinity")] }),
  define("IPAMConfiguration", "ipamconfigurations", ipamConfigurationSpec, { shortNames: ["ipamconfig"] }),
  define("IPAMHandle", "ipamhandles", ipamHandleSpec),
  define("IPPool", "ippools", ipPoolSpec, {
    shortNames: ["ipp"], status: ipPoolStatus, convert: convertIpPool, transitions: ipPoolTransitions,
    columns: [column("CIDR", "cidr"), column("IPIP", "ipipMode"), column("VXLAN", "vxlanMode"), column("NAT", "natOutgoing", "boolean"), column("Disabled", "disabled", "boolean")],
  }),
  define("IPReservation", "ipreservations", ipReservationSpec, { columns: [column("CIDRs", "reservedCIDRs")] }),
  define("KubeControllersConfiguration", "kubecontrollersconfigurations", kubeControllersConfigurationSpec, { shortNames: ["kcc"], status: kubeControllersConfigurationStatus }),
  define("NetworkPolicy", "networkpolicies", networkPolicySpec, { shortNames: ["cnp"], namespaced: true, columns: policyColumns, convert: convertNetworkPolicy }),
  define("NetworkSet", "networksets", networkSetSpec, { shortNames: ["netset"], namespaced: true, convert: convertNetworkSet }),
  define("StagedGlobalNetworkPolicy", "stagedglobalnetworkpolicies", stagedGlobalNetworkPolicySpec, { shortNames: ["sgnp"], columns: stagedColumns, convert: convertStagedGlobalNetworkPolicy }),
  define("StagedKubernetesNetworkPolicy", "stagedkubernetesnetworkpolicies", stagedKubernetesNetworkPolicySpec, { shortNames: ["sknp"], namespaced: true, columns: [column("Action", "stagedAction")], convert: convertStagedKubernetesNetworkPolicy }),
  define("StagedNetworkPolicy", "stagednetworkpolicies", stagedNetworkPolicySpec, { shortNames: ["snp"], namespaced: true, columns: stagedColumns, convert: convertStagedNetworkPolicy }),
  define("Tier", "tiers", tierSpec, { status: tierStatus, columns: [column("Order", "order", "number"), column("Default", "defaultAction")], convert: convertTier }),
];

/** The kind of that name; undefined for one that is no custom resource of this project. */
export function kindNamed(name: string): Kind | undefined {
  return kinds.find(({ kind }) => kind === name);
}
