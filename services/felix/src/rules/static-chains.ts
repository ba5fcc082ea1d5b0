/** Chains that are there whatever the policies: hooks, dispatch, what comes after an endpoint's egress. */
import type { Rule, SetSpec, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent } from "./chain.ts";
import { CHAIN, MAP, NEIGHBOUR_DISCOVERY_TYPES, POOL_SET, PRIORITY, PROTOCOL, VXLAN_DEVICE, VXLAN_SENDERS_SET } from "./constants.ts";
import type { RenderSettings } from "./settings.ts";

const ACCEPT: Statement = { kind: "verdict", verdict: "accept" };
const DROP: Statement = { kind: "verdict", verdict: "drop" };
const COUNTER: Statement = { kind: "counter" };

/** Dispatch maps and the sets of pools. */
export const staticSets: readonly SetSpec[] = [
  ...Object.values(MAP).map((name): SetSpec => ({ name, key: ["ifname"], map: true })),
  ...([4, 6] as const).flatMap((family): SetSpec[] => [POOL_SET.nat[family], POOL_SET.all[family]].map((name) => ({ name, key: [family === 4 ? "ipv4_addr" : "ipv6_addr"], interval: true }))),
];

/** Addresses that packets of the tunnel may come from. */
export const vxlanSendersSet: SetSpec = { name: VXLAN_SENDERS_SET, key: ["ipv4_addr"] };

/** Chains that are there only while the overlay is in use. */
export const OVERLAY_CHAINS: readonly string[] = [CHAIN.rawPrerouting, CHAIN.rawOutput];

/** Every chain that does not belong to a policy, a profile or an endpoint. `overlay`: VXLAN is in use. */
export function staticChains(settings: RenderSettings, overlay: boolean): Map<string, ChainContent> {
  const unknownFrom = rule([{ kind: "interface", direction: "in", name: settings.interfacePrefix, prefix: true }, COUNTER, DROP], "from an unknown workload interface");
  const unknownTo = rule([{ kind: "interface", direction: "out", name: settings.interfacePrefix, prefix: true }, COUNTER, DROP], "to an unknown workload interface");
  const dispatchFrom = rule([{ kind: "interface-map", direction: "in", map: MAP.from }]);
  const dispatchTo = rule([{ kind: "interface-map", direction: "out", map: MAP.to }]);
  const filter = (hook: "forward" | "input", priority: number) => ({ type: "filter", hook, priority, policy: "accept" }) as const;
  return new Map([
    // Two chains at a hook: what the one accepts the other still judges, so that no chain of a sender leads to those of receivers.
    [CHAIN.forward, chainContent([dispatchFrom, unknownFrom], filter("forward", PRIORITY.filter))],
    [CHAIN.forwardTo, chainContent([dispatchTo, unknownTo], filter("forward", PRIORITY.filterReceiver))],
    [CHAIN.input, chainContent([dispatchFrom, unknownFrom, ...(overlay ? tunnelRules(settings) : [])], filter("input", PRIORITY.filter))],
    [CHAIN.inputHost, chainContent([rule([{ kind: "interface", direction: "in", name: settings.interfacePrefix, prefix: true }, { kind: "goto", chain: CHAIN.toHost }])], filter("input", PRIORITY.filterReceiver))],
    [CHAIN.toHost, chainContent([
      rule([{ kind: "ct-state", states: ["established", "related"] }, ACCEPT]), rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.neighbourDiscovery }]),
      rule([COUNTER, settings.defaultEndpointToHostAction === "Drop" ? DROP : ACCEPT], "endpoint to host"),
    ])],
    [CHAIN.neighbourDiscovery, chainContent(NEIGHBOUR_DISCOVERY_TYPES.map((type) => rule([...onInput(), { kind: "icmp", family: 6, type, code: null }, ACCEPT])))],
    [CHAIN.postrouting, chainContent([...(overlay ? [tunnelSourceRule()] : []), ...natRules(settings)], { type: "nat", hook: "postrouting", priority: PRIORITY.srcnat, policy: "accept" })],
    ...(overlay ? untrackedTunnel(settings) : []),
  ]);
}

function tunnelPackets({ vxlanPort }: RenderSettings): Statement[] {
  return [{ kind: "family", family: 4 }, { kind: "protocol", protocol: PROTOCOL.udp }, { kind: "port", side: "destination", first: vxlanPort, last: vxlanPort }];
}

/** A packet in a packet could come from anywhere and say anything of its inside: only other nodes' are opened. */
function tunnelRules(settings: RenderSettings): Rule[] {
  const packets = tunnelPackets(settings);
  return [
    rule([...packets, { kind: "address-set", side: "source", family: 4, set: VXLAN_SENDERS_SET }, COUNTER, ACCEPT], "VXLAN from another node"),
    rule([...packets, COUNTER, DROP], "VXLAN from a stranger"),
  ];
}

/** The tunnel's own packets would fill connection tracking with one entry per hash of the packets inside. */
function untrackedTunnel(settings: RenderSettings): [string, ChainContent][] {
  const content = (hook: "prerouting" | "output"): ChainContent => chainContent([rule([...tunnelPackets(settings), { kind: "no-track" }], "VXLAN is not tracked")], { type: "filter", hook, priority: PRIORITY.raw, policy: "accept" });
  return [[CHAIN.rawPrerouting, content("prerouting")], [CHAIN.rawOutput, content("output")]];
}

/** This node itself speaks through the tunnel with the tunnel's address: the answer to another would take another way. */
function tunnelSourceRule(): Rule {
  return rule([
    { kind: "interface", direction: "out", name: VXLAN_DEVICE }, { kind: "family", family: 4 }, { kind: "local-source" }, { kind: "local-source", outgoing: true, not: true }, COUNTER, { kind: "masquerade", fullyRandom: true },
  ], "into the tunnel with its own address");
}

/** A packet on its way into this host has no outgoing interface. */
function onInput(): Statement[] {
  return [{ kind: "interface", direction: "out", name: "" }];
}

/** Traffic from pools with natOutgoing to what is in no pool gets an address of this node. */
function natRules(settings: RenderSettings): Rule[] {
  const families = settings.ipv6Support ? ([4, 6] as const) : ([4] as const);
  return families.flatMap((family) => {
    const matches: Statement[] = [
      { kind: "family", family }, { kind: "address-set", side: "source", family, set: POOL_SET.nat[family] }, { kind: "address-set", side: "destination", family, set: POOL_SET.all[family], not: true },
    ];
    const address = settings.natOutgoingAddress;
    if (address !== "" && address.includes(":") === (family === 6)) return [rule([...matches, COUNTER, { kind: "snat", family, address }], "natOutgoing")];
    const ports = portRange(settings.natPortRange);
    const withPorts = ports === null ? [] : [PROTOCOL.tcp, PROTOCOL.udp].map((protocol) => rule([...matches, { kind: "protocol", protocol }, COUNTER, { kind: "masquerade", fullyRandom: true, ports }], "natOutgoing"));
    return [...withPorts, rule([...matches, COUNTER, { kind: "masquerade", fullyRandom: true }], "natOutgoing")];
  });
}

function portRange(text: string): { first: number; last: number } | null {
  const match = /^(\d{1,5}):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [first, last] = [Number(match[1]), Number(match[2])];
  return first <= last && last <= 65_535 ? { first, last } : null;
}
