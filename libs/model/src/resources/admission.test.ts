import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convertNetworkPolicy } from "../convert/policy.ts";
import { convertStagedKubernetesNetworkPolicy } from "../convert/staged-policy.ts";
import { admissionManifests, tierRefusal, withAdmissionDefaults } from "./admission.ts";
import { validateResource } from "./validate.ts";

const object = (kind: string, spec?: unknown, metadata: object = {}) => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name: "x", namespace: "shop", ...metadata }, ...(spec === undefined ? {} : { spec }) });
const rule = { action: "Allow" };

describe("withAdmissionDefaults", () => {
  it.each<[string, unknown, unknown]>([
    ["NetworkPolicy", undefined, { types: ["Ingress"], tier: "default" }],
    ["GlobalNetworkPolicy", { ingress: [rule] }, { ingress: [rule], types: ["Ingress"], tier: "default" }],
    ["StagedNetworkPolicy", { egress: [rule], ingress: [], tier: "" }, { egress: [rule], ingress: [], types: ["Egress"], tier: "default" }],
    ["StagedGlobalNetworkPolicy", { ingress: [rule], egress: [rule], tier: "security" }, { ingress: [rule], egress: [rule], types: ["Ingress", "Egress"], tier: "security" }],
    ["NetworkPolicy", { egress: [rule], types: ["Ingress"], tier: "security" }, { egress: [rule], types: ["Ingress"], tier: "security" }],
  ])("fills in tier, types and label of a %s with %j", (kind, spec, expected) => {
    const { tier } = expected as { tier: string };
    expect(withAdmissionDefaults(object(kind, spec, { labels: { app: "a", "projectcalico.org/tier": "wrong" } }))).toEqual(object(kind, expected, { labels: { app: "a", "projectcalico.org/tier": tier } }));
  });

  it("fills in the types of a staged policy of Kubernetes, which has no tier", () => {
    expect(withAdmissionDefaults(object("StagedKubernetesNetworkPolicy", { podSelector: {}, egress: [{}] }))).toEqual(object("StagedKubernetesNetworkPolicy", { podSelector: {}, egress: [{}], policyTypes: ["Ingress", "Egress"] }));
    expect(withAdmissionDefaults(object("StagedKubernetesNetworkPolicy", { podSelector: {} }))).toEqual(object("StagedKubernetesNetworkPolicy", { podSelector: {}, policyTypes: ["Ingress"] }));
  });

  it("leaves everything else alone", () => {
    for (const other of [object("Tier", { order: 1 }), { ...object("NetworkPolicy", {}), apiVersion: "networking.k8s.io/v1" }, object("IPPool"), object("NetworkPolicy", "all")]) expect(withAdmissionDefaults(other)).toBe(other);
  });

  it.each<[string, object]>([
    ["NetworkPolicy", { types: "Egress" }], ["GlobalNetworkPolicy", { tier: 5 }], ["NetworkPolicy", { egress: {} }], ["StagedNetworkPolicy", { ingress: "all" }], ["StagedGlobalNetworkPolicy", { tier: ["default"], types: ["Ingress"] }],
    ["StagedKubernetesNetworkPolicy", { policyTypes: "Egress" }], ["StagedKubernetesNetworkPolicy", { egress: {} }],
  ])("leaves a %s with %j to the schema, which refuses it", (kind, spec) => {
    const written = object(kind, spec);
    expect(withAdmissionDefaults(written)).toBe(written);
    const checked = validateResource(written);
    expect(checked.ok ? [] : checked.issues.map(({ path }) => path)).toContain(`spec.${Object.keys(spec)[0]}`);
  });

  it("changes no verdict: what the conversion makes of a policy stays the same, and a second time nothing is filled in", () => {
    const lists = fc.record({ ingress: fc.constantFrom(undefined, null, [], [rule]), egress: fc.constantFrom(undefined, null, [], [rule]), types: fc.constantFrom(undefined, [], ["Egress"], ["Ingress", "Egress"]), tier: fc.constantFrom(undefined, "", "default", "security") }, { requiredKeys: [] });
    fc.assert(fc.property(lists, (spec) => {
      const written = object("NetworkPolicy", spec);
      const filledIn = withAdmissionDefaults(written);
      expect(convertNetworkPolicy(filledIn).value).toEqual(convertNetworkPolicy(written).value);
      expect(withAdmissionDefaults(filledIn)).toEqual(filledIn);
      const { ingress, egress, types } = spec;
      const kubernetes = object("StagedKubernetesNetworkPolicy", { podSelector: {}, policyTypes: types, ...(Array.isArray(ingress) ? { ingress: ingress.map(() => ({})) } : {}), ...(Array.isArray(egress) ? { egress: egress.map(() => ({})) } : {}) });
      expect(convertStagedKubernetesNetworkPolicy(withAdmissionDefaults(kubernetes)).value).toEqual(convertStagedKubernetesNetworkPolicy(kubernetes).value);
    }));
  });

  it("takes objects of any shape", () => {
    fc.assert(fc.property(fc.anything(), fc.anything(), (spec, metadata) => {
      expect(() => withAdmissionDefaults({ apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", spec, metadata })).not.toThrow();
    }));
  });
});

describe("tierRefusal", () => {
  const tier = (name: string, spec: object) => object("Tier", spec, { name });
  it.each<[string, object]>([["kube-admin", { order: 1_000, defaultAction: "Pass" }], ["default", { order: 1_000_000, defaultAction: "Deny" }], ["kube-baseline", { order: 10_000_000, defaultAction: "Pass" }]])("lets %s be as it is, and nothing else", (name, spec) => {
    expect([tierRefusal("CREATE", tier(name, spec)), tierRefusal("UPDATE", tier(name, spec))]).toEqual([null, null]);
    expect(tierRefusal("DELETE", tier(name, spec))).toEqual({ by: "calico-tiers", message: `tier ${name} is built in and cannot be deleted; delete or move the policies in it if they are in the way` });
    for (const change of [{ order: 5 }, { order: undefined }, { defaultAction: "Log" }]) expect(tierRefusal("UPDATE", tier(name, { ...spec, ...change }))?.message).toMatch(new RegExp(`^tier ${name} is built in: its order is always `));
  });

  it("has nothing to say about other tiers and other kinds", () => {
    expect([tierRefusal("DELETE", tier("security", {})), tierRefusal("UPDATE", tier("security", { order: 5 })), tierRefusal("DELETE", object("NetworkPolicy", {}, { name: "default" }))]).toEqual([null, null, null]);
  });
});

describe("admissionManifests", () => {
  it("have a binding for each policy, which refuses when it cannot be evaluated", () => {
    const all = Object.values(admissionManifests()).flat();
    const policies = all.filter(({ kind }) => kind.endsWith("Policy"));
    const bindings = all.filter(({ kind }) => kind.endsWith("Binding"));
    expect(bindings.map(({ kind, spec }) => [kind.replace("Binding", ""), spec["policyName"]])).toEqual(policies.map(({ kind, metadata }) => [kind, metadata.name]));
    expect(policies.map(({ spec }) => spec["failurePolicy"])).toEqual(policies.map(() => "Fail"));
  });
});
