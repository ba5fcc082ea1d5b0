/** StagedNetworkPolicy, StagedGlobalNetworkPolicy, StagedKubernetesNetworkPolicy: the specs of the enforced kinds and what is thought of doing with them. */
import { z } from "zod";
import { STAGED_ACTIONS } from "../convert/staged-policy.ts";
import { globalFields, policyFields, stageRules } from "./policy.ts";
import { withRules } from "./rules.ts";
import { intOrString, net } from "./shapes.ts";

const stagedAction = z.enum(STAGED_ACTIONS).default("Set");

export const stagedNetworkPolicySpec = z.strictObject({ stagedAction, ...policyFields });
export const stagedGlobalNetworkPolicySpec = withRules(z.strictObject({ stagedAction, ...globalFields }), stageRules);

const labelSelector = z.strictObject({
  matchLabels: z.record(z.string(), z.string()).optional(),
  matchExpressions: z.array(z.strictObject({ key: z.string().max(317), operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]), values: z.array(z.string().max(63)).max(1024).optional() })).max(256).optional(),
});
const peers = z.array(z.strictObject({ ipBlock: z.strictObject({ cidr: net, except: z.array(net).max(1024).optional() }).optional(), podSelector: labelSelector.optional(), namespaceSelector: labelSelector.optional() })).max(1024).optional();
const ports = z.array(z.strictObject({ protocol: z.enum(["TCP", "UDP", "SCTP"]).optional(), port: intOrString.optional(), endPort: z.int().min(1).max(65_535).optional() })).max(1024).optional();

export const stagedKubernetesNetworkPolicySpec = z.strictObject({
  stagedAction,
  podSelector: labelSelector.optional(),
  policyTypes: z.array(z.enum(["Ingress", "Egress"])).max(2).optional(),
  ingress: z.array(z.strictObject({ from: peers, ports })).max(1024).optional(),
  egress: z.array(z.strictObject({ to: peers, ports })).max(1024).optional(),
});
