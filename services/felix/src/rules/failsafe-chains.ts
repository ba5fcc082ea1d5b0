/** Failsafe ports as chains: what keeps a host reachable whatever its policy says. Pure. */
import { familyOf } from "@calico/model";
import type { Rule, Side, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent, type LiteralSet } from "./chain.ts";
import type { FailsafePort } from "@calico/calc";
import type { RenderSettings } from "./settings.ts";

export const FAILSAFE = { from: "failsafe-from", to: "failsafe-to", untrackedFrom: "failsafe-untracked-from", untrackedTo: "failsafe-untracked-to" } as const;

type Settings = Pick<RenderSettings, "failsafeInboundHostPorts" | "failsafeOutboundHostPorts">;
type List = "in" | "out";

/** `untracked`: answers have no connection to go with there, so they are let through by their source port. */
export function failsafeChains(settings: Settings, untracked: boolean): { chains: Map<string, ChainContent>; sets: LiteralSet[] } {
  const from = failsafeRules(settings, "in", "destination", "source");
  const to = failsafeRules(settings, "out", "destination", "destination");
  const chains = new Map<string, ChainContent>([[FAILSAFE.from, chainContent(from)], [FAILSAFE.to, chainContent(to)]]);
  if (untracked) {
    chains.set(FAILSAFE.untrackedFrom, chainContent([...from, ...failsafeRules(settings, "out", "source", "source")]));
    chains.set(FAILSAFE.untrackedTo, chainContent([...to, ...failsafeRules(settings, "in", "source", "destination")]));
  }
  return { chains, sets: [...failsafeSets(settings, "in"), ...failsafeSets(settings, "out")] };
}

const portsOf = (settings: Settings, list: List): readonly FailsafePort[] => (list === "in" ? settings.failsafeInboundHostPorts : settings.failsafeOutboundHostPorts);
const setName = (list: List, protocol: number): string => `failsafe-${list}-${protocol}`;

/** Ports for every machine, by protocol, each once. */
function openPorts(settings: Settings, list: List): Map<number, Set<number>> {
  const byProtocol = new Map<number, Set<number>>();
  for (const { protocol, port, net } of portsOf(settings, list)) if (net === null) byProtocol.set(protocol, (byProtocol.get(protocol) ?? new Set()).add(port));
  return byProtocol;
}

function failsafeSets(settings: Settings, list: List): LiteralSet[] {
  return [...openPorts(settings, list)].map(([protocol, ports]) => ({ spec: { name: setName(list, protocol), key: ["inet_service"] }, elements: [...ports].map((port) => ({ key: [String(port)] })) }));
}

/** `portSide`: where the packet has the port; `peer`: where it has the other machine's address. */
function failsafeRules(settings: Settings, list: List, portSide: Side, peer: Side): Rule[] {
  const accept = (...matches: Statement[]): Rule => rule([...matches, { kind: "counter" }, { kind: "verdict", verdict: "accept" }], "failsafe");
  const open = [...openPorts(settings, list).keys()].map((protocol) => accept({ kind: "protocol", protocol }, { kind: "port-set", side: portSide, set: setName(list, protocol) }));
  const narrow = portsOf(settings, list).flatMap(({ protocol, port, net }) => (net === null ? [] : [
    accept({ kind: "family", family: familyOf(net) }, { kind: "protocol", protocol }, { kind: "port", side: portSide, first: port, last: port }, { kind: "address", side: peer, cidr: net }),
  ]));
  return [...open, ...narrow];
}
