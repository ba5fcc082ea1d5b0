import { calicoTypes, coreTypes, type KubeObject } from "@calico/datastore";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { clusterPolicyDefinition } from "../cluster/workloads.ts";
import type { Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";
import { calicoPolicy, denyInto, globalPolicy, inject, onKubernetes, rules, run, startDemoLab, stopLab, untilReach, withoutPolicies } from "./cluster.ts";

type Reach = (from: string, to: string) => boolean;
/** Into one pod only from some; everything else is open. */
const into = (target: string, ...from: string[]): Reach => (source, to) => to !== target || from.includes(source);
const closed = (target: string): Reach => into(target);
const addressOf = (lab: Lab, key: string): string => lab.pods().get(key)?.addresses[0] ?? "";
const allow = (source: object, more: object = {}) => ({ action: "Allow", source, ...more });

describe("policies in the kernel", () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await startDemoLab("fvpol", 24);
  });
  afterAll(async () => expect(await stopLab(lab)).toEqual([]));
  afterEach(() => withoutPolicies(lab));

  it.each<[string, (lab: Lab) => KubeObject[], Reach]>([
    ["v3: only what is allowed comes in", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "app == 'frontend'" }, { protocol: "TCP", destination: { ports: [8080] } })] })], into("shop/backend", "shop/frontend")],
    ["v3: a selector is about the policy's own namespace", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "has(app)" })] })], into("shop/backend", "shop/frontend", "shop/database")],
    ["v3: a namespaceSelector is about the namespaces' labels", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ namespaceSelector: "team == 'operations'", selector: "app == 'scraper'" })] })], into("shop/backend", "monitoring/scraper")],
    ["v3: another port is not allowed", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({}, { protocol: "TCP", destination: { ports: ["8000:8079", 8081] } })] })], closed("shop/backend")],
    ["v3: a named port", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "app == 'database'" }, { protocol: "TCP", destination: { ports: ["http"] } })] })], into("shop/backend", "shop/database")],
    ["v3: notSelector leaves out", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "all()", notSelector: "app == 'database'" })] })], into("shop/backend", "shop/frontend")],
    ["v3: nets and notNets", (of) => [globalPolicy("p", { selector: "app == 'backend'", ingress: [allow({ nets: ["10.65.0.0/16"], notNets: [`${addressOf(of, "monitoring/curious")}/32`] })] })], into("shop/backend", "shop/frontend", "shop/database", "monitoring/scraper")],
    ["v3: an egress rule that only denies closes all egress", () => [calicoPolicy("shop", "p", { selector: "app == 'frontend'", egress: [{ action: "Deny", protocol: "TCP", destination: { ports: [3306] } }] })], (from) => from !== "shop/frontend"],
    ["v3: with an Allow behind the Deny, only that port is closed", () => [calicoPolicy("shop", "p", { selector: "app == 'frontend'", egress: [{ action: "Deny", protocol: "TCP", destination: { ports: [3306] } }, { action: "Allow" }] })], () => true],
    ["order: the lower number comes first", () => [
      globalPolicy("a-allow", { order: 20, selector: "app == 'backend'", ingress: [allow({})] }),
      globalPolicy("b-deny", { order: 10, selector: "app == 'backend'", ingress: [{ action: "Deny", source: { selector: "app == 'curious'" } }] }),
    ], into("shop/backend", "shop/frontend", "shop/database", "monitoring/scraper")],
    ["order: without a number a policy comes last", () => [
      globalPolicy("a-allow", { selector: "app == 'backend'", ingress: [allow({})] }),
      globalPolicy("b-deny", { order: 1, selector: "app == 'backend'", ingress: [{ action: "Deny" }] }),
    ], closed("shop/backend")],
    ["tier: Pass goes on to the next tier, no match ends in the tier's default", () => [
      { apiVersion: "projectcalico.org/v3", kind: "Tier", metadata: { name: "security" }, spec: { order: 10 } } as KubeObject,
      globalPolicy("security.gate", { tier: "security", selector: "app == 'backend'", ingress: [{ action: "Pass", source: { selector: "app in {'frontend', 'database'}" } }] }),
      calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "app == 'frontend'" })] }),
    ], into("shop/backend", "shop/frontend")],
    ["Kubernetes: ipBlock with an exception", (of) => [{
      apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "shop", name: "p" },
      spec: { podSelector: { matchLabels: { app: "backend" } }, policyTypes: ["Ingress"], ingress: [{ from: [{ ipBlock: { cidr: "10.65.0.0/16", except: [`${addressOf(of, "shop/frontend")}/32`] } }] }] },
    } as KubeObject], into("shop/backend", "shop/database", "monitoring/scraper", "monitoring/curious")],
    ["Kubernetes: egress", () => [{
      apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "shop", name: "p" },
      spec: { podSelector: { matchLabels: { app: "frontend" } }, policyTypes: ["Egress"], egress: [{ to: [{ podSelector: { matchLabels: { app: "backend" } } }] }] },
    } as KubeObject], (from, to) => from !== "shop/frontend" || to === "shop/backend"],
    ["network sets are matched by their labels", (of) => [
      { apiVersion: "projectcalico.org/v3", kind: "GlobalNetworkSet", metadata: { name: "friends", labels: { role: "friend" } }, spec: { nets: [`${addressOf(of, "monitoring/curious")}/32`] } } as KubeObject,
      globalPolicy("p", { selector: "app == 'backend'", ingress: [allow({ selector: "role == 'friend'" })] }),
    ], into("shop/backend", "monitoring/curious")],
    ["service accounts", () => [calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ serviceAccounts: { names: ["default"] }, namespaceSelector: "team == 'operations'" })] })], into("shop/backend", "monitoring/scraper", "monitoring/curious")],
  ])("%s", async (_, objects, expected) => {
    await lab.apply(objects(lab));
    await untilReach(lab, expected);
  });

  it("follow the labels of pods and namespaces", async () => {
    await lab.apply([calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [allow({ selector: "access == 'yes'" }), allow({ namespaceSelector: "open == 'yes'" })] })]);
    await untilReach(lab, closed("shop/backend"));
    await lab.datastore.patch(coreTypes.pods, { namespace: "shop", name: "database" }, { metadata: { labels: { access: "yes" } } }, { type: "merge" });
    await untilReach(lab, into("shop/backend", "shop/database"));
    await lab.datastore.patch(coreTypes.namespaces, { name: "monitoring" }, { metadata: { labels: { open: "yes" } } }, { type: "merge" });
    await untilReach(lab, into("shop/backend", "shop/database", "monitoring/scraper", "monitoring/curious"));
    await lab.datastore.patch(coreTypes.pods, { namespace: "shop", name: "database" }, { metadata: { labels: { access: null } } }, { type: "merge" });
    await lab.datastore.patch(coreTypes.namespaces, { name: "monitoring" }, { metadata: { labels: { open: null } } }, { type: "merge" });
    await untilReach(lab, closed("shop/backend"));
  });

  it("follow who is behind a Service, with its ports as a destination and without as a source", async () => {
    const slice = (name: string, service: string, key: string, port: number): KubeObject => ({
      apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { namespace: "shop", name, labels: { "kubernetes.io/service-name": service } },
      addressType: "IPv4", endpoints: [{ addresses: [addressOf(lab, key)], conditions: { ready: true } }], ports: [{ name: "http", protocol: "TCP", port }],
    } as KubeObject);
    const onlyTo = (target: string) => (from: string, to: string): boolean => from !== "shop/frontend" || to === target;
    await lab.apply([
      slice("web-1", "web", "shop/backend", 8080), slice("clients-1", "clients", "monitoring/scraper", 1),
      calicoPolicy("shop", "to", { selector: "app == 'frontend'", egress: [{ action: "Allow", destination: { services: { name: "web" } } }] }),
    ]);
    await untilReach(lab, onlyTo("shop/backend"));
    await lab.apply([slice("web-1", "web", "shop/database", 8080)]);
    await untilReach(lab, onlyTo("shop/database"));
    await lab.apply([slice("web-1", "web", "shop/database", 8081)]);
    await untilReach(lab, (from) => from !== "shop/frontend");
    await lab.apply([globalPolicy("from", { selector: "app == 'backend'", ingress: [allow({ services: { name: "clients", namespace: "shop" } })] })]);
    await untilReach(lab, (from, to) => from !== "shop/frontend" && (to !== "shop/backend" || from === "monitoring/scraper"));
    for (const name of ["web-1", "clients-1"]) await lab.datastore.delete(coreTypes.endpointSlices, { namespace: "shop", name });
    await untilReach(lab, (from, to) => from !== "shop/frontend" && to !== "shop/backend");
  });

  it("of administrators come first and last, once the cluster has the kind", async () => {
    const cluster = (name: string, spec: object): KubeObject => ({ apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy", metadata: { name }, spec: { priority: 1, subject: { namespaces: { matchLabels: { team: "shop" } } }, ...spec } } as KubeObject);
    const everybody = { namespaces: {} };
    await lab.apply([clusterPolicyDefinition]);
    await untilTrue("the kind to be served", () => lab.apply([cluster("baseline", { tier: "Baseline", ingress: [{ action: "Deny", from: [everybody] }] })]).then(() => true), 10_000);
    try {
      // Typha asks for the kind every three seconds.
      await untilReach(lab, (_, to) => !to.startsWith("shop/"));
      await lab.apply([calicoPolicy("shop", "open", { selector: "app == 'backend'", ingress: [{ action: "Allow" }] })]);
      await untilReach(lab, (_, to) => !to.startsWith("shop/") || to === "shop/backend");
      const curious = { pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: "curious" } } } };
      await lab.apply([cluster("admin", { tier: "Admin", ingress: [{ action: "Deny", from: [curious], protocols: [{ tcp: { destinationPort: { number: 8080 } } }] }] })]);
      await untilReach(lab, (from, to) => !to.startsWith("shop/") || (to === "shop/backend" && from !== "monitoring/curious"));
      expect((await lab.probe("monitoring/curious", "shop/backend", 8080, "icmp")).reached).toBe(true);
      const label = (node: string, rack: string | null): Promise<unknown> => lab.datastore.patch(coreTypes.nodes, { name: node }, { metadata: { labels: { rack } } }, { type: "merge" });
      const untilNodes = (...reached: boolean[]): Promise<void> => untilTrue(`nodes to be reached as ${reached.join()}`, async () => {
        const seen = await Promise.all(["node-1", "node-2", "node-3"].map((node) => lab.probe("shop/backend", `node/${node}`, 0, "icmp")));
        return seen.map((each) => each.reached).join() === reached.join();
      }, 15_000);
      await untilNodes(true, true, true);
      await label("node-1", "a");
      await lab.apply([cluster("nodes", { tier: "Admin", egress: [{ action: "Deny", to: [{ nodes: { matchLabels: { rack: "a" } } }] }] })]);
      await untilNodes(false, true, true);
      await label("node-2", "a");
      await untilNodes(false, false, true);
      for (const node of ["node-1", "node-2"]) await label(node, null);
      await untilNodes(true, true, true);
    } finally {
      for (const { metadata } of (await lab.datastore.list(coreTypes.clusterNetworkPolicies)).items) await lab.datastore.delete(coreTypes.clusterNetworkPolicies, metadata);
      await lab.datastore.delete(coreTypes.customResourceDefinitions, clusterPolicyDefinition.metadata);
    }
    await withoutPolicies(lab);
    await untilReach(lab, () => true);
  });

  it("tell protocols apart", async () => {
    await lab.apply([calicoPolicy("shop", "p", { selector: "app == 'backend'", ingress: [{ action: "Allow", protocol: "ICMP", icmp: { type: 8 } }] })]);
    await untilReach(lab, closed("shop/backend"));
    expect((await lab.probe("shop/frontend", "shop/backend", 0, "icmp")).reached).toBe(true);
    expect((await lab.probe("shop/frontend", "shop/backend", 8080, "udp", 300)).reached).toBe(false);
  });

  it.skipIf(onKubernetes)("one that cannot be used closes what it is about, and the others go on", async () => {
    await inject(lab, { skipChecks: true });
    await lab.apply([
      calicoPolicy("shop", "broken", { selector: "app == 'backend'", ingress: [{ action: "Allow", source: { selector: "((app == 'frontend')" } }, allow({ selector: "app == 'database'" })] }),
      denyInto("monitoring"),
    ]);
    await inject(lab, { skipChecks: false });
    await untilReach(lab, (from, to) => (to === "shop/backend" ? from === "shop/database" : !to.startsWith("monitoring/")));
  });

  it("drop what a pod sends from an address that is not its own", async () => {
    const backend = addressOf(lab, "shop/backend");
    run(lab, "shop/frontend", "ip", "addr", "add", "10.65.99.99/32", "dev", "eth0");
    const pod = lab.pods().get("shop/frontend");
    const node = pod?.host.plan.name ?? "";
    // The kernel's own reverse path filter would be first.
    const [, hostInterface = ""] = new RegExp(`${addressOf(lab, "shop/frontend").replaceAll(".", "\\.")} dev (\\S+)`).exec(run(lab, `node/${node}`, "ip", "route")) ?? [];
    for (const name of ["all", hostInterface]) run(lab, `node/${node}`, "sysctl", "-qw", `net.ipv4.conf.${name}.rp_filter=0`);
    expect(() => run(lab, "shop/frontend", "ping", "-c", "1", "-W", "1", "-I", "10.65.99.99", backend)).toThrow();
    run(lab, "shop/frontend", "ip", "addr", "del", "10.65.99.99/32", "dev", "eth0");
    const listed = run(lab, `node/${node}`, "nft", "list", "table", "inet", "calico");
    expect(listed).toMatch(/counter packets [1-9]\d* bytes \d+ drop comment "shop\/frontend foreign source address"/);
  });

  it("drop what comes from a workload interface that felix does not know", async () => {
    run(lab, "node/node-1", "ip", "link", "add", "calideadbeef", "type", "veth", "peer", "name", "probe0");
    try {
      run(lab, "node/node-1", "ip", "addr", "add", "10.65.99.1/32", "dev", "calideadbeef");
      run(lab, "node/node-1", "ip", "link", "set", "calideadbeef", "up");
      run(lab, "node/node-1", "ip", "link", "set", "probe0", "netns", "1");
    } catch {
      // The peer may stay where it is: what matters is that the chain ends in a drop.
    }
    expect(rules(lab, "node-1")).toMatch(/chain filter-forward \{[^}]*iifname vmap @from-workload\s+iifname "cali\*" counter drop/);
    run(lab, "node/node-1", "ip", "link", "del", "calideadbeef");
  });

  it("nobody else may delete the table while felix lives", () => {
    expect(() => run(lab, "node/node-1", "nft", "delete", "table", "inet", "calico")).toThrow(/not permitted|No such file/i);
  });

  it("the tiers that a test made can be deleted", async () => {
    await lab.datastore.delete(calicoTypes.tiers, { name: "security" });
    await untilTrue("the tier to be gone", async () => (await lab.datastore.list(calicoTypes.tiers)).items.every(({ metadata }) => metadata.name !== "security"), 5_000);
  });
});
