/** The chart as helm renders it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { admissionManifests } from "@calico/model/resources";
import { describe, expect, it } from "vitest";
import { haveHelm, chartFolder, helm, KUBE_VERSION, render, template, type Manifest, type Values } from "./helm.ts";
import { valueSets } from "./value-sets.ts";

const hasHelm = await haveHelm();
const GOLDEN = join(import.meta.dirname, "testdata");
const names = Object.keys(valueSets);

let rendered: string | undefined;
const defaults = (): string => (rendered ??= template().stdout);

/** Objects of a rendering that are not the same in another one, and the names of those that are missing. */
function difference(text: string, other: string): string {
  const objects = (rendering: string): Map<string, string> => new Map(rendering.split(/^---\n/m).flatMap((object) => {
    const [, source, kind, name] = /^# Source: (\S+)[\s\S]*?^kind: (\S+)[\s\S]*?^ {2}name: (\S+)/m.exec(object) ?? [];
    return name === undefined ? [] : [[`${source ?? ""} ${kind ?? ""} ${name}`, object] as const];
  }));
  const [ours, theirs] = [objects(text), objects(other)];
  const missing = [...theirs.keys()].filter((key) => !ours.has(key)).map((key) => `# Missing: ${key}\n`);
  return missing.join("") + [...ours].filter(([key, object]) => theirs.get(key) !== object).map(([, object]) => `---\n${object}`).join("");
}

const network = (calicoNetwork: object): Values => ({ installation: { calicoNetwork } });
const pool = (...ipPools: readonly object[]): Values => network({ ipPools });

describe.skipIf(!hasHelm)("the chart", () => {
  it.each(names)("passes helm lint --strict with %s", (name) => {
    const { status, stdout } = helm(["lint", "--strict", chartFolder, "--kube-version", KUBE_VERSION], valueSets[name]);
    expect({ status, messages: stdout.split("\n").filter((line) => /WARNING|ERROR/.test(line)) }).toEqual({ status: 0, messages: [] });
  });

  // Run with UPDATE_GOLDEN=1 to write them anew. All but the defaults hold only what differs from the defaults.
  it.each(names)("renders %s as before, twice the same", (name) => {
    const { stdout, stderr, status } = template(valueSets[name]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const file = join(GOLDEN, `${name}.yaml`);
    const text = name === "defaults" ? stdout : difference(stdout, defaults());
    if (process.env["UPDATE_GOLDEN"] === "1" || !existsSync(file)) {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(file, text);
    }
    expect(text).toBe(readFileSync(file, "utf8"));
    expect(template(valueSets[name]).stdout).toBe(stdout);
  });

  it.each(names)("makes every object of %s once, under a name that can be kept", (name) => {
    const keys = render(valueSets[name]).map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`);
    expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
  });
});

describe.skipIf(!hasHelm)("admission policies", () => {
  const rendered = (values: Values, ...flags: string[]): Manifest[] => render(values, ...flags).filter(({ apiVersion }) => apiVersion.startsWith("admissionregistration.k8s.io/"));
  const names = (values: Values, ...flags: string[]): string[] => [...new Set(rendered(values, ...flags).map(({ apiVersion, metadata }) => `${apiVersion.split("/")[1] ?? ""} ${metadata.name}`))].sort();
  const DEFAULTS = ["calico-policy-defaults", "calico-staged-kubernetes-policy-defaults"];
  const kube = (version: string): string[] => ["--kube-version", version];
  const BETA = ["--api-versions", "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy"];

  it("are those that npm run crds writes", () => {
    const byName = (a: Manifest, b: Manifest): number => `${a.kind} ${a.metadata.name}`.localeCompare(`${b.kind} ${b.metadata.name}`);
    expect(rendered({}).sort(byName)).toEqual(Object.values(admissionManifests()).flat().map((manifest) => ({ ...manifest })).sort(byName));
  });

  it.each<[string, Values, string[], string[]]>([
    ["all of them", {}, kube("1.36.0"), [...DEFAULTS, "calico-tier-rights", "calico-tiers"].map((name) => `v1 ${name}`)],
    ["none when they are turned off", { admission: { enabled: false } }, kube("1.36.0"), []],
    ["no rights when these are turned off", { admission: { tierRights: false } }, kube("1.36.0"), [...DEFAULTS, "calico-tiers"].map((name) => `v1 ${name}`)],
    ["the tiers alone where nothing is filled in", {}, kube("1.35.2"), ["v1 calico-tiers"]],
    ["all where the beta is served", {}, [...kube("1.34.0"), ...BETA], ["v1 calico-tier-rights", "v1 calico-tiers", ...DEFAULTS.map((name) => `v1beta1 ${name}`)]],
    ["none in an old Kubernetes", {}, kube("1.29.4"), []],
  ])("are %s", (_, values, flags, expected) => expect(names(values, ...flags)).toEqual(expected));
});

describe.skipIf(!hasHelm)("values that cannot be used", () => {
  it.each<[string, Values, string]>([
    ["an unknown key", { instalation: {} }, "at '': additional properties 'instalation' not allowed"],
    ["an unknown field of a pool", pool({ cidr: "10.0.0.0/16", natOutgoin: "Enabled" }), "at '/installation/calicoNetwork/ipPools/0': additional properties 'natOutgoin' not allowed"],
    ["an unknown key of a component", { felix: { extraEnvs: [] } }, "at '/felix': additional properties 'extraEnvs' not allowed"],
    ["a pool without CIDR", pool({ name: "a" }), "at '/installation/calicoNetwork/ipPools/0': missing property 'cidr'"],
    ["a CIDR that is none", pool({ cidr: "10.0.0.0/33" }), "at '/installation/calicoNetwork/ipPools/0/cidr': '10.0.0.0/33' does not match pattern"],
    ["an octet that is none", pool({ cidr: "10.0.256.0/24" }), "at '/installation/calicoNetwork/ipPools/0/cidr': '10.0.256.0/24' does not match pattern"],
    ["an encapsulation that is none", pool({ cidr: "10.0.0.0/16", encapsulation: "VxLan" }), "value must be one of 'None', 'VXLAN', 'VXLANCrossSubnet', 'IPIP', 'IPIPCrossSubnet'"],
    ["IPIP", pool({ cidr: "10.0.0.0/16", encapsulation: "IPIP" }), "installation.calicoNetwork.ipPools[0].encapsulation: IPIP is not part of this version; choose VXLAN, or None where routers or one network carry the pods' addresses"],
    ["IPIP between subnets", pool({ cidr: "10.0.0.0/16", encapsulation: "IPIPCrossSubnet" }), "ipPools[0].encapsulation: IPIPCrossSubnet is not part of this version; choose VXLANCrossSubnet, or None"],
    ["pools that need BGP without it", network({ bgp: "Disabled", ipPools: [{ cidr: "10.0.0.0/16" }] }), "ipPools[0].encapsulation: None needs routes by BGP; choose VXLAN, or set installation.calicoNetwork.bgp to Enabled"],
    ["overlapping pools", pool({ cidr: "10.0.0.0/16" }, { cidr: "10.0.128.0/24" }), "ipPools[1].cidr: 10.0.128.0/24 overlaps 10.0.0.0/16, the pool before it"],
    ["pools of one name", pool({ name: "a", cidr: "10.0.0.0/16" }, { name: "a", cidr: "10.1.0.0/16" }), "ipPools[1].name: a is the name of another pool"],
    ["a block that does not fit", pool({ cidr: "10.0.0.0/28", blockSize: 26 }), "ipPools[0].blockSize: a block of /26 does not fit into 10.0.0.0/28; choose 28 or more"],
    ["a block of the other family", pool({ cidr: "fd00::/48", blockSize: 26 }), "ipPools[0].blockSize: 26 is not from 116 to 128"],
    ["another dataplane", network({ linuxDataplane: "BPF" }), "installation.calicoNetwork.linuxDataplane: BPF is not part of this version; choose Nftables"],
    ["iptables", network({ linuxDataplane: "Iptables" }), "installation.calicoNetwork.linuxDataplane: Iptables is not part of this version; choose Nftables"],
    ["several interfaces", network({ multiInterfaceMode: "Multus" }), "installation.calicoNetwork.multiInterfaceMode: Multus is not part of this version; choose None"],
    ["pods that forward", network({ containerIPForwarding: "Enabled" }), "installation.calicoNetwork.containerIPForwarding: Enabled is not part of this version; choose Disabled"],
    ["two ways to find an address", network({ nodeAddressAutodetectionV4: { interface: "eth0", firstFound: true } }), "at '/installation/calicoNetwork/nodeAddressAutodetectionV4': maxProperties: got 2, want 1"],
    ["an MTU too small", network({ mtu: 100 }), "at '/installation/calicoNetwork/mtu': minimum: got 100, want 576"],
    ["a setting that is no network's", network({ sysctl: [{ key: "kernel.hostname", value: "x" }] }), "at '/installation/calicoNetwork/sysctl/0/key': 'kernel.hostname' does not match pattern"],
    ["another CNI plugin", { installation: { cni: { type: "AmazonVPC" } } }, "installation.cni.type: AmazonVPC is not part of this version; choose Calico"],
    ["another IPAM", { installation: { cni: { ipam: { type: "HostLocal" } } } }, "installation.cni.ipam.type: HostLocal is not part of this version; choose Calico"],
    ["another variant", { installation: { variant: "CalicoEnterprise" } }, "installation.variant: CalicoEnterprise is not part of this version; choose Calico"],
    ["an installation of nothing", { installation: { enabled: false } }, "installation.enabled: false leaves nothing to install"],
    ["what the operator installs besides", { goldmane: { enabled: true } }, "goldmane.enabled: goldmane is not part of this version; remove the key"],
    ["no typha", { typha: { replicas: 0 } }, "at '/typha/replicas': minimum: got 0, want 1"],
    ["a number as text", { typha: { replicas: "2" } }, "at '/typha/replicas': got string, want integer"],
    ["a digest that is none", { felix: { image: { digest: "latest" } } }, "at '/felix/image/digest': 'latest' does not match pattern"],
    ["a mode that is none", { certificates: { mode: "vault" } }, "value must be one of 'job', 'cert-manager', 'secrets'"],
    ["other Secrets than the hook makes", { certificates: { secrets: { node: "mine" } } }, "certificates.secrets: other names are for Secrets of your own; set certificates.mode to secrets, not job"],
    ["two NATS", { nats: { external: { url: "tls://nats.example.org:4222" } } }, "nats.external.url: the release runs a NATS of its own; set nats.enabled to false or leave the url out"],
    ["a NATS without a port", { nats: { enabled: false, external: { url: "tls://nats.example.org" } } }, "at '/nats/external/url': 'tls://nats.example.org' does not match pattern"],
    ["scraping of what is not served", { metrics: { enabled: false, serviceMonitor: { enabled: true } } }, "metrics.serviceMonitor.enabled: there is nothing to scrape; set metrics.enabled to true"],
    ["two kinds of a budget", { typha: { podDisruptionBudget: { minAvailable: 1 } }, nats: { podDisruptionBudget: { minAvailable: 1, maxUnavailable: 1 } } }, "at '/nats/podDisruptionBudget': 'not' failed"],
  ])("%s", (_, values, message) => {
    const { status, stderr } = template(values);
    expect(status).toBe(1);
    expect(stderr).toContain(message);
  });

  it("are all named at once", () => {
    const { stderr } = template({ installation: { calicoNetwork: { linuxDataplane: "VPP", ipPools: [{ cidr: "10.0.0.0/16", encapsulation: "IPIP" }] } } });
    expect(stderr.match(/is not part of this version/g)).toHaveLength(2);
  });

  it("an old Kubernetes", () => {
    const { status, stderr } = template({}, "--kube-version", "1.26.0");
    expect({ status, stderr: stderr.includes("chart requires kubeVersion: >=1.27.0-0 which is incompatible with Kubernetes v1.26.0") }).toEqual({ status: 1, stderr: true });
  });
});
