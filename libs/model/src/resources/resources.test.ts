import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { crdManifests, kinds, validateResource } from "./index.ts";

const resource = (kind: string, spec: unknown) => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name: "x", namespace: "default" }, spec });
const issues = (kind: string, spec: unknown) => {
  const result = validateResource(resource(kind, spec));
  return result.ok ? [] : result.issues.map(({ path, message, suggestion }) => `${path}: ${message}${suggestion === undefined ? "" : ` (${suggestion})`}`);
};

describe("validateResource", () => {
  it("fills in the defaults", () => {
    expect(validateResource(resource("IPPool", { cidr: "10.0.0.0/16" }))).toMatchObject({
      ok: true, value: { spec: { cidr: "10.0.0.0/16", ipipMode: "Never", vxlanMode: "Never", nodeSelector: "all()", allowedUses: ["Workload", "Tunnel"], assignmentMode: "Automatic" } }, warnings: [],
    });
  });

  it.each<[string, unknown, string[]]>([
    ["IPPool", { cidr: "10.0.0.0/16", ipipMode: "Always", vxlanMode: "Always" }, ["spec.vxlanMode: a pool uses IPIP or VXLAN, not both: set one of ipipMode and vxlanMode to Never"]],
    ["IPPool", { cidr: "10.0.0.0/28" }, ["spec.blockSize: a block of /26 is larger than the pool, which is a /28 (use a blockSize from 28 to 32)"]],
    ["IPPool", { cidr: "10.0.0.1/16", blocksize: 3 }, ['spec.cidr: "10.0.0.1/16" has bits set behind the prefix; did you mean 10.0.0.0/16?', "spec.blocksize: there is no such field (did you mean blockSize?)"]],
    ["IPPool", {}, ["spec.cidr: this field is needed"]],
    ["IPPool", { cidr: "fd00::/48", ipipMode: "Always" }, ["spec.ipipMode: IPIP carries IPv4 only: use vxlanMode for an IPv6 pool"]],
    ["NetworkPolicy", { selector: "all()", ingress: [{ from: [{ namespaceSelector: { matchLabels: { a: "b" } } }] }] }, [
      "spec.ingress[0].from: this is the syntax of a Kubernetes NetworkPolicy (networking.k8s.io/v1); here a rule has an action, and a source with nets, selector or namespaceSelector, such as source: {namespaceSelector: \"app == 'frontend'\"}",
      "spec.ingress[0].action: every rule needs an action: Allow, Deny, Log or Pass",
    ]],
    ["NetworkPolicy", { ingress: [{ action: "allow" }] }, ['spec.ingress[0].action: "allow" is none of Allow, Deny, Log, Pass (did you mean Allow?)']],
    ["NetworkPolicy", { ingress: [{ action: "Allow", source: { ports: [80] } }] }, ["spec.ingress[0].source.ports: ports need protocol TCP, UDP or SCTP (add protocol: TCP to the rule)"]],
    ["NetworkPolicy", { egress: [{ action: "Allow", protocol: "TCP", destination: { services: { name: "db" }, ports: [80] } }] }, ["spec.egress[0].destination: a destination that is a Service has the Service's ports: ports and notPorts cannot be combined with services"]],
    ["NetworkPolicy", { ingress: [{ action: "Allow", destination: { services: { name: "db" } } }] }, ["spec.ingress[0].destination: only the destination of an egress rule and the source of an ingress rule may be a Service"]],
    ["NetworkPolicy", { selector: "role = 'a'" }, ['spec.selector: "role = \'a\'": a single "=" is not an operator at character 6; use "=="']],
    ["GlobalNetworkPolicy", { ingress: [{ action: "Allow", source: { nets: ["/32"] } }] }, ['spec.ingress[0].source.nets[0]: "/32" is not a CIDR; write an address with its prefix length, such as "203.0.113.10/32"']],
    ["GlobalNetworkPolicy", { preDNAT: true }, ["spec.applyOnForward: a policy with preDNAT or doNotTrack needs applyOnForward: true"]],
    ["FelixConfiguration", { iptablesNATOutgoing: false }, ["spec.iptablesNATOutgoing: there is no such field; whether traffic that leaves a pool is masqueraded is natOutgoing of the IPPool"]],
    ["BGPPeer", { peerIP: "<IP>", asNumber: "<AS>" }, [
      'spec.peerIP: an IP address is needed, alone or with a port: "192.0.2.1", "192.0.2.1:1790", "[2001:db8::1]:1790"',
      'spec.asNumber: an AS number from 1 to 4294967295 is needed, such as 64512 or "1.10"',
    ]],
    ["BGPConfiguration", { asNumber: "9999999999" }, ['spec.asNumber: an AS number from 1 to 4294967295 is needed, such as 64512 or "1.10"']],
    ["KubeControllersConfiguration", { controllers: { node: { hostEndpoint: { templates: [{ generateName: "lan", interfaceCIDRs: ["10.0.0.0/8"], interfacePattern: "eth.*" }] } } } },
      ["spec.controllers.node.hostEndpoint.templates[0].interfacePattern: the interfaces of other nodes are not known here; write interfaceCIDRs with the networks that they are in"]],
    ["KubeControllersConfiguration", { controllers: { node: { hostEndpoint: { templates: [{ generateName: "lan", interfaceCIDRs: ["10.0.0.0/8"] }, { generateName: "lan", interfaceCIDRs: ["fd00::/8"] }] } } } },
      ["spec.controllers.node.hostEndpoint.templates: two templates have one generateName, and their host endpoints would have one name; give each its own"]],
    ["HostEndpoint", { node: "a", interfaceName: "eth0", profiles: ["mine"] }, ['spec.profiles[0]: "mine" is no profile of this product (profiles are projectcalico-default-allow, kns.NAMESPACE and ksa.NAMESPACE.SERVICEACCOUNT; for rules of your own make a GlobalNetworkPolicy)']],
    ["HostEndpoint", { node: "*", interfaceName: "eth0" }, ["spec.node: the name of one Node is needed; make a host endpoint for each, or set hostEndpoint.autoCreate of KubeControllersConfiguration"]],
    ["HostEndpoint", { node: "a" }, ["spec.interfaceName: a host endpoint needs an interfaceName or expectedIPs"]],
  ])("refuses a %s with the field and the remedy", (kind, spec, expected) => expect(issues(kind, spec)).toEqual(expected));

  it("accepts the policies and peers of the articles", () => {
    expect(issues("NetworkPolicy", { selector: "role == 'frontend'", ingress: [{ action: "Allow", protocol: "TCP", source: { selector: "role == 'backend'" }, destination: { ports: [80, 443] } }], egress: [{ action: "Deny", protocol: "TCP", destination: { ports: [3306] } }] })).toEqual([]);
    expect(issues("GlobalNetworkPolicy", { namespaceSelector: "env == 'prod'", ingress: [{ action: "Allow", source: { namespaceSelector: "env == 'prod'" } }] })).toEqual([]);
    expect(issues("BGPPeer", { peerIP: "10.20.30.40", asNumber: 64512, nodeSelector: "all()" })).toEqual([]);
    expect(issues("IPPool", { cidr: "10.20.0.0/16", ipipMode: "Never", vxlanMode: "Always", natOutgoing: true, nodeSelector: "rack == 'frontend'" })).toEqual([]);
    expect(issues("FelixConfiguration", { bpfEnabled: true })).toEqual([]);
  });

  it("names the kind that was meant", () => {
    expect(validateResource({ apiVersion: "projectcalico.org/v3", kind: "IPpool" })).toEqual({ ok: false, issues: [{ path: "kind", message: '"IPpool" is no kind of projectcalico.org/v3', suggestion: "did you mean IPPool?" }] });
  });

  it("keeps the CIDR and the block size of a pool", () => {
    const before = resource("IPPool", { cidr: "10.0.0.0/16", blockSize: 26 });
    expect(validateResource(resource("IPPool", { cidr: "10.0.0.0/16", blockSize: 27 }), before)).toEqual({
      ok: false, issues: [{ path: "spec.blockSize", message: "the blockSize of a pool cannot be changed: make a new pool, disable this one, and move the pods" }],
    });
  });

  it("answers anything", () => {
    fc.assert(fc.property(fc.constantFrom(...kinds.map(({ kind }) => kind)), fc.object({ maxDepth: 4 }), (kind, spec) => {
      const result = validateResource(resource(kind, spec));
      expect(typeof result.ok).toBe("boolean");
      if (!result.ok) expect(result.issues.length).toBeGreaterThan(0);
    }));
  });
});

describe("definitions", () => {
  const directory = join(import.meta.dirname, "../../../../charts/calico/crds");

  it("in the chart are current (npm run crds)", () => {
    const written = Object.fromEntries(readdirSync(directory).map((file) => [file, JSON.parse(readFileSync(join(directory, file), "utf8")) as unknown]));
    expect(written).toEqual(Object.fromEntries(crdManifests().map((manifest) => [`${manifest.metadata.name}.yaml`, manifest])));
  });

  it("are structural: every schema has a type and no keyword that Kubernetes forbids", () => {
    const visit = (schema: Record<string, unknown>, path: string): void => {
      const untyped = schema["x-kubernetes-int-or-string"] === true;
      expect(untyped || typeof schema["type"] === "string", path).toBe(true);
      for (const forbidden of ["$ref", "$schema", "anyOf", "oneOf", "allOf", "const", "exclusiveMinimum", "propertyNames", "definitions", "patternProperties"]) expect(schema, path).not.toHaveProperty([forbidden]);
      expect(schema["additionalProperties"] === undefined || schema["properties"] === undefined, path).toBe(true);
      for (const [name, inner] of Object.entries((schema["properties"] ?? {}) as Record<string, Record<string, unknown>>)) visit(inner, `${path}.${name}`);
      if (schema["items"] !== undefined) visit(schema["items"] as Record<string, unknown>, `${path}[]`);
      if (schema["additionalProperties"] !== undefined) visit(schema["additionalProperties"] as Record<string, unknown>, `${path}{}`);
    };
    for (const { metadata, spec } of crdManifests()) {
      const [version] = spec["versions"] as { schema: { openAPIV3Schema: { properties: { spec: Record<string, unknown>; status?: Record<string, unknown> } } } }[];
      const properties = version?.schema.openAPIV3Schema.properties;
      visit(properties?.spec ?? {}, `${metadata.name} spec`);
      if (properties?.status !== undefined) visit(properties.status, `${metadata.name} status`);
    }
  });
});
