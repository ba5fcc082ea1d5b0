import { describe, expect, test } from "vitest";
import type { Policy } from "../model.ts";
import { convertClusterNetworkPolicy } from "./cluster-policy.ts";
import { convertHostEndpoint } from "./host-endpoint.ts";
import { convertKubernetesNetworkPolicy } from "./kubernetes-policy.ts";
import { convertGlobalNetworkPolicy, convertNetworkPolicy } from "./policy.ts";

const hostEndpoint = (spec: object, metadata: object = {}): ReturnType<typeof convertHostEndpoint> => convertHostEndpoint({ metadata: { name: "n1-eth0", resourceVersion: "7", ...metadata }, spec: { node: "n1", interfaceName: "eth0", ...spec } });

describe("a host endpoint", () => {
  test("is read with addresses in canonical form, each once", () => {
    expect(hostEndpoint({ expectedIPs: ["192.0.2.1", "FD00::0:1", "fd00::1"], profiles: ["projectcalico-default-allow", "kns.shop"], ports: [{ name: "api", protocol: "TCP", port: 6443 }, { name: "any", protocol: 132, port: 1 }] }, { labels: { role: "edge" } })).toEqual({
      findings: [],
      value: {
        id: "hep/n1-eth0", name: "n1-eth0", node: "n1", interfaceName: "eth0", expectedIps: ["192.0.2.1", "fd00::1"], labels: { role: "edge" }, profiles: ["projectcalico-default-allow", "kns.shop"],
        ports: [{ name: "api", protocol: 6, port: 6443 }, { name: "any", protocol: 132, port: 1 }], revision: "7",
      },
    });
  });

  test("is for all interfaces, or for the one that has an address", () => {
    expect(hostEndpoint({ interfaceName: "*" }).value?.interfaceName).toBe("*");
    expect(hostEndpoint({ interfaceName: "", expectedIPs: ["192.0.2.1"] })).toMatchObject({ value: { interfaceName: "", expectedIps: ["192.0.2.1"] }, findings: [] });
  });

  test.each([
    ["spec.node", { node: "" }], ["spec.node", { node: "*" }], ["spec.node", { node: "N1" }], ["spec.node", { node: "a..b" }], ["spec.node", { node: ["n1"] }], ["spec.node", { node: `${"a".repeat(253)}b` }], ["spec.interfaceName", { interfaceName: "eth0/1" }], ["spec.interfaceName", { interfaceName: "an-interface-with-a-long-name" }], ["spec.interfaceName", { interfaceName: 1 }],
    ["spec.interfaceName", { interfaceName: "eth*" }], ["spec.interfaceName", { interfaceName: "" }], ["spec.interfaceName", { interfaceName: undefined, expectedIPs: [] }],
  ])("is absent, and critically so, when nobody knows where it is: %s of %j", (field, spec) => {
    expect(hostEndpoint(spec)).toEqual({ value: null, findings: [expect.objectContaining({ severity: "critical", field })] });
  });

  test("every node is told by its name: who wants one for all is told how", () => {
    expect(hostEndpoint({ node: "*" }).findings).toEqual([{
      severity: "critical", field: "spec.node", message: 'the name of a node is needed, not "*"; the host endpoint is not in force',
      suggestion: "write the name of one Node, and make a host endpoint for each; hostEndpoint.autoCreate of KubeControllersConfiguration makes one for every Node",
    }]);
    expect(hostEndpoint({ node: "a-1.example.com" })).toMatchObject({ value: { node: "a-1.example.com" }, findings: [] });
  });

  test("what of it cannot be used is left out and reported", () => {
    expect(hostEndpoint({ expectedIPs: ["x", "192.0.2.1"], profiles: ["mine", 7, "ksa.a.b"], ports: [{ name: "a", protocol: "TCP", port: 0 }, { protocol: "TCP", port: 1 }, { name: "b", protocol: "no", port: 1 }, null] })).toMatchObject({
      value: { expectedIps: ["192.0.2.1"], profiles: ["ksa.a.b"], ports: [] },
      findings: ["spec.expectedIPs[0]", "spec.profiles[0]", "spec.profiles[1]", "spec.ports[0].port", "spec.ports[1].name", "spec.ports[2].protocol", "spec.ports[3].name"].map((field) => ({ severity: "error", field })),
    });
    expect(hostEndpoint({ profiles: "projectcalico-default-allow", expectedIPs: {}, ports: 1 })).toMatchObject({ value: { profiles: [], expectedIps: [], ports: [] }, findings: [{ field: "spec.expectedIPs" }, { field: "spec.profiles" }, { field: "spec.ports" }] });
  });

  test("a profile of one's own is no profile, and the finding says what to make instead", () => {
    expect(hostEndpoint({ profiles: ["allow-ssh"] }).findings).toEqual([{
      severity: "error", field: "spec.profiles[0]", message: '"allow-ssh" is no profile of this product; it is left out and opens nothing',
      suggestion: "profiles are projectcalico-default-allow, kns.NAMESPACE and ksa.NAMESPACE.SERVICEACCOUNT; for rules of your own make a GlobalNetworkPolicy",
    }]);
  });
});

/** Labels as a host endpoint may try to have them: those of a pod. */
const forged = { app: "web", "projectcalico.org/namespace": "shop", "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": "web", "pcns.team": "red", "pcsa.role": "admin" };

describe("policies and host endpoints", () => {
  const labels = hostEndpoint({}, { labels: forged }).value?.labels ?? {};
  const matches = ({ value }: { value: Policy | null }): boolean | undefined => value?.selector.evaluate(labels);
  const gnp = (spec: object): { value: Policy | null } => convertGlobalNetworkPolicy({ metadata: { name: "p" }, spec });

  test("a host endpoint has no label that only pods have, and says so", () => {
    expect(labels).toEqual({ app: "web" });
    expect(hostEndpoint({}, { labels: forged }).findings.map(({ severity, field }) => [severity, field])).toEqual(Object.keys(forged).slice(1).map((key) => ["warning", `metadata.labels[${key}]`]));
  });

  test("rule 8: a global policy without namespaceSelector is for host endpoints too, one with all() is not", () => {
    expect([gnp({ selector: "all()" }), gnp({}), gnp({ selector: "app == 'web'" })].map(matches)).toEqual([true, true, true]);
    expect([gnp({ namespaceSelector: "all()" }), gnp({ namespaceSelector: "team == 'red'" }), gnp({ serviceAccountSelector: "role == 'admin'" }), gnp({ selector: "app == 'db'" })].map(matches)).toEqual([false, false, false, false]);
  });

  test("a namespaceSelector that matches what has no label is for host endpoints too, unless it asks for a namespace", () => {
    expect(["team != 'a'", "!has(team)", "team not in {'a'}", "all() || has(team)", "all() && team != 'a'", "all() && !has(team)"].map((namespaceSelector) => matches(gnp({ namespaceSelector })))).toEqual([true, true, true, false, false, false]);
  });

  test("namespaced policies and those of Kubernetes never are", () => {
    const metadata = { name: "p", namespace: "shop" };
    expect([
      convertNetworkPolicy({ metadata, spec: { selector: "all()" } }), convertKubernetesNetworkPolicy({ metadata, spec: { podSelector: {} } }),
      convertClusterNetworkPolicy({ metadata, spec: { tier: "Admin", priority: 1, subject: { namespaces: {} } } }),
      convertClusterNetworkPolicy({ metadata, spec: { tier: "Admin", priority: 1, subject: { pods: { namespaceSelector: {}, podSelector: {} } } } }),
    ].map(matches)).toEqual([false, false, false, false]);
  });
});
