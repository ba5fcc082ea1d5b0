/** What a cluster has beside its network: DNS. Pure data. */
import { CLUSTER_DNS } from "./node-programs.ts";
import { COREDNS_IMAGE } from "./lab-images.ts";

const COREFILE = `.:53 {
    errors
    health {
        lameduck 1s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    cache 5
    reload
}
`;

const labels = { "k8s-app": "kube-dns" };
const metadata = { namespace: "kube-system", name: "coredns", labels };

export const coreDns: readonly object[] = [
  { apiVersion: "v1", kind: "ServiceAccount", metadata },
  {
    apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: "system:coredns" },
    rules: [{ apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] }, { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] }],
  },
  {
    apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name: "system:coredns" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:coredns" }, subjects: [{ kind: "ServiceAccount", namespace: "kube-system", name: "coredns" }],
  },
  { apiVersion: "v1", kind: "ConfigMap", metadata, data: { Corefile: COREFILE } },
  {
    apiVersion: "apps/v1", kind: "Deployment", metadata,
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: "coredns",
          priorityClassName: "system-cluster-critical",
          tolerations: [{ key: "CriticalAddonsOnly", operator: "Exists" }, { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }],
          dnsPolicy: "Default",
          containers: [{
            name: "coredns", image: COREDNS_IMAGE, imagePullPolicy: "IfNotPresent", args: ["-conf", "/etc/coredns/Corefile"],
            ports: [{ containerPort: 53, name: "dns", protocol: "UDP" }, { containerPort: 53, name: "dns-tcp", protocol: "TCP" }],
            readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
            volumeMounts: [{ name: "config", mountPath: "/etc/coredns", readOnly: true }],
          }],
          volumes: [{ name: "config", configMap: { name: "coredns" } }],
        },
      },
    },
  },
  {
    apiVersion: "v1", kind: "Service", metadata: { namespace: "kube-system", name: "kube-dns", labels },
    spec: { clusterIP: CLUSTER_DNS, selector: labels, ports: [{ name: "dns", port: 53, protocol: "UDP" }, { name: "dns-tcp", port: 53, protocol: "TCP" }] },
  },
];
