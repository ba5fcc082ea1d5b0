/** What runs on a node of a real cluster: containerd, the kubelet and, where it is wanted, kube-proxy. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeCertificateKubeconfig } from "../kubeconfig.ts";
import type { NodeHost } from "../node-host.ts";
import type { LabPaths } from "../paths.ts";
import type { Authority, CertificateFiles } from "../pki.ts";
import type { ClusterPrograms } from "../programs/kubernetes.ts";
import type { ProcessSpec } from "../supervisor.ts";
import { SANDBOX_IMAGE } from "./lab-images.ts";

export const CLUSTER_DNS = "10.96.0.10";
export const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";

/** Debian packages by the program that proves them present. */
const SYSTEM_PROGRAMS = { "/usr/bin/etcd": "etcd-server", "/usr/bin/containerd": "containerd", "/usr/sbin/runc": "runc", "/bin/busybox": "busybox-static", "/usr/sbin/iptables": "iptables", "/usr/sbin/conntrack": "conntrack" };

/** Throws in one line when a program of the system is missing. */
export function requireSystemPrograms(): void {
  const missing = Object.entries(SYSTEM_PROGRAMS).filter(([path]) => !existsSync(path)).map(([, name]) => name);
  if (missing.length > 0) throw new Error(`a real cluster needs programs that are missing; install them with: apt-get install ${missing.join(" ")}`);
}

type Surroundings = { readonly server: string; readonly paths: LabPaths; readonly programs: ClusterPrograms; readonly authority: Authority; readonly kubeProxy: boolean; readonly env: Readonly<Record<string, string>> };

/** The node's processes: the runtime, then what needs it. Writes their configuration, certificates and kubeconfigs. */
export async function nodePrograms(host: NodeHost, surroundings: Surroundings): Promise<[containerd: ProcessSpec, ...others: ProcessSpec[]]> {
  const { authority, server, programs, paths, env, kubeProxy } = surroundings;
  const { name, address, address6 } = host.plan;
  const dir = join(host.dir, "kubernetes");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const spec = (program: string, command: readonly string[]): ProcessSpec => ({ id: `${program}@${name}`, command: () => host.enter(command), env, logFile: join(paths.logs, `${program}@${name}.log`) });

  const containerdConfig = join(dir, "containerd.toml");
  writeFileSync(containerdConfig, renderContainerdConfig());

  const client = await authority.issue(`kubelet@${name}`, { commonName: `system:node:${name}`, organization: "system:nodes" });
  const serving = await authority.issue(`kubelet-serving@${name}`, { commonName: name, dns: [name], ip: [address, address6] });
  const kubeletKubeconfig = join(dir, "kubelet.kubeconfig");
  writeCertificateKubeconfig(kubeletKubeconfig, server, client);
  const resolvConf = join(dir, "resolv.conf");
  // Nobody is asked about names outside of the cluster: the fabric ends there.
  writeFileSync(resolvConf, "");
  const kubeletConfig = join(dir, "kubelet.json");
  writeFileSync(kubeletConfig, renderKubeletConfig({ serving, resolvConf }));

  const specs: [ProcessSpec, ...ProcessSpec[]] = [
    spec("containerd", ["containerd", "--config", containerdConfig]),
    spec("kubelet", [programs.kubelet, `--kubeconfig=${kubeletKubeconfig}`, `--config=${kubeletConfig}`, `--hostname-override=${name}`, `--node-ip=${address},${address6}`]),
  ];
  if (!kubeProxy) return specs;
  const proxyClient = await authority.issue("kube-proxy", { commonName: "system:kube-proxy" });
  const proxyKubeconfig = join(dir, "kube-proxy.kubeconfig");
  writeCertificateKubeconfig(proxyKubeconfig, server, proxyClient);
  // The host's limits of connection tracking are not a node's to write.
  const untouched = ["--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"];
  return [...specs, spec("kube-proxy", [programs["kube-proxy"], `--kubeconfig=${proxyKubeconfig}`, `--hostname-override=${name}`, "--proxy-mode=iptables", ...untouched])];
}

/** No AppArmor and no lower OOM scores: the lab runs where neither may be set. */
function renderContainerdConfig(): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
address = "${CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${SANDBOX_IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
# As newer releases have it by default.
enable_unprivileged_icmp = true
enable_unprivileged_ports = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
`;
}

function renderKubeletConfig({ serving, resolvConf }: { serving: CertificateFiles; resolvConf: string }): string {
  return `${JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: serving.ca } },
    authorization: { mode: "Webhook" },
    tlsCertFile: serving.cert,
    tlsPrivateKeyFile: serving.key,
    clusterDNS: [CLUSTER_DNS],
    clusterDomain: "cluster.local",
    resolvConf,
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    // One machine carries all nodes: its memory and cgroups are not one node's to divide.
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    evictionHard: { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.inodesFree": "1%" },
    imageGCHighThresholdPercent: 100,
    maxPods: 110,
  }, null, 2)}\n`;
}
