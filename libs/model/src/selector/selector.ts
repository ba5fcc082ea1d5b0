/** Selectors: boolean expressions over labels, in Calico's language. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL_PREFIX } from "../labels.ts";
import type { Labels } from "../labels.ts";
import { keysOf, mapGlobals, mapKeys, renderSelector, type SelectorNode } from "./ast.ts";
import { compile } from "./evaluate.ts";
import { parseSelectorTree, type ParseOptions } from "./parse.ts";
import { restrictionsOf, type LabelRestrictions } from "./restrictions.ts";
import { SelectorSyntaxError } from "./tokens.ts";

export { MAX_SELECTOR_LENGTH } from "./parse.ts";
export { sortedValues, type SelectorNode } from "./ast.ts";
export type { LabelRestrictions, Restriction } from "./restrictions.ts";

/** "s:" and a hash of the canonical text. */
export type SelectorId = string & { readonly brand: "SelectorId" };

/** A parsed selector. Selectors of equal canonical text are one object. */
export interface Selector {
  /** Canonical text; `parseCanonicalSelector` makes this selector of it. */
  readonly text: string;
  readonly id: SelectorId;
  readonly ast: SelectorNode;
  evaluate(labels: Labels): boolean;
}

export type SelectorResult =
  | { readonly ok: true; readonly selector: Selector }
  | { readonly ok: false; readonly message: string; /** Where, in characters from the start. */ readonly offset: number; readonly suggestion?: string };

/** Selectors in use, by canonical text. Weak: a selector that nobody holds is forgotten. */
const interned = new Map<string, WeakRef<Selector>>();
const forgotten = new FinalizationRegistry<string>((text) => {
  if (interned.get(text)?.deref() === undefined) interned.delete(text);
});

/**
 * Parses a selector; "" is all(). Never throws. `allowGlobal` admits `global()`, which only the
 * namespaceSelector of a rule may use.
 */
export function parseSelector(text: string, options: { readonly allowGlobal?: boolean } = {}): SelectorResult {
  return parse(text, options);
}

/** Parses the canonical text of a selector, which may be longer than what people may write. Never throws. */
export function parseCanonicalSelector(text: string): SelectorResult {
  return parse(text, { allowGlobal: true, isCanonical: true });
}

function parse(text: string, options: ParseOptions): SelectorResult {
  try {
    return { ok: true, selector: selectorOf(parseSelectorTree(text, options)) };
  } catch (error) {
    if (!(error instanceof SelectorSyntaxError)) throw error;
    const failure = { ok: false as const, message: error.message, offset: error.offset };
    return error.suggestion === undefined ? failure : { ...failure, suggestion: error.suggestion };
  }
}

/** A selector that is known to be valid, for text that this program or a test wrote. Throws a RangeError. */
export function selector(text: string): Selector {
  const result = parseSelector(text, { allowGlobal: true });
  if (!result.ok) throw new RangeError(`selector ${JSON.stringify(text)}: ${result.message} at ${result.offset}`);
  return result.selector;
}

/** The selector of a tree. */
export function selectorOf(ast: SelectorNode): Selector {
  const text = renderSelector(ast);
  const known = interned.get(text)?.deref();
  if (known !== undefined) return known;
  const made: Selector = { text, id: selectorId(text), ast, evaluate: compile(ast) };
  interned.set(text, new WeakRef(made));
  forgotten.register(made, text);
  return made;
}

function selectorId(text: string): SelectorId {
  return `s:${bytesToHex(sha256(utf8ToBytes(text))).slice(0, 32)}` as SelectorId;
}

/** Matches everything. */
export function all(): Selector {
  return selectorOf({ op: "all" });
}

/** Matches what all of them match; all() among them is left out. */
export function and(...selectors: readonly Selector[]): Selector {
  const operands = selectors.map(({ ast }) => ast).filter(({ op }) => op !== "all");
  const [first] = operands;
  if (first === undefined) return all();
  return selectorOf(operands.length === 1 ? first : { op: "and", operands });
}

/** Matches what one of them matches. */
export function or(...selectors: readonly [Selector, ...Selector[]]): Selector {
  return selectors.length === 1 ? selectors[0] : selectorOf({ op: "or", operands: selectors.map(({ ast }) => ast) });
}

/** Matches what the selector does not match. */
export function not(operand: Selector): Selector {
  return selectorOf({ op: "not", operand: operand.ast });
}

/** Matches objects whose label has this value. */
export function labelEquals(key: string, value: string): Selector {
  return selectorOf({ op: "==", key, value });
}

/** Matches objects that have the label. */
export function labelPresent(key: string): Selector {
  return selectorOf({ op: "has", key });
}

/**
 * A selector over namespaces as one over endpoints: label keys get the prefix of inherited namespace labels,
 * `all()` means "in some namespace" and `global()` "in none".
 */
export function overNamespaces(ofNamespaces: Selector): Selector {
  const inNamespace: SelectorNode = { op: "has", key: NAMESPACE_LABEL };
  const prefixed = mapKeys(ofNamespaces.ast, (key) => `${NAMESPACE_LABEL_PREFIX}${key}`);
  return selectorOf(mapGlobals(prefixed, (op) => (op === "all" ? inNamespace : { op: "not", operand: inNamespace })));
}

/** A selector over service accounts as one over endpoints. */
export function overServiceAccounts(ofServiceAccounts: Selector): Selector {
  return selectorOf(mapKeys(ofServiceAccounts.ast, (key) => `${SERVICE_ACCOUNT_LABEL_PREFIX}${key}`));
}

/** Necessary conditions per label key: sound, not complete. */
export function labelRestrictions(of: Selector): LabelRestrictions {
  return restrictionsOf(of.ast);
}

/** Every label key that the selector reads. */
export function labelKeys(of: Selector): ReadonlySet<string> {
  return keysOf(of.ast);
}
