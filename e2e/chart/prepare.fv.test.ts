/** The chart's hook before Kubernetes' own API server, with no more rights than the chart gives it. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onKubernetes } from "../fv/cluster.ts";
import { writeKubeconfig } from "../lab/kubeconfig.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { bundleOf, nodeBinary } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import { haveHelm, render, type Manifest } from "./helm.ts";
import { typeOf } from "./objects.ts";

const NAMESPACE = "calico-system";
const PORT = 4322;
type Secret = KubeObject & { data?: Record<string, string> };

describe.skipIf(!onKubernetes || !(await haveHelm()))("the chart's hook", () => {
  let lab: Lab;
  let dir: string;
  let objects: Manifest[];
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "chprep-"));
    lab = await startLab({ name: "chprep", octet: 22, dir: join(dir, "lab"), nodes: 1, kubernetes: "api-server" });
    objects = render({ nats: { replicas: 3 } });
    const rights = objects.filter(({ kind, metadata }) => metadata.name === "calico-prepare" && kind !== "Job");
    for (const object of rights) await lab.datastore.patch(typeOf(object), object.metadata, object as KubeObject, { type: "apply", fieldManager: "test", force: true });
  });
  afterAll(() => lab.stop());

  const secrets = async (): Promise<Map<string, Secret>> => {
    const { items } = await lab.datastore.list<Secret>(coreTypes.secrets, { namespace: NAMESPACE });
    return new Map(items.map((secret) => [secret.metadata.name, secret]));
  };

  /** Runs what the Job runs. */
  async function prepare(): Promise<{ status: number | null; stderr: string; stdout: string }> {
    const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: { namespace: NAMESPACE, name: "calico-prepare" }, spec: {} };
    const { status } = await lab.datastore.create<KubeObject & { status?: { token?: string } }>(coreTypes.serviceAccounts, request, { subresource: "token" });
    const kubeconfig = join(dir, "kubeconfig");
    writeKubeconfig(kubeconfig, lab.api.server, join(lab.paths.pki, "ca.crt"), { token: status?.token ?? "", username: "prepare", groups: [], extra: {} });
    const { spec } = objects.find(({ kind }) => kind === "Job") as unknown as { spec: { template: { spec: { containers: { command: string[]; env: { name: string; value?: string }[] }[] } } } };
    const [container] = spec.template.spec.containers;
    if (container === undefined) throw new Error("the Job has a container");
    const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value ?? NAMESPACE]));
    const [, , ...rest] = container.command;
    return spawnSync(nodeBinary, [bundleOf("kube-controllers"), ...rest], { encoding: "utf8", env: { PATH: process.env["PATH"], ...env, KUBECONFIG: kubeconfig } });
  }

  it("makes definitions, certificates and users of NATS, and makes them once", async () => {
    await lab.datastore.delete(coreTypes.secrets, { namespace: NAMESPACE, name: "calicoctl-nats" });
    expect(await prepare()).toMatchObject({ status: 0, stderr: "" });
    const made = await secrets();
    expect([...made.keys()].sort()).toEqual([
      "calico-ca", "calico-nats-bird", "calico-nats-cni", "calico-nats-felix", "calico-nats-ipam", "calico-nats-kube-controllers", "calico-nats-tls", "calico-nats-typha", "calico-nats-users",
      "calico-node-tls", "calico-typha-tls", "calicoctl-nats",
    ]);
    const pools = await lab.datastore.get<KubeObject & { metadata: { managedFields?: { manager: string; operation: string }[] } }>(coreTypes.customResourceDefinitions, { name: "ippools.projectcalico.org" });
    expect(pools.metadata.managedFields?.some(({ manager, operation }) => manager === "calico-chart" && operation === "Apply")).toBe(true);
    expect(await prepare()).toMatchObject({ status: 0, stderr: "" });
    const versions = (map: Map<string, Secret>): unknown => [...map].map(([name, { metadata }]) => [name, metadata.resourceVersion]);
    expect(versions(await secrets())).toEqual(versions(made));
  });

  describe("with the NATS of the chart", () => {
    let server: ChildProcess;
    beforeAll(async () => {
      const text = (await secrets()).get("calico-nats-users");
      const tls = (await secrets()).get("calico-nats-tls");
      const config = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === "calico-nats") as unknown as { data: Record<string, string> };
      const folder = join(dir, "nats");
      mkdirSync(folder);
      const decode = (value: string | undefined): string => Buffer.from(value ?? "", "base64").toString();
      for (const key of ["tls.crt", "tls.key", "ca.crt"]) writeFileSync(join(folder, key), decode(tls?.data?.[key]));
      writeFileSync(join(folder, "users.conf"), decode(text?.data?.["users.conf"]));
      // One of three servers, on ports of its own; the others are not there.
      const own = (config.data["nats.conf"] ?? "").replaceAll("/etc/nats-tls", folder).replace("0.0.0.0:4222", `127.0.0.1:${PORT}`).replace("0.0.0.0:8222", `127.0.0.1:${PORT + 1}`).replace("0.0.0.0:6222", `127.0.0.1:${PORT + 2}`);
      writeFileSync(join(folder, "nats.conf"), own);
      server = spawn("/usr/sbin/nats-server", ["-c", join(folder, "nats.conf")], { env: { POD_NAME: "calico-nats-0" }, stdio: "ignore" });
      await untilTrue("NATS to be healthy", async () => (await fetch(`http://127.0.0.1:${PORT + 1}/healthz`)).ok, 10_000);
    });
    afterAll(async () => {
      const ended = once(server, "exit");
      server.kill();
      await ended;
    });

    /** What NATS refuses to a component that says and hears these. */
    async function refusedTo(component: string, { say, hear }: { say: readonly string[]; hear: readonly string[] }): Promise<string[]> {
      const all = await secrets();
      const decode = (name: string, key: string): string => Buffer.from(all.get(name)?.data?.[key] ?? "", "base64").toString();
      const name = component === "calicoctl" ? "calicoctl-nats" : `calico-nats-${component}`;
      const connection = await connect({
        servers: `127.0.0.1:${PORT}`, user: decode(name, "user"), pass: decode(name, "password"), reconnect: false, tls: { ca: decode("calico-nats-tls", "ca.crt"), ...{ servername: "calico-nats" } },
      });
      const refused: string[] = [];
      const watching = (async () => {
        for await (const event of connection.status()) if (event.type === "error") refused.push(event.error.message);
      })();
      for (const subject of say) connection.publish(subject, "x");
      for (const subject of hear) connection.subscribe(subject, { callback() {} });
      await connection.flush();
      await connection.close();
      await watching;
      return refused.map((text) => /"(?:([^"]+))"/.exec(text)?.[1] ?? text).sort();
    }

    it.each([
      ["felix", { say: ["calico.node.n1.state.felix", "calico.node.n1.policy-applied"], hear: ["calico.query.n1.felix"] }, []],
      ["felix", { say: ["calico.node.n1.state.bird", "calico.finding"], hear: ["calico.query.n1.bird", "calico.>"] }, ["calico.>", "calico.finding", "calico.node.n1.state.bird", "calico.query.n1.bird"]],
      ["typha", { say: ["calico.finding", "calico.node.n1.state.typha"], hear: [] }, []],
      ["calicoctl", { say: ["calico.query.n1.felix"], hear: ["_INBOX.a"] }, []],
      ["calicoctl", { say: ["calico.node.n1.state.felix"], hear: ["calico.node.>"] }, ["calico.node.>", "calico.node.n1.state.felix"]],
    ])("lets %s do what it needs: %o", async (component, what, refused) => {
      expect(await refusedTo(component, what)).toEqual(refused);
    });
  });
});
