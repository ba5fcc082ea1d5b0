/** Rules of policies and profiles as rules of nftables. */
import type { IpSetId, NodeEntityMatch, NodeRule } from "@calico/calc";
import { disjointCover, familyOf, formatAddress, joinRanges } from "@calico/model";
import type { Family, Rule, Side, Statement } from "@calico/kernel";
import { rule, type LiteralSet } from "./chain.ts";
import { ACCEPT_MARK, PASS_MARK, PROTOCOL } from "./constants.ts";
import { logLimit, logPrefix, ownerName, type RuleOwner } from "./log-prefix.ts";
import { literalSetName, type Direction, type Stage } from "./names.ts";
import type { RenderSettings } from "./settings.ts";

/** What rendering must know of sets: their names in the kernel; null: nobody of the family is in it. */
export type SetNames = (id: IpSetId, family: Family) => string | null;

export type RuleContext = {
  readonly direction: Direction;
  readonly stage: Stage;
  readonly setName: SetNames;
  readonly settings: RenderSettings;
  /** Pass in a profile means Deny. */
  readonly inProfile: boolean;
  readonly owner: RuleOwner;
};

export type RenderedRules = { readonly rules: readonly Rule[]; /** Of each: which of the policy's rules it comes from. */ readonly numbers: readonly number[]; readonly literals: readonly LiteralSet[] };

/** In order, first match first: exactly what the rules say, cheap matches in front. */
export function renderRules(rules: readonly NodeRule[], context: RuleContext): RenderedRules {
  const literals = new Map<string, LiteralSet>();
  const rendered = rules.flatMap((policyRule) => {
    const comment = `${labelOf(context.owner)} ${context.direction} rule ${policyRule.index}`;
    const written = variantsOf(policyRule, context, literals).flatMap((matches) => actionsOf(policyRule, context).map((action) => rule([...matches, ...action], comment)));
    return written.map((each) => ({ each, number: policyRule.index }));
  });
  return { rules: rendered.map(({ each }) => each), numbers: rendered.map(({ number }) => number), literals: [...literals.values()] };
}

/** In front of a rule's number in its comment: "NetworkPolicy shop/allow", "profile kns.shop". */
const labelOf = (owner: RuleOwner): string => `${owner.kind === "Profile" ? "profile" : owner.kind} ${ownerName(owner)}`;

/** Match lists of which any may hold: one per family where that matters, and per way in which ports may match. */
function variantsOf(policyRule: NodeRule, context: RuleContext, literals: Map<string, LiteralSet>): Statement[][] {
  const families = familiesOf(policyRule, context.settings.ipv6Support);
  return families.flatMap((family) => {
    const addresses = [...addressMatches("source", policyRule.source, family, context, literals), ...addressMatches("destination", policyRule.destination, family, context, literals)];
    if (addresses.includes(null)) return [];
    const head: Statement[] = family === 0 ? [] : [{ kind: "family", family }];
    head.push(...protocolMatches(policyRule, family));
    const matches = [...head, ...addresses.filter((match): match is Statement => match !== null)];
    const bySource = portVariants("source", policyRule.source, family, context, literals);
    const byDestination = portVariants("destination", policyRule.destination, family, context, literals);
    return bySource.flatMap((source) => byDestination.map((destination) => [...matches.slice(0, head.length), ...source, ...destination, ...matches.slice(head.length)]));
  });
}

/** 0: one rule serves both families, because nothing in it has a family. */
function familiesOf({ ipVersion, source, destination, icmp, notIcmp }: NodeRule, ipv6: boolean): (Family | 0)[] {
  const all: Family[] = ipv6 ? [4, 6] : [4];
  if (ipVersion !== 0) return all.filter((family) => family === ipVersion);
  const bound = icmp !== null || notIcmp !== null || [source, destination].some((side) =>
    side.nets.length + side.notNets.length + side.ipSets.length + side.notIpSets.length + side.portSets.length + side.notPortSets.length > 0);
  return bound ? all : [0];
}

function protocolMatches({ protocol, notProtocol, icmp, notIcmp }: NodeRule, family: Family | 0): Statement[] {
  const matches: Statement[] = [];
  if (protocol !== null) matches.push({ kind: "protocol", protocol });
  if (notProtocol !== null) matches.push({ kind: "protocol", protocol: notProtocol, not: true });
  if (family !== 0 && icmp !== null) matches.push({ kind: "icmp", family, type: icmp.type, code: icmp.code });
  if (family !== 0 && notIcmp !== null) matches.push({ kind: "icmp", family, type: notIcmp.type, code: notIcmp.code, not: true });
  return matches;
}

/** A null among the answers: no address of this family can match. */
function addressMatches(side: Side, match: NodeEntityMatch, family: Family | 0, { setName }: RuleContext, literals: Map<string, LiteralSet>): (Statement | null)[] {
  if (family === 0) return [];
  const matches: (Statement | null)[] = [];
  for (const set of match.ipSets.map((id) => setName(id, family))) matches.push(set === null ? null : { kind: "address-set", side, family, set });
  for (const set of match.notIpSets.map((id) => setName(id, family))) if (set !== null) matches.push({ kind: "address-set", side, family, set, not: true });
  const nets = match.nets.filter((net) => familyOf(net) === family);
  if (match.nets.length > 0) matches.push(nets.length === 0 ? null : netMatch(side, nets, family, false, literals));
  const notNets = match.notNets.filter((net) => familyOf(net) === family);
  if (notNets.length > 0) matches.push(netMatch(side, notNets, family, true, literals));
  for (const set of match.notPortSets.map((id) => setName(id, family))) if (set !== null) matches.push({ kind: "address-port-set", side, family, set, not: true });
  return matches;
}

function netMatch(side: Side, nets: readonly string[], family: Family, not: boolean, literals: Map<string, LiteralSet>): Statement {
  const [first] = nets;
  if (nets.length === 1 && first !== undefined) return { kind: "address", side, cidr: first, ...inverted(not) };
  const sorted = [...nets].sort();
  const name = literalSetName("nets", family, sorted);
  literals.set(name, netsSet(name, sorted, family));
  return { kind: "address-set", side, family, set: name, ...inverted(not) };
}

/** A set of the addresses in CIDRs of one family. */
export function netsSet(name: string, nets: readonly string[], family: Family): LiteralSet {
  const elements = disjointCover([...nets], family).map(({ start, end }) => ({ start: formatAddress(start), end: end === null ? null : formatAddress(end) }));
  return { spec: { name, key: [family === 4 ? "ipv4_addr" : "ipv6_addr"], interval: true }, elements };
}

/** The ways in which the ports of one side can match; one empty way when any port does, none when no port can. */
function portVariants(side: Side, match: NodeEntityMatch, family: Family | 0, { setName }: RuleContext, literals: Map<string, LiteralSet>): Statement[][] {
  const never = match.notPorts.length === 0 ? [] : [portMatch(side, match.notPorts, true, literals)];
  const ways: Statement[][] = [];
  if (match.ports.length > 0) ways.push([portMatch(side, match.ports, false, literals), ...never]);
  if (family !== 0) for (const set of match.portSets.map((id) => setName(id, family))) if (set !== null) ways.push([{ kind: "address-port-set", side, family, set }, ...never]);
  return match.ports.length + match.portSets.length === 0 ? [never] : ways;
}

function portMatch(side: Side, ranges: NodeEntityMatch["ports"], not: boolean, literals: Map<string, LiteralSet>): Statement {
  const merged = joinRanges(ranges);
  const [only] = merged;
  if (merged.length === 1 && only !== undefined) return { kind: "port", side, first: only.first, last: only.last, ...inverted(not) };
  const name = literalSetName("ports", 0, merged.map(({ first, last }) => `${first}-${last}`));
  const elements = merged.map(({ first, last }) => ({ start: String(first), end: last === 65_535 ? null : String(last + 1) }));
  literals.set(name, { spec: { name, key: ["inet_service"], interval: true }, elements });
  return { kind: "port-set", side, set: name, ...inverted(not) };
}

function inverted(not: boolean): { not?: true } {
  return not ? { not: true } : {};
}

/** What is done on a match; several lists when it takes several rules. */
function actionsOf({ action }: NodeRule, { stage, settings, inProfile, owner }: RuleContext): Statement[][] {
  const counter: Statement = { kind: "counter" };
  if (action === "Log") {
    const limit = logLimit(settings.logActionRateLimit);
    return [[counter, ...(limit === null ? [] : [{ kind: "limit" as const, ...limit, burst: settings.logActionRateLimitBurst }]), { kind: "log", prefix: logPrefix(settings.logPrefix, owner) }]];
  }
  if (action === "Allow") return [[counter, ...allowed(stage)]];
  if (action === "Pass" && !inProfile) return [[counter, { kind: "set-mark", mask: PASS_MARK, value: PASS_MARK }, { kind: "verdict", verdict: "return" }]];
  return denials(settings, stage).map((denial) => [counter, ...denial]);
}

/** Allow: early policy of a host endpoint tells its later policy that it has spoken. */
export function allowed(stage: Stage): Statement[] {
  const accept: Statement = { kind: "verdict", verdict: "accept" };
  const mark: Statement = { kind: "set-mark", mask: ACCEPT_MARK, value: ACCEPT_MARK };
  if (stage === "untracked") return [{ kind: "no-track" }, mark, accept];
  return stage === "pre-dnat" ? [mark, accept] : [accept];
}

/** Deny: drop, or, at hooks where the kernel can, an answer that says so. */
export function denials({ iptablesFilterDenyAction }: RenderSettings, stage: Stage): Statement[][] {
  const isSilent = stage === "untracked" || stage === "pre-dnat" || stage === "translated";
  if (iptablesFilterDenyAction === "Drop" || isSilent) return [[{ kind: "verdict", verdict: "drop" }]];
  return [[{ kind: "protocol", protocol: PROTOCOL.tcp }, { kind: "reject", how: "tcp-reset" }], [{ kind: "reject", how: "admin-prohibited" }]];
}
