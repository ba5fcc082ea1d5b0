/** What stands in the hooks' chains for host endpoints: the way to the chains of the packet's interface. Pure. */
import type { Rule, Side, Statement } from "@calico/kernel";
import { rule } from "./chain.ts";
import { ACCEPT_MARK, CHAIN, LOOPBACK, PROTOCOL, VXLAN_SENDERS_SET } from "./constants.ts";
import { hostChain, type HostHooks, type Place } from "./host-chains.ts";
import type { RenderSettings } from "./settings.ts";

const ACCEPT: Statement = { kind: "verdict", verdict: "accept" };
const ESTABLISHED: Statement = { kind: "ct-state", states: ["established", "related"] };
const ACCEPTED: Statement = { kind: "mark", mask: ACCEPT_MARK, value: ACCEPT_MARK };
const CLEAR: Rule = rule([{ kind: "set-mark", mask: ACCEPT_MARK, value: 0 }]);

/** By chain; an empty list: nothing is to be done there. `ownTranslated` is where `translated` leads. */
export type HostRules = Readonly<Record<"rawPrerouting" | "rawOutput" | "preDnat" | "input" | "output" | "translated" | "ownTranslated" | "forwardFrom" | "forwardTo", readonly Rule[]>>;

/** `overlay`: VXLAN is in use; what its tunnel carries meets policy when it is out of it, or before it goes in. */
export function hostRules(hooks: HostHooks, settings: RenderSettings, overlay: boolean): HostRules {
  const at = (place: Place, ...rules: readonly (readonly Rule[])[]): Rule[] => (hooks.has(place) ? [...rules.flat(), ...dispatch(hooks, place)] : []);
  const early = hooks.has("untracked-from") || hooks.has("pre-dnat-from");
  const ifMarked = (holds: boolean): Rule[] => (holds ? [rule([ACCEPTED, ACCEPT])] : []);
  const workload = (direction: "in" | "out"): Rule[] => [rule([{ kind: "interface", direction, name: settings.interfacePrefix, prefix: true }, ACCEPT])];
  const tunnel = (peer: Side): Rule[] => (overlay ? [rule([...tunnelPackets(settings), { kind: "address-set", side: peer, family: 4, set: VXLAN_SENDERS_SET }, ACCEPT], "VXLAN of another node")] : []);
  const established = rule([ESTABLISHED, ACCEPT]);
  const discovery = rule([{ kind: "family", family: 6 }, { kind: "protocol", protocol: PROTOCOL.icmpv6 }, { kind: "jump", chain: CHAIN.hostDiscovery }]);
  return {
    rawPrerouting: at("untracked-from", [CLEAR], workload("in"), tunnel("source"), [discovery]),
    rawOutput: at("untracked-to", [CLEAR], workload("out"), tunnel("destination"), [discovery]),
    preDnat: at("pre-dnat-from", hooks.has("untracked-from") ? ifMarked(true) : [CLEAR], [established], workload("in"), tunnel("source"), [discovery]),
    input: at("host-from", ifMarked(early), [established, discovery]),
    // Where a translated packet leaves is known only after this hook.
    output: at("host-to", ifMarked(hooks.has("untracked-to")), [established], workload("out"), tunnel("destination"), [rule([{ kind: "ct-dnat" }, ACCEPT]), discovery]),
    // What is forwarded has come in by an interface. A packet without a connection matches neither a status nor its opposite.
    translated: hooks.has("translated-to") ? [rule([{ kind: "ct-dnat" }, { kind: "interface", direction: "in", name: "" }, { kind: "goto", chain: CHAIN.hostTranslated }])] : [],
    ownTranslated: at("translated-to", [established], workload("out")),
    forwardFrom: at("forward-from", ifMarked(early), [established]),
    forwardTo: at("forward-to", [established]),
  };
}

/** What a host says to itself is no policy's, unless lo has a host endpoint of its own. */
function dispatch(hooks: HostHooks, place: Place): Rule[] {
  const { named = false, wildcard = false } = hooks.get(place) ?? {};
  const direction = place.endsWith("-from") ? "in" : "out";
  return [
    ...(named ? [rule([{ kind: "interface-map", direction, map: place }])] : []),
    ...(wildcard ? [rule([{ kind: "interface", direction, name: LOOPBACK, not: true }, { kind: "goto", chain: hostChain(place, "*") }])] : []),
  ];
}

export function tunnelPackets({ vxlanPort }: RenderSettings): Statement[] {
  return [{ kind: "family", family: 4 }, { kind: "protocol", protocol: PROTOCOL.udp }, { kind: "port", side: "destination", first: vxlanPort, last: vxlanPort }];
}
