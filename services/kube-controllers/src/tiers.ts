/** What a tier's object should say, by what is in the tier. Pure. */
import type { KubeObject } from "@calico/datastore";
import { builtInTiers, DEFAULT_TIER, listOf, objectOf, specOf, textOf, TIER_FINALIZER } from "@calico/model";

export type TierView = {
  readonly name: string;
  readonly revision: string;
  readonly isDeleting: boolean;
  readonly finalizers: readonly string[];
  readonly ready: Ready | null;
  /** Conditions of other controllers, as they are. */
  readonly otherConditions: readonly unknown[];
};

/** The condition Ready. */
export type Ready = { readonly status: string; readonly reason: string; readonly message: string; readonly lastTransitionTime: string };

export type TierPlan = {
  /** Finalizers to write; null: they are as they should be. */
  readonly finalizers: readonly string[] | null;
  /** The condition to write; null: it is as it should be. */
  readonly ready: Omit<Ready, "lastTransitionTime"> | null;
};

const MOST_NAMED = 5;
const BUILT_IN = new Set(builtInTiers.map(({ name }) => name));

/** The tier that a policy is in. */
export function tierOf(policy: unknown): string {
  return textOf(specOf(policy)["tier"]) || DEFAULT_TIER;
}

/**
 * A tier is kept by its finalizer until no policy is in it; `policies` are those, as "kind namespace/name". Built-in tiers cannot be deleted and need none. What others keep
 * it for stays.
 */
export function planTier({ name, isDeleting, finalizers, ready }: TierView, policies: readonly string[]): TierPlan {
  const others = finalizers.filter((finalizer) => finalizer !== TIER_FINALIZER);
  const isHeld = others.length < finalizers.length;
  const wantsHold = !BUILT_IN.has(name) && (policies.length > 0 || !isDeleting);
  // A finalizer cannot be added to what is being deleted.
  const mayHold = isHeld || !isDeleting;
  const wanted = isDeleting && policies.length > 0 ? waiting(policies) : { status: "True", reason: "Ready", message: "the policies in the tier are evaluated" };
  const isGoing = isHeld && !wantsHold;
  const isSame = ready !== null && ready.status === wanted.status && ready.reason === wanted.reason && ready.message === wanted.message;
  return { finalizers: isHeld === wantsHold || !mayHold ? null : wantsHold ? [...others, TIER_FINALIZER] : others, ready: isSame || isGoing ? null : wanted };
}

function waiting(policies: readonly string[]): Omit<Ready, "lastTransitionTime"> {
  const named = policies.toSorted().slice(0, MOST_NAMED).join(", ");
  const more = policies.length - MOST_NAMED;
  return { status: "False", reason: "NotEmpty", message: `the tier goes when no policy is in it; there ${policies.length === 1 ? "is" : "are"} ${named}${more > 0 ? ` and ${more} more` : ""}` };
}

/** What of a tier's object matters here. */
export function tierView(raw: KubeObject): TierView {
  const { name, resourceVersion, deletionTimestamp, finalizers } = raw.metadata;
  const conditions = listOf(objectOf(raw["status"])["conditions"]);
  const isReady = (each: unknown): boolean => objectOf(each)["type"] === "Ready";
  const written = conditions.find(isReady);
  const condition = written === undefined ? undefined : objectOf(written);
  return {
    name, revision: textOf(resourceVersion), isDeleting: deletionTimestamp !== undefined, finalizers: Array.isArray(finalizers) ? finalizers.filter((finalizer) => typeof finalizer === "string") : [],
    ready: condition === undefined ? null : { status: textOf(condition["status"]), reason: textOf(condition["reason"]), message: textOf(condition["message"]), lastTransitionTime: textOf(condition["lastTransitionTime"]) },
    otherConditions: conditions.filter((each) => !isReady(each)),
  };
}
