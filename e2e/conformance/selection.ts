/** Which of Kubernetes' own network tests are run, and why the others are not. Pure. */

type Exclusion = { readonly pattern: RegExp; readonly reason: string };

/** The first pattern that matches a test's name tells why it is left out. */
const EXCLUSIONS: readonly Exclusion[] = [
  { pattern: /\[Feature:SCTPConnectivity\]/, reason: "needs SCTP sockets; the kernel has none (no ip_sctp)" },
  { pattern: /\[Feature:LoadBalancer\]/, reason: "needs a cloud's load balancer" },
  { pattern: /\[Feature:Networking-(IPv4|IPv6|DNS)\]/, reason: "needs the Internet" },
  { pattern: /\[Feature:Networking-Performance\]|\[Feature:PerformanceDNS\]/, reason: "measures the machine, not the network; docs/performance.md has figures" },
  { pattern: /\[Disruptive\]|\[Feature:KubeProxyDaemonSetMigration\]/, reason: "restarts parts of the cluster over SSH; the lab's own tests restart them" },
  { pattern: /\[Feature:KubeProxyNFAcct\]/, reason: "is about kube-proxy's counters, with a kernel feature (nfacct) that is missing" },
  { pattern: /\[Provider:GCE\]/, reason: "is for one provider" },
  { pattern: /invalid conntrack state bug/, reason: "needs an image (regression-issue-74839) that is not made here; it tests kube-proxy" },
  { pattern: /KubeProxy should set TCP CLOSE_WAIT timeout/, reason: "is about a setting of the host's kernel that kube-proxy of the lab does not change" },
  { pattern: /should be rejected for evicted pods/, reason: "needs a kubelet that limits what pods store, which the lab's does not; it tests kube-proxy" },
  { pattern: /DNS configMap nameserver/, reason: "reconfigures the cluster's DNS; nothing of it passes through the network plugin" },
];

/** Why a test is left out; null: it is run. */
export function whyExcluded(name: string): string | null {
  return EXCLUSIONS.find(({ pattern }) => pattern.test(name))?.reason ?? null;
}

/** A regular expression for the runner's --ginkgo.skip: everything that is left out. */
export const skipPattern = EXCLUSIONS.map(({ pattern }) => pattern.source).join("|");

/** All that is asked of a network. */
export const ALL = "\\[sig-network\\]";

/** The dozen of every change: policies, pods across nodes, Services, DNS, host ports. About three minutes. */
const DOZEN = [
  "Netpol .* should support a 'default-deny-ingress' policy",
  "Netpol .* should support a 'default-deny-all' policy",
  "Netpol .* should enforce policy based on PodSelector and NamespaceSelector",
  "Netpol .* should allow ingress access on one named port",
  "Netpol .* should allow egress access to server in CIDR block",
  "Netpol .* using UDP should support a 'default-deny-ingress' policy",
  "Networking Granular Checks: Pods should function for intra-pod communication: http",
  "Networking Granular Checks: Pods should function for intra-pod communication: udp",
  "Networking Granular Checks: Pods should function for node-pod communication: http",
  "Services should serve multiport endpoints from pods",
  "Services should be able to create a functioning NodePort service",
  "DNS should provide DNS for services",
  "HostPort validates that there is no conflict",
];
export const CHOSEN = `\\[sig-network\\] (${DOZEN.join("|")})`;
