import { convertPod, type WorkloadEndpoint } from "@calico/model";
import { expect, it } from "vitest";
import { createSharing } from "./sharing.ts";

function pod(name: string, labels: Record<string, string>): WorkloadEndpoint {
  const raw: unknown = JSON.parse(JSON.stringify({ metadata: { name, namespace: "shop", uid: name, resourceVersion: "1", labels }, spec: { nodeName: "node-of-a-long-name", serviceAccountName: "default", containers: [{ ports: [{ name: "http", containerPort: 80 }] }] }, status: { podIPs: [{ ip: "10.0.0.1" }] } }));
  const { value } = convertPod(raw);
  if (value === null) throw new Error("no endpoint");
  return value;
}

it("changes nothing about an endpoint, whatever its labels are called", () => {
  const sharing = createSharing();
  const odd = { app: "web", ...(JSON.parse('{"__proto__": "x", "toString": "y"}') as Record<string, string>) };
  for (const endpoint of [pod("a", odd), pod("b", {})]) {
    expect(sharing.endpoint(endpoint)).toEqual(endpoint);
    expect(Object.entries(sharing.endpoint(endpoint).labels)).toEqual(Object.entries(endpoint.labels));
  }
});

it("keeps one of what pods of one workload have in common, also after many others came", () => {
  const sharing = createSharing();
  const first = sharing.endpoint(pod("a", { app: "web" }));
  for (let i = 0; i < 3_000; i += 1) {
    sharing.endpoint(pod(`p${i}`, { app: `app-${i}` }));
    if (i % 500 === 0) sharing.endpoint(pod("again", { app: "web" }));
  }
  const second = sharing.endpoint(pod("b", { app: "web" }));
  for (const field of ["labels", "profiles", "ports"] as const) expect(second[field]).toBe(first[field]);
});
