/**
 * Kubernetes' own API server over etcd, with the controllers that keep namespaces, ServiceAccounts and owned objects in
 * order. Nodes and pods are run by the lab's kubelet.
 */
import { generateKeyPairSync } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { coreTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { parseAllDocuments } from "yaml";
import { API_PORT, type ApiServer, type ApiServerOptions } from "../control-plane.ts";
import type { Account, Identity } from "../kubeconfig.ts";
import { repositoryRoot } from "../paths.ts";
import { untilTrue } from "../wait.ts";
import { kubernetesBinaries } from "./kubernetes-binaries.ts";

const ETCD = "/usr/bin/etcd";
const SERVICE_CIDR = "10.96.0.0/16";
/** Seconds that a component's token is good for: longer than any lab. */
const TOKEN_SECONDS = 48 * 3_600;

const definitions: ResourceType = { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition", plural: "customresourcedefinitions", namespaced: false };
const rbac = (kind: string, plural: string, namespaced: boolean): ResourceType => ({ group: "rbac.authorization.k8s.io", version: "v1", kind, plural, namespaced });
const RBAC = [rbac("ClusterRole", "clusterroles", false), rbac("Role", "roles", true), rbac("ClusterRoleBinding", "clusterrolebindings", false), rbac("RoleBinding", "rolebindings", true)];
const NAMESPACE = "calico-system";

export async function startKubernetes({ plan, paths, authority, supervisor, accounts, admin, env, onProgress }: ApiServerOptions): Promise<ApiServer> {
  if (!existsSync(ETCD)) throw new Error(`${ETCD} is missing; install it with: apt-get install etcd-server`);
  const binaries = await kubernetesBinaries(onProgress);
  const dir = join(paths.dir, "kubernetes");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const address = plan.controlAddress;
  const etcdUrl = `https://${address}:2379`;
  const etcd = await authority.issue("etcd", { commonName: "etcd", ip: [address] });
  supervisor.start({
    id: "etcd",
    command: [
      ETCD, "--name", "lab", "--data-dir", join(dir, "etcd"), "--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl, "--listen-peer-urls", `https://${address}:2380`,
      "--initial-advertise-peer-urls", `https://${address}:2380`, "--initial-cluster", `lab=https://${address}:2380`, "--unsafe-no-fsync",
      "--client-cert-auth", "--trusted-ca-file", etcd.ca, "--cert-file", etcd.cert, "--key-file", etcd.key,
      "--peer-client-cert-auth", "--peer-trusted-ca-file", etcd.ca, "--peer-cert-file", etcd.cert, "--peer-key-file", etcd.key,
    ],
    env, logFile: join(paths.logs, "etcd.log"),
  });

  const serviceAccountKey = join(dir, "service-account.key");
  writeFileSync(serviceAccountKey, generateKeyPairSync("rsa", { modulusLength: 2_048, privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } }).privateKey, { mode: 0o600 });
  const tokenFile = join(dir, "tokens.csv");
  writeFileSync(tokenFile, `${admin.token},${admin.username},${admin.username},"${admin.groups.join(",")}"\n`, { mode: 0o600 });
  const serving = await authority.issue("apiserver", { commonName: "kube-apiserver", ip: [address, "127.0.0.1", "10.96.0.1"], dns: ["kubernetes.default.svc"] });
  supervisor.start({
    id: "apiserver",
    command: [
      binaries.apiserver, `--etcd-servers=${etcdUrl}`, `--etcd-cafile=${etcd.ca}`, `--etcd-certfile=${etcd.cert}`, `--etcd-keyfile=${etcd.key}`, `--bind-address=${address}`, `--advertise-address=${address}`,
      `--secure-port=${API_PORT}`, `--tls-cert-file=${serving.cert}`, `--tls-private-key-file=${serving.key}`, `--token-auth-file=${tokenFile}`, "--authorization-mode=Node,RBAC", "--anonymous-auth=false",
      `--service-cluster-ip-range=${SERVICE_CIDR}`, "--service-account-issuer=https://kubernetes.default.svc", `--service-account-key-file=${serviceAccountKey}`, `--service-account-signing-key-file=${serviceAccountKey}`,
      "--service-account-extend-token-expiration=false", "--endpoint-reconciler-type=none", "--profiling=false",
    ],
    env, logFile: join(paths.logs, "apiserver.log"),
  });
  supervisor.start({
    id: "controller-manager",
    command: [
      binaries.controllerManager, `--kubeconfig=${paths.kubeconfig}`, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0", "--profiling=false",
      // Not those for nodes: the lab's kubelet sends no heartbeats, and nothing here runs Deployments.
      "--controllers=namespace-controller,serviceaccount-controller,garbage-collector-controller", `--root-ca-file=${authority.caFile}`, `--service-account-private-key-file=${serviceAccountKey}`,
    ],
    env, logFile: join(paths.logs, "controller-manager.log"),
  });

  return {
    faultSocket: null,
    async identify(datastore) {
      await defineKinds(datastore);
      await allow(datastore);
      const identities = new Map<Account, Identity>();
      for (const account of accounts) identities.set(account, await identityOf(datastore, account));
      return identities;
    },
  };
}

async function defineKinds(datastore: Datastore): Promise<void> {
  const folder = join(repositoryRoot, "charts", "calico", "crds");
  const crds = globSync("*.yaml", { cwd: folder }).flatMap((file) => parseAllDocuments(readFileSync(join(folder, file), "utf8")).map((document) => document.toJS() as KubeObject));
  for (const crd of crds) await datastore.create(definitions, crd);
  await untilTrue("the definitions to be established", async () => {
    const { items } = await datastore.list<KubeObject & { status?: { conditions?: { type: string; status: string }[] } }>(definitions);
    return crds.every(({ metadata: { name } }) => items.some((item) => item.metadata.name === name && item.status?.conditions?.some(({ type, status }) => type === "Established" && status === "True") === true));
  }, 30_000);
}

/** The chart's own roles: what they do not allow, the components cannot do here either. */
async function allow(datastore: Datastore): Promise<void> {
  const text = readFileSync(join(repositoryRoot, "charts", "calico", "files", "rbac.yaml"), "utf8").replaceAll("{{ .Release.Namespace }}", NAMESPACE);
  for (const document of parseAllDocuments(text)) {
    const object = document.toJS() as KubeObject;
    const type = RBAC.find(({ kind }) => kind === object.kind);
    if (type === undefined) throw new Error(`rbac.yaml: ${object.kind} is not about roles`);
    await datastore.create(type, object);
  }
}

/** A token of the component's ServiceAccount, bound to its node, as a kubelet asks for it. */
async function identityOf(datastore: Datastore, { name, node }: Account): Promise<Identity> {
  const namespace = NAMESPACE;
  await unlessThere(datastore.create(coreTypes.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name } }));
  const bound = node === undefined ? undefined : await datastore.get<KubeObject>(coreTypes.nodes, { name: node });
  const request = {
    apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: { namespace, name },
    spec: { expirationSeconds: TOKEN_SECONDS, ...(bound === undefined ? {} : { boundObjectRef: { apiVersion: "v1", kind: "Node", name: bound.metadata.name, uid: bound.metadata.uid } }) },
  };
  const { status } = await datastore.create<KubeObject & { status?: { token?: string } }>(coreTypes.serviceAccounts, request, { subresource: "token" });
  if (status?.token === undefined) throw new Error(`the API server gave no token for ${name}`);
  return { token: status.token, username: `system:serviceaccount:${namespace}:${name}`, groups: [], extra: {} };
}

async function unlessThere(created: Promise<unknown>): Promise<void> {
  try {
    await created;
  } catch (error) {
    if (!isDatastoreError(error, "AlreadyExists")) throw error;
  }
}
