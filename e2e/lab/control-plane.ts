/**
 * The control plane that stands behind a lab: an API server, of which there are two kinds, and a NATS
 * server, on the machine's end of the fabric.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Datastore, KubeObject } from "@calico/datastore";
import { startEmbedded } from "./api-servers/embedded.ts";
import { startKubernetes } from "./api-servers/kubernetes.ts";
import { administrator, writeKubeconfig, type Account, type Identity } from "./kubeconfig.ts";
import type { LabPaths } from "./paths.ts";
import type { Authority } from "./pki.ts";
import { MARKER } from "./sweep.ts";
import type { Supervisor } from "./supervisor.ts";
import type { LabPlan } from "./topology.ts";

export const API_PORT = 6443;
export const NATS_PORT = 4222;

/** How the API server of a lab is reached. */
export type ApiAccess = {
  readonly server: string;
  /** Kubeconfig of the one who runs the lab. */
  readonly kubeconfig: string;
  /** Unix socket of the fault switch; null: this API server cannot be told to misbehave. */
  readonly faultSocket: string | null;
};

export type ControlPlane = ApiAccess & {
  readonly natsUrl: string;
  /** Tells calicoctl where NATS is and who it is there. */
  readonly natsSecret: KubeObject;
  /** Makes the definitions and gives every component its identity; the server answers and the nodes are registered. */
  admit(datastore: Datastore): Promise<void>;
  /** Kubeconfig and token file of a component, on a node where it runs on one. */
  identityOf(component: string, node?: string): { readonly kubeconfig: string; readonly tokenFile: string; readonly natsUser: string; readonly natsPassword: string };
};

/** What one kind of API server does for a control plane. */
export type ApiServer = { readonly faultSocket: string | null; identify(datastore: Datastore): Promise<ReadonlyMap<Account, Identity>> };

export type ApiServerOptions = {
  readonly plan: LabPlan;
  readonly paths: LabPaths;
  readonly authority: Authority;
  readonly supervisor: Supervisor;
  readonly accounts: readonly Account[];
  readonly admin: Identity;
  /** Environment of its processes. */
  readonly env: Readonly<Record<string, string>>;
  readonly onProgress: (line: string) => void;
};

/** Components that run on every node, and the ServiceAccount of each. */
const NODE_ACCOUNTS: Record<string, string> = { felix: "calico-node", bird: "calico-bird", ipam: "calico-ipam", cni: "calico-cni" };
const CLUSTER_ACCOUNTS: Record<string, string> = { typha: "calico-typha", "kube-controllers": "calico-kube-controllers" };

/** Starts the API server and NATS; both are ready to be asked when the processes answer. */
export async function startControlPlane(options: { plan: LabPlan; paths: LabPaths; authority: Authority; supervisor: Supervisor; kubernetes: boolean; onProgress: (line: string) => void }): Promise<ControlPlane> {
  const { plan, paths, authority, supervisor, kubernetes, onProgress } = options;
  mkdirSync(paths.config, { recursive: true, mode: 0o700 });
  const server = `https://${plan.controlAddress}:${API_PORT}`;
  const admin = administrator();
  const accounts: Account[] = [
    ...Object.entries(CLUSTER_ACCOUNTS).map(([component, name]) => ({ component, node: undefined, name })),
    ...plan.nodes.flatMap((node) => Object.entries(NODE_ACCOUNTS).map(([component, name]) => ({ component, node: node.name, name }))),
  ];
  const fileOf = (kind: string, { component, node }: Pick<Account, "component" | "node">): string => join(paths.config, `${component}${node ? `@${node}` : ""}.${kind}`);
  writeKubeconfig(paths.kubeconfig, server, authority.caFile, admin);
  const env = { PATH: process.env["PATH"] ?? "", [MARKER]: plan.name };
  const api = await (kubernetes ? startKubernetes : startEmbedded)({ plan, paths, authority, supervisor, accounts, admin, env, onProgress });

  const passwords = new Map(accounts.map((account) => [account, randomBytes(24).toString("base64url")]));
  const natsCertificate = await authority.issue("nats", { commonName: "nats", ip: [plan.controlAddress] });
  const natsConfig = join(paths.config, "nats.conf");
  const natsUrl = `tls://${plan.controlAddress}:${NATS_PORT}`;
  const asker: NatsUser = { user: "calicoctl", password: randomBytes(24).toString("base64url"), permissions: { publish: ["calico.query.>"], subscribe: ["_INBOX.>"] } };
  writeFileSync(natsConfig, renderNatsConfig(plan, [...[...passwords].map(([account, password]) => natsUser(account, password)), asker], natsCertificate), { mode: 0o600 });
  supervisor.start({ id: "nats", command: () => ["/usr/sbin/nats-server", "-c", natsConfig], env, logFile: join(paths.logs, "nats.log") });

  return {
    server,
    kubeconfig: paths.kubeconfig,
    faultSocket: api.faultSocket,
    natsUrl,
    natsSecret: secret("calicoctl-nats", { url: natsUrl, user: asker.user, password: asker.password, "ca.crt": readFileSync(natsCertificate.ca, "utf8") }),
    async admit(datastore) {
      for (const [account, identity] of await api.identify(datastore)) {
        writeKubeconfig(fileOf("kubeconfig", account), server, authority.caFile, identity);
        writeFileSync(fileOf("token", account), identity.token, { mode: 0o600 });
      }
    },
    identityOf(component, node) {
      const account = accounts.find((candidate) => candidate.component === component && candidate.node === node);
      if (!account) throw new Error(`${component}${node ? ` on ${node}` : ""} has no account in this lab`);
      return { kubeconfig: fileOf("kubeconfig", account), tokenFile: fileOf("token", account), natsUser: natsUserOf(account), natsPassword: passwords.get(account) ?? "" };
    },
  };
}

const natsUserOf = (account: Account): string => (account.node ? `${account.component}@${account.node}` : account.component);

type NatsUser = { readonly user: string; readonly password: string; readonly permissions: { readonly publish: readonly string[]; readonly subscribe: readonly string[] } };

/** Each node may speak for itself alone; what serves the cluster may ask and hear everything. */
function natsUser(account: Account, password: string): NatsUser {
  const publish = account.node ? [`calico.node.${account.node}.>`, "_INBOX.>"] : ["calico.>", "_INBOX.>"];
  const subscribe = account.node ? [`calico.query.${account.node}.>`, "_INBOX.>"] : ["calico.>", "_INBOX.>"];
  return { user: natsUserOf(account), password, permissions: { publish, subscribe } };
}

function renderNatsConfig(plan: LabPlan, users: readonly NatsUser[], certificate: { cert: string; key: string; ca: string }): string {
  return `${JSON.stringify({
    listen: `${plan.controlAddress}:${NATS_PORT}`,
    write_deadline: "2s",
    max_pending: 8_388_608,
    tls: { cert_file: certificate.cert, key_file: certificate.key, ca_file: certificate.ca },
    authorization: { users },
  }, null, 2)}\n`;
}

function secret(name: string, values: Readonly<Record<string, string>>): KubeObject {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")]));
  return { apiVersion: "v1", kind: "Secret", metadata: { namespace: "calico-system", name }, type: "Opaque", data } as KubeObject;
}
