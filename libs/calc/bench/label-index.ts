/**
 * Cost of one label change against the number of selectors: `npx node libs/calc/bench/label-index.ts`.
 * Prints one JSON line per measurement and the exponent of growth over the whole range (0: independent of the selectors).
 */
import { selector } from "@calico/model";
import { LabelIndex } from "../src/label-index/label-index.ts";

const ITEMS = 10_000;
const UPDATES = 20_000;
const SIZES = [10, 100, 1_000, 10_000];

function measure(selectors: number): number {
  let matches = 0;
  const index = new LabelIndex({ onMatchStart: () => { matches += 1; }, onMatchStop: () => { matches -= 1; } });
  for (let i = 0; i < selectors; i += 1) index.acquire(selector(`app == "app-${i}"`));
  const labels = (n: number): Record<string, string> => ({ app: `app-${n % selectors}`, zone: `z${n % 3}` });
  for (let i = 0; i < ITEMS; i += 1) index.setLabels(`item-${i}`, labels(i));
  const start = performance.now();
  for (let i = 0; i < UPDATES; i += 1) index.setLabels(`item-${i % ITEMS}`, labels(i * 7 + 1 + Math.floor(i / ITEMS)));
  const microseconds = ((performance.now() - start) * 1_000) / UPDATES;
  if (matches !== ITEMS) throw new Error(`${matches} matches of ${ITEMS} items`);
  return microseconds;
}

measure(100);
const times = SIZES.map((size) => {
  const value = measure(size);
  console.log(JSON.stringify({ name: "label-index-update", metric: `selectors-${size}`, value, unit: "us" }));
  return value;
});
const growth = Math.log((times.at(-1) ?? 1) / (times[0] ?? 1)) / Math.log((SIZES.at(-1) ?? 1) / (SIZES[0] ?? 1));
console.log(JSON.stringify({ name: "label-index-update", metric: "scaling-exponent", value: growth, unit: "1" }));
