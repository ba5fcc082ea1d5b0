import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { calicoTypes, coreTypes } from "@calico/datastore";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { nodeBinary, repositoryRoot } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";
import { controlOf, calicoPolicy, denyInto, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

type Run = { readonly status: number | null; readonly stdout: string; readonly stderr: string };
type NodeJson = { readonly name: string; readonly felix: Record<string, unknown>; readonly bird: Record<string, unknown>; readonly ipam: Record<string, unknown>; readonly cni: Record<string, unknown> };
type SideJson = { readonly allow: boolean; readonly policy: string | null };
type ProbeJson = { readonly allow: boolean; readonly egress: SideJson | null; readonly ingress: SideJson | null; readonly counters: Readonly<Record<string, { readonly node: string; readonly packets: string | null; readonly trouble: string | null } | undefined>> };
type PolicyJson = { readonly kind: string; readonly name: string; readonly nodes: number; readonly inForce: number; readonly endpoints: number; readonly missing: readonly { readonly node: string; readonly unknown: boolean; readonly reason: string }[] };

describe("calicoctl asks the nodes", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvctl", 28);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));
  afterEach(() => withoutPolicies(lab));

  /** The built program with nothing but the lab's kubeconfig. */
  async function calicoctl(...args: string[]): Promise<Run> {
    const child = spawn(nodeBinary, [join(repositoryRoot, "calicoctl", "bin", "calicoctl.mjs"), ...args], { env: { PATH: process.env["PATH"], KUBECONFIG: lab.api.kubeconfig }, timeout: 40_000 });
    const output = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) child[stream].on("data", (chunk: Buffer) => (output[stream] += chunk.toString()));
    child.stdin.end();
    const [status] = (await once(child, "close")) as [number | null];
    return { status, ...output };
  }
  const nodesOf = (run: Run): NodeJson[] => (JSON.parse(run.stdout) as { nodes: NodeJson[] }).nodes;
  const policiesOf = (run: Run): PolicyJson[] => (JSON.parse(run.stdout) as { policies: PolicyJson[] }).policies;
  const nodeOf = (pod: string): string => lab.pods().get(pod)?.host.plan.name ?? "";
  const shopNodes = (): number => new Set([...lab.pods()].filter(([key]) => key.startsWith("shop/")).map(([key]) => nodeOf(key))).size;
  const answersAgain = async (): Promise<void> => untilTrue("every node to answer", async () => (await calicoctl("node", "status")).status === 0, 30_000);

  it("node status shows every node with its BGP sessions and parts", async () => {
    await untilTrue("all sessions to be up", async () => nodesOf(await calicoctl("node", "status", "-o", "json")).every(({ bird }) => (bird["sessions"] as { state: string }[]).filter(({ state }) => state === "Established").length >= 2), 20_000);
    const { status, stdout, stderr } = await calicoctl("node", "status");
    expect([status, stderr]).toEqual([0, ""]);
    for (const { name, address } of lab.plan.nodes) {
      expect(stdout).toContain(`${name}\nCalico process is running.\n`);
      expect(stdout).toMatch(new RegExp(`^${address.replaceAll(".", "\\.")} +node-to-node mesh +up +\\S+.* +Established$`, "m"));
    }
    expect(stdout).toMatch(/^PEER ADDRESS +PEER TYPE +STATE +SINCE +INFO$/m);
    expect(stdout).toMatch(/^felix +in sync, \d+ of \d+ endpoints and \d+ policies in the kernel/m);
    expect(nodesOf(await calicoctl("node", "status", "node-2", "-o", "json"))).toMatchObject([{ name: "node-2", felix: { inSync: true }, bird: { ready: true }, ipam: { ready: true }, cni: { ready: true } }]);
    expect(await calicoctl("node", "status", "node-9")).toMatchObject({ status: 1, stderr: expect.stringMatching(/^there is no node node-9/) as string });
  });

  it("a node whose bird was killed is named, the others are shown", async () => {
    lab.supervisor.kill("bird@node-2", "SIGKILL");
    await lab.supervisor.stop("bird@node-2");
    const { status, stdout, stderr } = await calicoctl("node", "status");
    expect([status, stderr]).toEqual([1, "node-2: bird: not running, or not connected to NATS\n"]);
    expect(stdout.match(/Calico process is running/g)).toHaveLength(3);
    expect(stdout).toMatch(/^node-2\n(?:.+\n|\n)*?BGP status: unknown$/m);
    lab.supervisor.resume("bird@node-2");
    await answersAgain();
  });

  it("a felix that is paused is told by its silence, and its policies are unknown", async () => {
    await lab.apply([denyInto("shop")]);
    expect(await calicoctl("policy", "status", "netpol/deny", "-n", "shop", "--wait", "20")).toMatchObject({ status: 0, stderr: "" });
    const node = nodeOf("shop/backend");
    lab.supervisor.kill(`felix@${node}`, "SIGSTOP");
    try {
      expect(await calicoctl("node", "status", "--timeout", "1")).toMatchObject({ status: 1, stderr: `${node}: felix: no answer within 1 s\n`, stdout: expect.stringContaining(`${node}\nCalico process does not answer: no answer within 1 s.`) as string });
      const run = await calicoctl("policy", "status", "-o", "json", "--timeout", "1");
      expect([run.status, run.stderr]).toEqual([1, "1 of 1 policies is not in force everywhere\n"]);
      expect(policiesOf(run)).toMatchObject([{ kind: "KubernetesNetworkPolicy", name: "deny", nodes: shopNodes(), inForce: shopNodes() - 1, endpoints: 3, missing: [{ node, unknown: true, reason: "no answer within 1 s" }] }]);
    } finally {
      lab.supervisor.kill(`felix@${node}`, "SIGCONT");
    }
    await answersAgain();
    expect((await calicoctl("policy", "status", "--wait", "20")).status).toBe(0);
  });

  it("policy status tells a change that has not come, waits for it, and sees deletions through", async () => {
    const allow = (port: number): object => calicoPolicy("shop", "allow", { selector: "app == 'backend'", ingress: [{ action: "Allow", protocol: "TCP", destination: { ports: [port] } }] });
    await lab.apply([allow(DEMO_PORT)]);
    expect(await calicoctl("policy", "status", "np/allow", "-n", "shop", "--wait", "20")).toEqual({
      status: 0, stderr: "", stdout: "KIND            NAMESPACE   NAME    IN FORCE   ENDPOINTS   REMARKS\nNetworkPolicy   shop        allow   1 of 1     1\n",
    });
    const typha = lab.supervisor.states().find(({ id }) => id.startsWith("typha@"))?.id ?? "";
    await lab.supervisor.stop(typha);
    try {
      await lab.apply([allow(DEMO_PORT + 1)]);
      const behind = await calicoctl("policy", "status");
      expect([behind.status, behind.stdout]).toEqual([1, expect.stringMatching(/allow +0 of 1 +1 +node-\d: revision \d+ is in force, not yet \d+/)]);
      await lab.datastore.delete(calicoTypes.networkPolicies, { namespace: "shop", name: "allow" });
      await lab.apply([denyInto("monitoring", "none")]);
      const deleted = await calicoctl("policy", "status", "--wait", "1");
      expect(deleted.status).toBe(1);
      expect(deleted.stdout).toMatch(/allow +0 of 1 +0 +node-\d: still enforces it, although it is deleted/);
      expect(deleted.stdout).toMatch(/none +0 of \d +2 +node-\d: not in the kernel yet/);
    } finally {
      lab.supervisor.resume(typha);
    }
    const after = await calicoctl("policy", "status", "--wait", "30", "-o", "json");
    expect([after.status, policiesOf(after).map(({ name }) => name)]).toEqual([0, ["none"]]);
  });

  it("explain says what packets do, which rule decided, and what little a denial misses", async () => {
    await lab.apply([
      calicoPolicy("shop", "in", { selector: "app == 'backend'", ingress: [{ action: "Allow", protocol: "TCP", source: { selector: "app == 'frontend'" }, destination: { ports: ["http"] } }] }),
      calicoPolicy("monitoring", "out", { selector: "app == 'curious'", egress: [{ action: "Deny", protocol: "TCP", destination: { ports: [DEMO_PORT] } }, { action: "Allow" }] }),
    ]);
    await untilReach(lab, (from, to) => (to !== "shop/backend" || from === "shop/frontend") && from !== "monitoring/curious");
    const explained = async (from: string, to: string): Promise<ProbeJson> => JSON.parse((await calicoctl("explain", from, to, `${DEMO_PORT}/TCP`, "-o", "json")).stdout) as ProbeJson;
    for (const [from, to] of [["shop/frontend", "shop/backend"], ["shop/database", "shop/backend"], ["monitoring/curious", "shop/frontend"], ["monitoring/scraper", "monitoring/curious"], ["node:node-1", "shop/backend"]] as const) {
      expect({ from, to, allow: (await explained(from, to)).allow }).toEqual({ from, to, allow: (await lab.probe(from.replace("node:", "node/"), to, DEMO_PORT)).reached });
    }
    expect(await explained("shop/database", "shop/backend")).toMatchObject({ egress: { allow: true, policy: "Profile/kns.shop" }, ingress: { allow: false, tier: "default", policy: null, nearest: { policy: "NetworkPolicy/shop/in", rule: 0, because: ['source shop/database: label app is "database", not "frontend"'] } } });
    expect(await explained("monitoring/curious", "shop/frontend")).toMatchObject({ egress: { allow: false, tier: "default", policy: "NetworkPolicy/monitoring/out", rule: 0 } });
    expect((await calicoctl("explain", "shop/frontend", "shop/backend", "53/UDP")).stdout).toContain("    rule 0 of NetworkPolicy/shop/in would allow it, but:\n      it is about TCP, not UDP\n");
    for (const [from, to, decider] of [["shop/frontend", "shop/backend", "a rule"], ["shop/database", "shop/backend", "the end of a tier"]] as const) {
      const { counters: before } = await explained(from, to);
      await lab.probe(from, to, DEMO_PORT);
      const { counters: after } = await explained(from, to);
      expect(after["ingress"], decider).toEqual({ node: expect.stringMatching(/^node-\d$/) as string, packets: expect.any(String) as string, trouble: null });
      expect(Number(after["ingress"]?.packets), decider).toBeGreaterThan(Number(before["ingress"]?.packets));
    }
    expect((await calicoctl("explain", "shop/frontend", "shop/backend", String(DEMO_PORT))).stdout).toMatch(/ingress of shop\/backend {3}allow: rule 0 of NetworkPolicy\/shop\/in\n {4}counter on node-\d: \d+ packets\n/);
    expect(await calicoctl("explain", "shop/frontent", "shop/backend", "80")).toMatchObject({ status: 1, stderr: 'from: "shop/frontent" is no pod that takes part; did you mean shop/frontend?\n' });
  });

  it("says what is missing when NATS is not known or not there", async () => {
    const secret = { namespace: "calico-system", name: "calicoctl-nats" };
    await lab.supervisor.stop("nats");
    expect(await calicoctl("node", "status")).toMatchObject({ status: 1, stdout: "", stderr: expect.stringMatching(/^NATS at tls:\/\/\S+ does not answer: /) as string });
    expect(await calicoctl("explain", "shop/frontend", "shop/backend", String(DEMO_PORT))).toMatchObject({ status: 0, stdout: expect.stringContaining("allow: ") as string, stderr: expect.stringMatching(/^note: no counters: NATS at tls:/) as string });
    lab.supervisor.resume("nats");
    await lab.datastore.delete(coreTypes.secrets, secret);
    expect(await calicoctl("policy", "status")).toMatchObject({ status: 1, stdout: "", stderr: "how to reach NATS is not known: there is no Secret calico-system/calicoctl-nats; set NATS_URL, NATS_USER, NATS_PASSWORD and NATS_CAFILE\n" });
    await lab.datastore.create(coreTypes.secrets, controlOf(lab).natsSecret);
    await answersAgain();
  });
});
