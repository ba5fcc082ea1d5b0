/** The tree of a selector and its canonical text. */

export type SelectorNode =
  | { readonly op: "all" }
  | { readonly op: "global" }
  | { readonly op: "has"; readonly key: string }
  | { readonly op: "=="; readonly key: string; readonly value: string }
  | { readonly op: "!="; readonly key: string; readonly value: string }
  | { readonly op: "contains"; readonly key: string; readonly value: string }
  | { readonly op: "starts with"; readonly key: string; readonly value: string }
  | { readonly op: "ends with"; readonly key: string; readonly value: string }
  /** `values` are sorted and without repetition. */
  | { readonly op: "in"; readonly key: string; readonly values: readonly string[] }
  | { readonly op: "not in"; readonly key: string; readonly values: readonly string[] }
  | { readonly op: "not"; readonly operand: SelectorNode }
  | { readonly op: "and"; readonly operands: readonly SelectorNode[] }
  | { readonly op: "or"; readonly operands: readonly SelectorNode[] };

/** Canonical text: equal text means an equal tree. It parses back to the same tree, but may be longer than what people may write. */
export function renderSelector(node: SelectorNode): string {
  switch (node.op) {
    case "all": return "all()";
    case "global": return "global()";
    case "has": return `has(${node.key})`;
    case "in":
    case "not in": return `${node.key} ${node.op} {${node.values.map(quote).join(", ")}}`;
    case "not": return `!${renderSelector(node.operand)}`;
    case "and": return `(${node.operands.map(renderSelector).join(" && ")})`;
    case "or": return `(${node.operands.map(renderSelector).join(" || ")})`;
    default: return `${node.key} ${node.op} ${quote(node.value)}`;
  }
}

/** The grammar has no escapes: a value with a double quote is written in single ones. */
function quote(value: string): string {
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}

/** A set as the tree wants it: sorted by code unit, each value once. */
export function sortedValues(values: Iterable<string>): string[] {
  return [...new Set(values)].sort((a, b) => (a < b ? -1 : Number(a > b)));
}

/** The same tree with every label key replaced. */
export function mapKeys(node: SelectorNode, rename: (key: string) => string): SelectorNode {
  switch (node.op) {
    case "all":
    case "global": return node;
    case "not": return { op: "not", operand: mapKeys(node.operand, rename) };
    case "and":
    case "or": return { op: node.op, operands: node.operands.map((operand) => mapKeys(operand, rename)) };
    default: return { ...node, key: rename(node.key) };
  }
}

/** The same tree with its leaves `all()` and `global()` replaced. */
export function mapGlobals(node: SelectorNode, replace: (op: "all" | "global") => SelectorNode): SelectorNode {
  switch (node.op) {
    case "all":
    case "global": return replace(node.op);
    case "not": return { op: "not", operand: mapGlobals(node.operand, replace) };
    case "and":
    case "or": return { op: node.op, operands: node.operands.map((operand) => mapGlobals(operand, replace)) };
    default: return node;
  }
}

/** Every label key that the tree reads. */
export function keysOf(node: SelectorNode): Set<string> {
  const keys = new Set<string>();
  mapKeys(node, (key) => {
    keys.add(key);
    return key;
  });
  return keys;
}
