/** Felix's heart: what it is told goes through the node half into the dataplane, one apply at a time. */
import type { Attachment, DataplaneSink, HostEndpointSink, NodeEndpoint, NodeHalf, NodeProfile, PolicyId, ResolvedEndpoint, ResolvedHostEndpoint } from "@calico/calc";
import type { SyncStep } from "@calico/proto";
import { createBackoff, delay, describeError, type Clock, type Logger } from "@calico/service-kit";

type Sink = DataplaneSink & HostEndpointSink;

/** What the engine needs of a dataplane. */
export interface ApplyingDataplane {
  readonly sink: Sink;
  /** Puts everything that the sink was told into the kernel. Rejects when that failed as a whole. */
  apply(): Promise<unknown>;
  /** True when the endpoint as last told, with its policy and route, is in the kernel. */
  isReady(id: string): boolean;
  doubt(id: string): void;
  /** Objects that the kernel did not take, with the reason. */
  failures(): readonly { readonly id: string; readonly reason: string }[];
  /** Policies and profiles of which it did not take all rules. */
  refusedPolicies(): ReadonlySet<string>;
}

export type EngineOptions = {
  /** Makes the node half around the sink that it reports to. */
  readonly createNodeHalf: (sink: Sink) => NodeHalf;
  readonly dataplane: ApplyingDataplane;
  /** After each apply that succeeded: the steps that it put into effect. */
  readonly onApplied: (steps: readonly SyncStep[], seconds: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
};

export interface Engine {
  readonly isInSync: boolean;
  /** In sync, and applied at least once since. */
  readonly isApplied: boolean;
  readonly step: SyncStep | null;
  readonly lastError: string;
  readonly commits: number;
  readonly commitErrors: number;
  readonly endpoints: ReadonlyMap<string, ResolvedEndpoint>;
  readonly hostEndpoints: ReadonlyMap<string, ResolvedHostEndpoint>;
  readonly policies: ReadonlySet<PolicyId>;
  /** Revision of each policy that the last apply that succeeded left in the kernel. */
  readonly revisionsInForce: ReadonlyMap<PolicyId, string>;
  /** Takes a step of the sync stream; resolves when it is in the kernel, or when an apply with it failed. */
  onStep(step: SyncStep): Promise<void>;
  /** Hands over an interface; resolves when it is ready, rejects with what is missing when the time is over. */
  attach(attachment: Attachment, endpointId: string, timeoutMs: number): Promise<void>;
  /** The interface goes, or never came to be. Resolves when it is out of the kernel's rules, or the time is over. */
  detach(uid: string, containerId: string, timeoutMs: number): Promise<void>;
  /** Attachments known from an earlier run. */
  restore(attachments: readonly Attachment[]): void;
  waitingFor(uid: string): string | null;
  /** Endpoints that were announced and are not in the dataplane, with what is missing. */
  unresolved(): readonly { readonly endpoint: NodeEndpoint; readonly reason: string }[];
  /** Something in the kernel or in the configuration changed. */
  trigger(): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createEngine({ createNodeHalf, dataplane, onApplied, clock, log }: EngineOptions): Engine {
  const endpoints = new Map<string, ResolvedEndpoint>();
  const hostEndpoints = new Map<string, ResolvedHostEndpoint>();
  const policies = new Set<PolicyId>();
  const revisionsInForce = new Map<PolicyId, string>();
  /** Revisions that the next apply puts into the kernel; null: the policy goes. */
  let pendingRevisions = new Map<PolicyId, string | null>();
  const half = createNodeHalf(observe(dataplane.sink, endpoints, hostEndpoints, policies, (id, revision) => pendingRevisions.set(id, revision)));
  let inSync = false;
  let applied = false;
  let step: SyncStep | null = null;
  let lastError = "";
  let commits = 0;
  let commitErrors = 0;
  let dirty = false;
  let wake: () => void = () => {};
  let unapplied: SyncStep[] = [];
  /** Called after each apply that began later, whether it succeeded or not. */
  const afterApply = new Set<(error: string | null) => void>();

  function trigger(): void {
    dirty = true;
    wake();
  }

  function flush(): void {
    if (inSync) half.flush();
    trigger();
  }

  /** Resolves to true when `done` holds after an apply, to false when the time is over. */
  function until(done: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (result: boolean): void => {
        afterApply.delete(check);
        timer[Symbol.dispose]();
        resolve(result);
      };
      const check = (): void => {
        if (done()) finish(true);
      };
      const timer = clock.setTimer(timeoutMs, () => finish(false));
      afterApply.add(check);
    });
  }

  async function applyOnce(): Promise<boolean> {
    const steps = unapplied;
    unapplied = [];
    const revisions = pendingRevisions;
    pendingRevisions = new Map();
    // Who comes while it runs waits for the next one.
    const waiting = [...afterApply];
    const started = clock.monotonic();
    try {
      await dataplane.apply();
      applied = true;
      commits += 1;
      lastError = "";
      const refused = dataplane.refusedPolicies();
      for (const [id, revision] of revisions) {
        if (refused.has(id)) pendingRevisions = new Map([[id, revision], ...pendingRevisions]);
        else if (revision === null) revisionsInForce.delete(id);
        else revisionsInForce.set(id, revision);
      }
      onApplied(steps, (clock.monotonic() - started) / 1000);
    } catch (error) {
      unapplied = [...steps, ...unapplied];
      pendingRevisions = new Map([...revisions, ...pendingRevisions]);
      commitErrors += 1;
      lastError = describeError(error);
      log.error("The kernel could not be brought up to date, trying again", { error });
    }
    for (const notify of waiting) if (afterApply.has(notify)) notify(lastError === "" ? null : lastError);
    return lastError === "";
  }

  return {
    get isInSync() {
      return inSync;
    },
    get isApplied() {
      return applied;
    },
    get step() {
      return step;
    },
    get lastError() {
      return lastError;
    },
    get commits() {
      return commits;
    },
    get commitErrors() {
      return commitErrors;
    },
    endpoints,
    hostEndpoints,
    policies,
    revisionsInForce,
    trigger,
    waitingFor: (uid) => half.waitingFor(uid),
    unresolved: () => half.unresolved(),
    async onStep(received) {
      if (received.snapshot) half.onSnapshotStart();
      for (const { update } of received.updates) half.onUpdate(update);
      if (received.snapshot) half.onInSync();
      if (received.snapshot && !inSync) {
        inSync = true;
        log.info("In sync with typha", { updates: received.updates.length });
      }
      step = received;
      unapplied.push(received);
      const finished = new Promise<void>((resolve) => {
        const notify = (): void => {
          afterApply.delete(notify);
          resolve();
        };
        afterApply.add(notify);
      });
      flush();
      await finished;
    },
    async attach(attachment, endpointId, timeoutMs) {
      half.onAttach(attachment);
      dataplane.doubt(endpointId);
      flush();
      const ready = (): boolean => half.waitingFor(attachment.uid) === null && endpoints.has(endpointId) && dataplane.isReady(endpointId);
      if (await until(ready, timeoutMs)) return;
      const failure = dataplane.failures().find(({ id }) => id === endpointId);
      const reason = !inSync ? "felix is not in sync with typha yet" : half.waitingFor(attachment.uid) ?? failure?.reason ?? (lastError === "" ? "the dataplane has not committed it" : lastError);
      half.onDetach(attachment.uid, attachment.containerId);
      flush();
      throw new Error(reason);
    },
    async detach(uid, containerId, timeoutMs) {
      half.onDetach(uid, containerId);
      const done = until(() => true, timeoutMs);
      flush();
      if (inSync) await done;
    },
    restore(attachments) {
      for (const attachment of attachments) half.onAttach(attachment);
    },
    async run(signal) {
      const backoff = createBackoff({ firstMs: 100, maxMs: 10_000 });
      signal.addEventListener("abort", () => wake(), { once: true });
      while (!signal.aborted) {
        if (!dirty || !inSync) await new Promise<void>((resolve) => (wake = resolve));
        if (signal.aborted) return;
        if (!dirty || !inSync) continue;
        dirty = false;
        if (await applyOnce()) backoff.reset();
        else {
          await delay(clock, backoff.next(), signal);
          dirty = true;
        }
      }
    },
  };
}

/** Keeps count of what is in the dataplane on its way there. */
function observe(
  sink: Sink, endpoints: Map<string, ResolvedEndpoint>, hostEndpoints: Map<string, ResolvedHostEndpoint>, policies: Set<PolicyId>, onRevision: (id: PolicyId, revision: string | null) => void,
): Sink {
  return {
    onIpSetUpdate: (id, type, members) => sink.onIpSetUpdate(id, type, members),
    onIpSetDelta: (id, added, removed) => sink.onIpSetDelta(id, added, removed),
    onIpSetRemove: (id) => sink.onIpSetRemove(id),
    onPolicyUpdate(policy) {
      policies.add(policy.id);
      onRevision(policy.id, policy.revision);
      sink.onPolicyUpdate(policy);
    },
    onPolicyRemove(id) {
      policies.delete(id);
      onRevision(id, null);
      sink.onPolicyRemove(id);
    },
    onProfileUpdate: (profile: NodeProfile) => sink.onProfileUpdate(profile),
    onProfileRemove: (id) => sink.onProfileRemove(id),
    onEndpointUpdate(endpoint) {
      endpoints.set(endpoint.id, endpoint);
      sink.onEndpointUpdate(endpoint);
    },
    onEndpointRemove(id) {
      endpoints.delete(id);
      sink.onEndpointRemove(id);
    },
    onHostEndpointUpdate(endpoint) {
      hostEndpoints.set(endpoint.id, endpoint);
      sink.onHostEndpointUpdate(endpoint);
    },
    onHostEndpointRemove(id) {
      hostEndpoints.delete(id);
      sink.onHostEndpointRemove(id);
    },
    onPoolUpdate: (pool) => sink.onPoolUpdate(pool),
    onPoolRemove: (name) => sink.onPoolRemove(name),
    onBlockUpdate: (block) => sink.onBlockUpdate(block),
    onBlockRemove: (cidr) => sink.onBlockRemove(cidr),
    onLocalNodeUpdate: (local) => sink.onLocalNodeUpdate(local),
    onVtepUpdate: (vtep) => sink.onVtepUpdate(vtep),
    onVtepRemove: (node) => sink.onVtepRemove(node),
    onRemoteRouteUpdate: (route) => sink.onRemoteRouteUpdate(route),
    onRemoteRouteRemove: (destination) => sink.onRemoteRouteRemove(destination),
  };
}
