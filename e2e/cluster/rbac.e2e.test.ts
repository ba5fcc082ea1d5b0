/** The chart's roles are enough for all that a cluster goes through, and allow nothing beside it: the API server's audit log says so. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handleName, vxlanTunnelHandleId } from "@calico/model";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chartFolder, render, type Values } from "../chart/helm.ts";
import { stopLab } from "../fv/cluster.ts";
import { loseNode } from "../lab/cluster/reboot.ts";
import { installRelease, labValues, NAMESPACE } from "../lab/cluster/release.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { untilTrue } from "../lab/wait.ts";
import { readUses } from "./audit.ts";
import { grantsOf, permission } from "./grants.ts";
import { allowed, canI, refused } from "./limits.ts";
import { apply, clusterOf, kubectlOk, untilRolledOut } from "./tools.ts";
import { unusedGrants } from "./unused-grants.ts";
import { clusterPolicyDefinition, deployment, namespace, podOn } from "./workloads.ts";

/** Two replicas, of which one leads; nothing is waited for longer than needed. */
const changes = {
  kubeControllers: { replicas: 2, extraEnv: [{ name: "KUBECONTROLLERS_LEAKSCANINTERVAL", value: "1s" }, { name: "KUBECONTROLLERS_LEAKGRACEPERIOD", value: "2s" }] },
};

const calico = (kind: string, name: string, spec: object): object => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec });
const LEASE = ["get", "lease", "-n", NAMESPACE, "calico-kube-controllers", "-o", "jsonpath={.spec.holderIdentity}"];

describe.skipIf(!hasKubernetes())("the chart's roles", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startLab({ name: "rbaudit", octet: 23, dir: mkdtempSync(join(tmpdir(), "rbaudit-")), nodes: 3, kubernetes: "cluster", cluster: { values: changes } });
    await apply(lab, namespace("life"));
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));

  const values = (): Values => ({ ...labValues(lab.plan.controlAddress), ...changes });
  const get = (...args: string[]): Promise<string> => kubectlOk(lab, ["get", ...args]);
  const until = (what: string, condition: () => Promise<boolean>): Promise<void> => untilTrue(what, condition, 60_000);
  /** How often Events of a reason were counted, all series together. */
  const counted = async (reason: string, component: string): Promise<number> => {
    const { items } = JSON.parse(await get("events", "-A", "--field-selector", `reason=${reason},source=${component}`, "-o", "json")) as { items: { count: number }[] };
    return items.reduce((sum, { count }) => sum + count, 0);
  };

  const certificateOf = (secret: string): Promise<string> => get("secret", "-n", NAMESPACE, secret, "-o", "jsonpath={.data.tls\\.crt}");
  /** A Secret is lost, and NATS has a certificate that is for another name. */
  async function spoilSecrets(): Promise<void> {
    await kubectlOk(lab, ["patch", "secret", "-n", NAMESPACE, "calico-nats-tls", "--type=merge", "-p", JSON.stringify({ data: { "tls.crt": await certificateOf("calico-typha-tls") } })]);
    await kubectlOk(lab, ["delete", "secret", "-n", NAMESPACE, "calicoctl-nats"]);
  }
  const areWhole = async (): Promise<boolean> => (await get("secrets", "-n", NAMESPACE, "-o", "name")).includes("calicoctl-nats") && (await certificateOf("calico-nats-tls")) !== (await certificateOf("calico-typha-tls"));

  it("pods come and go, an address is released by hand, a handle is lost", async () => {
    await apply(lab, deployment("life", "web", 6, "server"), calico("GlobalNetworkPolicy", "allow", { selector: "all()", types: ["Ingress"], ingress: [{ action: "Allow" }] }), calico("Tier", "brief", { order: 5 }));
    await untilRolledOut(lab, "life", "deployment/web");
    const pods = await get("pods", "-n", "life", "-o", "jsonpath={.items[*].status.podIP}");
    await calicoctl(lab, "ipam", "release", `--ip=${pods.split(" ")[0]}`, "--force");
    const handle = (await get("ipamhandles", "-o", "name")).trim().split("\n")[0] ?? "";
    await kubectlOk(lab, ["delete", handle]);
    await until("the handle to be there again", async () => (await get("ipamhandles", "-o", "name")).includes(handle));
    await kubectlOk(lab, ["scale", "-n", "life", "deployment/web", "--replicas=3"]);
    await until("three pods to be gone", async () => (await get("pods", "-n", "life", "-o", "name")).trim().split("\n").length === 3);
  });

  it("peers, an overlay, and trouble that is told as Events, by restarted programs too", async () => {
    const [, second] = lab.plan.nodes;
    // As a crash leaves it: the handle is there, its address is not.
    const handleId = vxlanTunnelHandleId("node-1");
    await apply(lab,
      calico("IPAMHandle", handleName(handleId), { handleID: handleId, block: {}, deleted: false }),
      calico("IPPool", "overlay", { cidr: "10.66.0.0/16", vxlanMode: "Always" }),
      calico("BGPPeer", "rack", { peerIP: lab.plan.controlGateway, asNumber: 64_999 }),
      calico("IPPool", "tiny", { cidr: "10.99.0.0/32", blockSize: 32, assignmentMode: "Manual" }),
      calico("GlobalNetworkPolicy", "doubtful", { types: ["Ingress"], egress: [{ action: "Allow" }] }),
      { apiVersion: "v1", kind: "Node", metadata: { name: "ghost", annotations: { "projectcalico.org/IPv4Address": `${second?.address}/24` } } },
      ...["one", "two"].map((name) => ({ ...podOn("node-1", "life", name), metadata: { namespace: "life", name, annotations: { "cni.projectcalico.org/ipv4pools": '["tiny"]' } } })),
    );
    const told = async (): Promise<number[]> => [await counted("DoubtfulObject", "calico-typha"), await counted("DuplicateAddress", "calico-felix"), await counted("NoFreeAddress", "calico-ipam")];
    await until("each to be told", async () => (await told()).every((count) => count > 0));
    const before = await told();
    await kubectlOk(lab, ["delete", "pods", "-n", NAMESPACE, "-l", "k8s-app in (calico-typha, calico-node, calico-ipam)", "--wait=false"]);
    await until("each to be told again", async () => (await told()).every((count, index) => count > (before[index] ?? 0)));
    await kubectlOk(lab, ["delete", "node/ghost", "ippool/tiny", "globalnetworkpolicy/doubtful", "bgppeer/rack", "tier/brief"]);
    await kubectlOk(lab, ["delete", "pods", "-n", "life", "one", "two", "--wait=false"]);
  });

  it("another replica leads, and makes the Secrets good", async () => {
    const leader = await kubectlOk(lab, LEASE);
    await spoilSecrets();
    await kubectlOk(lab, ["delete", "pods", "-n", NAMESPACE, "-l", "k8s-app=calico-kube-controllers", "--field-selector", `spec.nodeName=${leader.split("_")[0]}`, "--wait=false"]);
    await until("another leader", async () => ![leader, ""].includes(await kubectlOk(lab, LEASE)));
    await until("the Secrets to be whole", areWhole);
  });

  it("nodes get host endpoints of themselves, which follow their labels and go again", async () => {
    const autoCreate = (value: string): Promise<string> => kubectlOk(lab, ["patch", "kubecontrollersconfiguration", "default", "--type=merge", "-p", JSON.stringify({ spec: { controllers: { node: { hostEndpoint: { autoCreate: value } } } } })]);
    const found = (...args: string[]): Promise<string> => get("hostendpoints", "-o", "name", ...args);
    await autoCreate("Enabled");
    await until("one for each node", async () => (await found()).trim().split("\n").length === 3);
    await kubectlOk(lab, ["label", "node", "node-1", "rack=audited"]);
    await until("its host endpoint to have the label too", async () => (await found("-l", "rack=audited")).includes("node-1-auto-hep"));
    await autoCreate("Disabled");
    await until("them to be gone", async () => (await found()).trim() === "");
  });

  it("an upgrade, whose hook finds spoilt Secrets and a definition missing", async () => {
    await apply(lab, clusterPolicyDefinition);
    await kubectlOk(lab, ["delete", "crd", "hostendpoints.projectcalico.org"]);
    await spoilSecrets();
    await installRelease(clusterOf(lab).helm, lab.paths.config, values());
    expect(await areWhole()).toBe(true);
    expect(await get("crd", "-o", "name")).toContain("hostendpoints.projectcalico.org");
  });

  it("a node is gone with its pods, then the overlay", async () => {
    const blocksOf = async (what: string): Promise<string[]> => (await get("ipamblocks", "-o", "jsonpath={range .items[*]}{.spec.cidr} {.spec.affinity}{\"\\n\"}{end}")).split("\n").filter((line) => line.includes(what));
    await until("every node to have an address of the overlay", async () => (await blocksOf("10.66.")).length === 3);
    const host = lab.hosts.find(({ plan }) => plan.name === "node-3");
    if (host === undefined) throw new Error("there is no node-3");
    await apply(lab, podOn("node-3", "life", "doomed"));
    await lab.untilRunning(["life/doomed"]);
    await loseNode(lab.plan, host, lab.supervisor);
    await kubectlOk(lab, ["delete", "node", "node-3"]);
    await kubectlOk(lab, ["delete", "pods", "-A", "--field-selector", "spec.nodeName=node-3", "--force", "--grace-period=0"]);
    await until("its blocks to be free", async () => (await blocksOf("host:node-3")).length === 0);
    await kubectlOk(lab, ["delete", "ippool", "overlay"]);
    await until("the overlay's blocks to be gone", async () => (await blocksOf("10.66.")).length === 0);
  });

  it("are enough: nothing was refused", () => {
    expect(readUses(lab.paths.audit).filter(({ code }) => code === 403)).toEqual([]);
  });

  it("are no more than enough: every permission was used, or there is a reason for it", async () => {
    // The definition came late: typha asks for the kind every few seconds.
    await until("typha to follow a kind that the cluster did not have", async () => readUses(lab.paths.audit).some(({ resource, verb }) => resource === "clusternetworkpolicies" && verb === "watch"));
    const used = new Set(readUses(lab.paths.audit).map(({ account, verb, resource, group }) => permission(account, verb, resource, group)));
    const races = new Set(unusedGrants.filter((grant) => grant.used === "race").map((grant) => grant.permission));
    const grants = grantsOf(render(values()));
    expect([...grants].filter((grant) => !used.has(grant) && !races.has(grant)).sort()).toEqual(unusedGrants.filter((grant) => grant.used === "never").map((grant) => grant.permission).sort());
    expect([...races].filter((grant) => !grants.has(grant))).toEqual([]);
  });

  it("keep each component to its own", async () => {
    const answers = await canI(lab, refused);
    expect(refused.filter((_question, index) => answers[index])).toEqual([]);
    expect(await canI(lab, allowed)).toEqual(allowed.map(() => true));
  });

  it.each(unusedGrants)("says beside the rule why $permission is granted", ({ reason, source }) => {
    expect(readFileSync(join(chartFolder, source), "utf8").split("\n").filter((line) => line.trimStart().startsWith("#") && line.includes(reason))).toHaveLength(1);
  });
});

/** Runs calicoctl as an administrator. */
async function calicoctl(lab: Lab, ...args: string[]): Promise<void> {
  const child = spawn(nodeBinary, [join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), ...args], { env: { PATH: process.env["PATH"], KUBECONFIG: lab.api.kubeconfig }, stdio: ["ignore", "ignore", "inherit"] });
  const [status] = (await once(child, "close")) as [number | null];
  if (status !== 0) throw new Error(`calicoctl ${args.join(" ")}: exit code ${status}`);
}
