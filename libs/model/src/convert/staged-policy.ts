/** Staged policies: what somebody thinks of enforcing. They change no verdict. */
import type { Policy, PolicyId } from "../model.ts";
import { policyId } from "../names.ts";
import type { Conversion, Finding } from "./conversion.ts";
import { nearest } from "./did-you-mean.ts";
import { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
import { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";
import { isAbsent, isObject, metadataOf, objectOf, show } from "./raw.ts";

export const STAGED_ACTIONS = ["Set", "Delete", "Learn", "Ignore"] as const;
export type StagedAction = (typeof STAGED_ACTIONS)[number];

export type StagedPolicy = {
  readonly action: StagedAction;
  /** The enforced policy that it would take the place of, or take away. */
  readonly enforced: PolicyId;
  /** What would be enforced, under the id of the enforced policy; null unless the action is Set. */
  readonly policy: Policy | null;
};

type Enforced = "NetworkPolicy" | "GlobalNetworkPolicy" | "KubernetesNetworkPolicy";

/** See `convertNetworkPolicy`: what that objects to is a finding here too. Null when it could not be enforced, or the action cannot be read. */
export const convertStagedNetworkPolicy = (raw: unknown): Conversion<StagedPolicy> => convert(raw, "NetworkPolicy", convertNetworkPolicy);
/** As `convertStagedNetworkPolicy`, for a policy of the whole cluster. */
export const convertStagedGlobalNetworkPolicy = (raw: unknown): Conversion<StagedPolicy> => convert(raw, "GlobalNetworkPolicy", convertGlobalNetworkPolicy);
/** As `convertStagedNetworkPolicy`, for a policy of Kubernetes. */
export const convertStagedKubernetesNetworkPolicy = (raw: unknown): Conversion<StagedPolicy> => convert(raw, "KubernetesNetworkPolicy", convertKubernetesNetworkPolicy);

function convert(raw: unknown, kind: Enforced, convertEnforced: (raw: unknown) => Conversion<Policy>): Conversion<StagedPolicy> {
  const metadata = metadataOf(raw);
  const isGlobal = kind === "GlobalNetworkPolicy";
  if (metadata === null || (!isGlobal && metadata.namespace === "")) return { value: null, findings: [] };
  const spec = objectOf(raw)["spec"];
  const { stagedAction, ...rest } = isObject(spec) ? spec : {};
  const action = isAbsent(stagedAction) || stagedAction === "" ? "Set" : STAGED_ACTIONS.find((known) => known === stagedAction);
  if (action === undefined) return { value: null, findings: [unknownAction(stagedAction)] };
  const { value: policy, findings } = convertEnforced({ ...objectOf(raw), spec: isObject(spec) ? rest : spec });
  const enforced = policyId(kind, isGlobal ? "" : metadata.namespace, metadata.name);
  if (action !== "Set") return { value: { action, enforced, policy: null }, findings };
  return { value: policy === null ? null : { action, enforced, policy }, findings };
}

function unknownAction(written: unknown): Finding {
  const near = typeof written === "string" ? nearest(written, STAGED_ACTIONS) : null;
  const finding: Finding = { severity: "error", field: "spec.stagedAction", message: `${show(written)} is none of ${STAGED_ACTIONS.join(", ")}; the policy is not considered` };
  return near === null ? finding : { ...finding, suggestion: `did you mean ${near}?` };
}
