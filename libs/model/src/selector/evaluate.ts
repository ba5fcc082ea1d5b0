/** Trees turned into predicates over labels. */
import type { Labels } from "../labels.ts";
import type { SelectorNode } from "./ast.ts";

export type Predicate = (labels: Labels) => boolean;

/**
 * A predicate for a tree. `!=`, `not in` and `!has` hold when the label is absent; everything else wants it present.
 * Keys such as "__proto__" are labels like any other.
 */
export function compile(node: SelectorNode): Predicate {
  switch (node.op) {
    case "all": return () => true;
    case "global": return () => true;
    case "has": return (labels) => Object.hasOwn(labels, node.key);
    case "not": {
      const inner = compile(node.operand);
      return (labels) => !inner(labels);
    }
    case "and": {
      const all = node.operands.map(compile);
      return (labels) => all.every((predicate) => predicate(labels));
    }
    case "or": {
      const any = node.operands.map(compile);
      return (labels) => any.some((predicate) => predicate(labels));
    }
    case "in": {
      const values = new Set(node.values);
      return onPresent(node.key, (value) => values.has(value));
    }
    case "not in": {
      const values = new Set(node.values);
      return (labels) => !Object.hasOwn(labels, node.key) || !values.has(labels[node.key] ?? "");
    }
    case "!=": return (labels) => !Object.hasOwn(labels, node.key) || labels[node.key] !== node.value;
    case "==": return onPresent(node.key, (value) => value === node.value);
    case "contains": return onPresent(node.key, (value) => value.includes(node.value));
    case "starts with": return onPresent(node.key, (value) => value.startsWith(node.value));
    case "ends with": return onPresent(node.key, (value) => value.endsWith(node.value));
  }
}

function onPresent(key: string, test: (value: string) => boolean): Predicate {
  return (labels) => Object.hasOwn(labels, key) && test(labels[key] ?? "");
}
