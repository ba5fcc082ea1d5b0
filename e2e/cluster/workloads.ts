/** Workloads of the tests. Pure data. */
import { AGNHOST_IMAGE } from "../lab/cluster/lab-images.ts";
import { DEMO_PORT, SERVER_IMAGE } from "../lab/demo.ts";

type Template = { readonly metadata: { readonly labels: Readonly<Record<string, string>> }; readonly spec: object };

const template = (app: string, container: object, more: object = {}): Template => ({
  metadata: { labels: { app } },
  spec: { terminationGracePeriodSeconds: 1, ...more, containers: [{ imagePullPolicy: "IfNotPresent", ...container }] },
});

/** Waits, and the lab answers on its port. */
const server = { name: "server", image: SERVER_IMAGE, ports: [{ name: "http", containerPort: DEMO_PORT }] };
/** Answers with its own name, and has the programs of a client. */
const agnhost = { name: "agnhost", image: AGNHOST_IMAGE, args: ["netexec", `--http-port=${DEMO_PORT}`, `--udp-port=${DEMO_PORT}`], ports: [{ name: "http", containerPort: DEMO_PORT }], readinessProbe: { httpGet: { path: "/hostname", port: DEMO_PORT }, periodSeconds: 1 } };

/** Who wants policies of this kind brings its definition; this is as much of it as the tests need. */
export const clusterPolicyDefinition = {
  apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition",
  // The API server wants to be told that a definition in a group of Kubernetes' own is meant to be there.
  metadata: { name: "clusternetworkpolicies.policy.networking.k8s.io", annotations: { "api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/network-policy-api/pull/300" } },
  spec: {
    group: "policy.networking.k8s.io", scope: "Cluster", names: { kind: "ClusterNetworkPolicy", plural: "clusternetworkpolicies", singular: "clusternetworkpolicy" },
    versions: [{ name: "v1alpha2", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } }],
  },
};

export const namespace = (name: string): object => ({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { team: name } } });

export const deployment = (ns: string, name: string, replicas: number, kind: "server" | "agnhost" = "agnhost"): object => ({
  apiVersion: "apps/v1", kind: "Deployment", metadata: { namespace: ns, name },
  spec: { replicas, selector: { matchLabels: { app: name } }, template: template(name, kind === "server" ? server : agnhost) },
});

export const daemonSet = (ns: string, name: string): object => ({
  apiVersion: "apps/v1", kind: "DaemonSet", metadata: { namespace: ns, name },
  spec: { selector: { matchLabels: { app: name } }, template: template(name, agnhost) },
});

export const service = (ns: string, name: string, more: object = {}): object => ({
  apiVersion: "v1", kind: "Service", metadata: { namespace: ns, name },
  spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: "http" }], ...more },
});

/** A pod on a node, answered for by the lab. */
export const podOn = (node: string, ns: string, name: string): object => ({
  apiVersion: "v1", kind: "Pod", metadata: { namespace: ns, name, labels: { app: name } },
  spec: { ...template(name, server).spec, nodeSelector: { "kubernetes.io/hostname": node } },
});
