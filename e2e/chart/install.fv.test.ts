/** helm itself before Kubernetes' own API server. Nothing runs there: what counts is what helm says, makes and leaves. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { coreTypes, type KubeObject, type ResourceType } from "@calico/datastore";
import { crdManifests } from "@calico/model/resources";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onKubernetes } from "../fv/cluster.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { haveHelm, chartFolder, helm, type Rendering, type Values } from "./helm.ts";

const daemonSets: ResourceType = { group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets", namespaced: true };
const NAMESPACE = "calico-system";
const POOL = "10.244.0.0/16";
const pools = (...cidrs: readonly string[]): Values => ({ installation: { calicoNetwork: { ipPools: cidrs.map((cidr) => ({ cidr })) } } });

describe.skipIf(!onKubernetes || !(await haveHelm()))("helm before Kubernetes' own API server", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "chinst", octet: 22, dir: mkdtempSync(join(tmpdir(), "chinst-")), nodes: 1, kubernetes: "api-server" });
  });
  afterAll(() => lab.stop());

  /** The lab has made the chart's roles already, so they are taken over; no kubelet runs the hook. */
  const run = (verb: string, values: Values, ...flags: readonly string[]): Rendering =>
    helm([verb, "calico", chartFolder, "--kubeconfig", lab.paths.kubeconfig, "--namespace", NAMESPACE, "--no-hooks", "--take-ownership", ...flags], values);
  const daemonSetNames = async (): Promise<string[]> => (await lab.datastore.list<KubeObject>(daemonSets, { namespace: NAMESPACE })).items.map(({ metadata }) => metadata.name).sort();

  it("refuses pools that have the address of a node or of a Service", () => {
    const { status, stderr } = run("install", pools("172.22.0.0/16", "10.96.0.0/12"));
    expect(status).toBe(1);
    expect(stderr).toContain(`installation.calicoNetwork.ipPools[0].cidr: 172.22.0.0/16 has ${lab.plan.nodes[0]?.address ?? ""}, the address of the node node-1`);
    expect(stderr).toContain("installation.calicoNetwork.ipPools[1].cidr: 10.96.0.0/12 has 10.96.0.1, the address of the Service default/kubernetes");
  });

  it("refuses modes whose APIs or Secrets are missing", () => {
    expect(run("install", { ...pools(POOL), certificates: { mode: "cert-manager" } }).stderr).toContain("certificates.mode: cert-manager is not in this cluster");
    expect(run("install", { ...pools(POOL), certificates: { mode: "secrets", secrets: { node: "mine" } } }).stderr).toContain("certificates.secrets: the Secret calico-system/mine is missing or has no ca.crt");
    expect(run("install", { ...pools(POOL), metrics: { serviceMonitor: { enabled: true } } }).stderr).toContain("metrics.serviceMonitor.enabled: the Prometheus operator is not in this cluster");
  });

  it("installs, and says what was asked for and what to try next", async () => {
    const { status, stdout, stderr } = run("install", pools(POOL));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain("pool 10.244.0.0/16, encapsulation None");
    expect(stdout).toContain("kubectl -n calico-system rollout status daemonset/calico-cni");
    expect(await daemonSetNames()).toEqual(["calico-bird", "calico-cni", "calico-ipam", "calico-node"]);
  });

  it("changes with an upgrade only what the values change", async () => {
    const generations = async (): Promise<unknown> =>
      Object.fromEntries((await lab.datastore.list<KubeObject & { metadata: { generation?: number } }>(daemonSets, { namespace: NAMESPACE })).items.map(({ metadata }) => [metadata.name, metadata.generation]));
    expect(run("upgrade", { ...pools(POOL), felix: { extraEnv: [{ name: "FELIX_LOGPREFIX", value: "x" }] } }).status).toBe(0);
    expect(await generations()).toEqual({ "calico-bird": 1, "calico-cni": 1, "calico-ipam": 1, "calico-node": 2 });
    expect(run("upgrade", { installation: { calicoNetwork: { bgp: "Disabled", ipPools: [{ cidr: POOL, encapsulation: "VXLAN" }] } } }).status).toBe(0);
    expect(await daemonSetNames()).toEqual(["calico-cni", "calico-ipam", "calico-node"]);
  });

  it("refuses a second release", () => {
    const { status, stderr } = helm(["install", "second", chartFolder, "--kubeconfig", lab.paths.kubeconfig, "--namespace", "elsewhere", "--create-namespace", "--no-hooks"], pools("10.245.0.0/16"));
    expect(status).toBe(1);
    expect(stderr).toContain("Calico is installed already, in namespace calico-system; a cluster has one. Upgrade that release: helm upgrade -n calico-system");
  });

  it("leaves definitions and their objects behind when it is uninstalled", async () => {
    expect(helm(["uninstall", "calico", "--kubeconfig", lab.paths.kubeconfig, "--namespace", NAMESPACE, "--no-hooks"])).toMatchObject({ status: 0, stderr: "" });
    expect(await daemonSetNames()).toEqual([]);
    const { items } = await lab.datastore.list<KubeObject>(coreTypes.customResourceDefinitions);
    expect(items.filter(({ metadata }) => metadata.name.endsWith(".projectcalico.org"))).toHaveLength(crdManifests().length);
  });
});
