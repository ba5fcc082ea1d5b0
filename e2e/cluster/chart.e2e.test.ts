/** What the chart makes of a cluster with replicas: NATS as a cluster, a standby, certificates that are renewed, a hook that fails. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stopLab } from "../fv/cluster.ts";
import { POD_CIDR, TYPHA_PORT } from "../lab/components.ts";
import { helm, installRelease, labValues, NAMESPACE, RELEASE } from "../lab/cluster/release.ts";
import { DEMO_PORT } from "../lab/demo.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { untilTrue } from "../lab/wait.ts";
import { apply, clusterOf, kubectlOk, startTraffic, untilAllReady } from "./tools.ts";
import { namespace, podOn } from "./workloads.ts";

const REPLICAS = { typha: { replicas: 2 }, kubeControllers: { replicas: 2 }, nats: { replicas: 3 } };
type Pod = KubeObject & {
  readonly metadata: { readonly name: string; readonly uid: string; readonly labels: Readonly<Record<string, string>>; readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName: string; readonly containers: readonly { readonly name: string; readonly securityContext?: object }[] };
  readonly status?: { readonly podIP?: string; readonly containerStatuses?: readonly { readonly restartCount: number; readonly ready: boolean }[] };
};

describe.skipIf(!hasKubernetes())("the chart with replicas on a real cluster", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "e2ech", octet: 22, dir: mkdtempSync(join(tmpdir(), "e2ech-")), nodes: 3, kubernetes: "cluster", cluster: { values: REPLICAS } });
    await untilAllReady(lab);
    await apply(lab, namespace("life"), podOn("node-1", "life", "a"), podOn("node-2", "life", "b"), podOn("node-3", "life", "c"));
    await lab.untilRunning(["life/a", "life/b", "life/c"]);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  const values = (more: object = {}): object => ({ ...labValues(lab.plan.controlAddress), ...REPLICAS, ...more });
  const upgrade = (more: object = {}): Promise<void> => installRelease(clusterOf(lab).helm, lab.paths.config, values(more));
  const pods = async (): Promise<Pod[]> => (await lab.datastore.list<Pod>(coreTypes.pods, { namespace: NAMESPACE })).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  /** Unique ids of the pods of each component. */
  const ids = async (): Promise<Record<string, string[]>> => {
    const all = Map.groupBy(await pods(), ({ metadata }) => metadata.labels["k8s-app"] ?? "");
    return Object.fromEntries([...all].map(([name, own]) => [name, own.map(({ metadata }) => metadata.uid).sort()]));
  };
  /** Runs something while pods of all nodes talk to each other; what was lost. */
  const lostDuring = async (run: () => Promise<unknown>): Promise<string[]> => {
    const traffic = startTraffic(lab, [["life/a", "life/b"], ["life/b", "life/c"], ["life/c", "life/a"]], DEMO_PORT);
    await run();
    const { sent, lost } = await traffic.stop();
    expect(sent).toBeGreaterThan(10);
    return lost;
  };
  /** Runs a program on a node: another lab of the machine may have pods of the same addresses. */
  const onNode = (node: string, ...command: string[]): { status: number | null; stdout: string; stderr: string } => {
    const [program = "", ...args] = lab.execCommand(`node/${node}`, command);
    return spawnSync(program, args, { encoding: "utf8", timeout: 30_000 });
  };
  const calicoctl = (...args: string[]): ReturnType<typeof onNode> => onNode("node-1", nodeBinary, join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), "--kubeconfig", lab.api.kubeconfig, ...args);

  it("runs as many as it is told, apart from each other, none of them privileged and none restarted", async () => {
    const found = Map.groupBy(await pods(), ({ metadata }) => metadata.labels["k8s-app"]);
    expect(found.get("calico-nats")).toHaveLength(3);
    expect(Object.fromEntries([...found].map(([name, own]) => [name, new Set(own.map(({ spec }) => spec.nodeName)).size]))).toEqual({
      "calico-bird": 3, "calico-cni": 3, "calico-ipam": 3, "calico-kube-controllers": 2, "calico-nats": 3, "calico-node": 3, "calico-typha": 2,
    });
    for (const { metadata, spec, status } of await pods()) {
      expect([metadata.name, status?.containerStatuses?.map(({ restartCount }) => restartCount)]).toEqual([metadata.name, [0]]);
      for (const { securityContext } of spec.containers) expect([metadata.name, securityContext]).toEqual([metadata.name, expect.objectContaining({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false })]);
    }
  });

  it("the servers of NATS are one cluster, and calicoctl reaches every node through them", async () => {
    await untilTrue("calicoctl to hear of every part of every node", async () => {
      const { status, stdout, stderr } = calicoctl("node", "status");
      if (status !== 0 || /not ready|no answer|not running/.test(stdout)) throw new Error(stdout + stderr);
      return (stdout.match(/in sync, /g) ?? []).length === 3;
    }, 60_000);
    // Each has routes to the other two; its own node alone may ask.
    for (const { metadata, spec, status } of (await pods()).filter(({ metadata: { labels } }) => labels["k8s-app"] === "calico-nats")) {
      const { stdout } = onNode(spec.nodeName, nodeBinary, "-e", `fetch("http://${status?.podIP ?? ""}:8222/routez").then((answer) => answer.json()).then(({ num_routes }) => console.log(num_routes))`);
      expect([metadata.name, stdout.trim()]).toEqual([metadata.name, "2"]);
    }
  });

  it("the standby of kube-controllers takes over", async () => {
    const holder = (): Promise<string> => kubectlOk(lab, ["get", "lease", "-n", NAMESPACE, "calico-kube-controllers", "-o", "jsonpath={.spec.holderIdentity}"]);
    const first = await holder();
    const [node = ""] = first.split("_");
    const leader = (await pods()).find(({ metadata, spec }) => metadata.labels["k8s-app"] === "calico-kube-controllers" && spec.nodeName === node);
    await kubectlOk(lab, ["delete", "pod", "-n", NAMESPACE, leader?.metadata.name ?? "", "--wait=false"]);
    await untilTrue("another to lead", async () => !["", first].includes(await holder()), 30_000);
  });

  it("a renewed certificate is shown by typha without a restart", async () => {
    const typha = (await pods()).find(({ metadata }) => metadata.labels["k8s-app"] === "calico-typha");
    const host = lab.plan.nodes.find(({ name }) => name === typha?.spec.nodeName)?.address ?? "";
    const shown = (): Promise<string> => new Promise((resolve, reject) => {
      const socket = connect({ host, port: TYPHA_PORT, rejectUnauthorized: false, ALPNProtocols: ["h2"] }, () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? "");
        socket.destroy();
      });
      socket.on("error", reject);
    });
    const before = { serial: await shown(), typha: (await ids())["calico-typha"] };
    await kubectlOk(lab, ["delete", "secret", "-n", NAMESPACE, "calico-typha-tls"]);
    expect(await lostDuring(() => upgrade())).toEqual([]);
    await untilTrue("typha to show the new certificate", async () => (await shown()) !== before.serial, 150_000);
    expect((await ids())["calico-typha"]).toEqual(before.typha);
  });

  it("metrics of every component have endpoints", async () => {
    const text = await kubectlOk(lab, ["get", "endpointslices", "-n", NAMESPACE, "-l", "projectcalico.org/metrics=true", "-o", `jsonpath={range .items[*]}{.metadata.labels.kubernetes\\.io/service-name}={.endpoints[*].addresses[0]} {end}`]);
    const counts = Object.fromEntries(text.trim().split(/ (?=calico-)/).map((entry) => entry.split("=")).map(([name = "", addresses = ""]) => [name, addresses.trim().split(" ").length]));
    expect(counts).toEqual({ "calico-bird-metrics": 3, "calico-cni-metrics": 3, "calico-ipam-metrics": 3, "calico-kube-controllers-metrics": 2, "calico-node-metrics": 3, "calico-typha-metrics": 2 });
  });

  it("a hook whose image cannot be had fails with a word on where to look, and changes nothing", async () => {
    const before = await ids();
    const file = join(lab.paths.config, "broken.json");
    writeFileSync(file, JSON.stringify(values({ kubeControllers: { replicas: 2, image: { tag: "absent" } } })));
    const broken = helm(clusterOf(lab).helm, "upgrade", RELEASE, join(repositoryRoot, "charts", "calico"), "--namespace", NAMESPACE, "--values", file, "--timeout", "10s");
    await expect(broken).rejects.toThrow(/pre-upgrade hooks failed/);
    expect(await kubectlOk(lab, ["get", "pods", "-n", NAMESPACE, "-l", "k8s-app=calico-prepare", "-o", "jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}"])).toMatch(/ErrImagePull|ImagePullBackOff/);
    expect(await ids()).toMatchObject(before);
    await upgrade();
  });
});

describe.skipIf(!hasKubernetes())("the chart where routers know nothing of pods and there is neither BGP nor NATS", () => {
  let lab: Lab;
  beforeAll(async () => {
    const { installation } = labValues("unused") as { installation: { calicoNetwork: object } };
    const calicoNetwork = { ...installation.calicoNetwork, bgp: "Disabled", ipPools: [{ name: "cloud", cidr: POD_CIDR, encapsulation: "VXLAN", blockSize: 28 }], hostPorts: "Disabled" };
    const values = { installation: { calicoNetwork }, nats: { enabled: false }, metrics: { enabled: false } };
    lab = await startLab({ name: "e2ecd", octet: 22, dir: mkdtempSync(join(tmpdir(), "e2ecd-")), nodes: 2, subnets: 2, kubernetes: "cluster", cluster: { values } });
    await untilAllReady(lab);
    await apply(lab, namespace("cloud"), podOn("node-1", "cloud", "a"), podOn("node-2", "cloud", "b"));
    await lab.untilRunning(["cloud/a", "cloud/b"]);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  it("pods of different subnets reach each other, with what is needed and nothing more", async () => {
    await untilTrue("the pods to reach each other", async () => (await lab.probe("cloud/a", "cloud/b", DEMO_PORT)).reached && (await lab.probe("cloud/b", "cloud/a", DEMO_PORT)).reached, 30_000);
    const names = (kind: string): Promise<string> => kubectlOk(lab, ["get", kind, "-n", NAMESPACE, "-o", "jsonpath={.items[*].metadata.name}"]);
    expect([await names("daemonsets"), await names("statefulsets"), await names("services")]).toEqual(["calico-cni calico-ipam calico-node", "", "calico-typha"]);
    expect(await kubectlOk(lab, ["get", "ippool", "cloud", "-o", "jsonpath={.spec.cidr} {.spec.vxlanMode} {.spec.ipipMode} {.spec.blockSize} {.spec.natOutgoing}"])).toBe(`${POD_CIDR} Always Never 28 true`);
  });
});
