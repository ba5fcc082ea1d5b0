import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
import { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";
import { convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy, convertStagedNetworkPolicy } from "./staged-policy.ts";

const object = (spec: unknown, namespace = "shop"): object => ({ metadata: { name: "x", namespace, resourceVersion: "7" }, spec });
const spec = { tier: "security", order: 5, selector: "app == 'a'", egress: [{ action: "Allow" }] };
const kubernetes = { podSelector: { matchLabels: { app: "a" } }, egress: [{}] };

describe("a staged policy", () => {
  it("is what the enforced kind would be, under its id", () => {
    expect(convertStagedNetworkPolicy(object(spec))).toEqual({ value: { action: "Set", enforced: "NetworkPolicy/shop/x", policy: convertNetworkPolicy(object(spec)).value }, findings: [] });
    expect(convertStagedGlobalNetworkPolicy(object({ ...spec, stagedAction: "Set" }))).toEqual({ value: { action: "Set", enforced: "GlobalNetworkPolicy//x", policy: convertGlobalNetworkPolicy(object(spec)).value }, findings: [] });
    expect(convertStagedKubernetesNetworkPolicy(object(kubernetes))).toEqual({ value: { action: "Set", enforced: "KubernetesNetworkPolicy/shop/x", policy: convertKubernetesNetworkPolicy(object(kubernetes)).value }, findings: [] });
  });

  it("of Kubernetes is about both directions when it has egress rules", () => {
    expect(convertStagedKubernetesNetworkPolicy(object(kubernetes)).value?.policy).toMatchObject({ ingress: true, egress: true });
    expect(convertStagedKubernetesNetworkPolicy(object({ podSelector: {} })).value?.policy).toMatchObject({ ingress: true, egress: false });
  });

  it.each(["Delete", "Learn", "Ignore"])("with action %s brings no policy of its own", (stagedAction) => {
    expect(convertStagedNetworkPolicy(object({ stagedAction }))).toEqual({ value: { action: stagedAction, enforced: "NetworkPolicy/shop/x", policy: null }, findings: [] });
  });

  it("is reported like an enforced one", () => {
    const bad = { selector: "role = 'a'", ingress: [{ action: "Deny" }] };
    expect(convertStagedNetworkPolicy(object(bad))).toEqual({ value: null, findings: convertNetworkPolicy(object(bad)).findings });
    expect(convertStagedGlobalNetworkPolicy(object({ ...spec, egress: [{ action: "alow" }] })).findings).toEqual(convertGlobalNetworkPolicy(object({ ...spec, egress: [{ action: "alow" }] })).findings);
    expect(convertStagedNetworkPolicy(object({ stagedAction: "delete" }))).toEqual({
      value: null, findings: [{ severity: "error", field: "spec.stagedAction", message: '"delete" is none of Set, Delete, Learn, Ignore; the policy is not considered', suggestion: "did you mean Delete?" }],
    });
  });

  it("without a name or a namespace is none", () => {
    expect(convertStagedNetworkPolicy(object(spec, ""))).toEqual({ value: null, findings: [] });
    expect(convertStagedKubernetesNetworkPolicy({})).toEqual({ value: null, findings: [] });
    expect(convertStagedGlobalNetworkPolicy(null)).toEqual({ value: null, findings: [] });
  });

  it("of any shape is answered", () => {
    const kinds = [convertStagedNetworkPolicy, convertStagedGlobalNetworkPolicy, convertStagedKubernetesNetworkPolicy];
    fc.assert(fc.property(fc.constantFrom(...kinds), fc.oneof(fc.object({ maxDepth: 3 }), fc.anything()), (convert, written) => {
      const { value, findings } = convert(object(written));
      expect(value !== null || findings.length > 0).toBe(true);
    }));
  });
});
