/**
 * The evaluator against the compiled rules as the kernel has them, for host endpoints: random ones with random policies of every stage, judged
 * by the table that the kernel lists, through all the hooks that a packet meets. More cases: DIFFERENTIAL_RUNS=5000, another start: DIFFERENTIAL_SEED=n.
 */
import type { Evaluator, HostPath, Packet } from "@calico/calc";
import type { HostEndpoint, IpAddress, WorkloadEndpoint } from "@calico/model";
import { openNftables, type Family } from "@calico/kernel";
import { createMachine, createTestNetns, dumpRuleset, type Machine, type TestNetns } from "@calico/kernel/testing";
import { createFakeClock, createLogger } from "@calico/service-kit";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TABLE } from "../rules/constants.ts";
import { FAILSAFE_INBOUND, FAILSAFE_OUTBOUND, failsafePorts } from "../rules/failsafe-ports.ts";
import { createTestCluster, NODE } from "../testing/differential/cluster.ts";
import type { Change, Manifest } from "../testing/differential/manifests.ts";
import { createDataplane, type DataplaneConfig } from "./dataplane.ts";

const RUNS = Number(process.env["DIFFERENTIAL_RUNS"] ?? 100);
const SEED = Number(process.env["DIFFERENTIAL_SEED"] ?? 20_261_121);
const config: DataplaneConfig = {
  interfacePrefix: "cali", defaultEndpointToHostAction: "Return", iptablesFilterDenyAction: "Drop", natPortRange: "", natOutgoingAddress: "", disableConntrackInvalidCheck: false, allowVXLANPacketsFromWorkloads: true,
  allowIPIPPacketsFromWorkloads: true, ipv6Support: true, logPrefix: "calico-packet", logActionRateLimit: "", logActionRateLimitBurst: 5, failsafeInboundHostPorts: failsafePorts(FAILSAFE_INBOUND).fallback,
  failsafeOutboundHostPorts: failsafePorts(FAILSAFE_OUTBOUND).fallback, workloadSourceSpoofing: "Disabled", nftablesRefreshInterval: 0, routeRefreshInterval: 0, mtu: 0, mtuIfacePattern: "^eth", vxlanEnabled: "Auto", vxlanVNI: 4096,
  vxlanPort: 4789, vxlanMTU: 0, featureDetectOverride: "",
};

const API = "projectcalico.org/v3";
const HOST_INTERFACES = ["eth0", "eth1"];
type Addresses = { readonly node: IpAddress; readonly pod: IpAddress; readonly other: IpAddress; /** Behind another interface of the host. */ readonly beyond: IpAddress };
const ADDRESSES: Readonly<Record<Family, Addresses>> = {
  4: { node: "192.0.2.1", pod: "10.65.0.1", other: "203.0.113.9", beyond: "192.0.2.77" } as Readonly<Record<string, string>> as Addresses,
  6: { node: "2001:db8:2::1", pod: "fd00:65::1", other: "2001:db8:113::9", beyond: "2001:db8:2::77" } as Readonly<Record<string, string>> as Addresses,
};
const FAMILIES = [4, 6] as const;
const PORTS = [22, 53, 80, 179, 8080];

const among = <const T>(...items: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...items);
const some = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> => fc.record(fields, { requiredKeys: [] });
const side = fc.oneof(fc.constant({}), some({ selector: among("role == 'edge'", "app == 'web'", "has(role)"), nets: fc.subarray(["192.0.2.0/24", "203.0.113.0/24", "10.65.0.1/32", "2001:db8:113::/48", "fd00:65::1/128"], { minLength: 1 }), notNets: fc.subarray(["192.0.2.1/32", "2001:db8:2::/64"], { minLength: 1 }), ports: fc.subarray([22, 80, "8080:8090"], { minLength: 1 }) }));
const rule = fc.record({ action: among("Allow", "Deny", "Pass", "Log"), protocol: among("TCP", "UDP"), source: side, destination: side });
const rules = fc.array(rule, { maxLength: 3 });
const stage = among({}, {}, { applyOnForward: true }, { applyOnForward: true, preDNAT: true }, { applyOnForward: true, doNotTrack: true });
const policy = fc.record({ name: among("p", "q", "r", "s"), tier: among("default", "early"), stage, selector: among("all()", "role == 'edge'", "has(role)", "app == 'web'"), order: among(1, 2, 3), types: fc.subarray(["Ingress", "Egress"], { minLength: 1 }), ingress: rules, egress: rules })
  .map(({ name, tier, stage: flags, types, ingress, egress, ...spec }): Manifest => ({
    apiVersion: API, kind: "GlobalNetworkPolicy", metadata: { name: `${tier}.${name}` },
    spec: { tier, ...flags, ...spec, types: "preDNAT" in flags ? ["Ingress"] : types, ...(types.includes("Ingress") || "preDNAT" in flags ? { ingress } : {}), ...(types.includes("Egress") && !("preDNAT" in flags) ? { egress } : {}) },
  }));
const hostEndpoint = fc.record({ name: among("a", "b", "c"), interfaceName: among("eth0", "eth1", "*"), role: among("edge", "core"), profiles: fc.subarray(["projectcalico-default-allow"]) })
  .map(({ name, role, ...spec }): Manifest => ({ apiVersion: API, kind: "HostEndpoint", metadata: { name, labels: { role } }, spec: { node: NODE, ...spec, expectedIPs: FAMILIES.map((family) => ADDRESSES[family].node) } }));
const gone = fc.oneof(among("a", "b", "c").map((name) => ({ delete: `HostEndpoint//${name}` })), among("p", "q", "r").map((name) => ({ delete: `GlobalNetworkPolicy//default.${name}` })));
const rounds = fc.array(fc.array(fc.oneof({ weight: 4, arbitrary: policy }, { weight: 3, arbitrary: hostEndpoint }, { weight: 1, arbitrary: gone }) as fc.Arbitrary<Change>, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
const always: readonly Manifest[] = [
  { apiVersion: API, kind: "Tier", metadata: { name: "early" }, spec: { order: 10, defaultAction: "Pass" } },
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } },
  { apiVersion: "v1", kind: "Pod", metadata: { name: "x", namespace: "a", uid: "u", labels: { app: "web" } }, spec: { nodeName: NODE, serviceAccountName: "" }, status: { phase: "Running", podIP: ADDRESSES[4].pod, podIPs: FAMILIES.map((family) => ({ ip: ADDRESSES[family].pod })) } },
];

/** Ends are "host", "pod" or an interface of the host. */
type Way = { readonly from: string; readonly to: string; readonly family: Family; /** What this host itself sends to a Service: its destination was translated. */ readonly translated: boolean; readonly packet: Packet };
const ways = (): Way[] => FAMILIES.flatMap((family) => waysOf(family, ADDRESSES[family]));

function waysOf(family: Family, { node, pod, other, beyond }: Addresses): Way[] {
  const kinds = [6, 17].flatMap((protocol) => PORTS.map((port, i) => ({ protocol, port, back: PORTS[(i + 2) % PORTS.length] ?? 1 })));
  const ends: readonly (readonly [string, string, IpAddress, IpAddress])[] = HOST_INTERFACES.flatMap((name, i) => [
    [name, "host", other, node], ["host", name, node, other], [name, "pod", other, pod], ["pod", name, pod, other], [name, HOST_INTERFACES[1 - i] ?? "", other, beyond],
  ] as const);
  return [...ends, ["pod", "host", pod, node] as const, ["host", "pod", node, pod] as const, ["lo", "host", node, node] as const, ["host", "lo", node, node] as const]
    .flatMap(([from, to, source, destination]) => (from === "host" && to !== "lo" ? [false, true] : [false]).flatMap((translated) => kinds.map(({ protocol, port, back }) => (
      { from, to, family, translated, packet: { protocol, source: { address: source, port: back }, destination: { address: destination, port } } }))));
}

/** What the objects say of a packet on its way, end by end. */
function expected(evaluator: Evaluator, hosts: readonly HostEndpoint[], pod: WorkloadEndpoint, { from, to, packet }: Way): boolean {
  const lowest = (name: string): HostEndpoint | undefined => hosts.filter(({ interfaceName }) => interfaceName === name).toSorted((a, b) => (a.id < b.id ? -1 : 1))[0];
  const at = (name: string): HostEndpoint | undefined => (name === "lo" ? undefined : (lowest(name) ?? lowest("*")));
  const host = (name: string, path: HostPath): boolean => {
    const endpoint = at(name);
    return endpoint === undefined || evaluator.hostVerdict(endpoint, path, packet).allowed;
  };
  if (from === "pod" && to === "host") return evaluator.toOwnHost(pod, "Return", lowest("*") ?? null, packet).allowed;
  if (from === "host") return to === "pod" || host(to, "from host");
  if (to === "host") return host(from, "to host");
  const comesIn = from === "pod" ? evaluator.verdict(pod, "egress", packet).allowed : host(from, "forwarded in");
  return comesIn && (to === "pod" ? evaluator.verdict(pod, "ingress", packet).allowed : host(to, "forwarded out"));
}

function found(machine: Machine, pod: WorkloadEndpoint, { from, to, family, translated, packet }: Way): { readonly passes: boolean; readonly trace: readonly string[] } {
  const name = (end: string): string => (end === "host" ? "" : end === "pod" ? pod.interfaceName : end);
  const [inInterface, outInterface] = [name(from), name(to)];
  const hooks = from === "host" ? (["output", "postrouting"] as const) : to === "host" ? (["prerouting", "input"] as const) : (["prerouting", "forward", "postrouting"] as const);
  const trace: string[] = [];
  let mark = 0;
  // What is not tracked is not translated either.
  let tracked = true;
  for (const hook of hooks) {
    const outcome = machine.run(hook, { ...packet, family, translated: translated && tracked, inInterface, outInterface: hook === "prerouting" ? "" : outInterface, ctState: "new", mark });
    trace.push(...outcome.trace.map(({ chain, comment, did }) => `${chain}: ${did}${comment === null ? "" : ` (${comment})`}`));
    if (outcome.verdict === "drop") return { passes: false, trace };
    ({ mark } = outcome);
    tracked &&= !outcome.untracked;
  }
  return { passes: true, trace };
}

let netns: TestNetns;
beforeEach(() => {
  netns = createTestNetns("df");
});
afterEach(() => netns[Symbol.dispose]());

test(`the kernel's rules judge what meets host endpoints as the evaluator does, in ${RUNS} random clusters`, async () => {
  const questions = ways();
  let [asked, allowed] = [0, 0];
  await fc.assert(fc.asyncProperty(rounds, among<"Drop" | "Reject">("Drop", "Reject"), async (given, iptablesFilterDenyAction) => {
    const dataplane = createDataplane({ config: { ...config, iptablesFilterDenyAction }, onDrift: () => {}, onPodMtu: () => {}, fewestGuarded: 2, sizes: { piece: 4, group: 4, block: 2 }, clock: createFakeClock(), log: createLogger("felix", "Fatal", { write: () => {} }) });
    try {
      await netns.runAsync(() => dataplane.start());
      const cluster = createTestCluster(dataplane.sink);
      cluster.change(always);
      for (const changes of given) {
        cluster.change(changes);
        await netns.runAsync(() => dataplane.apply());
        expect(dataplane.failures().filter(({ reason }) => !/does not exist|has the host endpoint/.test(reason))).toEqual([]);
        const machine = createMachine(netns.run(() => dumpRuleset(netns.sys, TABLE)));
        const evaluator = cluster.evaluator();
        const [pod] = cluster.endpoints();
        if (pod === undefined) throw new Error("the pod is gone");
        for (const way of questions) {
          const wanted = expected(evaluator, cluster.hostEndpoints(), pod, way);
          const { passes, trace } = found(machine, pod, way);
          asked += 1;
          allowed += Number(wanted);
          if (passes !== wanted) throw new Error(`${way.from} to ${way.to}${way.translated ? " (translated)" : ""} ${JSON.stringify(way.packet)}: the kernel ${passes ? "accepts" : "drops"}, the evaluator ${wanted ? "accepts" : "drops"}\n${trace.join("\n")}`);
        }
      }
    } finally {
      await dataplane.stop();
      // Watchers of sockets are given back by the event loop, which nothing else here lets turn.
      await new Promise((resolve) => setImmediate(resolve));
      using nft = netns.run(() => openNftables(netns.sys));
      if (nft.listTables().includes(TABLE)) nft.commit(TABLE, [{ do: "delete-table" }]);
    }
  }), { numRuns: RUNS, seed: SEED });
  expect(asked).toBeGreaterThan(RUNS * 100);
  expect(allowed / asked).toBeGreaterThan(0.1);
  expect(allowed / asked).toBeLessThan(0.9);
}, 120_000 + RUNS * 2_000);
