/** An API server inside the test, with the project's definitions, and a datastore that talks to it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKubernetesDatastore, type KubernetesDatastore } from "@calico/datastore";
import { crdManifests } from "@calico/model/resources";
import { checkCalico } from "./calico-check.ts";
import { startApiServer, type ApiServer, type ApiServerOptions } from "./server.ts";

export type TestCluster = AsyncDisposable & { readonly server: ApiServer; readonly kubeconfig: string; readonly datastore: KubernetesDatastore; open(): KubernetesDatastore };

export async function startTestCluster(options: Partial<ApiServerOptions> = {}): Promise<TestCluster> {
  const server = await startApiServer({ host: "127.0.0.1", port: 0, crds: crdManifests().map((manifest) => ({ ...manifest })), check: checkCalico, ...options });
  const directory = mkdtempSync(join(tmpdir(), "apiserver-"));
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(kubeconfig, JSON.stringify({
    apiVersion: "v1", kind: "Config", "current-context": "c", clusters: [{ name: "c", cluster: { server: server.url } }], users: [{ name: "u", user: { token: "t" } }], contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
  }));
  const opened: KubernetesDatastore[] = [];
  const open = (): KubernetesDatastore => {
    const datastore = openKubernetesDatastore({ kubeconfig, userAgent: "test" });
    opened.push(datastore);
    return datastore;
  };
  return {
    server, kubeconfig, open, datastore: open(),
    async [Symbol.asyncDispose]() {
      for (const datastore of opened) datastore.close();
      await server.close();
      rmSync(directory, { recursive: true });
    },
  };
}
