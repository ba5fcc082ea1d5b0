/** Whether a service is alive and ready, and in words why not. */
import type { Clock } from "./clock.ts";

export type HealthReport = { readonly live: boolean; readonly ready: boolean; readonly detail: string };

export type ReporterOptions = {
  /** A reporter that is silent for longer counts as dead; false: silence is fine. */
  readonly liveTimeoutMs: number | false;
  /** False: its readiness does not count. */
  readonly ready: boolean;
};

export type HealthSummary = { readonly ok: boolean; readonly reasons: readonly string[] };

export interface Health {
  /** Until its first report a reporter is alive (for its timeout) and not ready. */
  register(name: string, options: ReporterOptions): void;
  report(name: string, report: Partial<HealthReport>): void;
  live(): HealthSummary;
  ready(): HealthSummary;
  /** Every reporter with its last words. */
  detail(): Record<string, HealthReport & { silentForMs: number }>;
}

const OFTEN_MS = 100;
const CALM_MS = 1_000;

/** How long to wait before reporting again: a service that is not ready looks often, so that nobody waits for it longer than it takes. */
export function reportInterval(health: Health): () => number {
  return () => (health.ready().ok ? CALM_MS : OFTEN_MS);
}

export function createHealth(clock: Clock): Health {
  const reporters = new Map<string, { options: ReporterOptions; last: HealthReport; at: number }>();

  function summary(judge: (name: string, reporter: { options: ReporterOptions; last: HealthReport; at: number }) => string | null): HealthSummary {
    const reasons = [...reporters].flatMap(([name, reporter]) => judge(name, reporter) ?? []);
    return { ok: reasons.length === 0, reasons };
  }

  return {
    register(name, options) {
      reporters.set(name, { options, last: { live: true, ready: false, detail: "has not reported yet" }, at: clock.monotonic() });
    },
    report(name, report) {
      const reporter = reporters.get(name);
      if (reporter === undefined) throw new Error(`health reporter ${name} was not registered`);
      reporter.last = { ...reporter.last, ...report };
      reporter.at = clock.monotonic();
    },
    live: () => summary((name, { options, last, at }) => {
      const silent = clock.monotonic() - at;
      if (options.liveTimeoutMs !== false && silent > options.liveTimeoutMs) return `${name}: silent for ${Math.round(silent / 1000)} s (at most ${options.liveTimeoutMs / 1000} s)`;
      return last.live ? null : `${name}: ${last.detail}`;
    }),
    ready: () => summary((name, { options, last }) => (!options.ready || last.ready ? null : `${name}: ${last.detail}`)),
    detail: () => Object.fromEntries([...reporters].map(([name, { last, at }]) => [name, { ...last, silentForMs: Math.round(clock.monotonic() - at) }])),
  };
}
