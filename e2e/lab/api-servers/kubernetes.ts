/**
 * Kubernetes' own API server over etcd, with the controllers that keep namespaces, ServiceAccounts and owned objects in
 * order. Nodes and pods are run by the lab's kubelet.
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { calicoTypes, coreTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { TIER_LABEL } from "@calico/model";
import { admissionManifests } from "@calico/model/resources";
import { parseAllDocuments } from "yaml";
import type { ApiServer, ApiServerOptions } from "../control-plane.ts";
import type { Account, Identity } from "../kubeconfig.ts";
import { repositoryRoot } from "../paths.ts";
import { untilTrue } from "../wait.ts";
import { clusterPrograms } from "../programs/kubernetes.ts";
import { startPrograms } from "./kubernetes-programs.ts";

/** Seconds that a component's token is good for: longer than any lab. */
const TOKEN_SECONDS = 48 * 3_600;

const definitions: ResourceType = { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition", plural: "customresourcedefinitions", namespaced: false };
const rbac = (kind: string, plural: string, namespaced: boolean): ResourceType => ({ group: "rbac.authorization.k8s.io", version: "v1", kind, plural, namespaced });
const RBAC = [rbac("ClusterRole", "clusterroles", false), rbac("Role", "roles", true), rbac("ClusterRoleBinding", "clusterrolebindings", false), rbac("RoleBinding", "rolebindings", true)];
const NAMESPACE = "calico-system";

export async function startKubernetes(options: ApiServerOptions): Promise<ApiServer> {
  const { accounts, onProgress } = options;
  // Not the controllers of nodes: the lab's kubelet sends no heartbeats, and nothing here runs Deployments.
  await startPrograms({ ...options, programs: await clusterPrograms(onProgress), controllers: ["namespace-controller", "serviceaccount-controller", "garbage-collector-controller"], kubelets: false });
  return {
    faultSocket: null,
    async identify(datastore) {
      await defineKinds(datastore);
      await allow(datastore);
      await enforce(datastore);
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

/** The chart's admission policies; in force when it resolves. */
async function enforce(datastore: Datastore): Promise<void> {
  for (const { kind, ...rest } of Object.values(admissionManifests()).flat()) {
    const plural = kind.endsWith("Policy") ? `${kind.toLowerCase().slice(0, -1)}ies` : `${kind.toLowerCase()}s`;
    await datastore.create({ group: "admissionregistration.k8s.io", version: "v1", kind, plural, namespaced: false }, { kind, ...rest });
  }
  const tried = (type: ResourceType, spec: object): Promise<KubeObject> => datastore.create<KubeObject>(type, { apiVersion: "projectcalico.org/v3", kind: type.kind, metadata: { name: "default" }, spec }, { dryRun: true });
  await untilTrue("the admission policies to be in force", async () => {
    const isFilledIn = (await tried(calicoTypes.globalNetworkPolicies, {})).metadata.labels?.[TIER_LABEL] !== undefined;
    const isKept = await tried(calicoTypes.tiers, { order: 1 }).then(() => false, (error: unknown) => isDatastoreError(error));
    return isFilledIn && isKept;
  }, 30_000);
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
