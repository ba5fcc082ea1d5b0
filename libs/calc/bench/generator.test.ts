import { expect, it } from "vitest";
import { createClusterHalf } from "../src/index.ts";
import { cluster, type ClusterShape } from "./generator.ts";

const quiet = { onValueChange() {}, onIpSetDelta() {}, onInterestStart() {}, onInterestStop() {} };
const SMALL: Partial<ClusterShape> = { nodes: 3, podsPerNode: 12, namespaces: 5, policies: 40, networkSets: 12 };

it.each(["customers", "tags"] as const)("a seed gives one cluster, and what happens in it is about what is there (%s)", (labels) => {
  const [one, other] = [cluster(7, { ...SMALL, labels }), cluster(7, { ...SMALL, labels })];
  const churn = [...one.churn(60)];
  expect([...other.updates()]).toEqual([...one.updates()]);
  expect([...other.churn(60)]).toEqual(churn);
  expect([...cluster(8, { ...SMALL, labels }).churn(60)]).not.toEqual(churn);
  const half = createClusterHalf(quiet);
  const live = new Set<string>();
  for (const update of [...one.updates(), ...churn.map((event) => event.update)]) {
    if (update.kind === "WorkloadEndpoint" && update.value === null) expect(live.delete(update.id)).toBe(true);
    else if (update.kind === "WorkloadEndpoint") live.add(update.id);
    half.onUpdate(update);
  }
  expect(half.stats()).toMatchObject({ endpoints: one.endpoints.length, networkSets: 12, profiles: 5 });
  expect(half.stats().endpoints).toBe(live.size);
  expect(churn.every(({ atMs }, i) => atMs >= (churn[i - 1]?.atMs ?? 0) && atMs < 60_000)).toBe(true);
});

it("policies keep to their shares, and network sets to their sizes", () => {
  const { policies, networkSets } = cluster(1, { nodes: 0, podsPerNode: 0, policies: 1_000, networkSets: 10 });
  const counts = Map.groupBy(policies, ({ name }) => name.slice(0, name.indexOf("-")));
  expect(Object.fromEntries([...counts].map(([name, of]) => [name, of.length]))).toEqual({ isolation: 600, app: 200, cross: 100, nets: 50, global: 50 });
  expect(networkSets.map(({ nets }) => nets.length)).toEqual([1, 1, 1, 1, 2, 3, 4, 5, 100, 1_000]);
});
