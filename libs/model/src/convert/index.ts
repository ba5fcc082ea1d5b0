/** Objects of the API as values of the model. Any input is answered; what cannot be used is a finding. */
export { finding, type Conversion, type Finding, type Severity } from "./finding.ts";
export { ANY_ENTITY } from "./entity.ts";
export { convertNamespace, convertPod, convertServiceAccount } from "./workload.ts";
export { builtInTiers, convertBlock, convertGlobalNetworkSet, convertIpPool, convertNetworkSet, convertNode, convertTier } from "./infrastructure.ts";
export { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
export { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";
export { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
