import type { KubeObject } from "@calico/datastore";
import { convertHostEndpoint } from "@calico/model";
import { describe, expect, it } from "vitest";
import { nodeViewOf, settingsOf, wantedHostEndpoints, type NodeView } from "./auto-host-endpoints.ts";

const view = (name: string, over: Partial<NodeView> = {}): NodeView => ({ name, labels: { rack: "1" }, addresses: ["192.0.2.1", "fd00::1"] as unknown as NodeView["addresses"], ...over });
const enabled = settingsOf({ autoCreate: "Enabled" });
const CREATED_BY = { "projectcalico.org/created-by": "calico-kube-controllers" };

describe("automatic host endpoints", () => {
  it("2.6: are one for all interfaces of each node, with its addresses and labels, and allow everything", () => {
    expect([...wantedHostEndpoints([view("n1")], enabled).values()]).toEqual([{
      name: "n1-auto-hep", labels: { rack: "1", ...CREATED_BY }, spec: { node: "n1", interfaceName: "*", expectedIPs: ["192.0.2.1", "fd00::1"], profiles: ["projectcalico-default-allow"] },
    }]);
  });

  it("are none unless they are asked for", () => {
    for (const settings of [settingsOf({}), settingsOf({ autoCreate: "Disabled", templates: [{ generateName: "lan", interfaceCIDRs: ["0.0.0.0/0"] }] })]) expect(wantedHostEndpoints([view("n1")], settings).size).toBe(0);
  });

  it("of templates are for the addresses in their ranges, on the nodes that they select", () => {
    const settings = settingsOf({
      autoCreate: "Enabled", createDefaultHostEndpoint: "Disabled",
      templates: [{ generateName: "lan", interfaceCIDRs: ["192.0.2.0/24"], labels: { rack: "mine", net: "lan" }, nodeSelector: "has(rack)" }, { generateName: "wan", interfaceCIDRs: ["203.0.113.0/24"] }],
    });
    expect([...wantedHostEndpoints([view("n1"), view("n2", { labels: {} })], settings).values()]).toEqual([
      { name: "n1-lan-auto-hep", labels: { rack: "mine", net: "lan", ...CREATED_BY }, spec: { node: "n1", expectedIPs: ["192.0.2.1"], profiles: ["projectcalico-default-allow"] } },
    ]);
  });

  it("of a template that cannot be used are none, and it is told why; of two with one name the first counts", () => {
    const { templates, unreadable, issues } = settingsOf({
      autoCreate: "Enabled",
      templates: [
        { generateName: "good", interfaceCIDRs: ["192.0.2.0/24"] }, { generateName: "net", interfaceCIDRs: ["192.0.2.0/24", "10.0.0.0/33"] }, { generateName: "nodes", interfaceCIDRs: ["192.0.2.0/24"], nodeSelector: "a in {'x' 'y'}" },
        { generateName: "good", interfaceCIDRs: ["203.0.113.0/24"] },
      ],
    });
    expect(templates.map(({ generateName, interfaceCidrs }) => [generateName, interfaceCidrs])).toEqual([["good", ["192.0.2.0/24"]]]);
    expect([...unreadable]).toEqual(["net", "nodes", "good"]);
    expect(issues).toEqual([
      { field: "controllers.node.hostEndpoint.templates[1].interfaceCIDRs[1]", message: '"10.0.0.0/33" is not a CIDR' },
      { field: "controllers.node.hostEndpoint.templates[2].nodeSelector", message: expect.stringMatching(/^"a in \{'x' 'y'\}": ./) },
      { field: "controllers.node.hostEndpoint.templates[3].generateName", message: 'another template is "good" already' },
    ]);
  });

  it("know all addresses of a node, each once, whatever order they are reported in", () => {
    const node = (...addresses: { type: string; address: string }[]): KubeObject => ({
      apiVersion: "v1", kind: "Node", metadata: { name: "n1", labels: { a: "b" }, annotations: { "projectcalico.org/IPv4Address": "192.0.2.1/24", "projectcalico.org/IPv6Address": "FD00::1/64", "projectcalico.org/IPv4VXLANTunnelAddr": "10.65.0.1" } }, status: { addresses },
    });
    const reported = [{ type: "InternalIP", address: "192.0.2.1" }, { type: "ExternalIP", address: "203.0.113.1" }, { type: "Hostname", address: "n1" }];
    const expected = { name: "n1", labels: { a: "b" }, addresses: ["10.65.0.1", "192.0.2.1", "203.0.113.1", "fd00::1"] };
    expect([nodeViewOf(node(...reported)), nodeViewOf(node(...reported.toReversed()))]).toEqual([expected, expected]);
  });

  it("are host endpoints that typha can use", () => {
    for (const { name, labels, spec } of wantedHostEndpoints([view("n1")], enabled).values()) {
      expect(convertHostEndpoint({ metadata: { name, labels }, spec })).toMatchObject({ findings: [], value: { node: "n1", interfaceName: "*", labels: { rack: "1", ...CREATED_BY } } });
    }
  });
});
