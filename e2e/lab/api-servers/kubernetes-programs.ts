/** The processes of Kubernetes' own control plane: etcd, the API server, the controller manager and, for kubelets, the scheduler. */
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { API_PORT, type ApiServerOptions } from "../control-plane.ts";
import type { ClusterPrograms } from "../programs/kubernetes.ts";

const SERVICE_CIDRS = "10.96.0.0/16,fd00:96::/112";
const ETCD = "/usr/bin/etcd";
/** What the components' ServiceAccounts asked and what they were answered, a line each: nobody else's requests, and no bodies. */
const AUDIT_POLICY = {
  apiVersion: "audit.k8s.io/v1", kind: "Policy", omitStages: ["RequestReceived"],
  rules: [{ level: "Metadata", userGroups: ["system:serviceaccounts:calico-system"] }],
};

type Options = Pick<ApiServerOptions, "plan" | "paths" | "authority" | "supervisor" | "admin" | "env"> & {
  readonly programs: ClusterPrograms;
  /** Of the controller manager; ["*"] for all. */
  readonly controllers: readonly string[];
  /** Real kubelets come: the scheduler binds pods, and the API server speaks to their kubelets. */
  readonly kubelets: boolean;
};

export async function startPrograms({ plan, paths, authority, supervisor, admin, env, programs, controllers, kubelets }: Options): Promise<void> {
  if (!existsSync(ETCD)) throw new Error(`${ETCD} is missing; install it with: apt-get install etcd-server`);
  const dir = join(paths.dir, "kubernetes");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const start = (id: string, command: readonly string[]): void => supervisor.start({ id, command: () => command, env, logFile: join(paths.logs, `${id}.log`) });

  const address = plan.controlAddress;
  const etcdUrl = `https://${address}:2379`;
  const etcd = await authority.issue("etcd", { commonName: "etcd", ip: [address] });
  start("etcd", [
    ETCD, "--name", "lab", "--data-dir", join(dir, "etcd"), "--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl, "--listen-peer-urls", `https://${address}:2380`,
    "--initial-advertise-peer-urls", `https://${address}:2380`, "--initial-cluster", `lab=https://${address}:2380`, "--unsafe-no-fsync",
    "--client-cert-auth", "--trusted-ca-file", etcd.ca, "--cert-file", etcd.cert, "--key-file", etcd.key,
    "--peer-client-cert-auth", "--peer-trusted-ca-file", etcd.ca, "--peer-cert-file", etcd.cert, "--peer-key-file", etcd.key,
  ]);

  const serviceAccountKey = join(dir, "service-account.key");
  writeFileSync(serviceAccountKey, generateKeyPairSync("rsa", { modulusLength: 2_048, privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } }).privateKey, { mode: 0o600 });
  const tokenFile = join(dir, "tokens.csv");
  writeFileSync(tokenFile, `${admin.token},${admin.username},${admin.username},"${admin.groups.join(",")}"\n`, { mode: 0o600 });
  const serving = await authority.issue("apiserver", { commonName: "kube-apiserver", ip: [address, "127.0.0.1", "10.96.0.1"], dns: ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"] });
  const kubeletClient = await authority.issue("apiserver-kubelet", { commonName: "kube-apiserver", organization: "system:masters" });
  const auditPolicy = join(dir, "audit-policy.json");
  writeFileSync(auditPolicy, JSON.stringify(AUDIT_POLICY));
  start("apiserver", [
    programs["kube-apiserver"], `--etcd-servers=${etcdUrl}`, `--etcd-cafile=${etcd.ca}`, `--etcd-certfile=${etcd.cert}`, `--etcd-keyfile=${etcd.key}`, `--bind-address=${address}`, `--advertise-address=${address}`,
    `--secure-port=${API_PORT}`, `--tls-cert-file=${serving.cert}`, `--tls-private-key-file=${serving.key}`, `--token-auth-file=${tokenFile}`, `--client-ca-file=${authority.caFile}`, "--authorization-mode=Node,RBAC", "--anonymous-auth=false",
    `--service-cluster-ip-range=${SERVICE_CIDRS}`, "--service-account-issuer=https://kubernetes.default.svc", `--service-account-key-file=${serviceAccountKey}`, `--service-account-signing-key-file=${serviceAccountKey}`,
    "--service-account-extend-token-expiration=false", "--profiling=false", `--audit-policy-file=${auditPolicy}`, `--audit-log-path=${paths.audit}`,
    ...(kubelets
      ? ["--allow-privileged=true", "--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=InternalIP", `--kubelet-certificate-authority=${authority.caFile}`, `--kubelet-client-certificate=${kubeletClient.cert}`, `--kubelet-client-key=${kubeletClient.key}`]
      : ["--endpoint-reconciler-type=none"]),
  ]);
  start("controller-manager", [
    programs["kube-controller-manager"], `--kubeconfig=${paths.kubeconfig}`, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0", "--profiling=false", "--use-service-account-credentials=true",
    `--controllers=${controllers.join(",")}`, `--root-ca-file=${authority.caFile}`, `--service-account-private-key-file=${serviceAccountKey}`,
  ]);
  if (kubelets) start("scheduler", [programs["kube-scheduler"], `--kubeconfig=${paths.kubeconfig}`, `--authentication-kubeconfig=${paths.kubeconfig}`, `--authorization-kubeconfig=${paths.kubeconfig}`, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0", "--profiling=false"]);
}
