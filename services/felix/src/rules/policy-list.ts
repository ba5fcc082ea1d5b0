/**
 * Lists of policies as chains: a packet asks those that may have something to say about its protocol and port, not all.
 *
 * A long list is cut into pieces where the policies' own names say so: lists that share a run of policies share the piece, and one
 * policy more or less changes one piece. Inside a piece a map from protocol and destination port leads to the policies with rules for
 * them, in their order. Where many are left, groups of them are asked only for who is in one of the group's sets. Policies that speak of any port break such a run, unless all of it does the same: then it does not matter who is asked first.
 */
import type { IpSetId, PolicyId } from "@calico/calc";
import type { Family, Rule, SetElement, Side, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent, type LiteralSet } from "./chain.ts";
import { PASS_MARK } from "./constants.ts";
import { bucketChain, groupChain, pieceChain, portMapName, unfinishedMapName } from "./names.ts";
import { portSections } from "./port-index.ts";
import type { PolicyShape } from "./policy-shape.ts";

export type ListedPolicy = { readonly id: PolicyId; /** With its rules of one direction. */ readonly chain: string; readonly shape: PolicyShape; readonly endsPiece: boolean; readonly endsGroup: boolean };

export function listedPolicy(id: PolicyId, chain: string, shape: PolicyShape): ListedPolicy {
  // Names of policies' chains end in digits of a hash.
  const number = Number.parseInt(chain.slice(-8), 16);
  return { id, chain, shape, endsPiece: number % PIECE_SIZE === 0, endsGroup: number % GROUP_SIZE === 0 };
}

/** Sets whose members in all are in two kernel sets, as long as somebody uses the guard. */
export type Guard = { readonly sets: readonly IpSetId[]; readonly names: Readonly<Record<Family, string>> };

/** A chain with its maps, and the chains that it leads to, which others may lead to as well. Chains of policies are not among them. */
export type ChainNode = {
  readonly name: string;
  readonly content: ChainContent;
  readonly maps: readonly LiteralSet[];
  readonly children: readonly ChainNode[];
  /** Sets that its rules look into, beside those of policies. */
  readonly guards: readonly Guard[];
  /** The policies that it was compiled from. */
  readonly policies: readonly PolicyId[];
  /** It depends on the whole shape of these; otherwise only on whether they pass, and have rules at all. */
  readonly followsPorts: boolean;
  /** Compiles it anew, after a change of one of the policies. */
  again(): ChainNode;
};

export type ListBody = Pick<ChainNode, "maps" | "children" | "guards" | "followsPorts"> & { readonly rules: readonly Rule[] };

/** What compiling looks up. */
export type ListContext = {
  readonly policy: (id: PolicyId) => ListedPolicy;
  /** A chain that is compiled already. */
  readonly known: (name: string) => ChainNode | undefined;
  /** Who is at the other end. */
  readonly peer: Side;
  /** null: not all of these are sets of single addresses. */
  readonly guard: (sets: readonly IpSetId[]) => Guard | null;
  /** Where as many policies are to be asked in turn, groups of them get a guard. */
  readonly fewestGuarded: number;
};

/** One in so many policies ends a piece, so that this is what a piece has on average. */
const PIECE_SIZE = 512;
const LONGEST_PIECE = 2048;
/** One in so many ends a group. */
const GROUP_SIZE = 32;
/** Where as many policies are to be asked in turn, groups of them get a guard. */
export const FEWEST_GUARDED = 64;
/** A smaller group goes on, and at the end of a list is not worth a guard. */
const SMALLEST_GROUP = 8;
/** Fewer are asked one after the other. */
const FEWEST_INDEXED = 4;
/** A map with more than so many elements, or whose sections of ports have more than so many policies in all, for each policy that it has, is not made. */
const MOST_PER_POLICY = { elements: 64, entries: 16 } as const;

/** What the chain `name` asks of these policies, in their order. */
export function compileList(name: string, ids: readonly PolicyId[], context: ListContext): ListBody {
  const asked = ids.map(context.policy).filter(({ shape }) => !shape.isEmpty);
  const pieces = piecesOf(asked);
  const [only = []] = pieces;
  if (pieces.length <= 1) return { ...compilePiece(name, only, context), followsPorts: true };
  const children = pieces.map((piece) => {
    const chain = pieceChain(piece.map((policy) => policy.chain));
    return context.known(chain) ?? pieceNode(chain, piece.map(({ id }) => id), context);
  });
  return { rules: children.flatMap((child, i) => ask(child.name, canPass(pieces[i] ?? []))), maps: [], children, guards: [], followsPorts: false };
}

function pieceNode(name: string, policies: readonly PolicyId[], context: ListContext): ChainNode {
  const { rules, ...body } = compilePiece(name, policies.map(context.policy), context);
  return { ...body, name, content: chainContent(rules), policies, followsPorts: true, again: () => pieceNode(name, policies, context) };
}

const canPass = (policies: readonly ListedPolicy[]): boolean => policies.some(({ shape }) => shape.hasPass);

function piecesOf(policies: readonly ListedPolicy[]): ListedPolicy[][] {
  if (policies.length <= PIECE_SIZE) return policies.length === 0 ? [] : [[...policies]];
  const pieces: ListedPolicy[][] = [];
  let piece: ListedPolicy[] = [];
  for (const policy of policies) {
    piece.push(policy);
    if (piece.length < LONGEST_PIECE && !policy.endsPiece) continue;
    pieces.push(piece);
    piece = [];
  }
  if (piece.length > 0) pieces.push(piece);
  return pieces;
}

type Compiled = Omit<ListBody, "followsPorts">;

function compilePiece(name: string, policies: readonly ListedPolicy[], context: ListContext): Compiled {
  const parts: Compiled[] = [];
  /** Runs without a map are asked in turn, all of them together. */
  let inTurn: ListedPolicy[] = [];
  for (const [i, run] of runsOf(policies).entries()) {
    const indexed = indexRun(unfinishedMapName(i), run, context);
    if (indexed === null) {
      inTurn.push(...run);
      continue;
    }
    parts.push(askInTurn(inTurn, context), indexed);
    inTurn = [];
  }
  return withMapNames(name, joined([...parts, askInTurn(inTurn, context)]));
}

/**
 * Where the rules around a map change, it is another map: what was in one of them may be in the other now, and a packet that is on its way
 * through the old rules looks into the map as it is at that moment.
 */
function withMapNames(chain: string, { rules, maps, ...rest }: Compiled): Compiled {
  if (maps.length === 0) return { rules, maps, ...rest };
  const { hashes } = chainContent(rules);
  const names = new Map(maps.map(({ spec }, i) => [spec.name, portMapName(chain, i, hashes)]));
  const named = (name: string): string => names.get(name) ?? name;
  return {
    ...rest, maps: maps.map(({ spec, elements }) => ({ spec: { ...spec, name: named(spec.name) }, elements })),
    rules: rules.map(({ statements, ...each }) => ({ ...each, statements: statements.map((statement) => (statement.kind === "port-map" ? { ...statement, map: named(statement.map) } : statement)) })),
  };
}

const joined = (parts: readonly Compiled[]): Compiled => ({
  rules: parts.flatMap(({ rules }) => rules), maps: parts.flatMap(({ maps }) => maps), children: parts.flatMap(({ children }) => children), guards: parts.flatMap(({ guards }) => guards),
});

/** Runs inside of which policies may be asked by port. */
function runsOf(policies: readonly ListedPolicy[]): ListedPolicy[][] {
  const runs: { readonly policies: ListedPolicy[]; action: PolicyShape["action"]; isIndexed: boolean }[] = [];
  for (const policy of policies) {
    const { action, ports } = policy.shape;
    const run = runs.at(-1);
    if (run === undefined || !((run.action !== null && run.action === action) || (run.isIndexed && ports !== null))) {
      runs.push({ policies: [policy], action, isIndexed: ports !== null });
      continue;
    }
    run.policies.push(policy);
    if (run.action !== action) run.action = null;
    run.isIndexed &&= ports !== null;
  }
  return runs.map((run) => run.policies);
}

/** A run with a map from ports; null: it is not worth one. */
function indexRun(name: string, policies: readonly ListedPolicy[], context: ListContext): Compiled | null {
  const indexed = policies.filter(({ shape }) => shape.ports !== null);
  if (indexed.length < FEWEST_INDEXED) return null;
  const elements: SetElement[] = [];
  const children = new Map<string, ChainNode>();
  for (const protocol of new Set(indexed.flatMap(({ shape }) => [...(shape.ports?.keys() ?? [])]))) {
    const sections = portSections(indexed.map(({ shape }) => shape.ports?.get(protocol) ?? []), MOST_PER_POLICY.entries * indexed.length);
    const width = elements.length + (sections ?? []).reduce((sum, { first, last }) => sum + last - first + 1, 0);
    if (sections === null || width > MOST_PER_POLICY.elements * indexed.length) return null;
    for (const { first, last, items } of sections) {
      const verdict = { jump: target(items.flatMap((item) => indexed[item] ?? []), children, context) };
      for (let port = first; port <= last; port += 1) elements.push({ key: [String(protocol), String(port)], verdict });
    }
  }
  const afterwards = indexed.some(({ shape }) => shape.hasPass) ? [RETURN_WHEN_PASSED] : [];
  // A hash, not ranges: those the kernel looks up in a copy that comes into force after the rules.
  const maps = [{ spec: { name, key: ["inet_proto", "inet_service"], map: true }, elements } as const];
  return joined([{ rules: [rule([{ kind: "port-map", map: name }]), ...afterwards], maps, children: [...children.values()], guards: [] }, askInTurn(policies.filter(({ shape }) => shape.ports === null), context)]);
}

/** The chain that asks these policies: the policy's own, when it is one. */
function target(policies: readonly ListedPolicy[], children: Map<string, ChainNode>, context: ListContext): string {
  const [only] = policies;
  if (policies.length === 1 && only !== undefined) return only.chain;
  const name = bucketChain(policies.map(({ chain }) => chain));
  if (!children.has(name)) {
    children.set(name, partOf(name, askInTurn(policies, context)));
  }
  return name;
}

/** One after the other; of many, groups that have to do with nobody but members of their sets are passed over for everybody else. */
function askInTurn(policies: readonly ListedPolicy[], context: ListContext): Compiled {
  const plain = (some: readonly ListedPolicy[]): Compiled => ({ rules: some.flatMap(({ chain, shape }) => ask(chain, shape.hasPass)), maps: [], children: [], guards: [] });
  if (policies.length < context.fewestGuarded) return plain(policies);
  const smallest = Math.min(SMALLEST_GROUP, context.fewestGuarded);
  return joined(groupsOf(policies, smallest).map((group) => {
    const guard = group.length < smallest || group.some(({ shape }) => shape.peers === null) ? null : context.guard([...new Set(group.flatMap(({ shape }) => shape.peers ?? []))].sort());
    if (guard === null) return plain(group);
    const chain = groupChain(group.map((policy) => policy.chain));
    const asks = ([4, 6] as const).map((family) => rule([{ kind: "family", family }, { kind: "address-set", side: context.peer, family, set: guard.names[family] }, { kind: "jump", chain }]));
    return { rules: [...asks, ...(canPass(group) ? [RETURN_WHEN_PASSED] : [])], maps: [], children: [partOf(chain, plain(group))], guards: [guard] };
  }));
}

function groupsOf(policies: readonly ListedPolicy[], smallest: number): ListedPolicy[][] {
  const groups: ListedPolicy[][] = [];
  let group: ListedPolicy[] = [];
  for (const policy of policies) {
    group.push(policy);
    if ((!policy.endsGroup || group.length < smallest) && group.length < 4 * GROUP_SIZE) continue;
    groups.push(group);
    group = [];
  }
  return group.length === 0 ? groups : [...groups, group];
}

/** A chain that is part of another's compilation: whoever leads there is compiled anew when a policy changes, and this with it. */
function partOf(name: string, { rules, ...body }: Compiled): ChainNode {
  const node: ChainNode = { ...body, name, content: chainContent(rules), policies: [], followsPorts: false, again: () => node };
  return node;
}

const PASSED: Statement = { kind: "mark", mask: PASS_MARK, value: PASS_MARK };
const RETURN_WHEN_PASSED: Rule = rule([PASSED, { kind: "verdict", verdict: "return" }]);

function ask(chain: string, hasPass: boolean): Rule[] {
  return [rule([{ kind: "jump", chain }]), ...(hasPass ? [RETURN_WHEN_PASSED] : [])];
}
