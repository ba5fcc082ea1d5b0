/** Which happenings become a write now: repetitions are counted, a chatty object and a chatty program are held back. Pure. */

/** The object that an Event is about. With a `resourceVersion` each revision has an Event of its own. */
export interface Regarding {
  readonly apiVersion: string;
  readonly kind: string;
  /** Absent or empty for a cluster-scoped object. */
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface Happening {
  readonly regarding: Regarding;
  readonly type: "Normal" | "Warning";
  /** One word in CamelCase; with the object it says what is a repetition. */
  readonly reason: string;
  /** For people. The newest of a series is kept. */
  readonly message: string;
}

/** What is to be written of one series. */
export interface DueEvent {
  readonly key: string;
  readonly happening: Happening;
  /** Times that it happened since the last write. */
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface EventSeriesLimits {
  /** A series is written at most this often. */
  readonly quietMs: number;
  /** New series that an object may have at once, and how long until it may have another. */
  readonly perObject: number;
  readonly perObjectRefillMs: number;
  /** Writes that may be made at once, and how long until another one may. */
  readonly burst: number;
  readonly refillMs: number;
  /** Series that are remembered. */
  readonly maxSeries: number;
}

export const EVENT_LIMITS: EventSeriesLimits = { quietMs: 60_000, perObject: 10, perObjectRefillMs: 60_000, burst: 50, refillMs: 200, maxSeries: 1_000 };

export interface EventSeries {
  /** False: there was too much of it. */
  note(happening: Happening, nowMs: number): boolean;
  /** The next write, which then counts as made. */
  take(nowMs: number): DueEvent | null;
  /** A write that failed is due again. */
  giveBack(due: DueEvent): void;
  /** When to ask again, in milliseconds from now; null: when there is something new. */
  nextInMs(nowMs: number): number | null;
}

type Series = { happening: Happening; count: number; firstMs: number; lastMs: number; writtenMs: number | null };

export function createEventSeries(limits: EventSeriesLimits = EVENT_LIMITS): EventSeries {
  const series = new Map<string, Series>();
  const writes = createBucket(limits.burst, limits.refillMs);
  const objects = new Map<string, Bucket>();

  /** Room for one more series: the oldest that waits for nothing is forgotten. */
  function makeRoom(): boolean {
    if (series.size < limits.maxSeries) return true;
    for (const [key, { count }] of series) if (count === 0) return series.delete(key);
    return false;
  }

  function mayBegin(regarding: Regarding, nowMs: number): boolean {
    const key = objectKey(regarding);
    const bucket = objects.get(key) ?? createBucket(limits.perObject, limits.perObjectRefillMs);
    objects.delete(key);
    objects.set(key, bucket);
    const [oldest] = objects.keys();
    if (objects.size > limits.maxSeries && oldest !== undefined) objects.delete(oldest);
    return bucket.take(nowMs);
  }

  /** How long a series waits for its own sake; null: it has nothing to say. */
  const waitOf = ({ count, writtenMs }: Series, nowMs: number): number | null => (count === 0 ? null : writtenMs === null ? 0 : Math.max(0, writtenMs + limits.quietMs - nowMs));

  return {
    note(happening, nowMs) {
      const key = seriesKey(happening);
      const known = series.get(key);
      if (known !== undefined) {
        series.set(key, { ...known, happening, count: known.count + 1, firstMs: known.count === 0 ? nowMs : known.firstMs, lastMs: nowMs });
        return true;
      }
      if (!mayBegin(happening.regarding, nowMs) || !makeRoom()) return false;
      series.set(key, { happening, count: 1, firstMs: nowMs, lastMs: nowMs, writtenMs: null });
      return true;
    },
    take(nowMs) {
      for (const [key, found] of series) {
        if (waitOf(found, nowMs) !== 0) continue;
        if (!writes.take(nowMs)) return null;
        const { happening, count, firstMs, lastMs } = found;
        series.delete(key);
        series.set(key, { ...found, count: 0, writtenMs: nowMs });
        return { key, happening, count, firstMs, lastMs };
      }
      return null;
    },
    giveBack({ key, happening, count, firstMs, lastMs }) {
      const found = series.get(key);
      if (found === undefined) return;
      series.set(key, found.count === 0 ? { happening, count, firstMs, lastMs, writtenMs: null } : { ...found, count: found.count + count, firstMs, writtenMs: null });
    },
    nextInMs(nowMs) {
      let next: number | null = null;
      for (const found of series.values()) {
        const wait = waitOf(found, nowMs);
        if (wait !== null && (next === null || wait < next)) next = wait;
      }
      return next === null ? null : Math.max(next, writes.waitMs(nowMs));
    },
  };
}

const objectKey = ({ apiVersion, kind, namespace = "", name }: Regarding): string => [apiVersion, kind, namespace, name].join("\0");

/** What makes two happenings one series; the message does not, which often holds numbers. */
export function seriesKey({ regarding, type, reason }: Happening): string {
  return [objectKey(regarding), regarding.uid ?? "", regarding.resourceVersion ?? "", type, reason].join("\0");
}

interface Bucket {
  take(nowMs: number): boolean;
  waitMs(nowMs: number): number;
}

/** `size` at once, then one every `refillMs`. */
function createBucket(size: number, refillMs: number): Bucket {
  let tokens = size;
  let atMs: number | null = null;
  function refill(nowMs: number): void {
    tokens = Math.min(size, tokens + Math.max(0, nowMs - (atMs ?? nowMs)) / refillMs);
    atMs = nowMs;
  }
  return {
    take(nowMs) {
      refill(nowMs);
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    waitMs(nowMs) {
      refill(nowMs);
      return tokens >= 1 ? 0 : Math.ceil((1 - tokens) * refillMs);
    },
  };
}
