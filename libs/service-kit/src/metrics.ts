/** Metrics of a service in a registry of its own. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Buckets for what should take milliseconds, in seconds. */
export const LATENCY_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

export interface Metrics {
  readonly registry: Registry;
  counter<L extends string = never>(name: string, help: string, labelNames?: readonly L[]): Counter<L>;
  gauge<L extends string = never>(name: string, help: string, labelNames?: readonly L[]): Gauge<L>;
  /** A gauge that is read when it is scraped. */
  sampled(name: string, help: string, read: () => number): Gauge;
  /** Seconds, in LATENCY_BUCKETS unless told. */
  histogram<L extends string = never>(name: string, help: string, labelNames?: readonly L[], buckets?: readonly number[]): Histogram<L>;
}

/** A registry with the process_* and nodejs_* metrics; every metric carries the label `service`. */
export function createMetrics(service: string): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    registry,
    counter: (name, help, labelNames = []) => new Counter({ name, help, labelNames: [...labelNames], registers }),
    gauge: (name, help, labelNames = []) => new Gauge({ name, help, labelNames: [...labelNames], registers }),
    sampled: (name, help, read) => new Gauge({
      name, help, registers,
      collect() {
        this.set(read());
      },
    }),
    histogram: (name, help, labelNames = [], buckets = LATENCY_BUCKETS) => new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers }),
  };
}
