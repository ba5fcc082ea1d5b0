import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import fc from "fast-check";
import { stringify } from "yaml";
import { policyEval } from "./eval-command.ts";
import { readManifests } from "./manifests.ts";
import { renderAnswer, type ProbeAnswer } from "./policy-eval.ts";
import { CommandError } from "./usage.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "calicoctl-"))));
afterEach(() => rmSync(dir, { recursive: true }));

const pod = (key: string, labels: object = {}, spec: object = {}, more: object = {}): object => {
  const [namespace, name] = key.split("/");
  return { apiVersion: "v1", kind: "Pod", metadata: { namespace, name, labels }, spec: { containers: [{ name: "c", image: "x", ports: [{ name: "http", containerPort: 8080 }] }], ...spec }, ...more };
};
const calico = (kind: string, name: string, spec: object, namespace?: string): object => ({ apiVersion: "projectcalico.org/v3", kind, metadata: { name, ...(namespace === undefined ? {} : { namespace }) }, spec });
const kubernetes = (name: string, spec: object): object => ({ apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { namespace: "shop", name }, spec });

function evaluate(manifests: readonly object[], probes: unknown): ProbeAnswer[] {
  writeFileSync(join(dir, "all.yaml"), manifests.map((object) => stringify(object)).join("---\n"));
  writeFileSync(join(dir, "probes.json"), JSON.stringify(probes));
  let said = "";
  policyEval({ verb: "policy eval", files: [join(dir, "all.yaml")], probes: join(dir, "probes.json"), staged: false, output: "json" }, (text) => (said += text));
  return JSON.parse(said) as ProbeAnswer[];
}
/** Verdict, and what decided on each side. */
const brief = ({ allow, egress, ingress }: ProbeAnswer): unknown[] => [allow, ...[egress, ingress].map((side) => (side === null ? null : `${side.tier ?? ""}:${side.policy ?? ""}:${side.rule ?? ""}`))];
const verdicts = (manifests: readonly object[], ...probes: [from: string, to: string, port?: number, protocol?: string][]): unknown[] =>
  evaluate(manifests, probes.map(([from, to, port = 8080, protocol = "TCP"]) => ({ from, to, port, protocol }))).map(brief);
const refusal = (manifests: readonly object[], probes: unknown): string[] => {
  try {
    evaluate(manifests, probes);
    return [];
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return error.message.replaceAll(`${dir}/`, "").split("\n");
  }
};

const web = pod("shop/web", { app: "web" });
const db = pod("shop/db", { app: "db" }, { nodeName: "n1" });

describe("policy eval", () => {
  it.each<[string, object, unknown[], unknown[]]>([
    ["without policyTypes and with egress rules isolates both ways", { podSelector: { matchLabels: { app: "db" } }, egress: [{}] }, [true, "default:KubernetesNetworkPolicy/shop/db:0"], [false, "default::"]],
    ["without policyTypes and rules isolates ingress alone", { podSelector: { matchLabels: { app: "db" } } }, [true, ":Profile/kns.shop:0"], [false, "default::"]],
    ["with empty policyTypes isolates as without", { podSelector: { matchLabels: { app: "db" } }, policyTypes: [], egress: [] }, [true, ":Profile/kns.shop:0"], [false, "default::"]],
    ["of type Egress leaves ingress alone", { podSelector: { matchLabels: { app: "db" } }, policyTypes: ["Egress"], egress: [{}] }, [true, "default:KubernetesNetworkPolicy/shop/db:0"], [true, ":Profile/kns.shop:0"]],
  ])("a policy of Kubernetes %s, as the API server fills it in", (_, spec, egressOfDb, ingressOfDb) => {
    const [from, to] = evaluate([web, db, kubernetes("db", spec)], [{ from: "shop/db", to: "shop/web", port: 80 }, { from: "shop/web", to: "shop/db", port: 80 }]).map(brief) as [unknown[], unknown[]];
    expect([[from[0], from[1]], [to[0], to[2]]]).toEqual([egressOfDb, ingressOfDb]);
  });

  it("says what decided on each side: a rule, the end of a tier, or a profile", () => {
    const policies = [
      kubernetes("db", { podSelector: { matchLabels: { app: "db" } }, ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: 9 }] }, { from: [{ podSelector: { matchLabels: { app: "web" } } }], ports: [{ port: "http" }] }] }),
      calico("GlobalNetworkPolicy", "no-udp", { order: 1, selector: "app == 'web'", egress: [{ action: "Deny", protocol: "UDP" }, { action: "Pass" }] }),
    ];
    expect(verdicts([web, db, ...policies], ["shop/web", "shop/db"], ["shop/web", "shop/db", 80], ["shop/web", "shop/db", 53, "UDP"], ["shop/db", "shop/web"])).toEqual([
      [true, ":Profile/kns.shop:0", "default:KubernetesNetworkPolicy/shop/db:1"],
      [false, ":Profile/kns.shop:0", "default::"],
      [false, "default:GlobalNetworkPolicy/no-udp:0", "default::"],
      [true, ":Profile/kns.shop:0", ":Profile/kns.shop:0"],
    ]);
  });

  it("reads as the API server does: namespaces have their names as labels, pods an account, policies their types", () => {
    const other = pod("other/client", {}, { serviceAccountName: "robot" });
    const policies = [
      kubernetes("from-other", { podSelector: {}, ingress: [{ from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "other" } } }] }] }),
      calico("NetworkPolicy", "out", { egress: [{ action: "Allow", destination: { selector: "app == 'web'", namespaceSelector: "all()" } }] }, "other"),
      calico("NetworkPolicy", "robots", { order: 1, selector: "app == 'db'", ingress: [{ action: "Deny", source: { serviceAccounts: { names: ["robot"] }, namespaceSelector: "all()" } }] }, "shop"),
    ];
    expect(verdicts([web, db, other, ...policies], ["other/client", "shop/web"], ["other/client", "shop/db"], ["shop/db", "shop/web"])).toEqual([
      [true, "default:NetworkPolicy/other/out:0", "default:KubernetesNetworkPolicy/shop/from-other:0"],
      [false, "default::", "default:NetworkPolicy/shop/robots:0"],
      [false, ":Profile/kns.shop:0", "default::"],
    ]);
  });

  it("nodes, addresses and pods on a node's own network", () => {
    const node = { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] } };
    const agent = pod("shop/agent", {}, { nodeName: "n1", hostNetwork: true });
    const placed = pod("shop/placed", { app: "db" }, { nodeName: "n2" }, { status: { podIPs: [{ ip: "10.65.0.9" }] } });
    const policies = [calico("GlobalNetworkPolicy", "db", { selector: "app == 'db'", ingress: [{ action: "Allow", source: { nets: ["198.51.100.0/24"] } }] }), calico("GlobalNetworkSet", "known", { nets: ["203.0.113.7/32"] })];
    expect(verdicts([db, placed, node, agent, ...policies], ["node:n1", "shop/db"], ["shop/agent", "shop/db"], ["node:n1", "10.65.0.9"], ["198.51.100.3", "10.65.0.9"], ["203.0.113.7", "shop/db"], ["shop/db", "198.51.100.3"])).toEqual([
      [true, null, "::"], [true, null, "::"], [false, null, "default::"], [true, null, "default:GlobalNetworkPolicy/db:0"], [false, null, "default::"], [true, ":Profile/kns.shop:0", null],
    ]);
  });

  it("a Service stands for the pods it selects and their target ports, unless there are slices", () => {
    const service = { apiVersion: "v1", kind: "Service", metadata: { namespace: "shop", name: "db" }, spec: { selector: { app: "db" }, ports: [{ port: 80, targetPort: "http" }] } };
    const slice = { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { namespace: "shop", name: "db-1", labels: { "kubernetes.io/service-name": "db" } }, addressType: "IPv4", endpoints: [{ addresses: ["198.51.100.9"] }], ports: [{ port: 5432 }] };
    const out = calico("NetworkPolicy", "out", { selector: "app == 'web'", egress: [{ action: "Allow", destination: { services: { name: "db" } } }] }, "shop");
    expect(verdicts([web, db, service, out], ["shop/web", "shop/db"], ["shop/web", "shop/db", 80], ["shop/web", "198.51.100.9", 5432]).map((each) => (each as unknown[])[0])).toEqual([true, false, false]);
    expect(verdicts([web, db, service, slice, out], ["shop/web", "shop/db"], ["shop/web", "198.51.100.9", 5432]).map((each) => (each as unknown[])[0])).toEqual([false, true]);
  });

  it("tiers, ICMP and what is passed over", () => {
    const objects = [
      web, db, calico("Tier", "security", { order: 1 }), { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" } },
      calico("GlobalNetworkPolicy", "security.gate", { tier: "security", selector: "app == 'db'", ingress: [{ action: "Pass", protocol: "ICMP", icmp: { type: 8 } }] }),
    ];
    expect(verdicts(objects, ["shop/web", "shop/db", 0, "ICMP"], ["shop/web", "shop/db"])).toEqual([[true, ":Profile/kns.shop:0", ":Profile/kns.shop:0"], [false, ":Profile/kns.shop:0", "security::"]]);
  });

  it("says of a denial which rule would have allowed it, and what keeps it from doing so", () => {
    const rules = [{ action: "Allow", protocol: "UDP" }, { action: "Allow", protocol: "TCP", source: { selector: "app == 'frontend'" }, destination: { ports: [8080] } }];
    const [denied, allowed] = evaluate([web, db, calico("NetworkPolicy", "in", { selector: "app == 'db'", ingress: rules }, "shop")], [{ from: "shop/web", to: "shop/db", port: 8080 }, { from: "shop/web", to: "shop/db", port: 53, protocol: "UDP" }]);
    expect(denied?.ingress?.nearest).toEqual({ policy: "NetworkPolicy/shop/in", rule: 0, because: ["it is about UDP, not TCP"] });
    expect([denied?.egress?.nearest, allowed?.ingress?.nearest]).toEqual([null, null]);
    const [other] = evaluate([web, db, calico("NetworkPolicy", "in", { selector: "app == 'db'", ingress: rules.slice(1) }, "shop")], [{ from: "shop/web", to: "shop/db", port: 8080 }]);
    expect(other === undefined ? "" : renderAnswer(other)).toBe([
      "shop/web > shop/db port 8080 TCP: deny",
      "  egress of shop/web   allow: no policy decides, and profile kns.shop allows",
      "  ingress of shop/db   deny: no rule of the policies in tier default matches",
      "    rule 0 of NetworkPolicy/shop/in would allow it, but:",
      '      source shop/web: label app is "web", not "frontend"', "",
    ].join("\n"));
  });

  it("ICMP is asked over IPv4 and ICMPv6 over IPv6, of pods with both families too", () => {
    const dual = (key: string, ...ips: string[]): object => pod(key, {}, {}, { status: { podIPs: ips.map((ip) => ({ ip })) } });
    const [x, y, four] = [dual("shop/x", "10.0.0.1", "fd00::1"), dual("shop/y", "10.0.0.2", "fd00::2"), dual("shop/four", "10.0.0.4")];
    const deny = (ipVersion: number): object => calico("NetworkPolicy", `v${ipVersion}`, { order: ipVersion, selector: "all()", ingress: [{ action: "Deny", ipVersion }] }, "shop");
    expect(verdicts([x, y, deny(6)], ["shop/x", "shop/y", 0, "ICMP"], ["shop/x", "shop/y", 0, "ICMPv6"])).toEqual([[false, ":Profile/kns.shop:0", "default::"], [false, ":Profile/kns.shop:0", "default:NetworkPolicy/shop/v6:0"]]);
    expect(verdicts([x, y, deny(4)], ["shop/x", "shop/y", 0, "ICMP"], ["shop/x", "shop/y", 0, "58"])).toEqual([[false, ":Profile/kns.shop:0", "default:NetworkPolicy/shop/v4:0"], [false, ":Profile/kns.shop:0", "default::"]]);
    expect(refusal([x, four], [{ from: "shop/x", to: "shop/four", protocol: "ICMPv6" }, { from: "fd00::9", to: "shop/x", protocol: "ICMP" }])).toEqual([
      "probes.json: [0].to: shop/four has no IPv6 address, and ICMPv6 is of IPv6; ask for ICMP", "probes.json: [1].from: fd00::9 has no IPv4 address, and ICMP is of IPv4; ask for ICMPv6",
    ]);
  });

  it("pods without an address are in no net but those that hold every address, and can be asked about both families", () => {
    const bogons = calico("GlobalNetworkSet", "bogons", { nets: ["0.0.0.0/8", "10.0.0.0/8", "240.0.0.0/4", "4000::/3"] });
    Object.assign((bogons as { metadata: object }).metadata, { labels: { bogon: "yes" } });
    const drop = calico("GlobalNetworkPolicy", "no-bogons", { order: 1, selector: "app == 'db'", types: ["Ingress"], ingress: [{ action: "Deny", source: { selector: "bogon == 'yes'" } }, { action: "Allow", source: { nets: ["0.0.0.0/0"] } }, { action: "Allow", source: { nets: ["::/0"] } }] });
    const rule = "default:GlobalNetworkPolicy/no-bogons:";
    expect(verdicts([web, db, bogons, drop], ["shop/web", "shop/db"], ["fd00::9", "shop/db"], ["shop/web", "shop/db", 0, "ICMPv6"], ["240.0.0.1", "shop/db"])).toEqual([
      [true, ":Profile/kns.shop:0", `${rule}1`], [true, null, `${rule}2`], [true, ":Profile/kns.shop:0", `${rule}2`], [false, null, "default:GlobalNetworkPolicy/no-bogons:0"],
    ]);
    expect(refusal([web, db, calico("GlobalNetworkSet", "all", { nets: ["0.0.0.0/1", "128.0.0.0/1"] })], [])).toEqual([
      "all.yaml:1: shop/web has no address, and the nets of the manifests leave none that could stand for it; give Pods status.podIPs and Nodes status.addresses",
    ]);
  });

  it("what administrators say comes before and after everybody else", () => {
    const cluster = (name: string, spec: object): object => ({ apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy", metadata: { name }, spec: { priority: 1, subject: { namespaces: {} }, ...spec } });
    const other = pod("other/client");
    const objects = [
      web, db, other,
      cluster("admin", { tier: "Admin", ingress: [{ action: "Pass", from: [{ pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: "web" } } } }] }, { action: "Deny", from: [{ namespaces: { matchLabels: { "kubernetes.io/metadata.name": "other" } } }], protocols: [{ destinationNamedPort: "http" }] }] }),
      kubernetes("db", { podSelector: { matchLabels: { app: "db" } }, ingress: [{}] }),
      cluster("baseline", { tier: "Baseline", ingress: [{ action: "Deny", from: [{ namespaces: {} }] }] }),
    ];
    expect(verdicts(objects, ["other/client", "shop/db"], ["other/client", "shop/db", 80], ["shop/web", "shop/db"], ["shop/db", "shop/web", 80])).toEqual([
      [false, ":Profile/kns.other:0", "kube-admin:KubernetesClusterNetworkPolicy/admin:1"],
      [true, ":Profile/kns.other:0", "default:KubernetesNetworkPolicy/shop/db:0"],
      [true, ":Profile/kns.shop:0", "default:KubernetesNetworkPolicy/shop/db:0"],
      [false, ":Profile/kns.shop:0", "kube-baseline:KubernetesClusterNetworkPolicy/baseline:0"],
    ]);
  });

  it("Nodes are destinations by their labels", () => {
    const node = (name: string, labels: object, address: string): object => ({ apiVersion: "v1", kind: "Node", metadata: { name, labels }, status: { addresses: [{ type: "InternalIP", address }] } });
    const cluster = { apiVersion: "policy.networking.k8s.io/v1alpha2", kind: "ClusterNetworkPolicy", metadata: { name: "nodes" }, spec: { tier: "Admin", priority: 1, subject: { namespaces: {} }, egress: [{ action: "Deny", to: [{ nodes: { matchLabels: { role: "control" } } }] }] } };
    expect(verdicts([web, db, node("n1", { role: "control" }, "192.0.2.1"), node("n2", {}, "192.0.2.2"), cluster], ["shop/web", "node:n1"], ["shop/web", "192.0.2.1"], ["shop/web", "node:n2"], ["shop/web", "shop/db"])).toEqual([
      [false, "kube-admin:KubernetesClusterNetworkPolicy/nodes:0", null], [false, "kube-admin:KubernetesClusterNetworkPolicy/nodes:0", null], [true, ":Profile/kns.shop:0", null], [true, ":Profile/kns.shop:0", ":Profile/kns.shop:0"],
    ]);
  });

  it("answers nothing while a manifest cannot be used, and says where and why", () => {
    const bad = [
      web, web,
      calico("NetworkPolicy", "p", { selector: "app = 'x'" }, "shop"),
      kubernetes("q", { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.0/33" } }] }] }),
      calico("HostEndpoint", "h", { node: "n1", interfaceName: "eth0", profiles: ["mine"] }),
      calico("FelixConfiguration", "node.n1", { failsafeInboundHostPorts: [{ port: 22 }] }),
      { apiVersion: "v1", metadata: { name: "x" } },
    ];
    expect(refusal(bad, [])).toEqual([
      expect.stringMatching(/^all\.yaml:\d+: Pod web is at all\.yaml:1 already$/),
      expect.stringMatching(/^all\.yaml:\d+: NetworkPolicy p: spec\.selector: "app = 'x'": a single "=" is not an operator/),
      expect.stringMatching(/^all\.yaml:\d+: NetworkPolicy q: spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: "10\.0\.0\.0\/33" is not a CIDR/),
      expect.stringMatching(/^all\.yaml:\d+: HostEndpoint h: spec\.profiles\[0\]: "mine" is no profile of this product; profiles are projectcalico-default-allow, /),
      expect.stringMatching(/^all\.yaml:\d+: kind is missing$/),
      expect.stringMatching(/^all\.yaml:\d+: FelixConfiguration node\.n1: failsafe ports of one node are not evaluated by this version$/),
    ]);
  });

  it("refuses what looks like policy and is not, and says on standard error what it passed over, in JSON too", () => {
    const typo = calico("GlobalNetworkPolicies", "all", { selector: "all()", ingress: [{ action: "Deny" }] });
    const old = { apiVersion: "crd.projectcalico.org/v1", kind: "GlobalNetworkPolicy", metadata: { name: "old" }, spec: { selector: "all()" } };
    expect(refusal([web, typo, old], [])).toEqual([
      expect.stringMatching(/^all\.yaml:\d+: GlobalNetworkPolicies all: is no kind of projectcalico\.org\/v3; did you mean GlobalNetworkPolicy\?$/),
      expect.stringMatching(/^all\.yaml:\d+: GlobalNetworkPolicy old: crd\.projectcalico\.org\/v1 is not read; use apiVersion: projectcalico\.org\/v3$/),
    ]);
    const errors = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    try {
      evaluate([web, db, { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "x" } }, calico("StagedNetworkPolicy", "p", { selector: "all()" }, "shop")], [{ from: "shop/web", to: "shop/db", port: 1 }]);
      expect(errors.mock.calls.map(([text]) => text)).toEqual(["1 staged policies are not in force; --staged shows what they would change\n", "passed over, because policy does not depend on them: 1 Deployment\n"]);
    } finally {
      errors.mockRestore();
    }
  });

  it("answers the others, and has an entry with the reason for each that it cannot answer", () => {
    let said = "";
    const files = [join(dir, "manifests.json"), join(dir, "probes.json")] as const;
    writeFileSync(files[0], JSON.stringify({ apiVersion: "v1", kind: "List", items: [web, db] }));
    writeFileSync(files[1], JSON.stringify([{ from: "shop/web", to: "shop/db", port: 1 }, { from: "shop/webb", to: "shop/db", port: 1 }, { from: 5 }]));
    const run = (output: "json" | "table"): string => {
      said = "";
      try {
        policyEval({ verb: "policy eval", files: [files[0]], probes: files[1], staged: false, output }, (text) => (said += text));
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    expect(run("json")).toBe(`${files[1]}: [1].from: "shop/webb" is no pod that takes part; did you mean shop/web?\n${files[1]}: [2]: from and to are needed: namespace/pod, node:NAME or an address`);
    expect(JSON.parse(said)).toMatchObject([
      { from: "shop/web", allow: true }, { from: "shop/webb", to: "shop/db", port: 1, protocol: "TCP", error: 'from: "shop/webb" is no pod that takes part; did you mean shop/web?' },
      { from: 5, protocol: "TCP", error: "from and to are needed: namespace/pod, node:NAME or an address" },
    ]);
    run("table");
    expect(said.split("\n").map((line) => line.split(/ {2,}/).slice(0, 5).map((word) => word.trim()))).toEqual([
      ["FROM", "TO", "PORT", "PROTOCOL", "VERDICT"], ["shop/web", "shop/db", "1", "TCP", "allow"], ["shop/webb", "shop/db", "1", "TCP", "error"], ["5", "-", "-", "TCP", "error"], [""],
    ]);
  });

  it("names the probes that it cannot answer", () => {
    expect(refusal([web], [{ from: "shop/web" }, { from: "shop/web", to: "x", porty: 1 }, { from: "shop/web", to: "10.0.0.1", port: 70_000 }, { from: "shop/web", to: "10.0.0.1", protocol: "QUIC" }, 1])).toEqual([
      "probes.json: [0]: from and to are needed: namespace/pod, node:NAME or an address", "probes.json: [1].porty: there is no such field; a probe has from, to, port and protocol",
      "probes.json: [2].port: 70000 is no port", 'probes.json: [3].protocol: "QUIC" is no protocol', "probes.json: [4]: from and to are needed: namespace/pod, node:NAME or an address",
    ]);
    expect(refusal([web], ["TCP", "UDP", "sctp", "ICMP", undefined].map((protocol) => ({ from: "shop/web", to: "10.0.0.1", protocol })))).toEqual([
      "probes.json: [0].port: is needed for TCP", "probes.json: [1].port: is needed for UDP", "probes.json: [2].port: is needed for sctp", "probes.json: [4].port: is needed for TCP",
    ]);
    for (const nothing of [[], null]) expect(refusal([web], nothing)).toEqual(["no probes in probes.json"]);
    expect(refusal([web], [{ from: "shop/webb", to: "10.0.0.1", port: 1 }, { from: "node:n1", to: "shop/web", port: 1 }, { from: "fd00::1", to: "10.0.0.1", port: 1 }])).toEqual([
      'probes.json: [0].from: "shop/webb" is no pod that takes part; did you mean shop/web?', "probes.json: [1].from: there is no Node n1", "probes.json: [2].to: 10.0.0.1 and fd00::1 have no addresses of one family",
    ]);
  });

  it("ten thousand probes of a few hundred pods and policies are answered in seconds", () => {
    const pods = Array.from({ length: 300 }, (_, i) => pod(`ns-${i % 10}/pod-${i}`, { app: `app-${i % 30}`, rack: `r${i % 7}` }));
    const policies = Array.from({ length: 300 }, (_, i) => calico("NetworkPolicy", `p-${i}`, { selector: `app == 'app-${i % 30}'`, ingress: [{ action: "Allow", protocol: "TCP", source: { selector: `rack == 'r${i % 7}'`, namespaceSelector: "all()" }, destination: { ports: [i + 1] } }] }, `ns-${i % 10}`));
    const probes = Array.from({ length: 10_000 }, (_, i) => ({ from: `ns-${i % 10}/pod-${i % 300}`, to: `ns-${(i * 7) % 10}/pod-${(i * 7) % 300}`, port: (i % 300) + 1, protocol: "TCP" }));
    expect(evaluate([...pods, ...policies], probes)).toHaveLength(10_000);
  }, 15_000);
});

describe("policy eval with host endpoints", () => {
  const node = (name: string, address: string): object => ({ apiVersion: "v1", kind: "Node", metadata: { name }, status: { addresses: [{ type: "InternalIP", address }] } });
  const nodes = [node("n1", "192.0.2.1"), node("n2", "192.0.2.2")];
  const x = pod("shop/x", { app: "x" }, { nodeName: "n1" });
  const y = pod("shop/y", { app: "y" }, { nodeName: "n2" });
  const host = (name: string, spec: object, labels: object = { role: "host" }): object => ({ apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name, labels }, spec });
  const hosts = (spec: object): object => calico("GlobalNetworkPolicy", "hosts", { selector: "role == 'host'", ...spec });
  const n1 = host("n1-all", { node: "n1", interfaceName: "*" });
  const web = hosts({ ingress: [{ action: "Allow", protocol: "TCP", destination: { ports: [80] } }] });

  it("rule 18: what a node receives and sends is judged by its host endpoint, failsafes first", () => {
    expect(verdicts([...nodes, n1, web], ["203.0.113.9", "node:n1", 80], ["203.0.113.9", "node:n1", 81], ["203.0.113.9", "node:n1", 22], ["node:n1", "203.0.113.9", 80], ["node:n1", "203.0.113.9", 53, "UDP"], ["node:n2", "192.0.2.1", 80], ["node:n1", "node:n1", 81])).toEqual([
      [true, null, "default:GlobalNetworkPolicy/hosts:0"], [false, null, "default::"], [true, null, "::"], [false, "::", null], [true, "::", null], [true, null, "default:GlobalNetworkPolicy/hosts:0"], [true, null, null],
    ]);
    const [denied] = evaluate([...nodes, n1, web], [{ from: "203.0.113.9", to: "node:n1", port: 81 }]);
    expect(denied?.ingress).toEqual({
      allow: false, tier: "default", policy: null, rule: null, because: "no rule of the policies in tier default matches", hostEndpoint: "n1-all",
      nearest: { policy: "GlobalNetworkPolicy/hosts", rule: 0, because: ["destination port is 81, not 80"] },
    });
    expect(denied === undefined ? "" : renderAnswer(denied)).toContain("ingress of node:n1      deny: no rule of the policies in tier default matches (host endpoint n1-all)");
  });

  it("a node without one is not judged, an automatic one allows what no policy decides", () => {
    expect(verdicts([...nodes, n1], ["203.0.113.9", "node:n2", 81])).toEqual([[true, null, null]]);
    expect(verdicts([...nodes, host("n1-auto-hep", { node: "n1", interfaceName: "*", profiles: ["projectcalico-default-allow"] })], ["203.0.113.9", "node:n1", 81])).toEqual([[true, null, ":Profile/projectcalico-default-allow:0"]]);
  });

  it("rule 18: what nodes forward is judged by policies with applyOnForward, out of the one and into the other", () => {
    const both = [n1, host("n2-all", { node: "n2", interfaceName: "*" })];
    const forward = hosts({ applyOnForward: true, types: ["Ingress", "Egress"], ingress: [{ action: "Deny", protocol: "UDP" }, { action: "Allow" }], egress: [{ action: "Allow" }] });
    const answers = evaluate([...nodes, x, y, ...both, forward], [{ from: "shop/x", to: "shop/y", port: 53, protocol: "UDP" }, { from: "shop/x", to: "shop/y", port: 80 }, { from: "shop/x", to: "203.0.113.9", port: 53, protocol: "UDP" }, { from: "node:n1", to: "shop/x", port: 53, protocol: "UDP" }]);
    expect(answers.map(({ allow, forwarded }) => [allow, forwarded.map(({ node: at, direction, hostEndpoint, allow: one, rule }) => [at, direction, hostEndpoint, one, rule])])).toEqual([
      [false, [["n1", "out", "n1-all", true, 0], ["n2", "in", "n2-all", false, 0]]], [true, [["n1", "out", "n1-all", true, 0], ["n2", "in", "n2-all", true, 1]]], [true, [["n1", "out", "n1-all", true, 0]]], [true, []],
    ]);
    const [none] = evaluate([...nodes, x, y, ...both, web], [{ from: "shop/x", to: "shop/y", port: 53, protocol: "UDP" }]);
    expect(none?.forwarded.map(({ allow, because }) => [allow, because])).toEqual([[true, "no policy with applyOnForward decides"], [true, "no policy with applyOnForward decides"]]);
  });

  it("rule 19: what a pod sends to its own node is as FelixConfiguration says, when it does", () => {
    const felix = (action: string, name = "default"): object => calico("FelixConfiguration", name, { defaultEndpointToHostAction: action });
    const toOwn = (...objects: object[]): unknown => verdicts([...nodes, x, n1, web, ...objects], ["shop/x", "node:n1", 80], ["shop/x", "node:n1", 81]).map((each) => (each as unknown[]).slice(0, 1).concat((each as unknown[])[2]));
    expect(toOwn()).toEqual([[true, null], [true, null]]);
    expect(toOwn(felix("Drop"))).toEqual([[false, "::"], [false, "::"]]);
    expect(toOwn(felix("Drop"), felix("accept", "node.n1"))).toEqual([[true, "::"], [true, "::"]]);
    expect(toOwn(felix("Return"))).toEqual([[true, "default:GlobalNetworkPolicy/hosts:0"], [false, "default::"]]);
    const eth0 = host("a", { node: "n1", interfaceName: "eth0" }, {});
    expect([toOwn(felix("Return"), eth0), verdicts([...nodes, x, eth0, felix("Return")], ["shop/x", "node:n1", 80])]).toEqual([[[true, "default:GlobalNetworkPolicy/hosts:0"], [false, "default::"]], [[true, ":Profile/kns.shop:0", "::"]]]);
  });

  it("failsafe ports are those of FelixConfiguration default", () => {
    const felix = calico("FelixConfiguration", "default", { failsafeInboundHostPorts: [{ protocol: "TCP", port: 2222, net: "198.51.100.0/24" }] });
    expect(verdicts([...nodes, n1, web, felix], ["198.51.100.1", "node:n1", 2222], ["203.0.113.9", "node:n1", 2222], ["203.0.113.9", "node:n1", 22]).map((each) => (each as unknown[])[0])).toEqual([true, false, false]);
  });

  it("which host endpoint is that of the node's address, or that nobody can tell", () => {
    const named = (name: string, interfaceName: string, expectedIPs?: string[]): object => host(name, { node: "n1", interfaceName, ...(expectedIPs === undefined ? {} : { expectedIPs }) }, {});
    const which = (...objects: object[]): unknown => evaluate([...nodes, ...objects], [{ from: "203.0.113.9", to: "node:n1", port: 81 }])[0]?.ingress?.hostEndpoint;
    expect([which(named("b", "eth0"), n1), which(named("b", "eth1", ["198.51.100.1"]), n1), which(named("b", "eth0"), named("a", "eth1", ["192.0.2.1"])), which(named("b", "eth1", ["198.51.100.1"]))]).toEqual(["b", "n1-all", "a", undefined]);
    expect(refusal([...nodes, named("a", "eth0"), named("b", "eth1")], [{ from: "203.0.113.9", to: "node:n1", port: 81 }])).toEqual([
      "probes.json: [0].to: node n1 has host endpoints for the interfaces eth0 and eth1, and nothing says which of them has 192.0.2.1; write it into their expectedIPs",
    ]);
  });

  it("rules find nodes by their host endpoints' labels; a node need not be among the manifests", () => {
    const hep = host("n9", { node: "n9", interfaceName: "*", expectedIPs: ["192.0.2.9"] });
    const fromHosts = calico("GlobalNetworkPolicy", "from-hosts", { selector: "app == 'x'", ingress: [{ action: "Allow", source: { selector: "role == 'host'" } }] });
    expect(verdicts([x, hep, fromHosts, hosts({ types: ["Egress"], egress: [{ action: "Allow" }] })], ["node:n9", "shop/x"], ["192.0.2.8", "shop/x"])).toEqual([
      [true, "default:GlobalNetworkPolicy/hosts:0", "default:GlobalNetworkPolicy/from-hosts:0"], [false, null, "default::"],
    ]);
  });
});

it("answers any manifest with objects or problems", () => {
  const junk = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom<unknown>(null, [null], {}, [{}], [{ ports: null }], "x", -1));
  const kinds = fc.constantFrom(["v1", "Pod"], ["v1", "Service"], ["v1", "Node"], ["v1", "Namespace"], ["v1", "ServiceAccount"], ["discovery.k8s.io/v1", "EndpointSlice"], ["networking.k8s.io/v1", "NetworkPolicy"], ["projectcalico.org/v3", "NetworkPolicy"], ["projectcalico.org/v3", "HostEndpoint"], ["projectcalico.org/v3", "FelixConfiguration"], ["policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"]);
  const object = fc.oneof(junk, fc.tuple(kinds, fc.oneof(junk, fc.record({ selector: fc.constant({ a: "b" }), ports: junk, containers: junk, nodeName: junk })), junk, junk).map(([[apiVersion, kind], spec, status, labels]) => ({ apiVersion, kind, metadata: { name: "x", namespace: "a", labels }, spec, status })));
  fc.assert(fc.property(fc.array(object, { maxLength: 4 }), fc.constantFrom("files" as const, "cluster" as const), (values, origin) => {
    const items = values.map((value) => ({ value, at: "x:1", placeOf: () => "x:1" }));
    expect(readManifests(items, origin).problems.every((problem) => problem.startsWith("x:1: "))).toBe(true);
  }), { numRuns: 2_000 });
});
