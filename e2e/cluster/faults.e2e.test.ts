/** What is wrong around a cluster: it is told with the cure, pods go on, and everything mends itself when the cause is gone. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { helm, installRelease, labValues, NAMESPACE, RELEASE } from "../lab/cluster/release.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { patientSeconds } from "../lab/patience.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { untilTrue } from "../lab/wait.ts";
import { endLab, run } from "../fv/cluster.ts";
import { apply, clusterOf, kubectl, kubectlOk, startTraffic, untilAllReady, untilRolledOut } from "./tools.ts";
import { deployment, namespace, podOn } from "./workloads.ts";

const CNI_HEALTH = "http://localhost:9096/readiness";

describe.skipIf(!hasKubernetes())("a cluster around which something is wrong", () => {
  let lab: Lab;
  let host: NodeHost;
  beforeAll(async () => {
    lab = await startLab({ name: "e2efa", octet: 16, dir: mkdtempSync(join(tmpdir(), "e2efa-")), nodes: 2, kubernetes: "cluster" });
    host = lab.hosts[0] as NodeHost;
    await apply(lab, namespace("ops"), podOn("node-1", "ops", "on-1"), podOn("node-2", "ops", "on-2"));
    await lab.untilRunning(["ops/on-1", "ops/on-2"]);
    await untilTrue("the pods to reach each other", async () => (await lab.probe("ops/on-1", "ops/on-2", DEMO_PORT)).reached, 20_000);
  });
  // An API server that has just started refuses until it knows the roles: what was refused then says nothing.
  afterAll(async () => expect(await endLab(lab)).toEqual([]));

  const reached = async (): Promise<boolean> => (await lab.probe("ops/on-1", "ops/on-2", DEMO_PORT)).reached;
  const health = (): string => run(lab, "node/node-1", "curl", "-s", "--max-time", "2", CNI_HEALTH);
  const untilWell = (): Promise<void> => untilTrue(() => `the cni service of node-1 to be well: ${health()}`, async () => run(lab, "node/node-1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", CNI_HEALTH) === "200", 30_000);
  const logOf = async (app: string): Promise<string> => kubectlOk(lab, ["logs", "-n", NAMESPACE, await podOf(app), "--since=60s"]);
  const podOf = async (app: string): Promise<string> => (await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-l", `k8s-app=${app}`, "--field-selector", "spec.nodeName=node-1", "-o", "name"])).trim();
  /** Nothing is lost between the pods while something is done, and nothing of the strangers passes. */
  async function undisturbed(action: () => Promise<unknown>, strangers: Parameters<typeof startTraffic>[1] = []): Promise<void> {
    const traffic = startTraffic(lab, [["ops/on-1", "ops/on-2"], ["ops/on-2", "ops/on-1"]], DEMO_PORT);
    const unwanted = startTraffic(lab, strangers, DEMO_PORT);
    const failure: unknown = await action().then(() => null, (error: unknown) => error);
    const { lost } = await traffic.stop();
    const { sent, lost: refused } = await unwanted.stop();
    if (failure !== null) throw failure;
    expect({ lost, passed: sent - refused.length }).toEqual({ lost: [], passed: 0 });
  }

  it("NATS gone: policy is changed and enforced all the same; status comes back with it", async () => {
    const deny = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "ops", name: "deny" }, spec: { podSelector: { matchLabels: { app: "on-2" } }, policyTypes: ["Ingress"] } };
    await kubectlOk(lab, ["scale", "-n", NAMESPACE, "statefulset/calico-nats", "--replicas=0"]);
    await untilTrue("NATS to be gone", async () => (await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-l", "k8s-app=calico-nats", "-o", "name"])) === "", 60_000);
    await apply(lab, deny);
    await untilTrue("the policy to be in force", async () => !(await reached()), 15_000);
    await kubectlOk(lab, ["delete", "networkpolicy", "-n", "ops", "deny"]);
    await untilTrue("the policy to be gone", reached, 15_000);
    await undisturbed(async () => {
      await kubectlOk(lab, ["scale", "-n", NAMESPACE, "statefulset/calico-nats", "--replicas=1"]);
      await untilRolledOut(lab, NAMESPACE, "statefulset/calico-nats");
    });
  });

  it("another plugin's configuration before ours is named, and is no matter once it is removed", async () => {
    const file = join(host.dir, "etc-cni", "net.d", "05-flannel.conflist");
    writeFileSync(file, JSON.stringify({ cniVersion: "0.3.1", name: "cbr0", plugins: [{ type: "flannel" }] }));
    try {
      await untilTrue("the file to be named in the log", async () => (await logOf("calico-cni")).includes("05-flannel.conflist"), 30_000);
    } finally {
      rmSync(file);
    }
    await untilWell();
  });

  it("a folder of the runtime that cannot be written is named, and used once it can be", async () => {
    const folder = join(host.dir, "etc-cni", "net.d");
    rmSync(join(folder, "10-calico.conflist"));
    run(lab, "node/node-1", "chattr", "+i", folder);
    try {
      await kubectlOk(lab, ["delete", "-n", NAMESPACE, await podOf("calico-cni"), `--timeout=${patientSeconds(60)}`]);
      await untilTrue(() => `the folder to be named in ${health()}`, async () => /\/etc\/cni\/net\.d.*(EPERM|not permitted)|(EPERM|not permitted).*\/etc\/cni\/net\.d/.test(health()), 60_000);
    } finally {
      run(lab, "node/node-1", "chattr", "-i", folder);
    }
    await untilRolledOut(lab, NAMESPACE, "daemonset/calico-cni");
    await untilWell();
  });

  it("an image that cannot be had: the upgrade fails, pods and their network go on, a rollback ends it", async () => {
    const values = { ...labValues(lab.plan.controlAddress), felix: { image: { tag: "not-there" } }, cni: { image: { tag: "not-there" } } };
    await undisturbed(async () => {
      await expect(installRelease(clusterOf(lab).helm, lab.paths.config, values, "20s")).rejects.toThrow(/timed out|deadline|not ready/i);
      await untilTrue("a pod to say why", async () => /ErrImagePull|ImagePullBackOff|ErrImageNeverPull/.test(await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-o", "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"])), 30_000);
      await helm(clusterOf(lab).helm, "rollback", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", patientSeconds(90));
    });
    await untilWell();
    await apply(lab, deployment("ops", "afterwards", 2, "server"));
    await untilRolledOut(lab, "ops", "deployment/afterwards");
  });

  it("typha with a certificate of a stranger: felix holds what it has and says why it does not connect", async () => {
    const [secret] = [JSON.parse(await kubectlOk(lab, ["get", "secret", "-n", NAMESPACE, "calico-typha-tls", "-o", "json"])) as { metadata: { name: string; namespace: string; labels?: object }; type: string; data: Record<string, string> }];
    const nats = JSON.parse(await kubectlOk(lab, ["get", "secret", "-n", NAMESPACE, "calico-nats-tls", "-o", "json"])) as { data: Record<string, string> };
    const write = (data: Record<string, string>): Promise<string> => kubectlOk(lab, ["patch", "secret", "-n", NAMESPACE, "calico-typha-tls", "--type=merge", "-p", JSON.stringify({ data })]);
    await undisturbed(async () => {
      await write({ "tls.crt": nats.data["tls.crt"] ?? "", "tls.key": nats.data["tls.key"] ?? "" });
      await kubectlOk(lab, ["rollout", "restart", "-n", NAMESPACE, "deployment/calico-typha"]);
      await untilTrue("felix to say why", async () => /certificate/i.test(await logOf("calico-node")), 60_000);
      await write(secret?.data ?? {});
      await kubectlOk(lab, ["rollout", "restart", "-n", NAMESPACE, "deployment/calico-typha"]);
      await untilRolledOut(lab, NAMESPACE, "deployment/calico-typha");
      await untilRolledOut(lab, NAMESPACE, "daemonset/calico-node");
    });
  });

  it("a definition that somebody deleted: typha says what brings it back, the rest goes on, and an upgrade mends it", async () => {
    await undisturbed(async () => {
      await kubectlOk(lab, ["delete", "crd", "globalnetworksets.projectcalico.org", `--timeout=${patientSeconds(60)}`]);
      await untilTrue("typha to say what is missing", async () => /GlobalNetworkSet.*CustomResourceDefinitions there \(helm upgrade applies them\)/i.test(await kubectlOk(lab, ["logs", "-n", NAMESPACE, "deployment/calico-typha", "--since=60s"])), 60_000);
      const deny = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "ops", name: "deny" }, spec: { podSelector: { matchLabels: { app: "afterwards" } }, policyTypes: ["Ingress"] } };
      await apply(lab, deny);
      const [denied = ""] = [...lab.pods().keys()].filter((key) => key.startsWith("ops/afterwards"));
      await untilTrue("a policy to be in force meanwhile", async () => !(await lab.probe("ops/on-1", denied, DEMO_PORT)).reached, 15_000);
      await installRelease(clusterOf(lab).helm, lab.paths.config, labValues(lab.plan.controlAddress));
      await apply(lab, { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkSet", metadata: { name: "known", labels: { set: "known" } }, spec: { nets: [lab.pods().get("ops/on-1")?.addresses[0]] } });
      await apply(lab, { apiVersion: "projectcalico.org/v3", kind: "NetworkPolicy", metadata: { namespace: "ops", name: "from-the-set" }, spec: { selector: "app == 'afterwards'", order: 1, types: ["Ingress"], ingress: [{ action: "Allow", source: { selector: "set == 'known'", namespaceSelector: "global()" } }] } });
      await untilTrue("a set of the kind to count", async () => (await lab.probe("ops/on-1", denied, DEMO_PORT)).reached, 60_000);
      expect((await lab.probe("ops/on-2", denied, DEMO_PORT)).reached).toBe(false);
    });
  });

  it("the API server gone for two minutes: pods speak, policy holds, and work goes on afterwards", async () => {
    await apply(lab, namespace("outside"), podOn("node-2", "outside", "stranger"), { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "ops", name: "isolated" }, spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] } });
    await lab.untilRunning(["outside/stranger"]);
    await untilTrue("the stranger to be kept out", async () => !(await lab.probe("outside/stranger", "ops/on-1", DEMO_PORT)).reached, 15_000);
    await undisturbed(async () => {
      await lab.supervisor.stop("apiserver");
      await untilTrue("two minutes to pass", elapsed(120_000), 130_000);
      lab.supervisor.resume("apiserver");
      await untilTrue("the API server to answer", async () => (await kubectl(lab, ["get", "--raw", "/readyz"])).stdout === "ok", 60_000);
    }, [["outside/stranger", "ops/on-1"]]);
    await apply(lab, podOn("node-1", "ops", "later"));
    // The kubelet itself asks again after up to 50 s.
    await lab.untilRunning(["ops/later"], 120_000);
    await untilAllReady(lab, 120_000);
  });
});

/** True once the time has passed. */
function elapsed(milliseconds: number): () => Promise<boolean> {
  const began = performance.now();
  return async () => performance.now() - began > milliseconds;
}
