/** One active replica of several, by a Lease. */
import { sleep, systemClock, type Clock, type Random } from "./clock.ts";
import type { Datastore } from "./datastore.ts";
import { isDatastoreError } from "./errors.ts";
import { silentLog, type Log } from "./log.ts";
import type { KubeObject } from "./object.ts";
import { coreTypes } from "./resource-types.ts";

export interface LeaderElectionOptions {
  readonly datastore: Datastore;
  readonly namespace: string;
  /** Name of the Lease. */
  readonly name: string;
  /** Unique among the replicas. */
  readonly identity: string;
  /** A leader that was not heard for this long has lost; 15 s when absent. */
  readonly leaseDurationMs?: number;
  /** How often the leader writes and the others look; 2 s when absent. */
  readonly retryMs?: number;
  /** This replica leads until `signal` aborts; it must then do nothing more. */
  readonly onStarted: (signal: AbortSignal) => void;
  readonly onStopped: () => void;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
}

export interface LeaderElection {
  readonly isLeader: boolean;
  /** Who leads, as last seen; "" when not known. */
  readonly leader: string;
  /** Steps down and gives the Lease free, so that another replica takes over at once. */
  stop(): Promise<void>;
}

type Lease = KubeObject & { spec?: { holderIdentity?: string; leaseDurationSeconds?: number; renewTime?: string; acquireTime?: string; leaseTransitions?: number } };

/**
 * Takes part in the election. A leader that cannot renew stops before its lease has run out for the others. Whether
 * another's lease has run out is judged by how long its text did not change, not by comparing clocks of two machines.
 */
export function runLeaderElection(opts: LeaderElectionOptions): LeaderElection {
  const clock = opts.clock ?? systemClock;
  const random = opts.random ?? Math.random;
  const log = opts.log ?? silentLog;
  const leaseMs = opts.leaseDurationMs ?? 15_000;
  const retryMs = opts.retryMs ?? 2_000;
  const key = { namespace: opts.namespace, name: opts.name };
  const stopping = new AbortController();
  let leading: AbortController | null = null;
  let leader = "";
  let renewedAt = 0;
  let observed = { text: "", at: 0 };

  function start(): void {
    leading = new AbortController();
    log.info("Leading", { lease: opts.name, identity: opts.identity });
    opts.onStarted(leading.signal);
  }

  function stepDown(reason: string): void {
    if (leading === null) return;
    leading.abort();
    leading = null;
    log.warn("Leading no more", { lease: opts.name, reason });
    opts.onStopped();
  }

  function specFor(before: Lease | null): NonNullable<Lease["spec"]> {
    const now = new Date(clock.wallMs()).toISOString().replace("Z", "000Z");
    const same = before?.spec?.holderIdentity === opts.identity;
    return {
      holderIdentity: opts.identity, leaseDurationSeconds: Math.max(1, Math.round(leaseMs / 1000)), renewTime: now,
      acquireTime: same ? (before.spec?.acquireTime ?? now) : now, leaseTransitions: (before?.spec?.leaseTransitions ?? 0) + Number(before !== null && !same),
    };
  }

  async function attempt(): Promise<void> {
    let lease: Lease | null;
    try {
      lease = await opts.datastore.get<Lease>(coreTypes.leases, key, { signal: stopping.signal });
    } catch (error) {
      if (!isDatastoreError(error, "NotFound")) throw error;
      lease = null;
    }
    const holder = lease?.spec?.holderIdentity ?? "";
    const text = `${holder} ${lease?.spec?.renewTime ?? ""}`;
    if (text !== observed.text) observed = { text, at: clock.nowMs() };
    leader = holder;
    const free = holder === "" || holder === opts.identity || clock.nowMs() - observed.at >= leaseMs;
    if (!free) return stepDown(`${holder} holds the lease`);
    if (lease === null) await opts.datastore.create<Lease>(coreTypes.leases, { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: key, spec: specFor(null) }, { signal: stopping.signal });
    else await opts.datastore.update<Lease>(coreTypes.leases, { ...lease, spec: specFor(lease) }, { signal: stopping.signal });
    renewedAt = clock.nowMs();
    leader = opts.identity;
    if (leading === null && !stopping.signal.aborted) start();
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await attempt();
      } catch (error) {
        if (!isDatastoreError(error, "Conflict", "AlreadyExists", "Aborted")) log.warn("The lease could not be written", { lease: opts.name, reason: (error as Error).message });
      }
      if (leading !== null && clock.nowMs() - renewedAt > leaseMs * 0.7) stepDown("the lease could not be renewed");
      await sleep(clock, retryMs * (0.8 + random() * 0.4), stopping.signal);
    }
  }

  const running = run();
  return {
    get isLeader() {
      return leading !== null;
    },
    get leader() {
      return leader;
    },
    async stop() {
      const led = leading !== null;
      stopping.abort();
      await running;
      stepDown("stopping");
      if (!led) return;
      try {
        const lease = await opts.datastore.get<Lease>(coreTypes.leases, key);
        if (lease.spec?.holderIdentity === opts.identity) await opts.datastore.update<Lease>(coreTypes.leases, { ...lease, spec: { ...lease.spec, holderIdentity: "" } });
      } catch (error) {
        log.debug("The lease could not be given free", { lease: opts.name, reason: (error as Error).message });
      }
    },
  };
}
