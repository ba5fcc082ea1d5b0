/** A cluster from nothing to policies, as somebody who installs the chart for the first time sees it. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { calicoImages } from "../lab/cluster/calico-images.ts";
import { labImage } from "../lab/cluster/lab-images.ts";
import { helm, installRelease, labValues, NAMESPACE, RELEASE } from "../lab/cluster/release.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { patientSeconds } from "../lab/patience.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { untilTrue } from "../lab/wait.ts";
import { endLab } from "../fv/cluster.ts";
import { chartFolder } from "../chart/helm.ts";
import { apply, clusterOf, kubectl, kubectlOk, readyNodes, untilAllReady, untilRolledOut } from "./tools.ts";
import { daemonSet, deployment, namespace, service } from "./workloads.ts";

const POOL = /^10\.65\.\d+\.\d+$/;

describe.skipIf(!hasKubernetes())("helm install on a real cluster", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "e2ein", octet: 18, dir: mkdtempSync(join(tmpdir(), "e2ein-")), nodes: 3, kubernetes: "cluster", cluster: { values: null } });
    await clusterOf(lab).importImages([await calicoImages(() => undefined), await labImage("agnhost")]);
  });
  // Roles go before the components that are being uninstalled: what was refused then says nothing.
  afterAll(async () => expect(await endLab(lab)).toEqual([]));

  const values = (): object => labValues(lab.plan.controlAddress);
  const install = (): Promise<void> => installRelease(clusterOf(lab).helm, lab.paths.config, values());
  const podsOf = async (ns: string): Promise<{ name: string; ip: string; node: string }[]> => {
    const { items } = JSON.parse(await kubectlOk(lab, ["get", "pods", "-n", ns, "-o", "json"])) as { items: { metadata: { name: string }; status: { podIP?: string }; spec: { nodeName: string } }[] };
    return items.map(({ metadata, status, spec }) => ({ name: metadata.name, ip: status.podIP ?? "", node: spec.nodeName }));
  };

  it("before it, nodes are not Ready and say why", async () => {
    expect(await readyNodes(lab)).toEqual([]);
    expect(await kubectlOk(lab, ["get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].message}`])).toContain("cni plugin not initialized");
  });

  it("makes all nodes Ready", async () => {
    await install();
    await untilAllReady(lab);
    expect(await readyNodes(lab)).toEqual(["node-1", "node-2", "node-3"]);
    expect(await helm(clusterOf(lab).helm, "get", "notes", RELEASE, "-n", NAMESPACE)).toContain("calico");
  });

  it("leaves the objects that people expect to find", async () => {
    const names = async (kind: string): Promise<string[]> => (await kubectlOk(lab, ["get", kind, "-o", "name"])).trim().split("\n").map((name) => name.split("/")[1] ?? "").sort();
    for (const kind of ["felixconfigurations", "bgpconfigurations", "kubecontrollersconfigurations", "clusterinformations"]) expect([kind, await names(kind)]).toEqual([kind, ["default"]]);
    expect(await names("tiers")).toEqual(["default", "kube-admin", "kube-baseline"]);
    expect(await kubectlOk(lab, ["get", "ippools", "-o", "jsonpath={.items[*].spec.cidr}"])).toBe("10.65.0.0/16");
  });

  it("Deployments and DaemonSets get addresses, on every node", async () => {
    await apply(lab, namespace("first"), deployment("first", "web", 4), service("first", "web"), daemonSet("first", "agent"), deployment("first", "client", 1));
    for (const target of ["deployment/web", "deployment/client", "daemonset/agent"]) await untilRolledOut(lab, "first", target);
    const pods = await podsOf("first");
    expect(pods.filter(({ ip }) => !POOL.test(ip))).toEqual([]);
    expect(new Set(pods.map(({ ip }) => ip)).size).toBe(8);
    expect([...new Set(pods.filter(({ name }) => name.startsWith("agent")).map(({ node }) => node))].sort()).toEqual(["node-1", "node-2", "node-3"]);
  });

  it("kubectl exec and logs work", async () => {
    expect(await kubectlOk(lab, ["exec", "-n", "first", "deployment/client", "--", "hostname"])).toMatch(/^client-/);
    expect(await kubectlOk(lab, ["logs", "-n", "first", "deployment/web"])).toContain("HTTP server");
  });

  it("Services and their names work across nodes", async () => {
    const answers = new Set<string>();
    await untilTrue("every pod of the Service to have answered", async () => {
      answers.add(await kubectlOk(lab, ["exec", "-n", "first", "deployment/client", "--", "curl", "-s", "--max-time", "2", "http://web.first.svc.cluster.local/hostname"]));
      return answers.size === 4;
    }, 60_000);
    expect([...answers].sort()).toEqual((await podsOf("first")).map(({ name }) => name).filter((name) => name.startsWith("web")).sort());
  });

  it("NetworkPolicies take effect, by name and by Service", async () => {
    const ask = async (): Promise<boolean> => (await kubectl(lab, ["exec", "-n", "first", "deployment/client", "--", "curl", "-s", "--max-time", "1", "http://web.first/hostname"])).status === 0;
    const policy = (name: string, spec: object): object => ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "first", name }, spec });
    await apply(lab, policy("deny", { podSelector: { matchLabels: { app: "web" } }, policyTypes: ["Ingress"] }));
    await untilTrue("the Service to be closed", async () => !(await ask()), 15_000);
    // Kubernetes' probes come from the node, and are always let in.
    expect(await kubectlOk(lab, ["get", "pods", "-n", "first", "-l", "app=web", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`])).toBe("True True True True");
    await apply(lab, policy("allow", { podSelector: { matchLabels: { app: "web" } }, ingress: [{ from: [{ podSelector: { matchLabels: { app: "client" } } }], ports: [{ port: "http" }] }] }));
    await untilTrue("the Service to be open", ask, 15_000);
    await kubectlOk(lab, ["delete", "networkpolicy", "-n", "first", "--all"]);
  });

  it("a GlobalNetworkPolicy with a field that is not there is refused by kubectl", async () => {
    const { status, stderr } = await kubectl(lab, ["apply", "-f", "-"], [{ apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkPolicy", metadata: { name: "typo" }, spec: { selectr: "all()" } }]);
    expect([status, stderr]).toEqual([1, expect.stringContaining('unknown field "selectr"') as string]);
  });

  it("30 pods on one node run, and their addresses come back", async () => {
    const crowd = deployment("first", "crowd", 30, "server") as { spec: { template: { spec: Record<string, unknown> } } };
    crowd.spec.template.spec["nodeSelector"] = { "kubernetes.io/hostname": "node-2" };
    const used = async (): Promise<number> => (await podsOf("first")).length;
    const before = await used();
    await apply(lab, crowd);
    await untilRolledOut(lab, "first", "deployment/crowd", 120);
    const crowded = (await podsOf("first")).filter(({ name }) => name.startsWith("crowd"));
    expect([crowded.length, new Set(crowded.map(({ ip }) => ip)).size, new Set(crowded.map(({ node }) => node))]).toEqual([30, 30, new Set(["node-2"])]);
    await kubectlOk(lab, ["delete", "deployment", "-n", "first", "crowd"]);
    await untilTrue("the crowd to be gone", async () => (await used()) === before, 60_000);
    const blocks = await kubectlOk(lab, ["get", "ipamblocks", "-o", "json"]);
    await untilTrue("their addresses to be free", async () => !(await kubectlOk(lab, ["get", "ipamblocks", "-o", "json"])).includes("crowd"), 30_000);
    expect(blocks).toContain("IPAMBlock");
  });

  it("a second release, or the same one beside itself, is refused", async () => {
    const again = helm(clusterOf(lab).helm, "install", "another", chartFolder, "--namespace", NAMESPACE);
    await expect(again).rejects.toThrow(/exists|another/i);
  });

  it("uninstall leaves running pods connected; a new install takes them over", async () => {
    await apply(lab, deployment("first", "steady", 3, "server"));
    await untilRolledOut(lab, "first", "deployment/steady");
    const steady = [...lab.pods().values()].filter(({ view }) => view.name.startsWith("steady"));
    const reached = async (): Promise<boolean[]> => Promise.all(steady.map(async ({ view }, index) => (await lab.probe(view.key, steady[(index + 1) % steady.length]?.addresses[0] ?? "", DEMO_PORT)).reached));
    expect(await reached()).toEqual([true, true, true]);
    await helm(clusterOf(lab).helm, "uninstall", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", patientSeconds(60));
    expect(await kubectlOk(lab, ["get", "crd", "ippools.projectcalico.org", "-o", "name"])).toContain("ippools");
    await install();
    await untilAllReady(lab);
    await untilTrue("the pods to reach each other", async () => (await reached()).every(Boolean), 30_000);
    await kubectlOk(lab, ["delete", "pods", "-n", "first", "-l", "app=steady", "--wait=false"]);
    await untilRolledOut(lab, "first", "deployment/steady");
  });
});
