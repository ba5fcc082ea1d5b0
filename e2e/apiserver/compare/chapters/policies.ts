import { CALICO, calico, chapter, get, namespaceSteps, patch, post, put, remove, type Step } from "../script.ts";

const NAMESPACE = "policies";
const tiers = `${CALICO}/tiers`;
const global = `${CALICO}/globalnetworkpolicies`;
const inside = (plural: string): string => `${CALICO}/namespaces/${NAMESPACE}/${plural}`;
const APPLY = "fieldManager=a&force=true";
const rule = { action: "Allow" };

/** Types by the rules that there are, of every kind that has them. */
const types: Step[] = [
  ...["NetworkPolicy", "StagedNetworkPolicy"].flatMap((kind) => [
    post(`${kind} without rules`, inside(`${kind.toLowerCase().slice(0, -1)}ies`), calico(kind, "a", {})),
    post(`${kind} with egress`, inside(`${kind.toLowerCase().slice(0, -1)}ies`), calico(kind, "b", { egress: [rule], ingress: [] })),
    post(`${kind} with both`, inside(`${kind.toLowerCase().slice(0, -1)}ies`), calico(kind, "c", { egress: [rule], ingress: [rule], tier: "policies" })),
    post(`${kind} with types`, inside(`${kind.toLowerCase().slice(0, -1)}ies`), calico(kind, "d", { egress: [rule], types: ["Ingress"] })),
  ]),
  post("staged for all", `${CALICO}/stagedglobalnetworkpolicies`, calico("StagedGlobalNetworkPolicy", "policies-a", { egress: [rule], stagedAction: "Delete" })),
  post("staged of Kubernetes", inside("stagedkubernetesnetworkpolicies"), calico("StagedKubernetesNetworkPolicy", "a", { podSelector: {}, egress: [{}] })),
  post("staged of Kubernetes for ingress", inside("stagedkubernetesnetworkpolicies"), calico("StagedKubernetesNetworkPolicy", "b", { podSelector: {} })),
  post("staged with a wrong action", inside("stagednetworkpolicies"), calico("StagedNetworkPolicy", "e", { stagedAction: "Remove" })),
];

/** What the admission policies do. */
export const policies = chapter("policies", [
  ...namespaceSteps(NAMESPACE),
  ...types,
  post("without a spec", global, { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", metadata: { name: "policies-a" } }),
  post("an empty tier", global, calico("GlobalNetworkPolicy", "policies-b", { tier: "", order: 1 }, { labels: { "projectcalico.org/tier": "wrong", app: "a" } })),
  patch("another tier", "merge", `${global}/policies-b`, { spec: { tier: "policies" } }),
  patch("without the label", "merge", `${global}/policies-b`, { metadata: { labels: null } }),
  patch("without types", "merge", `${global}/policies-b`, { spec: { types: null, egress: [rule] } }),
  get("as it is", `${global}/policies-b`),
  put("put without what was filled in", `${global}/policies-b`, { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", metadata: { name: "policies-b", resourceVersion: "{{as it is.metadata.resourceVersion}}" }, spec: { tier: "policies", order: 1, egress: [rule] } }),
  patch("apply", "apply", `${global}/policies-c?${APPLY}`, calico("GlobalNetworkPolicy", "policies-c", { selector: "all()" })),
  patch("apply again", "apply", `${global}/policies-c?${APPLY}`, calico("GlobalNetworkPolicy", "policies-c", { selector: "has(a)" })),
  post("only tried", `${global}?dryRun=All`, calico("GlobalNetworkPolicy", "policies-d", { egress: [rule] })),
  ...[{ types: 5 }, { types: "Ingress" }, { tier: 5 }, { egress: "all" }, { ingress: {} }, { types: null, tier: null, egress: null }, []].map((spec, i) => post(`of another shape ${i}`, global, calico("GlobalNetworkPolicy", `policies-shape-${i}`, spec))),
  post("staged of Kubernetes of another shape", inside("stagedkubernetesnetworkpolicies"), calico("StagedKubernetesNetworkPolicy", "c", { podSelector: {}, policyTypes: 5, egress: 5 })),
  post("no labels", global, calico("GlobalNetworkPolicy", "policies-labels", {}, { labels: null })),
  post("built in", tiers, calico("Tier", "default", { order: 1_000_000, defaultAction: "Deny" })),
  post("built in with another order", tiers, calico("Tier", "kube-admin", { order: 5, defaultAction: "Pass" })),
  post("built in with another action", tiers, calico("Tier", "kube-baseline", { order: 10_000_000 })),
  patch("its order", "merge", `${tiers}/default`, { spec: { order: 5 } }),
  patch("without an order", "merge", `${tiers}/default`, { spec: { order: null } }),
  patch("its labels", "merge", `${tiers}/default`, { metadata: { labels: { a: "b" } } }),
  remove("is kept", `${tiers}/default`),
  remove("is kept when it is only tried", `${tiers}/default?dryRun=All`),
  post("one of our own", tiers, calico("Tier", "policies", { order: 5 })),
  remove("goes", `${tiers}/policies`),
  post("selector with a single =", global, calico("GlobalNetworkPolicy", "policies-e", { selector: "role = 'a'" })),
  post("selector of a rule", global, calico("GlobalNetworkPolicy", "policies-e", { ingress: [{ ...rule, source: { selector: "role == a" } }] })),
  post("selector with an open parenthesis", global, calico("GlobalNetworkPolicy", "policies-e", { selector: "(has(a)" })),
  post("selector with global", global, calico("GlobalNetworkPolicy", "policies-e", { selector: "global()" })),
  post("selector of namespaces with global", global, calico("GlobalNetworkPolicy", "policies-f", { ingress: [{ ...rule, source: { namespaceSelector: "global()" } }] })),
]);
