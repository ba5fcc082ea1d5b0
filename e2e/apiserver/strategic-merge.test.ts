import { describe, expect, it } from "vitest";
import { NODE } from "./core/cluster.ts";
import { POD } from "./core/pod.ts";
import type { Json } from "./object.ts";
import { strategicMerge } from "./strategic-merge.ts";

const container = (name: string, more: Json = {}): Json => ({ name, image: "i", ...more });
const pod = (...containers: Json[]): Json => ({ spec: { containers } });

describe("strategic merge", () => {
  it.each<[string, Json, Json, Json]>([
    ["containers by name", pod(container("a"), container("b")), pod({ name: "b", image: "j" }, { name: "c", image: "k" }), pod(container("a"), container("b", { image: "j" }), { name: "c", image: "k" })],
    ["env by name", pod(container("a", { env: [{ name: "X", value: "1" }] })), pod({ name: "a", env: [{ name: "X", value: "2" }, { name: "Y", value: "3" }] }), pod(container("a", { env: [{ name: "X", value: "2" }, { name: "Y", value: "3" }] }))],
    ["ports by containerPort", pod(container("a", { ports: [{ containerPort: 80, name: "http" }] })), pod({ name: "a", ports: [{ containerPort: 80, name: "web" }, { containerPort: 81 }] }), pod(container("a", { ports: [{ containerPort: 80, name: "web" }, { containerPort: 81 }] }))],
    ["command as a whole", pod(container("a", { command: ["x", "y"] })), pod({ name: "a", command: ["z"] }), pod(container("a", { command: ["z"] }))],
    ["finalizers as a set", { metadata: { finalizers: ["a", "b"] } }, { metadata: { finalizers: ["b", "c"] } }, { metadata: { finalizers: ["a", "b", "c"] } }],
    ["null removes", { spec: { nodeName: "n", hostname: "h" } }, { spec: { nodeName: null } }, { spec: { hostname: "h" } }],
    ["$patch: delete in a list", pod(container("a"), container("b")), pod({ name: "a", $patch: "delete" }), pod(container("b"))],
    ["$patch: replace in a list", pod(container("a"), container("b")), pod({ $patch: "replace" }, { name: "c", image: "k" }), pod({ name: "c", image: "k" })],
    ["$patch: replace in an object", { metadata: { labels: { a: "1" } } }, { metadata: { labels: { $patch: "replace", b: "2" } } }, { metadata: { labels: { b: "2" } } }],
    ["$patch: delete in an object", { metadata: { labels: { a: "1" } } }, { metadata: { labels: { $patch: "delete" } } }, { metadata: { labels: {} } }],
    ["$deleteFromPrimitiveList", { metadata: { finalizers: ["a", "b"] } }, { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"] } }, { metadata: { finalizers: ["b"] } }],
    ["$setElementOrder", pod(container("a"), container("b")), { spec: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] } }, pod(container("b"), container("a"))],
    ["$retainKeys", { spec: { volumes: [{ name: "v", emptyDir: { medium: "Memory" } }] } }, { spec: { volumes: [{ name: "v", configMap: { name: "c" }, $retainKeys: ["name", "configMap"] }] } }, { spec: { volumes: [{ name: "v", configMap: { name: "c" } }] } }],
  ])("%s", (_, target, patch, expected) => {
    const before = structuredClone(target);
    expect(strategicMerge(target, patch, POD)).toEqual(expected);
    expect(target).toEqual(before);
  });

  it("conditions and addresses of a node by type", () => {
    const before = { status: { conditions: [{ type: "Ready", status: "False" }, { type: "NetworkUnavailable", status: "True" }], addresses: [{ type: "InternalIP", address: "192.0.2.1" }] } };
    expect(strategicMerge(before, { status: { conditions: [{ type: "Ready", status: "True" }] } }, NODE)).toEqual({ status: { ...before.status, conditions: [{ type: "Ready", status: "True" }, before.status.conditions[1]] } });
  });

  it("refuses an item without its key and an unknown directive", () => {
    expect(() => strategicMerge({}, pod({ image: "x" }), POD)).toThrow("does not contain declared merge key: name");
    expect(() => strategicMerge({}, { spec: { $patch: "remove" } }, POD)).toThrow('Unrecognized value "remove" for directive $patch');
  });
});
