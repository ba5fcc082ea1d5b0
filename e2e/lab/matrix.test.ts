import { expect, it } from "vitest";
import { renderMatrix } from "./matrix.ts";

it("marks what was reached, what was not, what is the same pod and what is unknown", () => {
  const table = renderMatrix(["a/x", "a/long-name", "b/y"], [
    { from: "a/x", to: "a/long-name", reached: true },
    { from: "a/x", to: "b/y", reached: false },
    { from: "a/long-name", to: "a/x", reached: null },
  ]);
  expect(table.split("\n")).toEqual([
    "from \\ to       1   2   3",
    "1 a/x           .  ok   -",
    "2 a/long-name   ?   .   ?",
    "3 b/y           ?   ?   .",
  ]);
});
