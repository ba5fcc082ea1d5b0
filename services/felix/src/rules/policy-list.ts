/**
 * Lists of policies as chains: a packet asks those that may have something to say about its protocol and port, not all.
 *
 * A long list is cut into pieces where the policies' own names say so: lists that share a run of policies share the piece, and one
 * policy more or less changes one piece. Inside a piece a map from protocol and destination port leads to the policies with rules for
 * them, in their order. Policies that speak of any port break such a run, unless all of it does the same: then it does not matter who is asked first.
 */
import type { PolicyId } from "@calico/calc";
import type { Rule, SetElement, Statement } from "@calico/kernel";
import { chainContent, rule, type ChainContent, type LiteralSet } from "./chain.ts";
import { PASS_MARK } from "./constants.ts";
import { bucketChain, pieceChain, portMapName } from "./names.ts";
import { portSections } from "./port-index.ts";
import type { PolicyShape } from "./policy-shape.ts";

export type ListedPolicy = { readonly id: PolicyId; /** With its rules of one direction. */ readonly chain: string; readonly shape: PolicyShape; /** A piece ends behind it. */ readonly endsPiece: boolean };

export function listedPolicy(id: PolicyId, chain: string, shape: PolicyShape): ListedPolicy {
  // Names of policies' chains end in digits of a hash.
  return { id, chain, shape, endsPiece: Number.parseInt(chain.slice(-8), 16) % PIECE_SIZE === 0 };
}

/** A chain with its maps, and the chains that it leads to, which others may lead to as well. Chains of policies are not among them. */
export type ChainNode = {
  readonly name: string;
  readonly content: ChainContent;
  readonly maps: readonly LiteralSet[];
  readonly children: readonly ChainNode[];
  /** The policies that it was compiled from. */
  readonly policies: readonly PolicyId[];
  /** It depends on the whole shape of these; otherwise only on whether they pass, and have rules at all. */
  readonly followsPorts: boolean;
  /** Compiles it anew, after a change of one of the policies. */
  again(): ChainNode;
};

export type ListBody = Pick<ChainNode, "maps" | "children" | "followsPorts"> & { readonly rules: readonly Rule[] };

/** What compiling looks up. */
export type ListContext = {
  readonly policy: (id: PolicyId) => ListedPolicy;
  /** A chain that is compiled already. */
  readonly known: (name: string) => ChainNode | undefined;
};

/** One in so many policies ends a piece, so that this is what a piece has on average. */
const PIECE_SIZE = 512;
const LONGEST_PIECE = 2048;
/** Fewer are asked one after the other. */
const FEWEST_INDEXED = 4;
/** A map with more than so many elements, or whose sections of ports have more than so many policies in all, for each policy that it has, is not made. */
const MOST_PER_POLICY = { elements: 64, entries: 16 } as const;

/** What the chain `name` asks of these policies, in their order. */
export function compileList(name: string, ids: readonly PolicyId[], context: ListContext): ListBody {
  const asked = ids.map(context.policy).filter(({ shape }) => !shape.isEmpty);
  const pieces = piecesOf(asked);
  const [only = []] = pieces;
  if (pieces.length <= 1) return { ...compilePiece(name, only), followsPorts: true };
  const children = pieces.map((piece) => {
    const chain = pieceChain(piece.map((policy) => policy.chain));
    return context.known(chain) ?? pieceNode(chain, piece.map(({ id }) => id), context);
  });
  return { rules: children.flatMap((child, i) => ask(child.name, canPass(pieces[i] ?? []))), maps: [], children, followsPorts: false };
}

function pieceNode(name: string, policies: readonly PolicyId[], context: ListContext): ChainNode {
  const { rules, maps, children } = compilePiece(name, policies.map(context.policy));
  return { name, content: chainContent(rules), maps, children, policies, followsPorts: true, again: () => pieceNode(name, policies, context) };
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

type Compiled = { readonly rules: readonly Rule[]; readonly maps: readonly LiteralSet[]; readonly children: readonly ChainNode[] };

function compilePiece(name: string, policies: readonly ListedPolicy[]): Compiled {
  const parts = runsOf(policies).map((run, i) => compileRun(portMapName(name, i), run));
  return { rules: parts.flatMap(({ rules }) => rules), maps: parts.flatMap(({ maps }) => maps), children: parts.flatMap(({ children }) => children) };
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

function compileRun(name: string, policies: readonly ListedPolicy[]): Compiled {
  const plain: Compiled = { rules: policies.flatMap(({ chain, shape }) => ask(chain, shape.hasPass)), maps: [], children: [] };
  const indexed = policies.filter(({ shape }) => shape.ports !== null);
  if (indexed.length < FEWEST_INDEXED) return plain;
  const elements: SetElement[] = [];
  const children = new Map<string, ChainNode>();
  for (const protocol of new Set(indexed.flatMap(({ shape }) => [...(shape.ports?.keys() ?? [])]))) {
    const sections = portSections(indexed.map(({ shape }) => shape.ports?.get(protocol) ?? []), MOST_PER_POLICY.entries * indexed.length);
    const width = elements.length + (sections ?? []).reduce((sum, { first, last }) => sum + last - first + 1, 0);
    if (sections === null || width > MOST_PER_POLICY.elements * indexed.length) return plain;
    for (const { first, last, items } of sections) {
      const verdict = { jump: target(items.flatMap((item) => indexed[item] ?? []), children) };
      for (let port = first; port <= last; port += 1) elements.push({ key: [String(protocol), String(port)], verdict });
    }
  }
  const afterwards = indexed.some(({ shape }) => shape.hasPass) ? [RETURN_WHEN_PASSED] : [];
  const others = policies.filter(({ shape }) => shape.ports === null);
  return {
    rules: [rule([{ kind: "port-map", map: name }]), ...afterwards, ...others.flatMap(({ chain, shape }) => ask(chain, shape.hasPass))],
    // A hash, not ranges: those the kernel looks up in a copy that comes into force after the rules.
    maps: [{ spec: { name, key: ["inet_proto", "inet_service"], map: true }, elements }], children: [...children.values()],
  };
}

/** The chain that asks these policies: the policy's own, when it is one. */
function target(policies: readonly ListedPolicy[], children: Map<string, ChainNode>): string {
  const [only] = policies;
  if (policies.length === 1 && only !== undefined) return only.chain;
  const name = bucketChain(policies.map(({ chain }) => chain));
  if (!children.has(name)) {
    // Whoever leads here is compiled anew when one of the policies changes, and this with it.
    const node: ChainNode = { name, content: chainContent(policies.flatMap(({ chain, shape }) => ask(chain, shape.hasPass))), maps: [], children: [], policies: [], followsPorts: false, again: () => node };
    children.set(name, node);
  }
  return name;
}

const PASSED: Statement = { kind: "mark", mask: PASS_MARK, value: PASS_MARK };
const RETURN_WHEN_PASSED: Rule = rule([PASSED, { kind: "verdict", verdict: "return" }]);

function ask(chain: string, hasPass: boolean): Rule[] {
  return [rule([{ kind: "jump", chain }]), ...(hasPass ? [RETURN_WHEN_PASSED] : [])];
}
