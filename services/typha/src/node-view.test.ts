import { expect, it } from "vitest";
import { createNodeView } from "./node-view.ts";

it("forgets removals up to the horizon, and says so to whoever would need them", () => {
  const view = createNodeView(["a", "b", "c", "d"], 1, 100);
  for (const [key, sequence, horizon] of [["a", 2, 0], ["b", 5, 0], ["c", 8, 5]] as const) view.onRemove(key, sequence, horizon);
  expect(view.changesSince(4)).toBeNull();
  expect(view.changesSince(5)).toEqual({ values: [], removed: ["c"] });
  view.onRemove("d", 9, 5);
  expect(view.changesSince(5)).toEqual({ values: [], removed: ["c", "d"] });
});

it("remembers only so many removals", () => {
  const view = createNodeView(["a", "b", "c"], 1, 2);
  for (const [key, sequence] of [["a", 2], ["b", 3], ["c", 4]] as const) view.onRemove(key, sequence, 0);
  expect(view.changesSince(1)).toBeNull();
  expect(view.changesSince(2)).toEqual({ values: [], removed: ["b", "c"] });
});

it("has what every node needs, and what changed of it", () => {
  const everyone = createNodeView([], 1, 100);
  const view = createNodeView(["own"], 1, 100, everyone);
  everyone.onValue("shared", 2);
  everyone.onValue("gone", 3);
  everyone.onRemove("gone", 4, 0);
  expect([...view.keys()]).toEqual(["own", "shared"]);
  expect(view.changesSince(1)).toEqual({ values: ["shared"], removed: ["gone"] });
  everyone.onRemove("shared", 5, 4);
  expect(view.changesSince(3)).toBeNull();
});
