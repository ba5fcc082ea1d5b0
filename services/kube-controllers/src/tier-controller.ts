/** Keeps a tier that is being deleted until no policy is in it, and writes into its status whether it is ready. */
import { calicoTypes, createInformer, isDatastoreError, type Datastore, type Informer, type KubeObject, type ResourceType } from "@calico/datastore";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import { planTier, tierOf, tierView, type TierView } from "./tiers.ts";

export type TierOptions = { readonly datastore: Datastore; readonly clock: Clock; readonly log: Logger };

/** Kinds with a tier; a cluster whose definitions are older need not have the staged ones. */
const POLICY_TYPES: readonly { readonly type: ResourceType; readonly isOptional: boolean }[] = [
  { type: calicoTypes.networkPolicies, isOptional: false }, { type: calicoTypes.globalNetworkPolicies, isOptional: false },
  { type: calicoTypes.stagedNetworkPolicies, isOptional: true }, { type: calicoTypes.stagedGlobalNetworkPolicies, isOptional: true },
];

/** Follows tiers and policies until the signal. */
export async function followTiers({ datastore, clock, log }: TierOptions, signal: AbortSignal): Promise<void> {
  const tiers = new Map<string, TierView>();
  const tierByPolicy = new Map<string, string>();
  let wake = Promise.withResolvers<void>();
  const follow = <M>(type: ResourceType, isOptional: boolean, transform: (raw: KubeObject) => M, set: (name: string, value: M | null) => void): Informer => createInformer<KubeObject, M>({
    datastore, type, isOptional, transform, log,
    handler: { onUpsert: ({ namespace, name }, value) => set(nameOf(namespace, name), value), onDelete: ({ namespace, name }) => set(nameOf(namespace, name), null), onSynced: () => wake.resolve() },
  });
  const informers = [
    follow(calicoTypes.tiers, false, tierView, (name, value) => {
      if (value === null) tiers.delete(name);
      else tiers.set(name, value);
      wake.resolve();
    }),
    ...POLICY_TYPES.map(({ type, isOptional }) => follow(type, isOptional, tierOf, (name, tier) => {
      const key = `${type.kind} ${name}`;
      if ((tierByPolicy.get(key) ?? null) === tier) return;
      if (tier === null) tierByPolicy.delete(key);
      else tierByPolicy.set(key, tier);
      wake.resolve();
    })),
  ];
  const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  const backoff = createBackoff({ firstMs: 500, maxMs: 30_000 });
  for (const informer of informers) informer.start();
  try {
    await Promise.race([Promise.all(informers.map(({ synced }) => synced)), stopped]);
    while (!signal.aborted) {
      try {
        await reconcile();
        backoff.reset();
        await Promise.race([wake.promise, stopped]);
      } catch (error) {
        if (signal.aborted) return;
        log.warn("A tier could not be written, trying again", { error });
        await delay(clock, backoff.next(), signal);
      }
      wake = Promise.withResolvers();
    }
  } finally {
    for (const informer of informers) informer.stop();
  }

  /** Throws the first failure, after the other tiers. */
  async function reconcile(): Promise<void> {
    const failures: unknown[] = [];
    const policies = Map.groupBy(tierByPolicy.keys(), (key) => tierByPolicy.get(key) ?? "");
    for (const tier of tiers.values()) {
      if (signal.aborted) return;
      try {
        await bringAbout(tier, policies.get(tier.name) ?? []);
      } catch (error) {
        // Somebody was faster: what that changed comes along the watch.
        if (!isDatastoreError(error, "NotFound", "Conflict", "Aborted")) failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Writes with the revision that was seen, so that nothing is taken away that somebody just added. */
  async function bringAbout(tier: TierView, policies: readonly string[]): Promise<void> {
    const key = { name: tier.name };
    const { finalizers, ready } = planTier(tier, policies);
    let seen = tier;
    if (finalizers !== null && !(tier.isDeleting && (await hasPolicies(tier.name)))) {
      seen = tierView(await datastore.patch<KubeObject>(calicoTypes.tiers, key, { metadata: { resourceVersion: tier.revision, finalizers } }, { type: "merge", signal }));
      if (tier.isDeleting) log.info("An empty tier is let go", { tier: tier.name });
    }
    if (ready === null) return;
    const lastTransitionTime = tier.ready?.status === ready.status ? tier.ready.lastTransitionTime : new Date(clock.now()).toISOString();
    // A merge patch replaces a list as a whole.
    const conditions = [...seen.otherConditions, { type: "Ready", ...ready, lastTransitionTime }];
    await datastore.patch(calicoTypes.tiers, key, { metadata: { resourceVersion: seen.revision }, status: { conditions } }, { type: "merge", subresource: "status", signal });
  }

  /** Asks the API server itself, because an informer may be behind. */
  async function hasPolicies(tier: string): Promise<boolean> {
    for (const { type, isOptional } of POLICY_TYPES) {
      try {
        const { items } = await datastore.list<KubeObject>(type, { signal });
        if (items.some((policy) => tierOf(policy) === tier)) return true;
      } catch (error) {
        if (!isOptional || !isDatastoreError(error, "NotFound")) throw error;
      }
    }
    return false;
  }
}

const nameOf = (namespace: string | undefined, name: string): string => (namespace === undefined ? name : `${namespace}/${name}`);
