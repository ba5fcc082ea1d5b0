/** Label and field selectors of the API. */
import { valueAt, type ApiObject } from "./object.ts";
import { ApiError } from "./status.ts";

export type Matcher = (object: ApiObject) => boolean;

/** "a=b,c!=d,e in (f,g),h,!i". Throws an ApiError for anything else. */
export function labelMatcher(selector: string): Matcher {
  const matchers = splitTerms(selector).map(labelTerm);
  return (object) => matchers.every((matches) => matches(object.metadata.labels ?? {}));
}

function labelTerm(term: string): (labels: Readonly<Record<string, string>>) => boolean {
  const set = /^([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = new Set(list.split(",").map((value) => value.trim()));
    return operator === "in" ? (labels) => values.has(labels[key] ?? "\0") : (labels) => !values.has(labels[key] ?? "\0");
  }
  const compare = /^([^\s!=]+)\s*(==|=|!=)\s*(\S*)$/.exec(term);
  if (compare !== null) {
    const [, key = "", operator, value] = compare;
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = /^(!?)\s*([^\s!=()]+)$/.exec(term);
  if (exists === null) throw new ApiError(400, `unable to parse requirement: ${JSON.stringify(term)}`);
  const [, not, key = ""] = exists;
  return not === "!" ? (labels) => !Object.hasOwn(labels, key) : (labels) => Object.hasOwn(labels, key);
}

/** Splits at commas outside of parentheses. */
function splitTerms(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/).map((term) => term.trim()).filter((term) => term !== "");
}

const FIELDS = new Set([
  "metadata.name", "metadata.namespace", "spec.nodeName", "status.phase", "type", "reason", "involvedObject.name", "involvedObject.namespace", "involvedObject.kind", "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
  "involvedObject.fieldPath", "reportingComponent", "source"]);

/** "metadata.name=a,spec.nodeName!=b". Throws an ApiError for fields that cannot be selected by. */
export function fieldMatcher(selector: string): Matcher {
  const matchers = splitTerms(selector).map((term): Matcher => {
    const match = /^([\w.]+)\s*(==|=|!=)\s*(.*)$/.exec(term);
    const [, path = "", operator, value] = match ?? [];
    if (!FIELDS.has(path)) throw new ApiError(400, `field label not supported: ${path === "" ? term : path}`);
    return (object) => ((valueAt(object, path.split(".")) ?? "") === value) === (operator !== "!=");
  });
  return (object) => matchers.every((matches) => matches(object));
}
