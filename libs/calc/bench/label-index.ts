/**
 * The label index alone: one workload updated with ever more selectors, one selector with ever more endpoints, the labels of one namespace
 * with ever more endpoints (in it, and in namespaces of their own). Prints the median CPU time of one change, the work counted
 * for it, and the exponent of growth over the whole range (0: independent of the size).
 */
import { selector, type ProfileId } from "@calico/model";
import { LabelIndex } from "../src/label-index/label-index.ts";
import { reporter } from "./report.ts";

const report = reporter("label index");
const ROUNDS = 9;

/** Makes an index of a size; `change` is what is measured, so many times a round. */
type Case = { readonly sizes: readonly number[]; readonly times: number; readonly make: (size: number) => { readonly index: LabelIndex; change(n: number): void } };

const created = (): LabelIndex => new LabelIndex({ onMatchStart() {}, onMatchStop() {} });
const ENDPOINTS = [100, 1_000, 10_000, 100_000];

const CASES: Readonly<Record<string, Case>> = {
  // Every selector asks for a label that all workloads have, and for one of its own.
  "workload update, selectors": {
    sizes: [10, 100, 1_000, 10_000], times: 2_000,
    make(size) {
      const index = created();
      for (let i = 0; i < size; i += 1) index.acquire(selector(`alpha == "beta" && has(set-${i})`));
      let slot = 0;
      return { index, change: () => index.setItem(slot++, { labels: { alpha: "beta", "set-1": "true" }, profiles: [] }) };
    },
  },
  "workload relabelled, selectors": {
    sizes: [10, 100, 1_000, 10_000], times: 2_000,
    make(size) {
      const index = created();
      for (let i = 0; i < size; i += 1) index.acquire(selector(`app == "app-${i}"`));
      return { index, change: (n) => index.setItem(n % 997, { labels: { app: `app-${(n * 7) % size}`, zone: `z${n % 3}` }, profiles: [] }) };
    },
  },
  // One in ten matches every endpoint, the others none. Other selectors ask for the same keys.
  "selector added and removed, endpoints": {
    sizes: ENDPOINTS, times: 20,
    make(size) {
      const index = created();
      for (let i = 0; i < size; i += 1) index.setItem(i, { labels: { alpha: "beta", "set-1": "true" }, profiles: [] });
      for (let i = 0; i < 10; i += 1) index.acquire(selector(`has(set-${i}) && gamma == "x"`));
      const selectors = Array.from({ length: 10 }, (_, i) => selector(`alpha == "beta" && has(set-${i})`));
      index.acquire(selector('alpha == "other"'));
      return {
        index,
        change(n) {
          const one = selectors[n % selectors.length] ?? selector("all()");
          index.acquire(one);
          index.release(one);
        },
      };
    },
  },
  // Nobody asked for its keys before.
  "first selector of a key, endpoints": {
    sizes: ENDPOINTS, times: 3,
    make(size) {
      const index = created();
      for (let i = 0; i < size; i += 1) index.setItem(i, { labels: { alpha: "beta", [`set-${i % 10}`]: "true" }, profiles: [] });
      return {
        index,
        change(n) {
          index.acquire(selector(`has(set-${n % 10})`));
          index.release(selector(`has(set-${n % 10})`));
        },
      };
    },
  },
  "namespace of one endpoint relabelled, endpoints": { sizes: ENDPOINTS, times: 1_000, make: (size) => parents(size, (n) => `namespace-${n}`) },
  "namespace of all endpoints relabelled, endpoints": { sizes: ENDPOINTS, times: 4, make: (size) => parents(size, () => "namespace-0") },
};

/** Endpoints under namespaces; a hundred selectors ask for a label that a change gives another value. */
function parents(size: number, namespaceOf: (n: number) => string): { index: LabelIndex; change(n: number): void } {
  const index = created();
  const labels = (n: number, team: number): Record<string, string> => ({ "pcns.name": `namespace-${n}`, "pcns.team": `team-${team}`, "pcns.shared": "foo" });
  for (let i = 0; i < size; i += 1) index.setItem(i, { labels: { alpha: "beta" }, profiles: [`kns.${namespaceOf(i)}` as ProfileId] });
  const namespaces = new Set(Array.from({ length: size }, (_, n) => namespaceOf(n))).size;
  for (let i = 0; i < namespaces; i += 1) index.setProfile(`kns.namespace-${i}` as ProfileId, labels(i, 0));
  for (let i = 0; i < 100; i += 1) index.acquire(selector(`pcns.team == "team-${i}"`));
  let team = 0;
  return { index, change: (n) => index.setProfile(`kns.namespace-${n % namespaces}` as ProfileId, labels(n % namespaces, (team += 1) % 99)) };
}

export function benchLabelIndex(): void {
  for (const [name, { sizes, times, make }] of Object.entries(CASES)) {
    make(sizes[0] ?? 1);
    const medians = sizes.map((size) => {
      const { index, change } = make(size);
      const rounds: number[] = [];
      let n = 0;
      for (; n < times; n += 1) change(n);
      const before = index.evaluations + index.bitmaps;
      for (let round = 0; round < ROUNDS; round += 1) {
        const began = process.cpuUsage();
        for (let i = 0; i < times; i += 1, n += 1) change(n);
        const { user, system } = process.cpuUsage(began);
        rounds.push((user + system) / times);
      }
      const median = rounds.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0;
      report(`${name}: ${size}`, median, "us of CPU");
      report(`${name}: ${size}`, (index.evaluations + index.bitmaps - before) / (ROUNDS * times), "evaluations");
      return median;
    });
    report(`${name}: exponent`, Math.log((medians.at(-1) ?? 1) / (medians[0] ?? 1)) / Math.log((sizes.at(-1) ?? 1) / (sizes[0] ?? 1)), "1");
  }
}
