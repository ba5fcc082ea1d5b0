/**
 * Writes Kubernetes Events. They are those of the core group: `kubectl describe`, `get events` and `events` of every version
 * read these, a repetition is a count and a time, and the API server shows them under events.k8s.io as well.
 */
import { createHash } from "node:crypto";
import { createBackoff } from "./backoff.ts";
import { sleep, systemClock, type Clock } from "./clock.ts";
import type { Datastore } from "./datastore.ts";
import { isDatastoreError } from "./errors.ts";
import { createEventSeries, EVENT_LIMITS, type DueEvent, type EventSeriesLimits, type Happening } from "./event-series.ts";
import { silentLog, type Log } from "./log.ts";
import type { KubeObject } from "./object.ts";
import { coreTypes } from "./resource-types.ts";

export interface EventRecorderOptions {
  readonly datastore: Datastore;
  /** Program that reports, for example `calico-typha`. */
  readonly component: string;
  /** Node on which it runs. */
  readonly host: string;
  readonly limits?: EventSeriesLimits;
  readonly clock?: Clock;
  readonly log?: Log;
}

export interface EventRecorder {
  /** Queues only and never throws. The first of a series is written soon, repetitions are counted into it. */
  record(happening: Happening): void;
  /** Happenings that were too many, or that the API server refused. */
  readonly dropped: number;
  /** What waits is not written any more. */
  stop(): void;
}

const MAX_MESSAGE = 1_024;
/** Room is left in a name of 253 characters for what tells its Events apart. */
const MAX_NAME = 220;
const MAX_ATTEMPTS = 10;

export function createEventRecorder(opts: EventRecorderOptions): EventRecorder {
  const { datastore, component, host } = opts;
  const clock = opts.clock ?? systemClock;
  const log = opts.log ?? silentLog;
  const series = createEventSeries(opts.limits ?? EVENT_LIMITS);
  const backoff = createBackoff({ firstMs: 500, maxMs: 30_000, random: Math.random });
  const stopping = new AbortController();
  let cancelTimer: (() => void) | null = null;
  let running = false;
  let dropped = 0;
  let failures = 0;

  function arm(): void {
    if (running || stopping.signal.aborted) return;
    cancelTimer?.();
    const waitMs = series.nextInMs(clock.nowMs());
    cancelTimer = waitMs === null ? null : clock.schedule(waitMs, () => void work());
  }

  /** One write at a time, until nothing is due. */
  async function work(): Promise<void> {
    running = true;
    for (let due = series.take(clock.nowMs()); due !== null && !stopping.signal.aborted; due = series.take(clock.nowMs())) {
      try {
        await write(due);
        failures = 0;
        backoff.reset();
      } catch (error) {
        if (stopping.signal.aborted) break;
        await onFailure(due, error);
      }
    }
    running = false;
    arm();
  }

  async function onFailure(due: DueEvent, error: unknown): Promise<void> {
    const mayPass = isDatastoreError(error, "Unavailable", "TooManyRequests", "Conflict", "Unauthorized");
    failures += 1;
    if (mayPass && failures < MAX_ATTEMPTS) {
      series.giveBack(due);
      await sleep(clock, backoff.nextMs(error.retryAfterMs), stopping.signal);
      return;
    }
    dropped += due.count;
    failures = 0;
    log.debug("An Event could not be written", { reason: due.happening.reason, name: due.happening.regarding.name, error });
  }

  async function write(due: DueEvent): Promise<void> {
    const event = toEvent(due, component, host, clock.wallMs() - clock.nowMs());
    const key = { namespace: event.metadata.namespace ?? "", name: event.metadata.name };
    const { signal } = stopping;
    try {
      await datastore.create(coreTypes.events, event, { signal });
    } catch (error) {
      if (!isDatastoreError(error, "AlreadyExists")) throw error;
      const present = await datastore.get<KubeObject & { count?: number }>(coreTypes.events, key, { signal });
      const { message, lastTimestamp, count } = event as KubeObject & { count: number };
      await datastore.patch(coreTypes.events, key, { metadata: { resourceVersion: present.metadata.resourceVersion }, message, lastTimestamp, count: (present.count ?? 1) + count }, { type: "merge", signal });
    }
  }

  return {
    record(happening) {
      if (stopping.signal.aborted || !series.note(happening, clock.nowMs())) dropped += 1;
      else arm();
    },
    get dropped() {
      return dropped;
    },
    stop() {
      stopping.abort();
      cancelTimer?.();
    },
  };
}

/** The Event of a series. Its name follows from what it says, so that a restarted program and another replica find it again. */
function toEvent({ key, happening, count, firstMs, lastMs }: DueEvent, component: string, host: string, wallOffsetMs: number): KubeObject {
  const { regarding, type, reason, message } = happening;
  const { namespace = "" } = regarding;
  const at = (ms: number): string => `${new Date(ms + wallOffsetMs).toISOString().slice(0, 19)}Z`;
  return {
    apiVersion: "v1", kind: "Event",
    // Events about cluster-scoped objects are in "default", where kubectl looks for them.
    metadata: { namespace: namespace === "" ? "default" : namespace, name: `${regarding.name.slice(0, MAX_NAME)}.${createHash("sha256").update(`${component}\0${key}`).digest("hex").slice(0, 16)}` },
    involvedObject: { ...regarding, ...(namespace === "" ? { namespace: undefined } : {}) },
    type, reason, message: message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE - 1)}…` : message, count, firstTimestamp: at(firstMs), lastTimestamp: at(lastMs),
    source: { component, host }, reportingComponent: component, reportingInstance: host,
  };
}
