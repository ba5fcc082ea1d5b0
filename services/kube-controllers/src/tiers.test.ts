import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { planTier, tierOf, tierView, type Ready, type TierView } from "./tiers.ts";

const FINALIZER = "projectcalico.org/tier-controller";
const well: Ready = { status: "True", reason: "Ready", message: "the policies in the tier are evaluated", lastTransitionTime: "2026-01-01T00:00:00Z" };
const tier = (over: Partial<TierView> = {}): TierView => ({ name: "security", revision: "1", isDeleting: false, finalizers: [FINALIZER], ready: well, otherConditions: [], ...over });

describe("planTier", () => {
  it("holds a tier, empty or not, and says that it is ready", () => {
    expect(planTier(tier({ finalizers: ["other/one"], ready: null }), [])).toEqual({ finalizers: ["other/one", FINALIZER], ready: { status: "True", reason: "Ready", message: well.message } });
    expect(planTier(tier(), ["NetworkPolicy shop/a"])).toEqual({ finalizers: null, ready: null });
  });

  it("does not hold a built-in tier, which cannot be deleted", () => {
    for (const name of ["default", "kube-admin", "kube-baseline"]) expect(planTier(tier({ name, finalizers: [] }), ["x"])).toEqual({ finalizers: null, ready: null });
  });

  it("keeps one that is being deleted, and says what keeps it", () => {
    const policies = ["c", "a", "b", "f", "e", "d", "g"].map((name) => `NetworkPolicy shop/${name}`);
    expect(planTier(tier({ isDeleting: true }), policies)).toEqual({
      finalizers: null,
      ready: { status: "False", reason: "NotEmpty", message: "the tier goes when no policy is in it; there are NetworkPolicy shop/a, NetworkPolicy shop/b, NetworkPolicy shop/c, NetworkPolicy shop/d, NetworkPolicy shop/e and 2 more" },
    });
    expect(planTier(tier({ isDeleting: true }), ["StagedGlobalNetworkPolicy x"]).ready?.message).toBe("the tier goes when no policy is in it; there is StagedGlobalNetworkPolicy x");
  });

  it("lets it go when it is empty, as far as it is held here", () => {
    expect(planTier(tier({ isDeleting: true, finalizers: [FINALIZER, "other/one"], ready: null }), [])).toEqual({ finalizers: ["other/one"], ready: null });
  });

  it("never lets go of a tier with policies, nor takes what is another's", () => {
    const view = fc.record({ name: fc.constantFrom("security", "default"), revision: fc.constant("1"), isDeleting: fc.boolean(), finalizers: fc.subarray([FINALIZER, "other/one"]), ready: fc.constantFrom(null, well), otherConditions: fc.constant([]) });
    fc.assert(fc.property(view, fc.array(fc.constantFrom("a", "b")), (before, policies) => {
      const { finalizers } = planTier(before, policies);
      if (finalizers === null) return;
      expect(finalizers.includes("other/one")).toBe(before.finalizers.includes("other/one"));
      if (before.isDeleting) expect([finalizers.includes(FINALIZER), policies.length === 0 || before.name === "default"]).toEqual([false, true]);
    }));
  });
});

describe("views", () => {
  const object = { apiVersion: "projectcalico.org/v3", kind: "Tier" };

  it("of a tier and of a policy of any shape are answered", () => {
    expect(tierView({ ...object, metadata: { name: "a", resourceVersion: "7", deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: [FINALIZER] }, status: { conditions: [{ type: "Other" }, { type: "Ready", ...well }] } })).toEqual({ name: "a", revision: "7", isDeleting: true, finalizers: [FINALIZER], ready: well, otherConditions: [{ type: "Other" }] });
    expect(tierView({ ...object, metadata: { name: "a" }, status: 7 })).toEqual({ name: "a", revision: "", isDeleting: false, finalizers: [], ready: null, otherConditions: [] });
    expect([tierOf({ spec: { tier: "x" } }), tierOf({ spec: { tier: "" } }), tierOf({}), tierOf({ spec: [] })]).toEqual(["x", "default", "default", "default"]);
  });
});
