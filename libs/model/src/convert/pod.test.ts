import { expect, test } from "vitest";
import type { WorkloadEndpoint } from "../model.ts";
import { interfaceNameForPod } from "../names.ts";
import { convertPod } from "./pod.ts";

type Parts = { metadata?: object; spec?: object; status?: object };

const podOf = ({ metadata, spec, status }: Parts = {}): object => ({
  metadata: { name: "web-0", namespace: "shop", uid: "u1", resourceVersion: "9", labels: { app: "web" }, managedFields: [{ manager: "kubelet" }], ...metadata },
  spec: { nodeName: "node-a", serviceAccountName: "web", containers: [{ name: "c", image: "i" }], ...spec },
  status: { phase: "Running", podIP: "10.65.0.2", podIPs: [{ ip: "10.65.0.2" }, { ip: "FD00::2" }], ...status },
});
const convert = (parts?: Parts): ReturnType<typeof convertPod> => convertPod(podOf(parts));
const noAddress = { podIP: undefined, podIPs: undefined };
const annotated = (annotations: object): object => ({ annotations });

test("a pod is an endpoint of its node", () => {
  expect(convert()).toEqual({
    findings: [],
    value: {
      id: "wep/shop/web-0/u1", uid: "u1", node: "node-a", namespace: "shop", pod: "web-0", interfaceName: interfaceNameForPod("shop", "web-0"),
      addresses: ["10.65.0.2", "fd00::2"], profiles: ["kns.shop", "ksa.shop.web"], ports: [], revision: "9",
      labels: { app: "web", "projectcalico.org/namespace": "shop", "projectcalico.org/orchestrator": "k8s", "projectcalico.org/serviceaccount": "web" },
    } satisfies Record<Exclude<keyof WorkloadEndpoint, "allowedSourcePrefixes">, unknown>,
  });
});

test.each<[string, Parts]>([
  ["on the host's network", { spec: { hostNetwork: true } }],
  ["without a node", { spec: { nodeName: "" } }],
  ["that succeeded", { status: { phase: "Succeeded" } }],
  ["that failed", { status: { phase: "Failed" } }],
  ["being deleted whose network is gone", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z", ...annotated({ "cni.projectcalico.org/podIPs": "" }) } }],
  ["being deleted whose network is gone (older annotation)", { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z", ...annotated({ "cni.projectcalico.org/podIP": "" }) } }],
  ["without a name", { metadata: { name: undefined } }],
])("rule 16: a pod %s is no endpoint", (_, parts) => {
  expect(convert(parts)).toEqual({ value: null, findings: [] });
});

test.each(["*", "Node A", "../a"])("a pod on %j, which no node can be named, is no endpoint, and that is said", (nodeName) => {
  expect(convert({ spec: { nodeName } })).toEqual({ value: null, findings: [{ severity: "error", field: "spec.nodeName", message: `${JSON.stringify(nodeName)} is not the name of a node; the pod counts as one without` }] });
});

test("a pod being deleted is an endpoint as long as it has its network", () => {
  expect(convert({ metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }).value?.addresses).toEqual(["10.65.0.2", "fd00::2"]);
});

test.each<[string, Parts, string[]]>([
  ["the older status field", { status: { podIPs: [], podIP: "10.65.0.3" } }, ["10.65.0.3"]],
  ["the annotation with both families", { status: noAddress, metadata: annotated({ "cni.projectcalico.org/podIPs": "10.65.0.4/32, fd00::4/128" }) }, ["10.65.0.4", "fd00::4"]],
  ["the older annotation", { status: noAddress, metadata: annotated({ "cni.projectcalico.org/podIP": "10.65.0.4/32" }) }, ["10.65.0.4"]],
  ["nowhere yet", { status: noAddress }, []],
  ["a repetition", { status: { podIPs: [{ ip: "10.65.0.5" }, { ip: "10.65.0.5" }] } }, ["10.65.0.5"]],
])("addresses from %s", (_, parts, addresses) => {
  expect(convert(parts)).toMatchObject({ value: { addresses }, findings: [] });
});

const SOURCES = "cni.projectcalico.org/allowedSourcePrefixes";
test("a pod may be allowed to send from other addresses than its own", () => {
  expect(convert({ metadata: annotated({ [SOURCES]: '["203.0.113.7/24", "FD00:9::/64", "192.0.2.1", "203.0.113.0/24"]' }) })).toMatchObject({ value: { allowedSourcePrefixes: ["203.0.113.0/24", "fd00:9::/64", "192.0.2.1/32"] }, findings: [] });
  expect(convert({ metadata: annotated({ [SOURCES]: "[]" }) })).toEqual(convert());
});

test.each(["203.0.113.0/24", '["203.0.113.0/24", "all"]', "[7]", '{"a": "203.0.113.0/24"}', "null", "", '["203.0.113.0/33"]'])("source prefixes %j are reported and allow nothing", (written) => {
  const { value, findings } = convert({ metadata: annotated({ [SOURCES]: written }) });
  expect([value, findings.map(({ severity, field }) => [severity, field])]).toEqual([convert().value, [["error", `metadata.annotations[${SOURCES}]`]]]);
});

test("an address that is none is left out and reported", () => {
  const { value, findings } = convert({ status: { podIPs: [{ ip: "10.65.0.500" }, { ip: "10.65.0.6" }] } });
  expect(value?.addresses).toEqual(["10.65.0.6"]);
  expect(findings).toEqual([{ severity: "error", field: "status.podIPs", message: '"10.65.0.500" is not an address' }]);
});

test("named ports of containers and init containers", () => {
  const ports = [{ name: "http", containerPort: 80 }, { containerPort: 81 }, { name: "dns", containerPort: 53, protocol: "UDP" }, { name: "bad", containerPort: 0 }];
  expect(convert({ spec: { initContainers: [{ ports: [{ name: "init", containerPort: 7, protocol: "SCTP" }] }], containers: [{ ports }] } }).value?.ports).toEqual([
    { name: "init", protocol: 132, port: 7 }, { name: "http", protocol: 6, port: 80 }, { name: "dns", protocol: 17, port: 53 },
  ]);
});

test("a pod cannot give itself the labels of another namespace or service account", () => {
  const labels = {
    app: "web", "pcns.team": "admin", "pcsa.role": "admin", "projectcalico.org/namespace": "kube-system",
    "projectcalico.org/orchestrator": "x", "projectcalico.org/serviceaccount": "admin", ["__proto__"]: "odd",
  };
  const { value } = convert({ metadata: { labels: JSON.parse(JSON.stringify(labels)) as object }, spec: { serviceAccountName: "a".repeat(63) } });
  expect(Object.entries(value?.labels ?? {})).toEqual([
    ["app", "web"], ["__proto__", "odd"], ["projectcalico.org/namespace", "shop"], ["projectcalico.org/orchestrator", "k8s"],
  ]);
});
