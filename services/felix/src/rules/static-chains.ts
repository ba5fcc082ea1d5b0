/** Chains that are there whatever the policies: hooks, dispatch, what comes after an endpoint's egress. */
import type { Hook, Rule, SetSpec, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent } from "./chain.ts";
import { CHAIN, MAP, NEIGHBOUR_DISCOVERY_TYPES, POOL_SET, PRIORITY, PROTOCOL, VXLAN_DEVICE, VXLAN_SENDERS_SET } from "./constants.ts";
import { hostChain, type HostHooks } from "./host-chains.ts";
import { hostRules, tunnelPackets } from "./host-hooks.ts";
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

/** Chains that are there only while the overlay or host endpoints need them. */
export const OPTIONAL_CHAINS: readonly string[] = [CHAIN.rawPrerouting, CHAIN.rawOutput, CHAIN.preDnat, CHAIN.output, CHAIN.translated, CHAIN.hostTranslated];

/** Every chain that does not belong to a policy, a profile or an endpoint. `overlay`: VXLAN is in use; `hooks`: where host endpoints are met. */
export function staticChains(settings: RenderSettings, overlay: boolean, hooks: HostHooks): Map<string, ChainContent> {
  const host = hostRules(hooks, settings, overlay);
  const unknownFrom = rule([{ kind: "interface", direction: "in", name: settings.interfacePrefix, prefix: true }, COUNTER, DROP], "from an unknown workload interface");
  const unknownTo = rule([{ kind: "interface", direction: "out", name: settings.interfacePrefix, prefix: true }, COUNTER, DROP], "to an unknown workload interface");
  // The tunnel's own packets would fill connection tracking with one entry per hash of the packets inside.
  const tunnel = overlay ? [rule([...tunnelPackets(settings), { kind: "no-track" }], "VXLAN is not tracked")] : [];
  const dispatchFrom = rule([{ kind: "interface-map", direction: "in", map: MAP.from }]);
  const dispatchTo = rule([{ kind: "interface-map", direction: "out", map: MAP.to }]);
  const filter = (hook: "forward" | "input", priority: number) => ({ type: "filter", hook, priority, policy: "accept" }) as const;
  return new Map([
    // Two chains at a hook: what the one accepts the other still judges, so that no chain of a sender leads to those of receivers.
    [CHAIN.forward, chainContent([dispatchFrom, unknownFrom, ...host.forwardFrom], filter("forward", PRIORITY.filter))],
    [CHAIN.forwardTo, chainContent([dispatchTo, unknownTo, ...host.forwardTo], filter("forward", PRIORITY.filterReceiver))],
    [CHAIN.input, chainContent([dispatchFrom, unknownFrom, ...(overlay ? tunnelRules(settings) : []), ...host.input], filter("input", PRIORITY.filter))],
    [CHAIN.inputHost, chainContent([rule([{ kind: "interface", direction: "in", name: settings.interfacePrefix, prefix: true }, { kind: "goto", chain: CHAIN.toHost }])], filter("input", PRIORITY.filterReceiver))],
    [CHAIN.toHost, chainContent([
      rule([{ kind: "ct-state", states: ["established", "related"] }, ACCEPT]), rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.neighbourDiscovery }]),
      rule([COUNTER, toHost(settings, hooks)], "endpoint to host"),
    ])],
    [CHAIN.neighbourDiscovery, chainContent(NEIGHBOUR_DISCOVERY_TYPES.map((type) => rule([...onInput(), { kind: "icmp", family: 6, type, code: null }, ACCEPT])))],
    [CHAIN.postrouting, chainContent([...(overlay ? [tunnelSourceRule()] : []), ...natRules(settings)], { type: "nat", hook: "postrouting", priority: PRIORITY.srcnat, policy: "accept" })],
    ...optional(CHAIN.rawPrerouting, "prerouting", PRIORITY.raw, [...tunnel, ...host.rawPrerouting]),
    ...optional(CHAIN.rawOutput, "output", PRIORITY.raw, [...tunnel, ...host.rawOutput]),
    ...optional(CHAIN.preDnat, "prerouting", PRIORITY.mangle, host.preDnat),
    ...optional(CHAIN.output, "output", PRIORITY.filter, host.output),
    ...optional(CHAIN.translated, "postrouting", PRIORITY.mangle, host.translated),
    ...(host.ownTranslated.length === 0 ? [] : [[CHAIN.hostTranslated, chainContent(host.ownTranslated)] as const]),
  ]);
}

/** A chain that is there only when there is something to do. */
function optional(name: string, hook: Hook, priority: number, rules: readonly Rule[]): [string, ChainContent][] {
  return rules.length === 0 ? [] : [[name, chainContent(rules, { type: "filter", hook, priority, policy: "accept" })]];
}

/** Return hands over to the policy of this host; only the one for every interface is for workloads' too. */
function toHost({ defaultEndpointToHostAction: action }: RenderSettings, hooks: HostHooks): Statement {
  if (action === "Return" && hooks.get("host-from")?.wildcard === true) return { kind: "goto", chain: hostChain("host-from", "*") };
  return action === "Drop" ? DROP : ACCEPT;
}

/** A packet in a packet could come from anywhere and say anything of its inside: only other nodes' are opened. */
function tunnelRules(settings: RenderSettings): Rule[] {
  const packets = tunnelPackets(settings);
  return [
    rule([...packets, { kind: "address-set", side: "source", family: 4, set: VXLAN_SENDERS_SET }, COUNTER, ACCEPT], "VXLAN from another node"),
    rule([...packets, COUNTER, DROP], "VXLAN from a stranger"),
  ];
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
