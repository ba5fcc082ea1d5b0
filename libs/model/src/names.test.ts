import fc from "fast-check";
import { expect, test } from "vitest";
import { blockAffinityName, blockName, interfaceNameForPod, parsePolicyId, parseWorkloadEndpointId, podHandleId, policyId, vxlanTunnelHandleId, vxlanTunnelMac, workloadEndpointId } from "./names.ts";

test("2.4 Must get right: an interface has the name that Calico gives it", () => {
  expect([interfaceNameForPod("default", "nginx"), interfaceNameForPod("a", "web")]).toEqual(["calic440f455693", "caliaf6d63d8eb8"]);
  expect(interfaceNameForPod("default", "nginx")).toMatch(/^cali[0-9a-f]{11}$/);
  expect(interfaceNameForPod("a", "b.c")).toBe(interfaceNameForPod("a.b", "c"));
  expect(interfaceNameForPod("default", "nginx", "tap")).toBe(interfaceNameForPod("default", "nginx").replace("cali", "tap"));
});

test("objects of IPAM are named after their CIDR", () => {
  expect(blockName("10.65.0.0/26")).toBe("10-65-0-0-26");
  expect(blockAffinityName("node-1", "fd00::40/122")).toBe("node-1-fd00--40-122");
  expect(podHandleId("abc")).toBe("k8s-pod-network.abc");
});

test("a node's end of the overlay has a MAC address of its name: one interface's, given by nobody", () => {
  expect(vxlanTunnelMac("n")).toBe("66:d1:85:4c:ae:89");
  fc.assert(fc.property(fc.string(), (node) => {
    expect(vxlanTunnelMac(node)).toMatch(/^66(:[0-9a-f]{2}){5}$/);
  }));
  expect(vxlanTunnelHandleId("node-1")).toBe("vxlan-tunnel-addr-node-1");
});

test("ids take any names apart again", () => {
  fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (namespace, name, uid) => {
    expect(parsePolicyId(policyId("NetworkPolicy", namespace, name))).toEqual({ kind: "NetworkPolicy", namespace, name });
    expect(parseWorkloadEndpointId(workloadEndpointId(namespace, name, uid))).toEqual({ namespace, pod: name, uid });
  }));
  expect(parsePolicyId("Other/a/b")).toBeNull();
  expect(parsePolicyId("NetworkPolicy/%zz/b")).toBeNull();
});
