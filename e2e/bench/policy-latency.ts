/** From just before the API call that changes a policy to the nftables commit of each node that has a pod of it. */
import { coreTypes, type KubeObject } from "@calico/datastore";
import { untilTrue } from "../lab/wait.ts";
import { watchGenerations } from "../lab/latency.ts";
import type { Lab } from "../lab/lab.ts";
import type { Report } from "./report.ts";

const ROUNDS = 200;
const WARM_UP = 10;

export async function benchPolicyLatency(lab: Lab, report: Report): Promise<void> {
  const nodes = lab.hosts.map(({ plan }) => plan.name);
  const pods = nodes.map((node) => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "default", name: `latency-${node}`, labels: { app: "latency" } }, spec: { nodeName: node, containers: [{ name: "c", image: "bench" }] } }));
  await lab.apply(pods);
  await lab.untilRunning(pods.map(({ metadata }) => `default/${metadata.name}`));
  const watch = watchGenerations(lab.hosts);
  const samples = { api: [] as number[], slowest: [] as number[], beyond: [] as number[] };
  const name = { namespace: "default", name: "latency" };
  const policy = (cidr: string): KubeObject => ({
    apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: name,
    spec: { podSelector: { matchLabels: { app: "latency" } }, policyTypes: ["Ingress"], ingress: [{ from: [{ ipBlock: { cidr } }], ports: [{ port: 80, protocol: "TCP" }] }] },
  } as KubeObject);
  try {
    for (let i = 0; i < ROUNDS + WARM_UP; i += 1) {
      const change = i === 0
        ? () => lab.datastore.create(coreTypes.networkPolicies, policy("192.0.2.0/24"))
        : () => lab.datastore.patch(coreTypes.networkPolicies, name, { spec: policy(`198.51.100.${i % 250}/32`)["spec" as keyof KubeObject] } as object, { type: "merge" });
      const { apiMs, kernelMs } = await watch.timeChange(change, nodes, 5_000);
      const slowest = Math.max(...Object.values(kernelMs).map((value) => value ?? Number.POSITIVE_INFINITY));
      if (!Number.isFinite(slowest)) throw new Error(`a policy change did not reach the kernel of every node within 5 s: ${JSON.stringify(kernelMs)}`);
      if (i < WARM_UP) continue;
      samples.api.push(apiMs);
      samples.slowest.push(slowest);
      samples.beyond.push(Math.max(0, slowest - apiMs));
    }
  } finally {
    watch.close();
  }
  report.percentiles("policy to kernel, slowest of three nodes", samples.slowest, "ms");
  report.percentiles("policy to kernel, the API's own part", samples.api, "ms");
  report.percentiles("policy to kernel, beyond the API's part", samples.beyond, "ms");
  await lab.datastore.delete(coreTypes.networkPolicies, name);
  for (const { metadata } of pods) await lab.datastore.delete(coreTypes.pods, metadata, { gracePeriodSeconds: 0 });
  await untilTrue("the pods to go", async () => pods.every(({ metadata }) => !lab.pods().has(`default/${metadata.name}`)), 10_000);
}
