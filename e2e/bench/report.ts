/** Figures of a benchmark: a JSON line each on standard output, and a table for people at the end. */

export type Figure = { readonly name: string; readonly metric: string; readonly value: number; readonly unit: string };

export type Report = {
  add(name: string, metric: string, value: number, unit: string): void;
  /** Percentiles 50 and 99 of samples. */
  percentiles(name: string, samples: readonly number[], unit: string): { p50: number; p99: number };
  table(): string;
};

export function createReport(write: (line: string) => void): Report {
  const figures: Figure[] = [];
  const report: Report = {
    add(name, metric, value, unit) {
      const figure = { name, metric, value: Number(value.toPrecision(4)), unit };
      figures.push(figure);
      write(JSON.stringify(figure));
    },
    percentiles(name, samples, unit) {
      const [p50, p99] = [percentile(samples, 0.5), percentile(samples, 0.99)];
      report.add(name, "p50", p50, unit);
      report.add(name, "p99", p99, unit);
      return { p50, p99 };
    },
    table() {
      const width = Math.max(...figures.map(({ name }) => name.length));
      return figures.map(({ name, metric, value, unit }) => `${name.padEnd(width)}  ${metric.padEnd(10)}${String(value).padStart(12)} ${unit}`).join("\n");
    },
  };
  return report;
}

/** Nearest-rank percentile; 0 of no samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
