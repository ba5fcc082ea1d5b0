/** Why labels do not match a selector, in words. */
import { NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_LABEL_PREFIX, type Labels } from "../labels.ts";
import { renderSelector, type SelectorNode } from "./ast.ts";
import { compile } from "./evaluate.ts";

/**
 * What the labels lack, one sentence for each condition, as few as would be enough ("label app is "fronted", not
 * "frontend""). Empty exactly when the selector matches.
 */
export function unmetConditions(node: SelectorNode, labels: Labels): readonly string[] {
  switch (node.op) {
    case "all":
    case "global": return [];
    case "and": return node.operands.flatMap((operand) => unmetConditions(operand, labels));
    case "or": return fewest(node.operands.map((operand) => unmetConditions(operand, labels)));
    default: return compile(node)(labels) ? [] : [sentence(node, labels)];
  }
}

function fewest(lists: readonly (readonly string[])[]): readonly string[] {
  return lists.reduce((best, list) => (list.length < best.length ? list : best), lists[0] ?? ["nothing can match"]);
}

type Leaf = Exclude<SelectorNode, { readonly op: "all" | "global" | "and" | "or" }>;

function sentence(node: Leaf, labels: Labels): string {
  if (node.op === "not") return node.operand.op === "has" ? `there is ${labelNamed(node.operand.key)}` : `${renderSelector(node.operand)} holds`;
  const name = labelNamed(node.key);
  const value = Object.hasOwn(labels, node.key) ? (labels[node.key] ?? "") : null;
  if (node.op === "has") return `there is no ${name}`;
  const wanted = "values" in node ? node.values.map(show).join(" or ") : show(node.value);
  if (value === null) return `there is no ${name}, which would have to ${verb(node.op)} ${wanted}`;
  const is = `${name} is ${show(value)}`;
  if (node.op === "==" || node.op === "in") return `${is}, not ${wanted}`;
  return node.op === "!=" || node.op === "not in" ? is : `${is}, which does not ${verb(node.op)} ${wanted}`;
}

function verb(op: Leaf["op"]): string {
  if (op === "contains") return "contain";
  return op === "starts with" ? "start with" : op === "ends with" ? "end with" : "be";
}

const show = (text: string): string => JSON.stringify(text);

function labelNamed(key: string): string {
  if (key === NAMESPACE_LABEL) return "namespace";
  if (key === SERVICE_ACCOUNT_LABEL) return "service account";
  if (key.startsWith(NAMESPACE_LABEL_PREFIX)) return `label ${key.slice(NAMESPACE_LABEL_PREFIX.length)} of the namespace`;
  return key.startsWith(SERVICE_ACCOUNT_LABEL_PREFIX) ? `label ${key.slice(SERVICE_ACCOUNT_LABEL_PREFIX.length)} of the service account` : `label ${key}`;
}
