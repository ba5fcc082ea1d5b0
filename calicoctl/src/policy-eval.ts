/** `policy eval`: what policies in files mean for connections, without a cluster. Pure. */
import { createEvaluator, hostEndpointOf, type Evaluator, type HostPath, type NearestMiss, type Packet, type Verdict } from "@calico/calc";
import { canonicalAddress, familyOf, nearest, parsePolicyId, protocolNumber, type Family, type HostEndpoint, type IpAddress, type WorkloadEndpoint } from "@calico/model";
import type { Manifests } from "./manifests.ts";
import { grid } from "./print.ts";
import { printableLines } from "./printable.ts";

export type Probe = { readonly from: string; readonly to: string; readonly port: number; readonly protocol: string };

/** What decided on one side: the tier, the policy ("NetworkPolicy/shop/allow-web", or a profile) and the number of its rule, counted from zero. */
export type Side = {
  readonly allow: boolean; readonly tier: string | null; readonly policy: string | null; readonly rule: number | null; readonly because: string;
  /** Of a denial, the Allow rule that the fewest things keep from matching, and what these are. */
  readonly nearest: { readonly policy: string; readonly rule: number; readonly because: readonly string[] } | null;
  /** Of a node's side: its host endpoint. */
  readonly hostEndpoint?: string;
};

/** A node that forwards it, out of or in through a host endpoint. */
export type Hop = Side & { readonly node: string; readonly direction: "out" | "in"; readonly hostEndpoint: string };

/** A side is null when no policy is asked there: that of a node without a host endpoint, or of an address that nobody has. */
export type ProbeAnswer = Probe & { readonly allow: boolean; readonly egress: Side | null; readonly ingress: Side | null; readonly forwarded: readonly Hop[] };

/** A probe as it was written that cannot be answered, and why: "to: ..." names its field. */
export type BadProbe = { readonly from?: unknown; readonly to?: unknown; readonly port?: unknown; readonly protocol?: unknown; readonly error: string };

export const isAnswered = <Answer extends ProbeAnswer>(outcome: Answer | BadProbe): outcome is Answer => !("error" in outcome);

/** TCP, UDP, SCTP, UDPLite. */
const WITH_PORTS = new Set([6, 17, 132, 136]);

/** The probes of a list, in its order. */
export const readProbes = (written: readonly unknown[]): (Probe | BadProbe)[] => written.map(readProbe);

function readProbe(written: unknown): Probe | BadProbe {
  const probe = (typeof written === "object" && written !== null && !Array.isArray(written) ? written : {}) as Record<string, unknown>;
  const { from, to, port, protocol = "TCP", ...more } = probe;
  const bad = (error: string): BadProbe => ({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), ...(port === undefined ? {} : { port }), protocol, error });
  const [unknown] = Object.keys(more);
  const number = protocolNumber(protocol);
  if (typeof from !== "string" || typeof to !== "string") return bad("from and to are needed: namespace/pod, node:NAME or an address");
  if (unknown !== undefined) return bad(`${unknown}: there is no such field; a probe has from, to, port and protocol`);
  if (number === null) return bad(`protocol: ${JSON.stringify(protocol)} is no protocol`);
  if (port === undefined && WITH_PORTS.has(number)) return bad(`port: is needed for ${String(protocol)}`);
  if (port !== undefined && (typeof port !== "number" || !Number.isInteger(port) || port < 0 || port > 65_535)) return bad(`port: ${JSON.stringify(port)} is no port`);
  return { from, to, port: port ?? 0, protocol: String(protocol) };
}

/** Somebody who sends or receives. */
type Place = { readonly addresses: readonly IpAddress[]; readonly pod: WorkloadEndpoint | null; readonly node: string | null };

const SOURCE_PORT = 40_000;
const ICMP_TYPES = new Map([[1, 8], [58, 128]]);
const FAMILY_OF_ICMP = new Map<number, Family>([[1, 4], [58, 6]]);

/** Answers probes in order. */
export function answerProbes(manifests: Manifests, probes: readonly (Probe | BadProbe)[]): (ProbeAnswer | BadProbe)[] {
  const evaluator = createEvaluator(manifests.world);
  return probes.map((probe) => {
    if ("error" in probe) return probe;
    try {
      return answer(manifests, evaluator, probe);
    } catch (error) {
      if (!(error instanceof UnknownPlace)) throw error;
      return { ...probe, error: error.message };
    }
  });
}

class UnknownPlace extends Error {}

function answer(manifests: Manifests, evaluator: Evaluator, probe: Probe): ProbeAnswer {
  const from = placeOf(manifests, evaluator, probe.from, "from");
  const to = placeOf(manifests, evaluator, probe.to, "to");
  for (const [field, { addresses }] of [["from", from], ["to", to]] as const) if (addresses.length === 0) throw new UnknownPlace(`${field}: ${probe[field]} has no address yet`);
  const protocol = protocolNumber(probe.protocol) ?? 0;
  const family = FAMILY_OF_ICMP.get(protocol);
  const usable = ({ addresses }: Place, field: "from" | "to"): readonly IpAddress[] => {
    const its = family === undefined ? addresses : addresses.filter((address) => familyOf(address) === family);
    if (its.length === 0) throw new UnknownPlace(`${field}: ${probe[field]} has no IPv${family} address, and ${probe.protocol} is of IPv${family}; ask for ${family === 6 ? "ICMP" : "ICMPv6"}`);
    return its;
  };
  const [sources, destinations] = [usable(from, "from"), usable(to, "to")];
  const pair = sources.flatMap((source) => destinations.filter((destination) => familyOf(destination) === familyOf(source)).map((destination) => ({ source, destination })))[0];
  if (pair === undefined) throw new UnknownPlace(`to: ${probe.to} and ${probe.from} have no addresses of one family`);
  const echo = ICMP_TYPES.get(protocol);
  const packet: Packet = { protocol, source: { address: pair.source, port: SOURCE_PORT }, destination: { address: pair.destination, port: probe.port }, ...(echo === undefined ? {} : { icmp: { type: echo, code: 0 } }) };
  const podSide = (pod: WorkloadEndpoint, direction: "ingress" | "egress"): Side => {
    const verdict = evaluator.verdict(pod, direction, packet);
    return sideOf(verdict, verdict.allowed ? null : evaluator.nearestMiss(pod, direction, packet));
  };
  const hostSide = (endpoint: HostEndpoint, path: HostPath): Side & { hostEndpoint: string } => {
    const verdict = evaluator.hostVerdict(endpoint, path, packet);
    return { ...sideOf(verdict, verdict.allowed ? null : evaluator.hostNearestMiss(endpoint, path, packet)), hostEndpoint: endpoint.name };
  };
  /** What a node on the way says: with the field of the probe that brought it there. */
  const hop = (node: string, direction: "out" | "in", field: string): Hop[] => {
    const endpoint = hostEndpointAt(manifests, node, manifests.nodes.get(node) ?? [], field);
    return endpoint === null ? [] : [{ ...hostSide(endpoint, `forwarded ${direction}`), node, direction }];
  };
  const [source, destination] = [from.node ?? from.pod?.node ?? "", to.node ?? to.pod?.node ?? ""];
  const staysOnNode = source !== "" && source === destination;

  function egressSide(): Side | null {
    if (from.pod !== null) return podSide(from.pod, "egress");
    const endpoint = from.node === null || staysOnNode ? null : hostEndpointAt(manifests, from.node, [pair?.source as IpAddress], "from");
    return endpoint === null ? null : hostSide(endpoint, "from host");
  }

  function ingressSide(): Side | null {
    if (to.pod !== null) return from.node !== null && staysOnNode ? OWN_POD : podSide(to.pod, "ingress");
    if (to.node === null || (from.node !== null && staysOnNode)) return null;
    if (from.pod === null || !staysOnNode) {
      const endpoint = hostEndpointAt(manifests, to.node, [pair?.destination as IpAddress], "to");
      return endpoint === null ? null : hostSide(endpoint, "to host");
    }
    const action = manifests.endpointToHost(to.node);
    if (action === null) return null;
    // It comes in by the pod's interface: of host endpoints only the one for all interfaces is for that.
    const endpoint = hostEndpointOf(manifests.world.hostEndpoints ?? [], to.node, { name: "", addresses: [] });
    const verdict = evaluator.toOwnHost(from.pod, action, endpoint, packet);
    // What the pod's own policy denies is said on its side.
    return !verdict.allowed && !evaluator.verdict(from.pod, "egress", packet).allowed ? null : { ...sideOf(verdict, null), ...(action === "Return" && endpoint !== null ? { hostEndpoint: endpoint.name } : {}) };
  }

  const egress = egressSide();
  const ingress = ingressSide();
  const forwarded = staysOnNode ? [] : [...(from.pod === null || source === "" ? [] : hop(source, "out", "from")), ...(to.pod === null || destination === "" ? [] : hop(destination, "in", "to"))];
  return { ...probe, allow: [egress, ingress, ...forwarded].every((side) => side?.allow !== false), egress, ingress, forwarded };
}

const OWN_POD: Side = { allow: true, tier: null, policy: null, rule: null, because: "a node always reaches its own pods", nearest: null };

/**
 * The host endpoint of the interface by which a node is reached at these addresses. One that names an interface and no address counts as that of
 * the node's address when there is no other such; an UnknownPlace says when nobody can tell.
 */
function hostEndpointAt({ world }: Manifests, node: string, addresses: readonly IpAddress[], field: string): HostEndpoint | null {
  const named = (world.hostEndpoints ?? []).filter((endpoint) => endpoint.node === node && !["", "*"].includes(endpoint.interfaceName));
  const certain = named.filter(({ expectedIps }) => expectedIps.some((address) => addresses.includes(address)));
  const possible = certain.length > 0 ? certain : named.filter(({ expectedIps }) => expectedIps.length === 0);
  const names = [...new Set(possible.map(({ interfaceName }) => interfaceName))];
  if (names.length > 1) throw new UnknownPlace(`${field}: node ${node} has host endpoints for the interfaces ${names.join(" and ")}, and nothing says which of them has ${addresses.join(", ")}; write it into their expectedIPs`);
  return hostEndpointOf(world.hostEndpoints ?? [], node, { name: names[0] ?? "", addresses });
}

function placeOf({ pods, hostPods, nodes }: Manifests, evaluator: Evaluator, text: string, field: string): Place {
  const ofNode = (name: string): Place => {
    const addresses = nodes.get(name);
    if (addresses === undefined) throw new UnknownPlace(`${field}: there is no Node ${name}${suggestion(name, [...nodes.keys()])}`);
    return { addresses, pod: null, node: name };
  };
  if (text.startsWith("node:")) return ofNode(text.slice("node:".length));
  const address = canonicalAddress(text);
  if (address !== null) {
    const [node] = [...nodes].find(([, addresses]) => addresses.includes(address)) ?? [];
    return { addresses: [address], pod: evaluator.endpointsAt(address)[0] ?? null, node: node ?? null };
  }
  const pod = pods.get(text);
  if (pod !== undefined) return { addresses: pod.addresses, pod, node: null };
  const host = hostPods.get(text);
  if (host !== undefined) {
    if (host === "") throw new UnknownPlace(`${field}: ${text} is on its node's network, and spec.nodeName does not say which node`);
    return ofNode(host);
  }
  throw new UnknownPlace(`${field}: ${JSON.stringify(text)} is no pod that takes part${suggestion(text, [...pods.keys()])}`);
}

function suggestion(written: string, known: readonly string[]): string {
  const near = nearest(written, known);
  return near === null ? "" : `; did you mean ${near}?`;
}

function sideOf({ allowed, by }: Verdict, miss: NearestMiss | null): Side {
  const nearestRule = miss === null ? null : { policy: policyName(miss.policy), rule: miss.rule, because: miss.misses };
  const side = (tier: string | null, policy: string | null, rule: number | null, because: string): Side => ({ allow: allowed, tier, policy, rule, because, nearest: nearestRule });
  switch (by.kind) {
    case "policy": {
      const policy = policyName(by.policy);
      return side(by.tier, policy, by.rule, `rule ${by.rule} of ${policy}`);
    }
    case "end of tier": return side(by.tier, null, null, `no rule of the policies in tier ${by.tier} matches`);
    case "profile": return side(null, `Profile/${by.profile}`, by.rule, `no policy decides, and profile ${by.profile} ${allowed ? "allows" : "denies"}`);
    case "no profile": return side(null, null, null, "no policy and no profile allows it");
    case "unknown profile": return side(null, null, null, "a profile of the pod is not known");
    case "failsafe": return side(null, null, null, "a failsafe port, which is always open");
    case "forwarded": return side(null, null, null, "no policy with applyOnForward decides");
    case "endpoint to host": return side(null, null, null, `defaultEndpointToHostAction is ${by.action}`);
  }
}

/** "NetworkPolicy/shop/allow-web", "GlobalNetworkPolicy/default-deny". */
export function policyName(id: string): string {
  const parts = parsePolicyId(id);
  return parts === null ? id : [parts.kind, parts.namespace, parts.name].filter((part) => part !== "").join("/");
}

const words = (side: Side | null): string => (side === null ? "-" : `${side.allow ? "allow" : "deny"}: ${side.because}${side.hostEndpoint === undefined ? "" : ` (host endpoint ${side.hostEndpoint})`}`);
const hopWords = (hop: Hop): string => `${hop.direction} at ${hop.node}: ${words(hop)}`;

export function renderAnswers(outcomes: readonly (ProbeAnswer | BadProbe)[]): string {
  const anyForwarded = outcomes.some((outcome) => isAnswered(outcome) && outcome.forwarded.length > 0);
  return grid(["FROM", "TO", "PORT", "PROTOCOL", "VERDICT", "EGRESS", "INGRESS", ...(anyForwarded ? ["FORWARDED"] : [])], outcomes.map((outcome) => {
    if (!isAnswered(outcome)) return badRow(outcome);
    const { from, to, port, protocol, allow, egress, ingress, forwarded } = outcome;
    return [from, to, String(port), protocol, allow ? "allow" : "deny", words(egress), words(ingress), ...(anyForwarded ? [forwarded.map(hopWords).join("; ") || "-"] : [])];
  }));
}

/** What a table shows of a probe that cannot be answered; why, standard error says. */
export const badRow = ({ from, to, port, protocol }: BadProbe): string[] => [...[from, to, port, protocol].map((value) => (value === undefined ? "-" : typeof value === "string" ? value : JSON.stringify(value))), "error"];

/** One answer in full sentences, with more lines about a side behind it. */
export function renderAnswer({ from, to, port, protocol, allow, egress, ingress, forwarded }: ProbeAnswer, more: Readonly<Record<"egress" | "ingress", readonly string[]>> = { egress: [], ingress: [] }): string {
  const miss = (of: Side | null): string[] => (of?.nearest == null ? [] : [`    rule ${of.nearest.rule} of ${of.nearest.policy} would allow it, but:`, ...of.nearest.because.map((each) => `      ${each}`)]);
  const side = (title: string, of: Side | null, lines: readonly string[]): string[] => [`  ${title}  ${of === null ? "no policy is asked there" : words(of)}`, ...lines, ...miss(of)];
  const width = Math.max(from.length, to.length);
  const hops = forwarded.flatMap((hop) => [`  forwarded ${hopWords(hop)}`, ...miss(hop)]);
  return printableLines(`${[`${from} > ${to} ${port === 0 ? "" : `port ${port} `}${protocol}: ${allow ? "allow" : "deny"}`, ...side(`egress of ${from.padEnd(width)} `, egress, more.egress), ...hops, ...side(`ingress of ${to.padEnd(width)}`, ingress, more.ingress)].join("\n")}\n`);
}
