/** Objects of the API as values of the model. Any input is answered; what cannot be used is a finding. */
export type { Conversion, Finding, Severity } from "./conversion.ts";
export { convertPod } from "./pod.ts";
export { builtInProfiles, convertNamespace, convertServiceAccount } from "./profile.ts";
export { convertHostEndpoint } from "./host-endpoint.ts";
export { convertNode } from "./node.ts";
export { convertBlock, convertIpPool } from "./ip-pool.ts";
export { builtInTiers, convertTier } from "./tier.ts";
export { convertGlobalNetworkSet, convertNetworkSet } from "./network-set.ts";
export { convertClusterNetworkPolicy } from "./cluster-policy.ts";
export { convertEndpointSlice } from "./endpoint-slice.ts";
export { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
export { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";
export { convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy, convertStagedNetworkPolicy, type StagedAction, type StagedPolicy } from "./staged-policy.ts";
export { asNumberOf } from "./as-number.ts";
export { nearest } from "./did-you-mean.ts";
export { isPort, joinRanges } from "./ports.ts";
export { protocolNumber } from "./protocol.ts";
export { listOf, objectOf, specOf, textOf } from "./raw.ts";
