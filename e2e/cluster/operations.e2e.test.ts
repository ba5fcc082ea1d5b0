/** What operators do to a running cluster, and what happens to one: traffic between pods goes on, and nobody has to help. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labImage } from "../lab/cluster/lab-images.ts";
import { rebootNode } from "../lab/cluster/reboot.ts";
import { helm, installRelease, labValues, NAMESPACE, RELEASE } from "../lab/cluster/release.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { patientSeconds } from "../lab/patience.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { untilTrue } from "../lab/wait.ts";
import { stopLab } from "../fv/cluster.ts";
import { apply, clusterOf, kubectlOk, readyNodes, startTraffic, untilAllReady, untilRolledOut } from "./tools.ts";
import { deployment, namespace, podOn } from "./workloads.ts";

/** One pod on every node; each speaks to the next, so that all traffic crosses nodes. */
const PAIRS = [["ops/on-1", "ops/on-2"], ["ops/on-2", "ops/on-3"], ["ops/on-3", "ops/on-1"]] as const;
/** Nothing may enter these pods but from each other: a rule that is gone for a moment would show nothing, one that is too strict would. */
const isolated = { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "ops", name: "isolated" }, spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] } };

describe.skipIf(!hasKubernetes())("a running cluster", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "e2eop", octet: 17, dir: mkdtempSync(join(tmpdir(), "e2eop-")), nodes: 3, kubernetes: "cluster" });
    await clusterOf(lab).importImages([await labImage("agnhost")]);
    await apply(lab, namespace("ops"), namespace("outside"), isolated, ...["1", "2", "3"].map((number) => podOn(`node-${number}`, "ops", `on-${number}`)), podOn("node-1", "outside", "stranger"));
    await lab.untilRunning(["ops/on-1", "ops/on-2", "ops/on-3", "outside/stranger"]);
    await untilConnected(20_000);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  const untilConnected = (timeoutMs: number): Promise<void> =>
    untilTrue("the pods to reach each other", async () => (await Promise.all(PAIRS.map(([from, to]) => lab.probe(from, to, DEMO_PORT)))).every(({ reached }) => reached), timeoutMs);
  const values = (more: object = {}): object => ({ ...labValues(lab.plan.controlAddress), ...more });
  const tool = (): Parameters<typeof helm>[0] => clusterOf(lab).helm;
  const host = (name: string): NodeHost => lab.hosts.find(({ plan }) => plan.name === name) as NodeHost;
  /** Does something while pods speak to each other, and what must not pass is tried; what was lost or passed. */
  async function underTraffic(action: () => Promise<unknown>): Promise<{ lost: string[]; passed: string[] }> {
    const wanted = startTraffic(lab, PAIRS, DEMO_PORT);
    const unwanted = startTraffic(lab, [["outside/stranger", "ops/on-1"], ["outside/stranger", "ops/on-2"]], DEMO_PORT);
    const failure: unknown = await action().then(() => null, (error: unknown) => error);
    const [pods, stranger] = [await wanted.stop(), await unwanted.stop()];
    if (failure !== null) throw failure;
    expect(pods.sent).toBeGreaterThan(20);
    return { lost: pods.lost, passed: stranger.lost.length === stranger.sent ? [] : [`${stranger.sent - stranger.lost.length} connections of the stranger`] };
  }
  const UNDISTURBED = { lost: [], passed: [] };
  const restarted = async (target: string): Promise<void> => {
    await kubectlOk(lab, ["rollout", "restart", "-n", NAMESPACE, target]);
    await untilRolledOut(lab, NAMESPACE, target, 120);
  };

  it.each(["daemonset/calico-node", "daemonset/calico-bird", "daemonset/calico-ipam", "daemonset/calico-cni", "deployment/calico-typha", "deployment/calico-kube-controllers", "statefulset/calico-nats"])("%s is rolled out anew, and no packet is lost", async (target) => {
    expect(await underTraffic(() => restarted(target))).toEqual(UNDISTURBED);
  });

  it("helm upgrade with changed values rolls out what they change and nothing else", async () => {
    const generations = async (): Promise<Record<string, number>> => Object.fromEntries((JSON.parse(await kubectlOk(lab, ["get", "daemonsets,deployments", "-n", NAMESPACE, "-o", "json"])) as { items: { metadata: { name: string; generation: number } }[] }).items.map(({ metadata }) => [metadata.name, metadata.generation]));
    const before = await generations();
    expect(await underTraffic(() => installRelease(tool(), lab.paths.config, values({ felix: { extraEnv: [{ name: "FELIX_LOGSEVERITYSCREEN", value: "Debug" }] } })))).toEqual(UNDISTURBED);
    const after = await generations();
    expect(Object.keys(after).filter((name) => after[name] !== before[name])).toEqual(["calico-node"]);
    expect(await underTraffic(() => helm(tool(), "rollback", RELEASE, "-n", NAMESPACE, "--wait", "--timeout", patientSeconds(90)))).toEqual(UNDISTURBED);
  });

  it("typha and kube-controllers are scaled on their own", async () => {
    for (const name of ["calico-typha", "calico-kube-controllers"]) {
      expect(await underTraffic(async () => {
        await kubectlOk(lab, ["scale", "-n", NAMESPACE, `deployment/${name}`, "--replicas=2"]);
        await untilRolledOut(lab, NAMESPACE, `deployment/${name}`, 60);
        await kubectlOk(lab, ["scale", "-n", NAMESPACE, `deployment/${name}`, "--replicas=1"]);
        await untilRolledOut(lab, NAMESPACE, `deployment/${name}`, 60);
      })).toEqual(UNDISTURBED);
    }
  });

  it("containerd and the kubelet restart while pods are made", async () => {
    await apply(lab, deployment("ops", "crowd", 9, "server"));
    const disturbed = await underTraffic(async () => {
      for (const id of ["containerd@node-2", "kubelet@node-2", "kubelet@node-3"]) lab.supervisor.kill(id, "SIGKILL");
      await untilRolledOut(lab, "ops", "deployment/crowd", 120);
    });
    expect(disturbed).toEqual(UNDISTURBED);
    await kubectlOk(lab, ["delete", "deployment", "-n", "ops", "crowd", `--timeout=${patientSeconds(60)}`]);
  });

  it("a drained node is empty of pods and takes them again", async () => {
    await apply(lab, deployment("ops", "movable", 3, "server"));
    await untilRolledOut(lab, "ops", "deployment/movable");
    const onNode3 = async (): Promise<string> => kubectlOk(lab, ["get", "pods", "-n", "ops", "-l", "app=movable", "--field-selector", "spec.nodeName=node-3", "-o", "name"]);
    await kubectlOk(lab, ["drain", "node-3", "--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=app=movable", `--timeout=${patientSeconds(60)}`]);
    await untilRolledOut(lab, "ops", "deployment/movable");
    expect(await onNode3()).toBe("");
    await kubectlOk(lab, ["uncordon", "node-3"]);
    await kubectlOk(lab, ["delete", "deployment", "-n", "ops", "movable", `--timeout=${patientSeconds(60)}`]);
  });

  it("a node that loses its power comes back with its pods and their policy", async () => {
    await rebootNode(lab.plan, host("node-2"), lab.supervisor);
    await untilTrue("the node to be Ready and its pod to run", async () => (await readyNodes(lab)).length === 3 && (await kubectlOk(lab, ["get", "pod", "-n", "ops", "on-2", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`])) === "True", 150_000);
    await lab.untilRunning(["ops/on-2"]);
    await untilConnected(60_000);
    expect((await lab.probe("outside/stranger", "ops/on-2", DEMO_PORT)).reached).toBe(false);
    expect(await kubectlOk(lab, ["exec", "-n", NAMESPACE, `pod/${await felixOf("node-2")}`, "--", "nft", "list", "tables"])).toContain("table inet calico");
  });

  it("a deleted node's addresses are free again, and its routes gone", async () => {
    await kubectlOk(lab, ["delete", "pod", "-n", "ops", "on-3", `--timeout=${patientSeconds(60)}`]);
    for (const id of ["kubelet@node-3", "kube-proxy@node-3"]) await lab.supervisor.stop(id, 0);
    await kubectlOk(lab, ["delete", "node", "node-3"]);
    await untilTrue("its blocks to be gone", async () => !(await kubectlOk(lab, ["get", "ipamblocks", "-o", "jsonpath={.items[*].spec.affinity}"])).includes("node-3"), 120_000);
    for (const id of ["kubelet@node-3", "kube-proxy@node-3"]) lab.supervisor.resume(id);
    await untilAllReady(lab, 120_000);
    await apply(lab, podOn("node-3", "ops", "on-3"));
    await lab.untilRunning(["ops/on-3"], 90_000);
    await untilConnected(60_000);
  });

  it("a Node that is made anew under its pods is announced again, and they are reached as before", async () => {
    const uid = (): Promise<string> => kubectlOk(lab, ["get", "pod", "-n", "ops", "on-3", "-o", "jsonpath={.metadata.uid}"]);
    const before = await uid();
    await lab.supervisor.stop("kubelet@node-3", 0);
    await kubectlOk(lab, ["delete", "node", "node-3"]);
    lab.supervisor.resume("kubelet@node-3");
    await untilAllReady(lab, 60_000);
    await untilConnected(60_000);
    expect(await uid()).toBe(before);
  });

  /** Name of felix's pod on a node. */
  async function felixOf(node: string): Promise<string> {
    return (await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-l", "k8s-app=calico-node", "--field-selector", `spec.nodeName=${node}`, "-o", "jsonpath={.items[0].metadata.name}"])).trim();
  }
});
