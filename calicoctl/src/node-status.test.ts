import type { bird, felix } from "@calico/proto/status";
import { expect, it } from "vitest";
import { nodeValue, renderNode, silentParts, type NodeAnswers } from "./node-status.ts";

const session = (peerAddress: string, over: Partial<bird.BgpSession> = {}): bird.BgpSession => ({
  name: "Mesh", peerAddress, peerType: "node-to-node mesh", peerNode: "", peerAs: 64_512, protocolState: "up", state: "Established", since: "2026-01-01 12:00:00.123", info: "", routesImported: 1, routesExported: 1, ...over,
});
const ofFelix: felix.StatusResponse = {
  node: "n1", version: "0.1.0", inSync: true, epoch: "e", sequence: 7n, commits: 3n, commitErrors: 0n, lastError: "", dataplane: "nftables", overlay: "", endpointCount: 2, endpointsReady: 1, ruleCounters: [],
  endpoints: [{ id: "wep/a/web/u", interfaceName: "cali1", addresses: [], ready: false, waitingFor: "its interface is gone", policies: [] }],
  policies: [{ id: "NetworkPolicy/a/p", revision: "9", endpoints: 1, endpointsReady: 1, failure: "" }],
};
const up: NodeAnswers = {
  name: "n1",
  felix: { value: ofFelix },
  bird: { value: { node: "n1", ready: true, detail: "1 of 2 BGP sessions established", birdVersion: "2.0.12", routerId: "192.0.2.1", configError: "", sessions: [session("192.0.2.2"), session("192.0.2.3", { protocolState: "start", state: "Active", info: "Connection refused" })] } },
  ipam: { value: { ready: true, detail: "", pools: [] } },
  cni: { value: { ready: false, detail: "felix is not in sync", containers: 0, spooledDeletions: 0 } },
};
const silence = { silence: "no answer within 2 s" };

it("renders a node as people know it", () => {
  expect(renderNode(up)).toBe(`\
n1
Calico process is running.

felix   in sync, 1 of 2 endpoints and 1 policies in the kernel, version 0.1.0
bird    1 of 2 BGP sessions established, BIRD 2.0.12, router id 192.0.2.1
ipam    gives addresses
cni     not ready: felix is not in sync

Endpoints not in the kernel
ENDPOINT      INTERFACE   REASON
wep/a/web/u   cali1       its interface is gone

IPv4 BGP status
PEER ADDRESS   PEER TYPE           STATE   SINCE                 INFO
192.0.2.2      node-to-node mesh   up      2026-01-01 12:00:00   Established
192.0.2.3      node-to-node mesh   start   2026-01-01 12:00:00   Active: Connection refused

IPv6 BGP status
No IPv6 peers found.
`);
});

it("shows the overlay of a node that has one", () => {
  expect(renderNode({ ...up, felix: { value: { ...ofFelix, overlay: "VXLAN 10.65.1.1 on eth0, MTU 1450, 2 other nodes, 2 routes" } } })).toMatch(/\nnet     VXLAN 10\.65\.1\.1 on eth0, MTU 1450, 2 other nodes, 2 routes\nbird    /);
});

it("shows a node that is silent, and counts only what every node must have as missing", () => {
  const down = { name: "n2", felix: silence, bird: silence, ipam: silence, cni: silence };
  expect(renderNode(down)).toContain("n2\nCalico process does not answer: no answer within 2 s.\n");
  expect(renderNode(down)).toContain("BGP status: unknown\n");
  expect(silentParts(down)).toEqual(["n2: felix: no answer within 2 s", "n2: bird: no answer within 2 s"]);
  expect(silentParts({ ...up, ipam: silence, cni: silence })).toEqual([]);
  expect(nodeValue(down)).toMatchObject({ name: "n2", felix: { noAnswer: "no answer within 2 s" } });
});

it("lists ten endpoints and counts the others; a refused policy is named", () => {
  const [endpoint] = ofFelix.endpoints;
  const many = { ...ofFelix, endpoints: Array.from({ length: 12 }, () => endpoint as felix.EndpointStatus), policies: [{ id: "NetworkPolicy/a/p", revision: "9", endpoints: 1, endpointsReady: 0, failure: "EINVAL" }] };
  const text = renderNode({ ...up, felix: { value: many } });
  expect(text.match(/its interface is gone/g)).toHaveLength(10);
  expect(text).toContain("and 2 more\n");
  expect(text).toContain("; NetworkPolicy/a/p: EINVAL\n");
});

it("values hold no bigint, which JSON cannot write", () => expect(JSON.parse(JSON.stringify(nodeValue(up)))).toMatchObject({ felix: { sequence: "7", lastError: "" }, cni: { ready: false } }));
