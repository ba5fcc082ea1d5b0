/** Kubernetes label selectors as selectors of the model. */
import { all, and, labelEquals, labelPresent, not, selectorOf, sortedValues, type Selector } from "../selector/selector.ts";
import { suggestField } from "./did-you-mean.ts";
import type { FindingCollector, Severity } from "./conversion.ts";
import { isAbsent, isObject, show, unknownKeys } from "./raw.ts";

/** What a label key consists of: at most a prefix of 253 characters, "/" and a name of 63. */
const KEY = /^[A-Za-z0-9_./-]{1,317}$/;
/** A Kubernetes label value. */
const VALUE = /^(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/;

const FIELDS = ["matchLabels", "matchExpressions"];
const EXPRESSION_FIELDS = ["key", "operator", "values"];

/**
 * Reads a LabelSelector; an empty one matches everything. Null when any part cannot be read (a requirement that is
 * left out would match more), with a finding of the given severity.
 */
export function readLabelSelector(written: unknown, field: string, severity: Exclude<Severity, "warning">, out: FindingCollector): Selector | null {
  if (!isObject(written)) return out[severity](field, `a label selector is needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, FIELDS);
  if (unknown !== undefined) return out[severity](`${field}.${unknown}`, "is not a field of a label selector", suggestField(unknown, FIELDS));
  const requirements: Selector[] = [];
  const { matchLabels, matchExpressions } = written;
  if (!isAbsent(matchLabels)) {
    if (!isObject(matchLabels)) return out[severity](`${field}.matchLabels`, `labels are needed, not ${show(matchLabels)}`);
    for (const [key, value] of Object.entries(matchLabels)) {
      if (!KEY.test(key) || !isValue(value)) return out[severity](`${field}.matchLabels[${show(key)}]`, `${show(value)} is not the value of a label`);
      requirements.push(labelEquals(key, value));
    }
  }
  if (!isAbsent(matchExpressions)) {
    if (!Array.isArray(matchExpressions)) return out[severity](`${field}.matchExpressions`, `a list is needed, not ${show(matchExpressions)}`);
    for (const [i, expression] of matchExpressions.entries()) {
      const requirement = readExpression(expression);
      if (typeof requirement === "string") return out[severity](`${field}.matchExpressions[${i}]`, requirement);
      requirements.push(requirement);
    }
  }
  return requirements.length === 0 ? all() : and(...requirements);
}

function isValue(value: unknown): value is string {
  return typeof value === "string" && VALUE.test(value);
}

/** One requirement, or what is wrong with it. */
function readExpression(written: unknown): Selector | string {
  if (!isObject(written)) return `a requirement is needed, not ${show(written)}`;
  const [unknown] = unknownKeys(written, EXPRESSION_FIELDS);
  if (unknown !== undefined) return `${show(unknown)} is not a field of a requirement`;
  const { key, operator } = written;
  if (typeof key !== "string" || !KEY.test(key)) return `${show(key)} is not a label key`;
  const values = isAbsent(written["values"]) ? [] : written["values"];
  if (!Array.isArray(values) || !values.every(isValue)) return "values must be a list of label values";
  switch (operator) {
    case "In":
    case "NotIn":
      if (values.length === 0) return `operator ${operator} needs values`;
      return selectorOf({ op: operator === "In" ? "in" : "not in", key, values: sortedValues(values) });
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0) return `operator ${operator} takes no values`;
      return operator === "Exists" ? labelPresent(key) : not(labelPresent(key));
    default:
      return `${show(operator)} is none of In, NotIn, Exists, DoesNotExist`;
  }
}
