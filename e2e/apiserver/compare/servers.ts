/** Both API servers, empty but for the project's definitions: the embedded one, and Kubernetes' own with etcd and its controllers. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { coreTypes, openKubernetesDatastore } from "@calico/datastore";
import { startEmbedded } from "../../lab/api-servers/embedded.ts";
import { startKubernetes } from "../../lab/api-servers/kubernetes.ts";
import { API_PORT } from "../../lab/control-plane.ts";
import { administrator, writeKubeconfig } from "../../lab/kubeconfig.ts";
import { labPaths } from "../../lab/paths.ts";
import { createAuthority } from "../../lab/pki.ts";
import { createSupervisor } from "../../lab/supervisor.ts";
import { MARKER } from "../../lab/sweep.ts";
import { planLab } from "../../lab/topology.ts";
import { untilTrue } from "../../lab/wait.ts";
import { openClient, type Client } from "./client.ts";

/** Each has an address of the loopback to itself: no network is made for this. */
const SERVERS = { embedded: { start: startEmbedded, address: "127.22.0.1" }, kubernetes: { start: startKubernetes, address: "127.22.0.2" } } as const;
const READY_TIMEOUT_MS = 60_000;

export type Servers = { readonly embedded: Client; readonly kubernetes: Client; readonly kubeconfigs: Readonly<Record<keyof typeof SERVERS, string>>; stop(): Promise<void> };

/** Starts both under a lab's name; resolves when they answer and know the project's kinds. */
export async function startServers(name: string): Promise<Servers> {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  const supervisor = createSupervisor(() => undefined);
  const clients: Client[] = [];
  async function stop(): Promise<void> {
    for (const client of clients) client.close();
    await supervisor.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }

  async function start(which: keyof typeof SERVERS): Promise<{ client: Client; kubeconfig: string }> {
    const { start: startServer, address } = SERVERS[which];
    const paths = labPaths(join(folder, which));
    for (const dir of [paths.logs, paths.config]) mkdirSync(dir, { recursive: true, mode: 0o700 });
    const plan = { ...planLab({ name, octet: 22, nodeCount: 1, subnetCount: 1 }), controlAddress: address };
    const authority = await createAuthority(paths.pki, new Date());
    const admin = administrator();
    const url = `https://${address}:${API_PORT}`;
    writeKubeconfig(paths.kubeconfig, url, authority.caFile, admin);
    const api = await startServer({ plan, paths, authority, supervisor: named(supervisor, which), accounts: [], admin, env: { PATH: process.env["PATH"] ?? "", [MARKER]: name }, onProgress: () => undefined });
    const datastore = openKubernetesDatastore({ kubeconfig: paths.kubeconfig, userAgent: "compare" });
    try {
      await untilTrue(`${which} to answer`, () => datastore.get(coreTypes.namespaces, { name: "default" }).then(() => true), READY_TIMEOUT_MS);
      // The project's roles are bound in its namespace.
      await datastore.create(coreTypes.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "calico-system" } });
      await api.identify(datastore);
    } finally {
      datastore.close();
    }
    const client = openClient({ url, caFile: authority.caFile, token: admin.token });
    clients.push(client);
    return { client, kubeconfig: paths.kubeconfig };
  }

  try {
    const [embedded, kubernetes] = await Promise.all([start("embedded"), start("kubernetes")]);
    return { embedded: embedded.client, kubernetes: kubernetes.client, kubeconfigs: { embedded: embedded.kubeconfig, kubernetes: kubernetes.kubeconfig }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Both servers call a process "apiserver"; the supervisor tells them apart. */
function named(supervisor: ReturnType<typeof createSupervisor>, which: string): ReturnType<typeof createSupervisor> {
  return { ...supervisor, start: (spec) => supervisor.start({ ...spec, id: `${which}-${spec.id}` }) };
}
