import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PORT } from "../lab/demo.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { denyInto, rules, run, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

describe("configuration takes effect without a restart", () => {
  let lab: Lab;
  let pids: string;
  const felixPids = (): string => lab.supervisor.states().filter(({ id }) => id.startsWith("felix@") || id.startsWith("bird@")).map(({ id, pid }) => `${id} ${pid}`).join();
  beforeAll(async () => {
    lab = await startDemoLab("fvconf", 18);
    pids = felixPids();
  });
  afterAll(async () => {
    expect(felixPids()).toBe(pids);
    expect(await stopLab(lab)).toEqual([]);
  });

  const set = (kind: string, name: string, spec: object): Promise<void> => lab.apply([{ apiVersion: "projectcalico.org/v3", kind, metadata: { name }, spec }]);
  const patchPool = (spec: object): Promise<unknown> => lab.datastore.patch(calicoTypes.ipPools, { name: "default-ipv4-ippool" }, { spec }, { type: "merge" });
  const sessions = (): string => run(lab, "node/node-1", "birdc", "-s", "/run/calico/bird.ctl", "show", "protocols", "all");
  const because = async (from: string, to: string): Promise<string> => (await lab.probe(from, to, DEMO_PORT, "tcp", 300)).because;

  it("KubeControllersConfiguration: its status says what is in effect", async () => {
    type Configuration = KubeObject & { status?: { runningConfig?: { logSeverityScreen?: string; controllers?: { node?: { leakGracePeriod?: string } } } } };
    const inEffect = async (): Promise<unknown> => {
      const { status } = await lab.datastore.get<Configuration>(calicoTypes.kubeControllersConfigurations, { name: "default" });
      return [status?.runningConfig?.logSeverityScreen, status?.runningConfig?.controllers?.node?.leakGracePeriod].join();
    };
    await untilTrue("the defaults to be in effect", async () => (await inEffect()) === "Info,15m0s", 10_000);
    await set("KubeControllersConfiguration", "default", { logSeverityScreen: "Warning", controllers: { node: { leakGracePeriod: "5m" } } });
    await untilTrue("the change to be in effect", async () => (await inEffect()) === "Warning,5m0s", 10_000);
  });

  it("FelixConfiguration: Deny answers instead of dropping, on one node and then on all", async () => {
    await lab.apply([denyInto("shop")]);
    await untilReach(lab, (_, to) => !to.startsWith("shop/"));
    expect(await because("monitoring/scraper", "shop/backend")).toMatch(/no answer/);
    const node = lab.pods().get("shop/backend")?.host.plan.name ?? "";
    await set("FelixConfiguration", `node.${node}`, { iptablesFilterDenyAction: "Reject" });
    await untilTrue("the node to refuse", async () => (await because("monitoring/scraper", "shop/backend")) === "refused", 10_000);
    expect(await because("monitoring/scraper", "shop/database")).toMatch(/no answer/);
    await set("FelixConfiguration", "default", { iptablesFilterDenyAction: "Reject" });
    await untilTrue("the others to refuse", async () => (await because("monitoring/scraper", "shop/database")) === "refused", 10_000);
    await lab.datastore.delete(calicoTypes.felixConfigurations, { name: `node.${node}` });
    await set("FelixConfiguration", "default", { iptablesFilterDenyAction: "Drop" });
    await untilTrue("all to drop again", async () => /no answer/.test(await because("monitoring/scraper", "shop/backend")), 10_000);
    await withoutPolicies(lab);
  });

  it("FelixConfiguration: the environment wins, and what cannot be used changes nothing", async () => {
    const before = rules(lab, "node-1");
    await set("FelixConfiguration", "default", { defaultEndpointToHostAction: "Drop", bpfEnabled: true });
    await untilTrue("felix to say that there is no eBPF dataplane", async () => /eBPF dataplane is not part of this version/.test(run(lab, "node/node-1", "cat", `${lab.paths.logs}/felix@node-1.log`)), 10_000);
    expect(rules(lab, "node-1")).toBe(before);
  });

  it("IPPool: natOutgoing off takes the masquerade away, a disabled pool gives no address", async () => {
    const masqueraded = (): boolean => /set nat-pools-v4 \{[^}]*10\.65/.test(rules(lab, "node-1"));
    expect(masqueraded()).toBe(true);
    await patchPool({ natOutgoing: false, disabled: true });
    await untilTrue("the masquerade to go", async () => !masqueraded(), 10_000);
    await lab.apply([{ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name: "late" }, spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: DEMO_PORT, protocol: "TCP" }] }] } }]);
    await untilTrue("the pod to be refused", async () => /pool/.test(lab.waiting().get("shop/late") ?? ""), 10_000);
    await patchPool({ natOutgoing: true, disabled: false });
    await lab.untilRunning(["shop/late"], 20_000);
    await untilTrue("the masquerade to be back", async () => masqueraded(), 10_000);
    await lab.datastore.delete(coreTypes.pods, { namespace: "shop", name: "late" }, { gracePeriodSeconds: 0 });
    await untilTrue("the pod to go", async () => !lab.pods().has("shop/late"), 10_000);
  });

  it("BGPConfiguration: another AS number, and no mesh at all", async () => {
    expect(sessions()).toContain("Neighbor AS:      64512");
    await set("BGPConfiguration", "default", { asNumber: 64_600 });
    await untilTrue("sessions of the new AS", async () => (sessions().match(/Neighbor AS: +64600/g) ?? []).length === 4 && (sessions().match(/BGP state: +Established/g) ?? []).length === 4, 30_000);
    await untilReach(lab, () => true);
    await set("BGPConfiguration", "default", { nodeToNodeMeshEnabled: false });
    await untilTrue("the sessions to go", async () => !sessions().includes("BGP state"), 15_000);
    const nodeOf = (pod: string): string => lab.pods().get(pod)?.host.plan.name ?? "";
    await untilReach(lab, (from, to) => nodeOf(from) === nodeOf(to), 30_000);
  });

  it("BGPPeer: explicit peers carry the routes where there is no mesh", async () => {
    for (const { name, address } of lab.plan.nodes) await set("BGPPeer", `to-${name}`, { peerIP: address, asNumber: 64_600, nodeSelector: `kubernetes.io/hostname != '${name}'` });
    await untilReach(lab, () => true, 40_000);
    expect(sessions()).toMatch(/BGP state: +Established/);
    const { items } = await lab.datastore.list<KubeObject>(calicoTypes.bgpPeers);
    for (const { metadata } of items) await lab.datastore.delete(calicoTypes.bgpPeers, metadata);
    await set("BGPConfiguration", "default", { nodeToNodeMeshEnabled: true });
    await untilReach(lab, () => true, 40_000);
  });
});
