/** Custom resources: schemas, types, validation, definitions. */
import type { z } from "zod";
import type { bgpConfigurationSpec, bgpPeerSpec } from "./bgp.ts";
import type { clusterInformationSpec, felixConfigurationSpec, kubeControllersConfigurationSpec } from "./configurations.ts";
import type { ipPoolSpec } from "./ip-pool.ts";
import type { globalNetworkPolicySpec, networkPolicySpec } from "./policy.ts";

export { admissionManifests, tierRefusal, withAdmissionDefaults, type AdmissionManifest, type Operation, type Refusal } from "./admission.ts";
export { crdManifests, type Manifest } from "./crd.ts";
export { API_GROUP, API_VERSION, kindNamed, kinds, type Column, type Kind } from "./kinds.ts";
export { validateResource, type Issue, type Validation } from "./validate.ts";
export type IpPoolSpec = z.input<typeof ipPoolSpec>;
export type BgpConfigurationSpec = z.input<typeof bgpConfigurationSpec>;
export type BgpPeerSpec = z.input<typeof bgpPeerSpec>;
export type FelixConfigurationSpec = z.input<typeof felixConfigurationSpec>;
export type KubeControllersConfigurationSpec = z.input<typeof kubeControllersConfigurationSpec>;
export type ClusterInformationSpec = z.input<typeof clusterInformationSpec>;
export type NetworkPolicySpec = z.input<typeof networkPolicySpec>;
export type GlobalNetworkPolicySpec = z.input<typeof globalNetworkPolicySpec>;
