/**
 * The control plane that stands behind a lab. The embedded one is an API server and a NATS server on
 * the machine's end of the fabric; another kind of cluster takes the place of this module behind the
 * same `ControlPlane`.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeObject } from "@calico/datastore";
import type { Identity } from "./kubeconfig.ts";
import { administrator, serviceAccount, writeKubeconfig } from "./kubeconfig.ts";
import { nodeBinary, repositoryRoot, type LabPaths } from "./paths.ts";
import type { Authority } from "./pki.ts";
import { MARKER } from "./sweep.ts";
import type { Supervisor } from "./supervisor.ts";
import type { LabPlan } from "./topology.ts";

export const API_PORT = 6443;
export const NATS_PORT = 4222;

export type ControlPlane = {
  readonly server: string;
  /** Kubeconfig of the one who runs the lab. */
  readonly kubeconfig: string;
  /** Unix socket of the fault switch. */
  readonly faultSocket: string;
  readonly natsUrl: string;
  /** Tells calicoctl where NATS is and who it is there. */
  readonly natsSecret: KubeObject;
  /** Kubeconfig and token file of a component, on a node where it runs on one. */
  identityOf(component: string, node?: string): { readonly kubeconfig: string; readonly tokenFile: string; readonly natsUser: string; readonly natsPassword: string };
};

/** Components that run on every node, and the ServiceAccount of each. */
const NODE_ACCOUNTS: Record<string, string> = { felix: "calico-node", bird: "calico-bird", ipam: "calico-ipam", cni: "calico-cni" };
const CLUSTER_ACCOUNTS: Record<string, string> = { typha: "calico-typha", "kube-controllers": "calico-kube-controllers" };

type Account = { readonly component: string; readonly node: string | undefined; readonly identity: Identity };

/** Starts the API server and NATS; both are ready to be asked when the processes answer. */
export async function startEmbeddedControlPlane(options: { plan: LabPlan; paths: LabPaths; authority: Authority; supervisor: Supervisor }): Promise<ControlPlane> {
  const { plan, paths, authority, supervisor } = options;
  mkdirSync(paths.config, { recursive: true, mode: 0o700 });
  const server = `https://${plan.controlAddress}:${API_PORT}`;
  const admin = administrator();
  const accounts: Account[] = [
    ...Object.entries(CLUSTER_ACCOUNTS).map(([component, name]) => ({ component, node: undefined, identity: serviceAccount(name) })),
    ...plan.nodes.flatMap((node) => Object.entries(NODE_ACCOUNTS).map(([component, name]) => ({ component, node: node.name, identity: serviceAccount(name, node.name) }))),
  ];
  const fileOf = (kind: string, component: string, node?: string): string => join(paths.config, `${component}${node ? `@${node}` : ""}.${kind}`);
  for (const { component, node, identity } of accounts) {
    writeKubeconfig(fileOf("kubeconfig", component, node), server, authority.caFile, identity);
    writeFileSync(fileOf("token", component, node), identity.token, { mode: 0o600 });
  }
  writeKubeconfig(paths.kubeconfig, server, authority.caFile, admin);

  const tokenFile = join(paths.config, "tokens.json");
  writeFileSync(tokenFile, JSON.stringify([admin, ...accounts.map((account) => account.identity)]), { mode: 0o600 });
  const apiCertificate = await authority.issue("apiserver", { commonName: "kube-apiserver", ip: [plan.controlAddress, "127.0.0.1"] });
  const faultSocket = join(paths.dir, "faults.sock");
  const env = { PATH: process.env["PATH"] ?? "", [MARKER]: plan.name };
  supervisor.start({
    id: "apiserver",
    command: [
      nodeBinary, "--disable-warning=ExperimentalWarning", join(repositoryRoot, "e2e", "apiserver", "main.ts"),
      "--host", plan.controlAddress, "--port", String(API_PORT),
      "--tls-cert", apiCertificate.cert, "--tls-key", apiCertificate.key,
      "--token-file", tokenFile, "--crds", join(repositoryRoot, "charts", "calico", "crds"), "--fault-socket", faultSocket,
    ],
    env,
    logFile: join(paths.logs, "apiserver.log"),
  });

  const natsCertificate = await authority.issue("nats", { commonName: "nats", ip: [plan.controlAddress] });
  const natsConfig = join(paths.config, "nats.conf");
  const natsUrl = `tls://${plan.controlAddress}:${NATS_PORT}`;
  const asker: NatsUser = { user: "calicoctl", password: randomBytes(24).toString("base64url"), permissions: { publish: ["calico.query.>"], subscribe: ["_INBOX.>"] } };
  writeFileSync(natsConfig, renderNatsConfig(plan, [...accounts.map(natsUser), asker], natsCertificate), { mode: 0o600 });
  supervisor.start({ id: "nats", command: ["/usr/sbin/nats-server", "-c", natsConfig], env, logFile: join(paths.logs, "nats.log") });

  return {
    server,
    kubeconfig: paths.kubeconfig,
    faultSocket,
    natsUrl,
    natsSecret: secret("calicoctl-nats", { url: natsUrl, user: asker.user, password: asker.password, "ca.crt": readFileSync(natsCertificate.ca, "utf8") }),
    identityOf(component, node) {
      const account = accounts.find((candidate) => candidate.component === component && candidate.node === node);
      if (!account) throw new Error(`${component}${node ? ` on ${node}` : ""} has no account in this lab`);
      return { kubeconfig: fileOf("kubeconfig", component, node), tokenFile: fileOf("token", component, node), natsUser: natsUserOf(account), natsPassword: account.identity.token };
    },
  };
}

const natsUserOf = (account: Account): string => (account.node ? `${account.component}@${account.node}` : account.component);

type NatsUser = { readonly user: string; readonly password: string; readonly permissions: { readonly publish: readonly string[]; readonly subscribe: readonly string[] } };

/** Each node may speak for itself alone; what serves the cluster may ask and hear everything. */
function natsUser(account: Account): NatsUser {
  const publish = account.node ? [`calico.node.${account.node}.>`, "_INBOX.>"] : ["calico.>", "_INBOX.>"];
  const subscribe = account.node ? [`calico.query.${account.node}.>`, "_INBOX.>"] : ["calico.>", "_INBOX.>"];
  return { user: natsUserOf(account), password: account.identity.token, permissions: { publish, subscribe } };
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
