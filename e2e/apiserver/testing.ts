/** An API server inside the test, with the project's definitions, and a datastore that talks to it. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openKubernetesDatastore, type KubernetesDatastore } from "@calico/datastore";
import { crdManifests } from "@calico/model/resources";
import { runProgram, type Ended } from "../lab/run-program.ts";
import { calicoPolicies, checkCalico } from "./calico-check.ts";
import { startApiServer, type ApiServer, type ApiServerOptions } from "./server.ts";

export type TestCluster = AsyncDisposable & { readonly server: ApiServer; readonly kubeconfig: string; readonly datastore: KubernetesDatastore; open(): KubernetesDatastore };

export async function startTestCluster(options: Partial<ApiServerOptions> = {}): Promise<TestCluster> {
  const server = await startApiServer({ host: "127.0.0.1", port: 0, crds: crdManifests().map((manifest) => ({ ...manifest })), check: checkCalico, policies: calicoPolicies, ...options });
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

/** False: tests that need kubectl are skipped, by name. */
export const hasKubectl = Number(/v1\.(\d+)/.exec(spawnSync("kubectl", ["version", "--client"], { encoding: "utf8" }).stdout)?.[1] ?? 0) >= 27;

/** Runs kubectl; `input` is what `-f -` reads. */
export const runKubectl = (kubeconfig: string, args: readonly string[], input?: object, env: Record<string, string> = {}): Promise<Ended> =>
  runProgram(["kubectl", "--kubeconfig", kubeconfig, ...args], { input: input === undefined ? "" : JSON.stringify(input), env: { ...process.env, ...env }, timeoutMs: 15_000 });
