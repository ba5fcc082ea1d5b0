import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { renderBird } from "./render.ts";
import { cidr, nodePool, peerNode, secret, viewOf, type ViewParts } from "./testing.ts";

const BIRD = "/usr/sbin/bird";
const directory = mkdtempSync(join(tmpdir(), "bird-render-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What BIRD's own parser says; "" when it takes the text. */
function complaintOf(text: string): string {
  const file = join(directory, "bird.cfg");
  writeFileSync(file, text);
  const { status, stdout, stderr } = spawnSync(BIRD, ["-p", "-c", file], { encoding: "utf8", timeout: 10_000 });
  return status === 0 ? "" : `${stdout}${stderr}`;
}

const dual = (name: string, n: number) => peerNode(name, { ipv4: cidr(`10.0.0.${n}/24`), ipv6: cidr(`fd00::${n}/64`) });

const GOLDENS: Record<string, ViewParts> = {
  "alone": { nodes: [peerNode("a", { ipv4: cidr("10.0.0.1/24") })] },
  "mesh": { nodes: [dual("a", 2), dual("b", 1), dual("c", 3)], pools: [nodePool("four", "10.244.0.0/16"), nodePool("six", "fd10::/64")], blocks: ["10.244.1.0/26", "10.244.0.64/26", "fd10::40/122"] },
  "ipv6-only": { nodes: [peerNode("a", { ipv6: cidr("fd00::1/64") }), peerNode("b", { ipv6: cidr("fd00::2/64") })], blocks: ["fd10::/122"] },
  "no-export": { nodes: [dual("a", 1)], pools: [nodePool("shown", "10.1.0.0/16"), nodePool("hidden", "10.2.0.0/16", { disableBgpExport: true })], blocks: ["10.1.0.0/26", "10.2.0.0/26"] },
  "overlay": {
    nodes: [dual("a", 1), dual("b", 2)], blocks: ["10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26", "fd10::40/122"],
    pools: [nodePool("always", "10.1.0.0/16", { vxlanMode: "Always" }), nodePool("cross", "10.2.0.0/16", { vxlanMode: "CrossSubnet" }), nodePool("native", "10.3.0.0/16"), nodePool("six", "fd10::/64", { vxlanMode: "Always" })],
  },
  "peers": {
    bgp: { asNumber: 65_000, listenPort: 1790, nodeToNodeMesh: false, logSeverity: "Debug" },
    nodes: [peerNode("a", { ipv4: cidr("10.0.0.1/24"), asNumber: 65_001 }), peerNode("b", { ipv4: cidr("10.0.0.2/24") })],
    peers: {
      "to-b": { peerIP: "10.0.0.2", node: "a" },
      "tor": { peerIP: "192.0.2.1:1179", asNumber: 4_200_000_000, sourceAddress: "None" },
      "bad": { peerIP: "192.0.2.2", filters: ["f"] },
    },
  },
  "options": {
    bgp: { nodeToNodeMesh: false },
    nodes: [dual("a", 1)],
    peers: {
      "all": { peerIP: "192.0.2.1", asNumber: 65_001, localASNumber: 65_002, numAllowedLocalASNumbers: 2, nextHopMode: "Keep", ttlSecurity: 3, maxRestartTime: "10m", keepaliveTime: "30s", password: { secretKeyRef: { name: "bgp", key: "tor" } } },
      "self": { peerIP: "fd00::9", nextHopMode: "Self" },
    },
    secrets: { bgp: secret({ tor: "#'{};\\$() \u00e9" }) },
  },
  "reflector": {
    bgp: { nodeToNodeMesh: false },
    nodes: [peerNode("a", { ipv4: cidr("10.0.0.1/24"), routeReflectorClusterId: "244.0.0.1", labels: { rr: "" } }), peerNode("b", { ipv4: cidr("10.0.0.2/24") })],
    pools: [nodePool("shown", "10.1.0.0/16"), nodePool("hidden", "10.2.0.0/16", { disableBgpExport: true }), nodePool("off", "10.3.0.0/16", { disabled: true })],
    blocks: ["10.1.0.0/26", "10.1.0.64/32"],
    peers: { clients: { peerSelector: "has(rr)" } },
  },
};

describe("rendered configurations", () => {
  it.each(Object.entries(GOLDENS))("%s", async (name, parts) => {
    const rendered = renderBird(viewOf(parts));
    await expect(rendered?.text).toMatchFileSnapshot(`testdata/${name}.cfg`);
    expect(complaintOf(rendered?.text ?? "")).toBe("");
  });

  it("does not depend on the order of what came in", () => {
    const parts = GOLDENS["mesh"] ?? {};
    const turned = { ...parts, nodes: [...(parts.nodes ?? [])].reverse(), pools: [...(parts.pools ?? [])].reverse(), blocks: [...(parts.blocks ?? [])].reverse() };
    expect(renderBird(viewOf(turned))?.text).toBe(renderBird(viewOf(parts))?.text);
  });

  it.each([
    ["the node is not known", {}],
    ["the node has no address", { nodes: [peerNode("a")] }],
  ])("renders nothing while %s", (_, parts: ViewParts) => {
    expect(renderBird(viewOf(parts))).toBeNull();
  });

  it("uses Info for a severity that it does not know", () => {
    const nodes = [dual("a", 1)];
    expect(renderBird(viewOf({ nodes, bgp: { logSeverity: "constructor" } }))?.text).toBe(renderBird(viewOf({ nodes }))?.text);
  });

  it("keeps a router id that is an address for a node without IPv4", () => {
    const ids = ["a", "b", "node-with-a-long-name"].map((node) => /router id (\S+);/.exec(renderBird(viewOf({ node, nodes: [peerNode(node, { ipv6: cidr("fd00::1/64") })] }))?.text ?? "")?.[1] ?? "");
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(Number(id.split(".")[0])).toSatisfy((first: number) => first >= 1 && first <= 223);
  });

  it("gives BIRD something it takes, whatever a BGPPeer says", () => {
    const text = fc.oneof(fc.string(), fc.constantFrom("10.0.0.9; }", "10.0.0.9\nlog stderr all;", "[fd00::9]:99999", "FD00:0::9", "10.0.0.9:0", "10.0.0.9:179", "[10.0.0.9", "fd00::9%eth0"));
    const number = fc.oneof(fc.integer(), fc.integer({ min: 0, max: 256 }), text, fc.constant(null), fc.constant([65_000]), fc.boolean());
    const time = fc.oneof(text, fc.constantFrom("0s", "1s", "1ms", "240s", "1800s", "90m", "9999999999h", "1s; }"));
    const spec = fc.record({
      peerIP: fc.oneof(text, fc.integer()), asNumber: number, sourceAddress: text, localASNumber: number, numAllowedLocalASNumbers: number, ttlSecurity: number, maxRestartTime: time, keepaliveTime: time,
      nextHopMode: fc.oneof(text, fc.constantFrom("Auto", "Self", "Keep")), keepOriginalNextHop: fc.boolean(), password: fc.constant({ secretKeyRef: { name: "s", key: "k" } }),
    }, { requiredKeys: ["peerIP"] });
    const word = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("#", "\\", "'", '"', "\n", "\0", "*/", "x".repeat(80)));
    fc.assert(fc.property(fc.array(spec, { maxLength: 4 }), word, (specs, password) => {
      const peers = Object.fromEntries(specs.map((value, i) => [`p${i}`, { ...value }]));
      const rendered = renderBird(viewOf({ nodes: [dual("a", 1), dual("b", 2)], peers, bgp: { meshPassword: { name: "s", key: "k" } }, secrets: { s: secret({ k: password }) } }));
      expect(complaintOf(rendered?.text ?? "")).toBe("");
    }), { numRuns: existsSync(BIRD) ? 60 : 0 });
    // A process for each: much slower beside other work.
  }, 60_000);

  it("announces its own blocks and takes nothing inside them but single addresses", () => {
    const text = renderBird(viewOf(GOLDENS["mesh"] ?? {}))?.text ?? "";
    expect([...text.matchAll(/route (\S+) blackhole;/g)].map(([, block]) => block)).toEqual(["10.244.0.64/26", "10.244.1.0/26", "fd10::40/122"]);
    expect(text.match(/if net ~ \[ 10\.244\.0\.64\/26\{26,31\}, 10\.244\.1\.0\/26\{26,31\} \] then reject;/g)?.length).toBe(2);
  });
});
