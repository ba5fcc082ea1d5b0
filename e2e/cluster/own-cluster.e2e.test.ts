/** `npm run lab -- up --kubeconfig`: a cluster that somebody else made, which has everything but a network. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { calicoImages } from "../lab/cluster/calico-images.ts";
import { labImage } from "../lab/cluster/lab-images.ts";
import { labValues, NAMESPACE } from "../lab/cluster/release.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import type { MatrixCell } from "../lab/matrix.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { hasKubernetes } from "../lab/programs/kubernetes.ts";
import { runProgram, type Ended } from "../lab/run-program.ts";
import type { Status } from "../lab/front.ts";
import { untilTrue } from "../lab/wait.ts";
import { endLab } from "../fv/cluster.ts";
import { apply, clusterOf, kubectl, kubectlOk, untilAllReady } from "./tools.ts";
import { namespace, podOn } from "./workloads.ts";

describe.skipIf(!hasKubernetes())("a cluster of one's own", () => {
  let lab: Lab;
  const own = mkdtempSync(join(tmpdir(), "e2eown-"));
  beforeAll(async () => {
    lab = await startLab({ name: "e2eown", octet: 24, dir: mkdtempSync(join(tmpdir(), "e2eown-")), nodes: 2, kubernetes: "cluster", cluster: { values: null } });
    await clusterOf(lab).importImages([await calicoImages(() => undefined), await labImage("agnhost")]);
    writeFileSync(join(own, "values.yaml"), JSON.stringify(labValues(lab.plan.controlAddress)));
  });
  afterAll(async () => {
    // Only what a test that failed left: without a cluster of one's own, "down" is about the lab of this machine.
    if (existsSync(join(own, ".lab"))) await labCommand("down");
    rmSync(own, { recursive: true, force: true });
    expect(await endLab(lab)).toEqual([]);
  });

  /** As a user would, with another folder for what the command keeps. */
  const labCommand = (...args: string[]): Promise<Ended> =>
    runProgram([nodeBinary, "--disable-warning=ExperimentalWarning", join(repositoryRoot, "e2e", "lab", "main.ts"), ...args], { env: { ...process.env, CALICO_LAB_DIR: join(own, ".lab") }, timeoutMs: 300_000 });
  const up = (...args: string[]): Promise<Ended> => labCommand("up", "--kubeconfig", lab.api.kubeconfig, "--values", join(own, "values.yaml"), "--detach", ...args);
  const namespaces = async (): Promise<string> => kubectlOk(lab, ["get", "namespaces", "-o", "name"]);

  it("says what keeps the chart from being installed, and takes it back", async () => {
    const values = join(own, "unknown.yaml");
    writeFileSync(values, "felixx: {}\n");
    expect(await labCommand("up", "--kubeconfig", lab.api.kubeconfig, "--values", values)).toMatchObject({ status: 1, stderr: expect.stringContaining("felixx") });
    expect(await labCommand("up", "--kubeconfig", join(own, "absent"))).toMatchObject({ status: 1, stderr: expect.stringContaining("absent") });
    expect(await namespaces()).not.toContain(NAMESPACE);
    expect(existsSync(join(own, ".lab"))).toBe(false);
  });

  it("installs Calico and plays the demo", async () => {
    const { status, stdout, stderr } = await up("--demo");
    expect([status, stderr], stdout).toEqual([0, ""]);
    for (const line of ["2 nodes, Kubernetes v1.", "helm: the chart is installed", "node-2 is Ready", "Who reaches whom on port 8080, without a policy", 'After "backend-from-frontend" and "all-from-scraper"']) expect(stdout).toContain(line);
  });

  it("answers the lab's commands through the API server", async () => {
    const { stdout } = await labCommand("status", "-o", "json");
    const { nodes, components, processes, bgp } = JSON.parse(stdout) as Status;
    expect(nodes).toEqual(lab.plan.nodes.map(({ name, address }) => ({ name, address })));
    expect(processes).toEqual([]);
    expect(components.filter(({ ready }) => !ready)).toEqual([]);
    expect(bgp).toMatch(/Mesh_\S+ .*Established/);
    const cells = JSON.parse((await labCommand("matrix", "-o", "json")).stdout) as MatrixCell[];
    expect(cells.filter(({ to, reached }) => to.startsWith("shop/") && reached).map(({ from, to }) => `${from}>${to}`).sort()).toEqual(["monitoring/scraper>shop/backend", "monitoring/scraper>shop/database", "monitoring/scraper>shop/frontend", "shop/frontend>shop/backend"]);
    expect((await labCommand("exec", "shop/frontend", "--", "/agnhost", "--version")).stdout).toContain("version");
    expect((await labCommand("exec", "node/node-1", "--", "nft", "list", "tables")).stdout).toContain("table inet calico");
    expect((await labCommand("logs", "felix", "--node", "node-2")).stdout).toContain("felix@node-2  {");
    expect(await labCommand("logs", "felx")).toMatchObject({ status: 2, stderr: expect.stringContaining("no log of felx; there are") });
    expect(await labCommand("netns", "shop/frontend")).toMatchObject({ status: 2, stderr: expect.stringContaining("use exec") });
  });

  it("asks from any pod, with a prober put beside it", async () => {
    await apply(lab, namespace("mine"), podOn("node-1", "mine", "client"));
    await lab.untilRunning(["mine/client"], 60_000);
    expect(await labCommand("probe", "mine/client", "monitoring/curious", "8080")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^reached: connected/) });
    expect(await labCommand("probe", "mine/client", "shop/backend", "8080")).toMatchObject({ status: 1, stdout: expect.stringMatching(/^not reached: no answer within 1000 ms/) });
    expect(await labCommand("probe", "mine/client", "monitoring/curious", "81")).toMatchObject({ status: 1, stdout: expect.stringMatching(/^not reached: refused/) });
    expect(await labCommand("probe", "mine/client", "monitoring/curious", "1", "icmp")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^reached: echo/) });
    expect(await labCommand("probe", "mine/absent", "shop/backend", "8080")).toMatchObject({ status: 2, stderr: expect.stringContaining("there is no running pod mine/absent") });
    expect(await kubectlOk(lab, ["get", "pod", "-n", "mine", "client", "-o", "jsonpath={.spec.ephemeralContainers[*].name}"])).toBe("lab-prober");
  });

  it("leaves with what it brought; a crash leaves that to the next down", async () => {
    const pid = Number((await runProgram(["pgrep", "-f", `up --kubeconfig ${lab.api.kubeconfig}`])).stdout.trim().split("\n")[0]);
    expect(pid).toBeGreaterThan(1);
    process.kill(pid, "SIGKILL");
    await untilTrue("the lab not to answer", async () => (await labCommand("status")).status === 2, 10_000);
    const { status, stdout } = await labCommand("down");
    expect([status, stdout]).toEqual([0, expect.stringMatching(/Calico is uninstalled[\s\S]*the lab is down/)]);
    const left = await namespaces();
    for (const gone of ["shop", "monitoring", NAMESPACE]) expect(left).not.toContain(`namespace/${gone}\n`);
    expect(left).toContain("namespace/mine");
    expect(existsSync(join(own, ".lab"))).toBe(false);
  });

  it("keeps away from a network and from namespaces that are somebody else's", async () => {
    await apply(lab, namespace("shop"));
    expect(await up("--demo")).toMatchObject({ status: 1, stdout: expect.stringContaining("the demo wants a namespace shop, and there is one that the lab did not make") });
    expect(await namespaces()).toContain("namespace/shop");
    // What Calico left on the nodes keeps them Ready.
    await untilAllReady(lab);
    await kubectlOk(lab, ["annotate", "nodes", "node-1", "projectcalico.org/IPv4Address-"]);
    expect(await up()).toMatchObject({ status: 1, stdout: expect.stringContaining("node-1 is Ready without this Calico: another network plugin is at work there") });
    expect((await kubectl(lab, ["get", "namespace", NAMESPACE])).status).not.toBe(0);
  });
});
