/**
 * A cluster of isolated customers, a namespace, a policy and two pods each: `npx node libs/calc/bench/isolated-customers.ts [customers]`.
 * Prints one JSON line per measurement: the time to build it, and that of one pod's arrival in it.
 */
import { and, labelEquals, NAMESPACE_LABEL, namespaceProfileId, policyId, workloadEndpointId, type IpAddress, type Rule, type WorkloadEndpoint } from "@calico/model";
import { createClusterHalf } from "../src/index.ts";

const customers = Number(process.argv[2] ?? 10_000);
const NODES = 100;
const side = { nets: [], notNets: [], ports: [], notPorts: [], namedPorts: [], notNamedPorts: [], selector: null, notSelector: null, service: null, nodes: null };

function ruleOf(namespace: string): Rule {
  return {
    action: "Allow", ipVersion: 0, protocol: null, notProtocol: null, icmp: null, notIcmp: null,
    source: { ...side, selector: and(labelEquals(NAMESPACE_LABEL, namespace)) }, destination: side, index: 0,
  };
}

function podOf(customer: number, number: number): WorkloadEndpoint {
  const namespace = `customer-${customer}`;
  const n = customer * 4 + number;
  return {
    id: workloadEndpointId(namespace, `pod-${number}`, "u"), uid: `${n}`, node: `node-${n % NODES}`, namespace, pod: `pod-${number}`, interfaceName: `cali${n}`,
    addresses: [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` as IpAddress], labels: { [NAMESPACE_LABEL]: namespace }, profiles: [namespaceProfileId(namespace)], ports: [], revision: "1",
  };
}

let calls = 0;
const called = (): void => { calls += 1; };
const half = createClusterHalf({ onValueChange: called, onIpSetDelta: called, onInterestStart: called, onInterestStop: called });
const report = (metric: string, value: number, unit: string): void => console.log(JSON.stringify({ name: "isolated-customers", metric, value, unit }));

const start = performance.now();
for (let customer = 0; customer < customers; customer += 1) {
  const namespace = `customer-${customer}`;
  const id = policyId("NetworkPolicy", namespace, "isolated");
  half.onUpdate({ kind: "Profile", id: namespaceProfileId(namespace), value: { id: namespaceProfileId(namespace), labels: {}, inbound: [], outbound: [] } });
  half.onUpdate({ kind: "Policy", id, value: {
    id, kind: "NetworkPolicy", namespace, name: "isolated", tier: "default", order: null, selector: labelEquals(NAMESPACE_LABEL, namespace), ingress: true, egress: false,
    inbound: [ruleOf(namespace)], outbound: [], doNotTrack: false, preDnat: false, applyOnForward: false, revision: "1",
  } });
  for (const number of [0, 1]) half.onUpdate({ kind: "WorkloadEndpoint", id: podOf(customer, number).id, value: podOf(customer, number) });
}
report("build", performance.now() - start, "ms");
report("heap", process.memoryUsage().heapUsed / 2 ** 20, "MiB");
const before = calls;
const arrival = performance.now();
for (let customer = 0; customer < customers; customer += 1) half.onUpdate({ kind: "WorkloadEndpoint", id: podOf(customer, 2).id, value: podOf(customer, 2) });
report("pod-arrival", ((performance.now() - arrival) * 1_000) / customers, "us");
report("messages-per-arrival", (calls - before) / customers, "1");
