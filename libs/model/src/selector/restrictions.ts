/** What a label must look like for a selector to match: the hint by which an index finds candidates. */
import type { SelectorNode } from "./ast.ts";

/** "present": the key must exist; "values": with one of these; "absent": it must not exist. An empty set of values: never. */
export type Restriction =
  | { readonly kind: "present" }
  | { readonly kind: "absent" }
  | { readonly kind: "values"; readonly values: ReadonlySet<string> };

/** Necessary conditions per label key: labels that break one of them are not matched. Keys that are left out may be anything. */
export type LabelRestrictions = ReadonlyMap<string, Restriction>;

const NONE: LabelRestrictions = new Map();

/** Necessary conditions of a tree. Sound, not complete: a match always meets them. */
export function restrictionsOf(node: SelectorNode): LabelRestrictions {
  switch (node.op) {
    case "==": return new Map([[node.key, { kind: "values", values: new Set([node.value]) }]]);
    case "in": return new Map([[node.key, { kind: "values", values: new Set(node.values) }]]);
    case "has":
    case "contains":
    case "starts with":
    case "ends with": return new Map([[node.key, { kind: "present" }]]);
    case "not": return node.operand.op === "has" ? new Map([[node.operand.key, { kind: "absent" }]]) : NONE;
    case "and": return node.operands.map(restrictionsOf).reduce(both, NONE);
    case "or": return node.operands.map(restrictionsOf).reduce(either);
    default: return NONE;
  }
}

function both(a: LabelRestrictions, b: LabelRestrictions): LabelRestrictions {
  const merged = new Map(a);
  for (const [key, restriction] of b) {
    const other = merged.get(key);
    merged.set(key, other === undefined ? restriction : narrow(other, restriction));
  }
  return merged;
}

function narrow(a: Restriction, b: Restriction): Restriction {
  if (a.kind === "values" && b.kind === "values") return { kind: "values", values: new Set([...a.values].filter((value) => b.values.has(value))) };
  if (a.kind === "absent" || b.kind === "absent") return a.kind === b.kind ? a : { kind: "values", values: new Set() };
  return a.kind === "values" ? a : b;
}

function either(a: LabelRestrictions, b: LabelRestrictions): LabelRestrictions {
  const merged = new Map<string, Restriction>();
  for (const [key, restriction] of a) {
    const widened = widen(restriction, b.get(key));
    if (widened !== null) merged.set(key, widened);
  }
  return merged;
}

function widen(a: Restriction, b: Restriction | undefined): Restriction | null {
  if (b === undefined) return null;
  if (a.kind === "values" && b.kind === "values") return { kind: "values", values: new Set([...a.values, ...b.values]) };
  if (a.kind === "absent" || b.kind === "absent") return a.kind === b.kind ? a : null;
  return { kind: "present" };
}
