/** What the chart's admission policies do in Kubernetes' own API server, and what kube-controllers and typha do beside it with the chart's roles. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { calicoTypes, coreTypes, isDatastoreError, openKubernetesDatastore, type KubernetesDatastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onKubernetes, stopLab } from "../fv/cluster.ts";
import { writeKubeconfig } from "../lab/kubeconfig.ts";
import { startLab, type Lab } from "../lab/lab.ts";
import { untilTrue } from "../lab/wait.ts";

const NAMESPACE = "people";
const FINALIZER = "projectcalico.org/tier-controller";
const GROUP = "projectcalico.org";
const rbac = (kind: string, plural: string): ResourceType => ({ group: "rbac.authorization.k8s.io", version: "v1", kind, plural, namespaced: false });
const CLUSTER_ROLES = rbac("ClusterRole", "clusterroles");
const CLUSTER_ROLE_BINDINGS = rbac("ClusterRoleBinding", "clusterrolebindings");

type Rule = { readonly resources: readonly string[]; readonly verbs: readonly string[]; readonly resourceNames?: readonly string[] };
type Tier = KubeObject & { readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string; readonly message: string }[] } };

const everyPolicy: Rule = { resources: ["networkpolicies", "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies"], verbs: ["*"] };
const inSecurity = (resourceNames: readonly string[], verbs: readonly string[] = ["*"]): Rule => ({ resources: ["tier.networkpolicies", "tier.globalnetworkpolicies", "tier.stagednetworkpolicies", "tier.stagedglobalnetworkpolicies"], verbs, resourceNames });
const readSecurity: Rule = { resources: ["tiers"], verbs: ["get"], resourceNames: ["security"] };
/** Who there is, and what each may do. */
const PEOPLE: Readonly<Record<string, readonly Rule[]>> = {
  admin: [{ resources: ["*"], verbs: ["*"] }],
  security: [everyPolicy, readSecurity, inSecurity(["security.*"])],
  "one-policy": [everyPolicy, readSecurity, inSecurity(["security.one"])],
  maker: [everyPolicy, readSecurity, inSecurity(["security.*"], ["create"])],
  blind: [everyPolicy, inSecurity(["security.*"])],
  "policies-only": [everyPolicy],
  everywhere: [everyPolicy, { resources: ["tiers"], verbs: ["get"] }, { resources: ["tier.networkpolicies", "tier.globalnetworkpolicies", "tier.stagednetworkpolicies", "tier.stagedglobalnetworkpolicies"], verbs: ["create", "patch", "delete"] }],
};

const calico = (kind: string, name: string, spec: object, namespace?: string): KubeObject => ({ apiVersion: `${GROUP}/v3`, kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, spec });
const policy = (name: string, tier: string): KubeObject => calico("NetworkPolicy", name, { tier }, NAMESPACE);

describe.skipIf(!onKubernetes)("admission in Kubernetes' own API server", () => {
  let lab: Lab;
  const as = new Map<string, KubernetesDatastore>();
  beforeAll(async () => {
    const dir = mkdtempSync(join(tmpdir(), "chadm-"));
    lab = await startLab({ name: "chadm", octet: 22, dir: join(dir, "lab"), nodes: 1, kubernetes: "api-server" });
    await lab.datastore.create(coreTypes.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
    await lab.datastore.create(calicoTypes.tiers, calico("Tier", "security", { order: 10 }));
    for (const [name, rules] of Object.entries(PEOPLE)) {
      await lab.datastore.create(coreTypes.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace: NAMESPACE, name } });
      await lab.datastore.create(CLUSTER_ROLES, { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name: `people-${name}` }, rules: rules.map((rule) => ({ apiGroups: [GROUP], ...rule })) } as KubeObject);
      await lab.datastore.create(CLUSTER_ROLE_BINDINGS, {
        apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRoleBinding", metadata: { name: `people-${name}` }, roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `people-${name}` }, subjects: [{ kind: "ServiceAccount", namespace: NAMESPACE, name }],
      } as KubeObject);
      const { status } = await lab.datastore.create<KubeObject & { status?: { token?: string } }>(coreTypes.serviceAccounts, { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: { namespace: NAMESPACE, name }, spec: {} } as KubeObject, { subresource: "token" });
      const kubeconfig = join(dir, `${name}.kubeconfig`);
      writeKubeconfig(kubeconfig, lab.api.server, join(lab.paths.pki, "ca.crt"), { token: status?.token ?? "", username: name, groups: [], extra: {} });
      as.set(name, openKubernetesDatastore({ kubeconfig, userAgent: "admission" }));
    }
  });
  afterAll(async () => {
    for (const datastore of as.values()) datastore.close();
    expect(await stopLab(lab)).toEqual([]);
  });

  const who = (name: string): KubernetesDatastore => {
    const datastore = as.get(name);
    if (datastore === undefined) throw new Error(`nobody is called ${name}`);
    return datastore;
  };
  /** "" when it was done, else the code and what comes after "denied request: ". */
  const answerTo = (request: Promise<unknown>): Promise<string> => request.then(() => "", (error: unknown) => {
    if (!isDatastoreError(error)) throw error;
    return `${error.code}: ${error.message.split("denied request: ").at(-1) ?? ""}`;
  });
  const needs = (verb: string, plural: string, tier: string): string => `Forbidden: you may not ${verb} policies in tier ${tier}: this needs get on tiers/${tier} and ${verb} on tier.${plural}/${tier}.* of projectcalico.org`;
  const conditionOf = async (tier: string): Promise<string> => {
    const { status } = await lab.datastore.get<Tier>(calicoTypes.tiers, { name: tier });
    const ready = status?.conditions?.find(({ type }) => type === "Ready");
    return ready === undefined ? "" : `${ready.status} ${ready.reason} ${ready.message}`;
  };

  it.each<[string, string, string, string]>([
    ["admin", "a", "security", ""], ["admin", "a", "default", ""], ["admin", "a", "of-nobody", ""],
    ["security", "a", "security", ""], ["security", "a", "default", needs("create", "networkpolicies", "default")],
    ["one-policy", "one", "security", ""], ["one-policy", "security.one", "security", ""], ["one-policy", "two", "security", needs("create", "networkpolicies", "security")],
    ["maker", "a", "security", ""], ["blind", "a", "security", needs("create", "networkpolicies", "security")], ["policies-only", "a", "default", needs("create", "networkpolicies", "default")],
    ["everywhere", "a", "of-nobody", ""],
  ])("%s creates %s in tier %s: %j", async (name, written, tier, expected) => {
    expect(await answerTo(who(name).create(calicoTypes.networkPolicies, policy(written, tier), { dryRun: true }))).toBe(expected);
  });

  it("asks for rights to each of the kinds", async () => {
    for (const [type, namespace] of [[calicoTypes.globalNetworkPolicies, undefined], [calicoTypes.stagedGlobalNetworkPolicies, undefined], [calicoTypes.stagedNetworkPolicies, NAMESPACE]] as const) {
      const made = (tier: string): Promise<unknown> => who("security").create(type, calico(type.kind, "kind", { tier }, namespace), { dryRun: true });
      expect([await answerTo(made("security")), await answerTo(made("default"))]).toEqual(["", needs("create", type.plural, "default")]);
    }
    expect(await answerTo(who("admin").create(calicoTypes.stagedKubernetesNetworkPolicies, calico("StagedKubernetesNetworkPolicy", "kind", { podSelector: {} }, NAMESPACE), { dryRun: true }))).toBe("");
  });

  it("asks for rights in both tiers when a policy moves, and for each verb", async () => {
    await lab.datastore.create(calicoTypes.networkPolicies, policy("moved", "security"));
    const key = { namespace: NAMESPACE, name: "moved" };
    const patched = (name: string, change: object): Promise<string> => answerTo(who(name).patch(calicoTypes.networkPolicies, key, change, { type: "merge", dryRun: true }));
    expect(await patched("security", { spec: { order: 5 } })).toBe("");
    expect(await patched("security", { spec: { tier: "default" } })).toBe(needs("update", "networkpolicies", "default"));
    expect(await patched("everywhere", { spec: { tier: "default" } })).toBe("");
    expect(await patched("maker", { spec: { order: 5 } })).toBe(needs("update", "networkpolicies", "security"));
    await lab.datastore.patch(calicoTypes.networkPolicies, key, { spec: { tier: "default" } }, { type: "merge" });
    expect(await patched("security", { spec: { tier: "security" } })).toBe(needs("update", "networkpolicies", "default"));
    expect(await answerTo(who("security").delete(calicoTypes.networkPolicies, key))).toBe(needs("delete", "networkpolicies", "default"));
    expect(await answerTo(who("everywhere").delete(calicoTypes.networkPolicies, key))).toBe("");
  });

  it("fills in a policy of every kind", async () => {
    const filledIn = async (type: ResourceType, spec: object, namespace?: string): Promise<unknown> => {
      const made = await lab.datastore.create(type, calico(type.kind, "filled-in", spec, namespace), { dryRun: true }) as KubeObject & { spec: Record<string, unknown> };
      return [made.spec["tier"], made.spec["types"] ?? made.spec["policyTypes"], made.metadata.labels?.["projectcalico.org/tier"]];
    };
    expect(await filledIn(calicoTypes.networkPolicies, {}, NAMESPACE)).toEqual(["default", ["Ingress"], "default"]);
    expect(await filledIn(calicoTypes.globalNetworkPolicies, { tier: "security", egress: [{ action: "Allow" }] })).toEqual(["security", ["Egress"], "security"]);
    expect(await filledIn(calicoTypes.stagedGlobalNetworkPolicies, { ingress: [{ action: "Allow" }], egress: [{ action: "Allow" }] })).toEqual(["default", ["Ingress", "Egress"], "default"]);
    expect(await filledIn(calicoTypes.stagedNetworkPolicies, { types: ["Egress"] }, NAMESPACE)).toEqual(["default", ["Egress"], "default"]);
    expect(await filledIn(calicoTypes.stagedKubernetesNetworkPolicies, { podSelector: {}, egress: [{}] }, NAMESPACE)).toEqual([undefined, ["Ingress", "Egress"], undefined]);
  });

  it("takes policies up to Calico's limits, and refuses the commonest mistakes in selectors", async () => {
    const made = (spec: object): Promise<string> => answerTo(lab.datastore.create(calicoTypes.globalNetworkPolicies, calico("GlobalNetworkPolicy", "limits", spec), { dryRun: true }));
    const selector = `app == '${"a".repeat(1024 - 9)}'`;
    const nets = Array.from({ length: 256 }, (_, i) => `10.${i}.0.0/16`);
    const ports = Array.from({ length: 50 }, (_, i) => i + 1);
    const full = { action: "Allow", protocol: "TCP", source: { nets, selector, notSelector: selector, namespaceSelector: selector }, destination: { nets, ports, notPorts: ports } };
    expect(await made({ selector, namespaceSelector: selector, serviceAccountSelector: selector, ingress: [full, full], egress: [{ action: "Deny" }] })).toBe("");
    expect(await made({ ingress: Array.from({ length: 1024 }, () => ({ action: "Allow", source: { selector: "app == 'web' && has(tier)" } })) })).toBe("");
    for (const wrong of ["role = 'a'", "role == a", "role == 'a", "(has(a)", "has(a) &&", "global()"]) expect(await made({ selector: wrong })).toContain("spec.selector");
    for (const wrong of ["role = 'a'", "role == a", "role == 'a", "has(a) &&", "global()"]) expect(await made({ ingress: [{ action: "Allow", source: { selector: wrong } }] })).toContain("spec.ingress[0].source.selector");
  });

  it("keeps the built-in tiers as kube-controllers made them", async () => {
    await untilTrue("the built-in tiers to be ready", async () => (await Promise.all(["kube-admin", "default", "kube-baseline"].map(conditionOf))).every((condition) => condition.startsWith("True Ready ")), 20_000);
    const tier = { name: "kube-baseline" };
    expect(await answerTo(who("admin").delete(calicoTypes.tiers, tier))).toBe("Forbidden: tier kube-baseline is built in and cannot be deleted; delete or move the policies in it if they are in the way");
    expect(await answerTo(who("admin").patch(calicoTypes.tiers, tier, { spec: { defaultAction: "Deny" } }, { type: "merge" }))).toBe(
      "Forbidden: tier kube-baseline is built in: its order is always 10000000 and its defaultAction Pass; write these, or make a tier of your own",
    );
    expect(await answerTo(who("admin").patch(calicoTypes.tiers, tier, { metadata: { labels: { a: "b" } } }, { type: "merge" }))).toBe("");
  });

  it("keeps a tier until no policy is in it, staged ones included", async () => {
    await lab.datastore.create(calicoTypes.tiers, calico("Tier", "going", { order: 20 }));
    const tier = (): Promise<KubeObject> => lab.datastore.get<KubeObject>(calicoTypes.tiers, { name: "going" });
    await untilTrue("the tier to be held", async () => (await tier()).metadata.finalizers?.includes(FINALIZER) === true && (await conditionOf("going")).startsWith("True"), 20_000);
    await lab.datastore.create(calicoTypes.networkPolicies, policy("last", "going"));
    await lab.datastore.create(calicoTypes.stagedGlobalNetworkPolicies, calico("StagedGlobalNetworkPolicy", "last", { tier: "going" }));
    await lab.datastore.delete(calicoTypes.tiers, { name: "going" });
    await untilTrue("the tier to say what keeps it", async () => (await conditionOf("going")) === `False NotEmpty the tier goes when no policy is in it; there are NetworkPolicy ${NAMESPACE}/last, StagedGlobalNetworkPolicy last`, 20_000);
    await lab.datastore.delete(calicoTypes.networkPolicies, { namespace: NAMESPACE, name: "last" });
    await untilTrue("one policy to be left", async () => (await conditionOf("going")).endsWith("there is StagedGlobalNetworkPolicy last"), 20_000);
    // Out of the tier is as good as gone.
    await lab.datastore.patch(calicoTypes.stagedGlobalNetworkPolicies, { name: "last" }, { spec: { tier: "default" } }, { type: "merge" });
    await untilTrue("the tier to be gone", () => tier().then(() => false, (error: unknown) => isDatastoreError(error, "NotFound")), 20_000);
  });

  it("lets a namespace go with its policies", async () => {
    await lab.datastore.create(coreTypes.namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: "going" } });
    await lab.datastore.create(calicoTypes.networkPolicies, calico("NetworkPolicy", "a", { tier: "security" }, "going"));
    await lab.datastore.delete(coreTypes.namespaces, { name: "going" });
    await untilTrue("the namespace to be gone", () => lab.datastore.get(coreTypes.namespaces, { name: "going" }).then(() => false, (error: unknown) => isDatastoreError(error, "NotFound")), 30_000);
  });

  it("tells of a staged policy that cannot be used", async () => {
    await lab.datastore.create(calicoTypes.stagedGlobalNetworkPolicies, calico("StagedGlobalNetworkPolicy", "odd", { ingress: [{ action: "Allow", destination: { ports: [80] } }] }));
    await untilTrue("typha to tell of it", async () => {
      const { items } = await lab.datastore.list<KubeObject & { reason?: string; message?: string }>(coreTypes.events, { fieldSelector: "involvedObject.kind=StagedGlobalNetworkPolicy,involvedObject.name=odd" });
      return items.some(({ reason, message }) => reason === "InvalidObject" && message?.includes("ports need protocol TCP, UDP or SCTP") === true);
    }, 20_000);
  });
});
