/** Ways in which people install the chart: their renderings are golden files, and every object goes before a real API server. */
import type { Values } from "./helm.ts";

export const valueSets: Readonly<Record<string, Values>> = {
  defaults: {},
  "two-racks-vxlan": { installation: { calicoNetwork: { ipPools: [{ cidr: "10.244.0.0/16", encapsulation: "VXLANCrossSubnet", natOutgoing: "Enabled", nodeSelector: "all()" }], mtu: 1450 } } },
  "cloud-without-bgp": { installation: { calicoNetwork: { bgp: "Disabled", ipPools: [{ name: "pods", cidr: "10.244.0.0/16", encapsulation: "VXLAN", blockSize: 24 }], hostPorts: "Disabled" } } },
  "dual-stack": {
    installation: {
      calicoNetwork: {
        ipPools: [{ cidr: "10.244.0.0/16" }, { cidr: "fd00:10:244::/56", natOutgoing: "Enabled" }], nodeAddressAutodetectionV4: { kubernetes: "NodeInternalIP" }, nodeAddressAutodetectionV6: { cidrs: ["fd00::/8"] },
      },
    },
  },
  "ipv6-alone": { installation: { calicoNetwork: { ipPools: [{ cidr: "fd00:10:244::/56", blockSize: 120 }] } }, nats: { replicas: 2 } },
  "large-cluster": {
    typha: { replicas: 3, resources: { requests: { cpu: "500m", memory: "512Mi" }, limits: { memory: "1Gi" } }, podDisruptionBudget: { minAvailable: 2 } },
    kubeControllers: { replicas: 2 }, nats: { replicas: 3 }, installation: { nodeUpdateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "10%" } } },
  },
  "no-kube-proxy": { kubernetesServiceEndpoint: { host: "api.example.org", port: 6443 }, nats: { enabled: false } },
  "private-registry": {
    global: { imageRegistry: "registry.example.org:5000/" }, image: { tag: "1.2.3", pullPolicy: "Always" }, installation: { imagePath: "mirror/calico", imagePullSecrets: [{ name: "pull" }] },
    felix: { image: { digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" } }, bird: { image: { repository: "other.example.org/bird", tag: "9" } },
  },
  "own-certificates-and-nats": {
    admission: { tierRights: false },
    certificates: { mode: "secrets", secrets: { typha: "my-typha", node: "my-node" } }, nats: { enabled: false, external: { url: "tls://nats.example.org:4222", secretName: "my-nats" } }, manageCRDs: false,
  },
  "cert-manager-and-prometheus": {
    certificates: { mode: "cert-manager", lifetime: "720h" }, metrics: { serviceMonitor: { enabled: true, labels: { release: "prometheus" }, interval: "15s" } }, tracing: { otlpEndpoint: "http://collector.example.org:4318" },
  },
  "every-knob": {
    admission: { enabled: false },
    commonLabels: { team: "network" }, logSeverityScreen: "Debug", priorityClassNames: { node: "mine" }, metrics: { enabled: false }, networkPolicies: { enabled: false },
    installation: {
      controlPlaneReplicas: 2, controlPlaneNodeSelector: { "node-role.kubernetes.io/control-plane": "" }, controlPlaneTolerations: [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists", effect: "NoSchedule" }],
      cni: { binDir: "/usr/libexec/cni", confDir: "/etc/kubernetes/cni/net.d" }, calicoNetwork: { nodeAddressAutodetectionV4: { interface: "eth.*" }, sysctl: [{ key: "net.core.somaxconn", value: "1024" }, { key: "net.ipv4.tcp_keepalive_time", value: "40" }] },
    },
    felix: { extraEnv: [{ name: "FELIX_LOGPREFIX", value: "mine" }, { name: "IP", value: "none" }], podAnnotations: { a: "b" }, podLabels: { c: "d" }, nodeSelector: { disk: "ssd" }, tolerations: [{ key: "x", operator: "Exists" }], priorityClassName: "higher" },
    cni: { installPlugins: false, updateStrategy: { type: "OnDelete" } },
    typha: { topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule", labelSelector: { matchLabels: { "k8s-app": "calico-typha" } } }], podDisruptionBudget: { maxUnavailable: 0 }, affinity: { nodeAffinity: {} } },
  },
};

/** Groups of kinds that come with an operator of somebody else's. */
export const foreignGroups: readonly string[] = ["cert-manager.io", "monitoring.coreos.com"];
