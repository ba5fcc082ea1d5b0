import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CHAPTERS } from "./chapters.ts";
import { KNOWN, explains, table } from "./known.ts";
import { differencesOf, normalised } from "./normalise.ts";
import { filledIn, type Reply } from "./replay.ts";
import { shapeOf } from "./shape.ts";

const replyOf = (body: unknown): Reply => ({ status: 200, contentType: "application/json", warnings: [], body });

describe("the script", () => {
  it("has every form of request that was recorded of clients", () => {
    const replayed = new Set(CHAPTERS.flatMap(({ steps }) => steps.map(({ method, path, headers }) => shapeOf({ method, path: path.replaceAll(/\{\{[^}]*\}\}/g, "1"), contentType: headers?.["content-type"], accept: headers?.["accept"] }))));
    const recorded = readFileSync(new URL("recorded.txt", import.meta.url), "utf8").trim().split("\n");
    expect(recorded.length).toBeGreaterThan(80);
    expect(recorded.filter((shape) => !replayed.has(shape))).toEqual([]);
  });

  it("names every step once", () => {
    for (const { name, steps } of CHAPTERS) expect(new Set(steps.map(({ id }) => `${name} ${id}`)).size).toBe(steps.length);
  });

  it("fills in what an earlier step was answered, and says what was not", () => {
    const replies = new Map([["a pool", replyOf({ metadata: { uid: "u/1" } })]]);
    expect([filledIn("x {{a pool.metadata.uid}}", replies), filledIn("/{{a pool.metadata.uid}}", replies, encodeURIComponent)]).toEqual(["x u/1", "/u%2F1"]);
    expect(() => filledIn("{{a pool.metadata.name}}", replies)).toThrow(/nothing was answered at \{\{a pool\.metadata\.name\}\}/);
    expect(() => filledIn("{{nobody.metadata}}", replies)).toThrow(/nothing was answered/);
  });
});

describe("differences", () => {
  it("are not of identities, times and revisions, nor of words", () => {
    const answer = (n: number): object => replyOf({
      metadata: { uid: `0000000${n}-0000-4000-8000-000000000000`, resourceVersion: String(n), creationTimestamp: `2026-01-0${n}T00:00:00Z`, managedFields: n === 1 ? [{ manager: "a" }, { manager: "b" }] : [{ manager: "b" }, { manager: "a" }] },
      status: { kind: "Status", message: `in words ${n}`, details: { causes: n === 1 ? [{ field: "a", reason: "X", message: "1" }, { field: "b", reason: "Y" }] : [{ field: "b", reason: "Y" }, { field: "a", reason: "X" }] } },
    });
    expect(differencesOf(normalised(answer(1)), normalised(answer(2)))).toEqual([]);
  });

  it("are told by their place", () => {
    expect(differencesOf({ a: [{ b: 1 }, 2], c: 3 }, { a: [{ b: 2 }, 2], d: [] })).toEqual([{ at: "a[0].b", embedded: 1, kubernetes: 2 }, { at: "c", embedded: 3, kubernetes: undefined }, { at: "d", embedded: undefined, kubernetes: [] }]);
    expect(differencesOf([1], [1, 2])).toEqual([{ at: "", embedded: [1], kubernetes: [1, 2] }]);
    expect(differencesOf(normalised({ metadata: { resourceVersion: "" } }), normalised({ metadata: { resourceVersion: "5" } }))).toHaveLength(1);
  });

  it("of a stream are not of the bookmarks in between, but of the one that ends the beginning", () => {
    const bookmark = (metadata: object): object => ({ type: "BOOKMARK", object: { metadata } });
    const end = bookmark({ annotations: { "k8s.io/initial-events-end": "true" } });
    expect(differencesOf(normalised(replyOf([bookmark({ resourceVersion: "3" })])), normalised(replyOf([])))).toEqual([]);
    expect(differencesOf(normalised(replyOf([end])), normalised(replyOf([])))).toHaveLength(1);
  });

  it("are explained by step and place together", () => {
    const known = { what: "", why: "", where: ["a / b *"], at: ["body.items[0].*"] };
    const difference = { embedded: 1, kubernetes: 2 };
    expect([explains(known, "a / b c", { at: "body.items[0].x", ...difference }), explains(known, "a / c", { at: "body.items[0].x", ...difference }), explains(known, "a / b c", { at: "body.items[1].x", ...difference })]).toEqual([true, false, false]);
  });

  it("that stay are in the README, each with its reason", () => {
    expect(readFileSync(new URL("../README.md", import.meta.url), "utf8")).toContain(table());
    expect(KNOWN.filter(({ what, why }) => what === "" || why === "")).toEqual([]);
  });
});
