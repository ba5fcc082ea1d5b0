/** Parameters of kube-controllers. Names of the default pools are those of Calico's node image. */
import { bool, defineParams, duration, int, oneOf, port, text, textList, type ServiceDescription } from "@calico/service-kit";

const MODES = ["Never", "Always", "CrossSubnet"] as const;

export const controllersParams = defineParams({
  httpHost: text("localhost").localOnly().doc("Address on which metrics and health are served."),
  httpPort: port(9094).localOnly().doc("Port of metrics and health."),
  leaseNamespace: text("kube-system").env("POD_NAMESPACE").localOnly().doc("Namespace of the Lease by which one replica is chosen."),
  ipv4PoolCidr: text("192.168.0.0/16").env("CALICO_IPV4POOL_CIDR").localOnly().doc("CIDR of the first IPv4 pool; none: no pool is made."),
  ipv4PoolBlockSize: int(26, { min: 20, max: 32 }).env("CALICO_IPV4POOL_BLOCK_SIZE").localOnly().doc("Prefix length of its blocks."),
  ipv4PoolNatOutgoing: bool(true).env("CALICO_IPV4POOL_NAT_OUTGOING").localOnly().doc("Masquerade traffic that leaves the pools."),
  ipv4PoolIpip: oneOf(MODES, "Never").env("CALICO_IPV4POOL_IPIP").localOnly().doc("IPIP of the first IPv4 pool."),
  ipv4PoolVxlan: oneOf(MODES, "Never").env("CALICO_IPV4POOL_VXLAN").localOnly().doc("VXLAN of the first IPv4 pool."),
  ipv6PoolCidr: text("none").env("CALICO_IPV6POOL_CIDR").localOnly().doc("CIDR of the first IPv6 pool; none: no pool is made."),
  ipv6PoolBlockSize: int(122, { min: 116, max: 128 }).env("CALICO_IPV6POOL_BLOCK_SIZE").localOnly().doc("Prefix length of its blocks."),
  ipv6PoolNatOutgoing: bool(false).env("CALICO_IPV6POOL_NAT_OUTGOING").localOnly().doc("Masquerade IPv6 traffic that leaves the pools."),
  ipPools: text("").env("CALICO_IPPOOLS").localOnly().doc("The pools that are made when they are missing, as JSON: a list of name, cidr, blockSize, encapsulation, natOutgoing, nodeSelector, disableBGPExport; empty: the first pools above."),
  applyDefinitions: bool(false).localOnly().doc("kube-controllers prepare: bring the CustomResourceDefinitions to those of this version."),
  credentials: textList().localOnly().doc("What is made once and kept as Secrets in POD_NAMESPACE: certificates (renewed at two thirds of their life) or first-certificates (made when missing, renewed by somebody else), nats (its users)."),
  natsCertificateSecret: text("calico-nats-tls").localOnly().doc("The Secret with NATS' certificate."),
  certificateLifetime: duration(365 * 86_400_000).localOnly().doc("How long a certificate holds."),
  leakGracePeriod: duration(900_000).doc("How long an address of a vanished pod is kept; 0: for ever. Addresses of vanished nodes go at once. Not set: as KubeControllersConfiguration says (controllers.node.leakGracePeriod)."),
  autoHostEndpoints: oneOf(["Enabled", "Disabled"], "Disabled").env("AUTO_HOST_ENDPOINTS").doc("Every node gets host endpoints of its own. Not set: as KubeControllersConfiguration says (controllers.node.hostEndpoint.autoCreate)."),
  leakScanInterval: duration(60_000).localOnly().doc("How often all addresses are compared with the pods."),
  maxReleasesPerScan: int(10_000, { min: 1 }).localOnly().doc("Addresses released in one scan."),
});
export const ENV_PREFIX = "KUBECONTROLLERS_";
export const description: ServiceDescription = {
  name: "kube-controllers", does: "makes the default objects and nodes' host endpoints, keeps tiers that have policies, and releases what vanished pods and nodes held", params: controllersParams, envPrefix: ENV_PREFIX,
};
