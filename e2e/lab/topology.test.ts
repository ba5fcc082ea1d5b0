import { describe, expect, it } from "vitest";
import { planLab, podNamespaceName } from "./topology.ts";

describe("planLab", () => {
  it("gives each node of a flat network the next address", () => {
    const plan = planLab({ name: "lab", octet: 30, nodeCount: 3, subnetCount: 1 });
    expect(plan.nodes.map(({ name, namespace, address, address6 }) => [name, namespace, address, address6])).toEqual([
      ["node-1", "lab-node-1", "172.30.0.11", "fd00:30:0::11"],
      ["node-2", "lab-node-2", "172.30.0.12", "fd00:30:0::12"],
      ["node-3", "lab-node-3", "172.30.0.13", "fd00:30:0::13"],
    ]);
  });

  it("spreads nodes over subnets", () => {
    const plan = planLab({ name: "lab", octet: 30, nodeCount: 5, subnetCount: 2 });
    expect(plan.nodes.map((node) => node.address)).toEqual(["172.30.0.11", "172.30.1.11", "172.30.0.12", "172.30.1.12", "172.30.0.13"]);
  });

  it.each([[0, 1], [51, 1], [3, 4], [3, 0]])("refuses %i nodes in %i subnets", (nodeCount, subnetCount) => {
    expect(() => planLab({ name: "lab", octet: 30, nodeCount, subnetCount })).toThrow(RangeError);
  });
});

it("names a pod's namespace by lab, namespace, pod and the start of its uid", () => {
  expect(podNamespaceName("lab", "shop", "web", "0123456789abcdef")).toBe("lab-pod-shop.web-01234567");
});
