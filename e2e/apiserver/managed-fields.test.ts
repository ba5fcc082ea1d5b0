import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { POD } from "./core/pod.ts";
import { describeField, fieldsOf, fromFieldsV1, toFieldsV1 } from "./fields.ts";
import { apply, recordUpdate, type Manager } from "./managed-fields.ts";
import type { ApiObject, Json } from "./object.ts";
import { CORE_TYPES } from "./registry.ts";

const POD_TYPE = CORE_TYPES.find(({ kind }) => kind === "Pod")!;
const applier = (name: string): Manager => ({ name, operation: "Apply", subresource: undefined });
const updater = (name: string): Manager => ({ name, operation: "Update", subresource: undefined });
const pod = (labels: Json, ...containers: Json[]): Json => ({ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "d", labels }, spec: { containers } });
const applied = (before: Json | undefined, config: Json, name: string, force = false): ApiObject => apply(POD_TYPE, before as ApiObject | undefined, config, applier(name), { force, time: "T" }) as ApiObject;
const managersOf = (object: ApiObject): string[] => (object.metadata["managedFields"] as { manager: string }[]).map(({ manager }) => manager);

describe("FieldsV1", () => {
  it("names items by their keys, with defaults, and sets by their values", () => {
    const object = { metadata: { name: "p", labels: { a: "1" }, finalizers: ["x/y"] }, spec: { containers: [{ name: "c", ports: [{ containerPort: 80 }], command: ["x"] }] } };
    expect(toFieldsV1(fieldsOf(object, POD).keys())).toEqual({
      "f:metadata": { "f:finalizers": { 'v:"x/y"': {} }, "f:labels": { "f:a": {} } },
      "f:spec": { "f:containers": { 'k:{"name":"c"}': { ".": {}, "f:name": {}, "f:command": {}, "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {} } } } } },
    });
  });

  it("is read as it was written", () => {
    const word = fc.stringMatching(/^[a-z]{1,3}$/);
    const labels = fc.dictionary(word, word, { maxKeys: 4 });
    fc.assert(fc.property(labels, fc.uniqueArray(fc.record({ name: word, env: fc.uniqueArray(fc.record({ name: word, value: word }), { selector: ({ name }) => name, maxLength: 3 }) }), { selector: ({ name }) => name, maxLength: 3 }), (some, containers) => {
      const paths = [...fieldsOf(pod(some, ...containers), POD).keys()];
      expect(fromFieldsV1(toFieldsV1(paths)).sort()).toEqual(paths.sort());
    }));
  });

  it("describes a field as people write it", () => {
    expect([...fieldsOf(pod({}, { name: "c", image: "i" }), POD).keys()].map(describeField)).toEqual([".metadata.labels", '.spec.containers[name="c"]', '.spec.containers[name="c"].name', '.spec.containers[name="c"].image']);
  });
});

describe("apply", () => {
  it("two managers own what they gave; the same value is shared", () => {
    const first = applied(undefined, pod({ a: "1" }, { name: "c", image: "i" }), "one");
    const both = applied(first, { metadata: { labels: { a: "1", b: "2" } } }, "two");
    expect(both.metadata.labels).toEqual({ a: "1", b: "2" });
    expect(managersOf(both)).toEqual(["one", "two"]);
    expect(applied(both, pod({}, { name: "c", image: "i" }), "one").metadata.labels).toEqual({ a: "1", b: "2" });
  });

  it("changing what another one owns is a conflict that names him and the field", () => {
    const first = applied(undefined, pod({ a: "1" }, { name: "c", image: "i" }), "one");
    expect(() => applied(first, pod({ a: "2" }, { name: "c", image: "j" }), "two")).toThrow(expect.objectContaining({
      status: 409, causes: [
        { reason: "FieldManagerConflict", field: ".metadata.labels.a", message: 'conflict with "one"' }, { reason: "FieldManagerConflict", field: '.spec.containers[name="c"].image', message: 'conflict with "one"' },
      ],
    }));
    const forced = applied(first, { metadata: { labels: { a: "2" } } }, "two", true);
    expect([forced.metadata.labels, managersOf(forced)]).toEqual([{ a: "2" }, ["one", "two"]]);
    expect(() => applied(forced, pod({ a: "1" }, { name: "c", image: "i" }), "one")).toThrow('conflict with "two"');
  });

  it("what is no longer in the configuration goes, items of lists too", () => {
    const first = applied(undefined, pod({ a: "1" }, { name: "c", env: [{ name: "X", value: "1" }] }, { name: "d" }), "one");
    expect(applied(first, pod({ b: "1" }, { name: "c" }), "one")).toMatchObject({ metadata: { labels: { b: "1" } }, spec: { containers: [{ name: "c" }] } });
    expect(applied(first, pod({}, { name: "c" }), "one")["spec"]).toEqual({ containers: [{ name: "c" }] });
  });

  it("a repetition changes nothing", () => {
    const first = applied(undefined, pod({ a: "1" }, { name: "c" }), "one");
    expect(apply(POD_TYPE, first, pod({ a: "1" }, { name: "c" }), applier("one"), { force: false, time: "later" })).toEqual(first);
  });
});

describe("update", () => {
  it("takes the fields that it changes, and nobody owns what is gone", () => {
    const first = applied(undefined, pod({ a: "1", b: "1" }, { name: "c" }), "one");
    const after = structuredClone(first);
    after.metadata.labels = { a: "2" };
    recordUpdate(POD_TYPE, first, after, updater("hand"), "U");
    const fields = (after.metadata["managedFields"] as { manager: string; fieldsV1: Json }[]).map(({ manager, fieldsV1 }) => [manager, fieldsV1]);
    expect(fields).toEqual([["one", { "f:spec": { "f:containers": { 'k:{"name":"c"}': { ".": {}, "f:name": {} } } } }], ["hand", { "f:metadata": { "f:labels": { "f:a": {} } } }]]);
  });
});
