import type { KubeObject } from "@calico/datastore";
import { describe, expect, it } from "vitest";
import { readManifests, type Manifests } from "./manifests.ts";
import { answerProbes, isAnswered } from "./policy-eval.ts";
import { answerStaged, renderStaged } from "./staged.ts";

const pod = (name: string): object => ({ apiVersion: "v1", kind: "Pod", metadata: { namespace: "shop", name, labels: { app: name } }, spec: { containers: [{ name: "c", image: "x" }] } });
const calico = (kind: string, name: string, spec: object): object => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name, ...(kind.includes("Global") || kind === "Tier" ? {} : { namespace: "shop" }) }, spec });
const manifests = (...objects: readonly object[]): Manifests => readManifests([pod("web"), pod("db"), ...objects].map((value, i) => ({ value: value as KubeObject, at: `x:${i}`, placeOf: (path) => `x:${i} ${path}` })));
const probes = [{ from: "shop/web", to: "shop/db", port: 80, protocol: "TCP" }];

const deny = { selector: "app == 'db'", ingress: [{ action: "Deny" }] };
const allow = { selector: "app == 'db'", ingress: [{ action: "Allow" }] };
/** Verdict now, verdict then, and what would decide about ingress; null: nothing would change. */
function preview(...objects: readonly object[]): unknown {
  const read = manifests(...objects);
  expect(read.problems).toEqual([]);
  const [answer] = answerStaged(read, probes).filter(isAnswered);
  expect(answer).toMatchObject(answerProbes(read, probes)[0] ?? {});
  return [answer?.allow, answer?.staged?.allow ?? null, answer?.staged?.ingress?.because ?? null];
}

describe("policy eval --staged", () => {
  it.each<[string, object[], unknown[]]>([
    ["a policy that there is not yet", [calico("StagedNetworkPolicy", "db", deny)], [true, false, "rule 0 of StagedNetworkPolicy/shop/db"]],
    ["one in place of the enforced one", [calico("GlobalNetworkPolicy", "db", deny), calico("StagedGlobalNetworkPolicy", "db", { ...allow, stagedAction: "Set" })], [false, true, "rule 0 of StagedGlobalNetworkPolicy/db"]],
    ["one that is enforced already", [calico("NetworkPolicy", "db", deny), calico("StagedNetworkPolicy", "db", deny)], [false, null, null]],
    ["one of the same name of another kind", [calico("GlobalNetworkPolicy", "db", { ...deny, order: 1 }), calico("StagedNetworkPolicy", "db", { ...allow, order: 2 })], [false, null, null]],
    ["a removal", [calico("NetworkPolicy", "db", deny), calico("StagedNetworkPolicy", "db", { stagedAction: "Delete" })], [false, true, "no policy decides, and profile kns.shop allows"]],
    ["a removal of nothing", [calico("StagedNetworkPolicy", "db", { ...deny, stagedAction: "Delete" })], [true, null, null]],
    ["one that is only learnt", [calico("StagedNetworkPolicy", "db", { ...deny, stagedAction: "Learn" })], [true, null, null]],
    ["one that is ignored", [calico("StagedNetworkPolicy", "db", { ...deny, stagedAction: "Ignore" })], [true, null, null]],
    ["one of Kubernetes", [calico("StagedKubernetesNetworkPolicy", "db", { podSelector: { matchLabels: { app: "db" } } })], [true, false, "no rule of the policies in tier default matches"]],
  ])("shows what would change with %s", (_, objects, expected) => expect(preview(...objects)).toEqual(expected));

  it("leaves the verdict as it is: a tier with staged policies alone passes", () => {
    const staged = manifests(calico("Tier", "security", { order: 1 }), calico("StagedGlobalNetworkPolicy", "db", { ...deny, tier: "security" }), calico("StagedGlobalNetworkPolicy", "web", { tier: "security", selector: "all()", types: ["Ingress", "Egress"] }));
    expect(answerProbes(staged, probes)).toEqual(answerProbes(manifests(), probes));
  });

  it("prints what would decide beside the verdict", () => {
    const answers = answerStaged(manifests(calico("StagedNetworkPolicy", "db", deny), calico("StagedNetworkPolicy", "web", { selector: "app == 'web'", egress: [{ action: "Allow" }] })), [...probes, { from: "shop/db", to: "shop/web", port: 80, protocol: "TCP" }]);
    expect(renderStaged(answers).split("\n").map((line) => line.replaceAll(/ {2,}/g, "  ").trimEnd())).toEqual([
      "FROM  TO  PORT  PROTOCOL  VERDICT  STAGED  BECAUSE",
      "shop/web  shop/db  80  TCP  allow  deny  egress allow: rule 0 of StagedNetworkPolicy/shop/web; ingress deny: rule 0 of StagedNetworkPolicy/shop/db",
      "shop/db  shop/web  80  TCP  allow  same",
      "",
    ]);
  });

  it("shows what a node on the way would cut off", () => {
    const objects = [
      { ...pod("x"), spec: { nodeName: "n1", containers: [{ name: "c", image: "x" }] } }, { ...pod("y"), spec: { nodeName: "n2", containers: [{ name: "c", image: "x" }] } },
      ...["n1", "n2"].map((node) => ({ apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name: `${node}-all`, labels: { of: node } }, spec: { node, interfaceName: "*" } })),
    ];
    const forward = { selector: "of == 'n2'", applyOnForward: true, types: ["Ingress"], ingress: [{ action: "Deny", protocol: "UDP" }, { action: "Allow" }] };
    const all = manifests(...objects, calico("StagedGlobalNetworkPolicy", "hosts", forward));
    const answers = answerStaged(all, [{ from: "shop/x", to: "shop/y", port: 53, protocol: "UDP" }, { from: "shop/x", to: "shop/y", port: 80, protocol: "TCP" }, { from: "shop/y", to: "shop/x", port: 53, protocol: "UDP" }]).filter(isAnswered);
    const open = { allow: true, tier: null, policy: null, rule: null, because: "no policy with applyOnForward decides", nearest: null };
    const decided = (rule: number, allow: boolean) => ({ allow, tier: "default", policy: "StagedGlobalNetworkPolicy/hosts", rule, because: `rule ${rule} of StagedGlobalNetworkPolicy/hosts`, nearest: null, hostEndpoint: "n2-all", node: "n2", direction: "in" });
    const out = { ...open, hostEndpoint: "n1-all", node: "n1", direction: "out" };
    expect(answers.map(({ allow, forwarded, staged }) => [allow, forwarded, staged?.allow ?? null, staged?.forwarded ?? null])).toEqual([
      [true, [out, { ...open, hostEndpoint: "n2-all", node: "n2", direction: "in" }], false, [out, decided(0, false)]],
      [true, [out, { ...open, hostEndpoint: "n2-all", node: "n2", direction: "in" }], true, [out, decided(1, true)]],
      [true, [{ ...open, hostEndpoint: "n2-all", node: "n2", direction: "out" }, { ...open, hostEndpoint: "n1-all", node: "n1", direction: "in" }], null, null],
    ]);
    expect(renderStaged(answers).split("\n").slice(1).map((line) => line.replaceAll(/ {2,}/g, "  ").trimEnd())).toEqual([
      "shop/x  shop/y  53  UDP  allow  deny  forwarded in at n2 deny: rule 0 of StagedGlobalNetworkPolicy/hosts",
      "shop/x  shop/y  80  TCP  allow  allow  forwarded in at n2 allow: rule 1 of StagedGlobalNetworkPolicy/hosts",
      "shop/y  shop/x  53  UDP  allow  same",
      "",
    ]);
  });

  it("reports a staged policy that cannot be used, with its place", () => {
    expect(manifests(calico("StagedNetworkPolicy", "db", { selector: "a = 'b'" }), calico("StagedGlobalNetworkPolicy", "x", { stagedAction: "Sett" }), calico("StagedKubernetesNetworkPolicy", "y", { podSelector: {}, ingress: [{ from: [{}] }] })).problems).toEqual([
      `x:2 spec.selector: StagedNetworkPolicy db: spec.selector: "a = 'b'": a single "=" is not an operator at character 3; use "=="`,
      'x:3 spec.stagedAction: StagedGlobalNetworkPolicy x: spec.stagedAction: "Sett" is none of Set, Delete, Learn, Ignore; did you mean Set?',
      "x:4 spec.ingress[0].from[0]: StagedKubernetesNetworkPolicy y: spec.ingress[0].from[0]: a peer needs an ipBlock, a podSelector or a namespaceSelector; for every pod of the cluster write namespaceSelector: {}",
    ]);
  });

  it("says why probes have no answer", () => {
    expect(answerStaged(manifests(), [{ from: "shop/wob", to: "shop/db", port: 1, protocol: "TCP" }])).toEqual([{ from: "shop/wob", to: "shop/db", port: 1, protocol: "TCP", error: 'from: "shop/wob" is no pod that takes part; did you mean shop/web?' }]);
  });
});
