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
import { blockChain, bucketChain, groupChain, pieceChain, portMapName, unfinishedMapName } from "./names.ts";
import { portSections } from "./port-index.ts";
import type { PolicyShape } from "./policy-shape.ts";

export type ListedPolicy = { readonly id: PolicyId; /** With its rules of one direction. */ readonly chain: string; readonly shape: PolicyShape; /** Of its name, by which lists are cut. */ readonly number: number };

export function listedPolicy(id: PolicyId, chain: string, shape: PolicyShape): ListedPolicy {
  // Names of policies' chains end in digits of a hash.
  return { id, chain, shape, number: Number.parseInt(chain.slice(-8), 16) };
}

/** A chain with the rules of several policies, one after the other. */
export type Block = { readonly name: string; /** The policies' own chains. */ readonly members: readonly string[] };

/** What rules jump to in order to ask policies: their own chains, and blocks of them. */
export type Leaves = { readonly asks: readonly string[]; readonly blocks: readonly Block[] };

/** Sets whose members in all are in two kernel sets, as long as somebody uses the guard. */
export type Guard = { readonly sets: readonly IpSetId[]; readonly names: Readonly<Record<Family, string>> };

/** A chain with its maps, and the chains that it leads to, which others may lead to as well. */
export type ChainNode = Leaves & {
  readonly name: string;
  readonly content: ChainContent;
  readonly maps: readonly LiteralSet[];
  /** Chains of policies are not among them. */
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

export type ListBody = Pick<ChainNode, "maps" | "children" | "guards" | "asks" | "blocks" | "followsPorts"> & { readonly rules: readonly Rule[] };

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
  readonly sizes: ListSizes;
};

/** One in so many policies ends a piece, a group or a block, so that this is what it has on average; each is a multiple of the next one. */
export type ListSizes = { readonly piece: number; readonly group: number; readonly block: number };
/**
 * Only long lists have blocks. A commit goes over all chains of the table, so thousands of policies should not have one each; a packet asks
 * all of a block, so it has few.
 */
export const LIST_SIZES: ListSizes = { piece: 512, group: 32, block: 8 };
/** One that has as many times its size ends in any case. */
const LONGEST = 4;
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
  const pieces = asked.length <= context.sizes.piece ? [asked] : cut(asked, context.sizes.piece);
  const [only = []] = pieces;
  if (pieces.length <= 1) return { ...compilePiece(name, only, context, (policies) => policies.map(alone)), followsPorts: true };
  const children = pieces.map((piece) => {
    const chain = pieceChain(piece.map((policy) => policy.chain));
    return context.known(chain) ?? pieceNode(chain, piece.map(({ id }) => id), context);
  });
  return { rules: children.flatMap((child, i) => ask(child.name, canPass(pieces[i] ?? []))), maps: [], children, guards: [], asks: [], blocks: [], followsPorts: false };
}

function pieceNode(name: string, policies: readonly PolicyId[], context: ListContext): ChainNode {
  const { rules, ...body } = compilePiece(name, policies.map(context.policy), context, (some) => inBlocks(some, context.sizes));
  return { ...body, name, content: chainContent(rules), policies, followsPorts: true, again: () => pieceNode(name, policies, context) };
}

const canPass = (policies: readonly ListedPolicy[]): boolean => policies.some(({ shape }) => shape.hasPass);

/** Cuts a list where the policies' own names say so. */
function cut(policies: readonly ListedPolicy[], size: number): ListedPolicy[][] {
  const parts: ListedPolicy[][] = [];
  let part: ListedPolicy[] = [];
  for (const policy of policies) {
    part.push(policy);
    if (part.length < LONGEST * size && policy.number % size !== 0) continue;
    parts.push(part);
    part = [];
  }
  return part.length === 0 ? parts : [...parts, part];
}

type Compiled = Omit<ListBody, "followsPorts">;

/** Policies that are asked together, in their order. */
type Unit = { readonly chain: string; readonly policies: readonly ListedPolicy[]; readonly block: Block | null };
/** What is asked of a unit: whoever else is in it has nothing to say. */
type Asked = { readonly unit: Unit; readonly policies: ListedPolicy[] };

const alone = (policy: ListedPolicy): Unit => ({ chain: policy.chain, policies: [policy], block: null });

/** Cuts policies that follow each other into blocks. */
function inBlocks(policies: readonly ListedPolicy[], { block }: ListSizes): Unit[] {
  return cut(policies, block).map((part) => {
    const [only] = part;
    if (part.length === 1 && only !== undefined) return alone(only);
    const members = part.map(({ chain }) => chain);
    const name = blockChain(members);
    return { chain: name, policies: part, block: { name, members } };
  });
}

type ToUnits = (policies: readonly ListedPolicy[]) => Unit[];
const whole = (units: readonly Unit[]): Asked[] => units.map((unit) => ({ unit, policies: [...unit.policies] }));

function compilePiece(name: string, policies: readonly ListedPolicy[], context: ListContext, toUnits: ToUnits): Compiled {
  const parts: Compiled[] = [];
  /** Runs without a map are asked in turn, all of them together. */
  let inTurn: ListedPolicy[] = [];
  for (const [i, run] of runsOf(policies).entries()) {
    const indexed = indexRun(unfinishedMapName(i), run, context, toUnits);
    if (indexed === null) {
      inTurn.push(...run);
      continue;
    }
    parts.push(askInTurn(whole(toUnits(inTurn)), context), indexed);
    inTurn = [];
  }
  return withMapNames(name, joined([...parts, askInTurn(whole(toUnits(inTurn)), context)]));
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
  asks: parts.flatMap(({ asks }) => asks), blocks: parts.flatMap(({ blocks }) => blocks),
});

/** The chains of units, as a node that leads to them has them. */
function leavesOf(units: readonly Unit[]): Leaves {
  return { asks: units.flatMap(({ chain, block }) => (block === null ? [chain] : [])), blocks: units.flatMap(({ block }) => block ?? []) };
}

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
function indexRun(name: string, policies: readonly ListedPolicy[], context: ListContext, toUnits: ToUnits): Compiled | null {
  const indexed = policies.filter(({ shape }) => shape.ports !== null);
  if (indexed.length < FEWEST_INDEXED) return null;
  const elements: SetElement[] = [];
  const children = new Map<string, ChainNode>();
  const units = new Map<string, Unit>();
  const unitOf = toUnits(indexed).flatMap((unit) => unit.policies.map(() => unit));
  for (const protocol of new Set(indexed.flatMap(({ shape }) => [...(shape.ports?.keys() ?? [])]))) {
    const sections = portSections(indexed.map(({ shape }) => shape.ports?.get(protocol) ?? []), MOST_PER_POLICY.entries * indexed.length);
    const width = elements.length + (sections ?? []).reduce((sum, { first, last }) => sum + last - first + 1, 0);
    if (sections === null || width > MOST_PER_POLICY.elements * indexed.length) return null;
    for (const { first, last, items } of sections) {
      const asked: Asked[] = [];
      for (const item of items) {
        const [unit, policy] = [unitOf[item], indexed[item]];
        if (unit === undefined || policy === undefined) continue;
        const latest = asked.at(-1);
        if (latest?.unit === unit) latest.policies.push(policy);
        else asked.push({ unit, policies: [policy] });
      }
      const verdict = { jump: target(asked, children, units, context) };
      for (let port = first; port <= last; port += 1) elements.push({ key: [String(protocol), String(port)], verdict });
    }
  }
  const afterwards = canPass(indexed) ? [RETURN_WHEN_PASSED] : [];
  // A hash, not ranges: those the kernel looks up in a copy that comes into force after the rules.
  const maps = [{ spec: { name, key: ["inet_proto", "inet_service"], map: true }, elements } as const];
  return joined([
    { rules: [rule([{ kind: "port-map", map: name }]), ...afterwards], maps, children: [...children.values()], guards: [], ...leavesOf([...units.values()]) },
    askInTurn(whole(toUnits(policies.filter(({ shape }) => shape.ports === null))), context),
  ]);
}

/** The chain that asks these: the unit's own, when it is one. */
function target(asked: readonly Asked[], children: Map<string, ChainNode>, units: Map<string, Unit>, context: ListContext): string {
  const [only] = asked;
  if (asked.length === 1 && only !== undefined) {
    units.set(only.unit.chain, only.unit);
    return only.unit.chain;
  }
  // Guards follow who of a unit is meant.
  const name = bucketChain(asked.flatMap(({ unit, policies }) => [unit.chain, ...policies.map(({ chain }) => chain)]));
  if (!children.has(name)) children.set(name, partOf(name, askInTurn(asked, context)));
  return name;
}

/** One after the other; of many, groups that have to do with nobody but members of their sets are passed over for everybody else. */
function askInTurn(asked: readonly Asked[], context: ListContext): Compiled {
  const plain = (some: readonly Asked[]): Compiled => ({
    rules: some.flatMap(({ unit }) => ask(unit.chain, canPass(unit.policies))), maps: [], children: [], guards: [], ...leavesOf(some.map(({ unit }) => unit)),
  });
  const count = asked.reduce((sum, { policies }) => sum + policies.length, 0);
  if (count < context.fewestGuarded) return plain(asked);
  const smallest = Math.min(SMALLEST_GROUP, context.fewestGuarded);
  return joined(groupsOf(asked, smallest, context.sizes.group).map((group) => {
    const policies = group.flatMap((each) => each.policies);
    const guard = policies.length < smallest || policies.some(({ shape }) => shape.peers === null) ? null : context.guard([...new Set(policies.flatMap(({ shape }) => shape.peers ?? []))].sort());
    if (guard === null) return plain(group);
    const chain = groupChain(group.map(({ unit }) => unit.chain));
    const asks = ([4, 6] as const).map((family) => rule([{ kind: "family", family }, { kind: "address-set", side: context.peer, family, set: guard.names[family] }, { kind: "jump", chain }]));
    return { rules: [...asks, ...(group.some(({ unit }) => canPass(unit.policies)) ? [RETURN_WHEN_PASSED] : [])], maps: [], children: [partOf(chain, plain(group))], guards: [guard], asks: [], blocks: [] };
  }));
}

function groupsOf(asked: readonly Asked[], smallest: number, size: number): Asked[][] {
  const groups: Asked[][] = [];
  let group: Asked[] = [];
  let count = 0;
  for (const each of asked) {
    group.push(each);
    count += each.policies.length;
    const isEnd = (each.policies.at(-1)?.number ?? 0) % size === 0;
    if ((!isEnd || count < smallest) && count < LONGEST * size) continue;
    groups.push(group);
    group = [];
    count = 0;
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
