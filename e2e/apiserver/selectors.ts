/** Label and field selectors of the API. */
import { isLabelValue, isQualifiedName } from "./metadata-check.ts";
import { valueAt, type ApiObject, type ResourceType } from "./object.ts";
import { ApiError } from "./status.ts";

export type Matcher = (object: ApiObject) => boolean;

/** "a=b,c!=d,e in (f,g),h,!i". Throws an ApiError for anything else. */
export function labelMatcher(selector: string): Matcher {
  const matchers = splitTerms(selector).map((term) => (term === "" ? labelTerm("!") : labelTerm(term)));
  return (object) => matchers.every((matches) => matches(object.metadata.labels ?? {}));
}

/** Throws an ApiError 400 for a key or a value that no label has. */
function checked(key: string, values: readonly string[] = []): string {
  if (!isQualifiedName(key)) throw new ApiError(400, `unable to parse requirement: key: Invalid value: ${JSON.stringify(key)}`);
  const wrong = values.find((value) => !isLabelValue(value));
  if (wrong !== undefined) throw new ApiError(400, `unable to parse requirement: values: Invalid value: ${JSON.stringify(wrong)}`);
  return key;
}

function labelTerm(term: string): (labels: Readonly<Record<string, string>>) => boolean {
  const set = /^([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = new Set(list.split(",").map((value) => value.trim()));
    checked(key, [...values]);
    return operator === "in" ? (labels) => values.has(labels[key] ?? "\0") : (labels) => !values.has(labels[key] ?? "\0");
  }
  const compare = /^([^\s!=]+)\s*(==|=|!=)\s*(\S*)$/.exec(term);
  if (compare !== null) {
    const [, key = "", operator, value = ""] = compare;
    checked(key, [value]);
    return operator === "!=" ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const exists = /^(!?)\s*([^\s!=()]+)$/.exec(term);
  if (exists === null) throw new ApiError(400, `unable to parse requirement: ${JSON.stringify(term)}`);
  const [, not, key = ""] = exists;
  checked(key);
  return not === "!" ? (labels) => !Object.hasOwn(labels, key) : (labels) => Object.hasOwn(labels, key);
}

/** Splits at commas outside of parentheses. */
function splitTerms(selector: string): string[] {
  return selector.split(/,(?![^(]*\))/).map((term) => term.trim());
}

const OF_ALL = ["metadata.name", "metadata.namespace"];
/** What core kinds can be selected by beside their names. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Pod: ["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"],
  Event: [
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
  ],
  Node: ["spec.unschedulable"], Namespace: ["status.phase"], Secret: ["type"], Service: ["spec.clusterIP", "spec.type"],
};

/** "metadata.name=a,spec.nodeName!=b". Throws an ApiError for fields that the kind cannot be selected by. */
export function fieldMatcher({ kind, schema }: Pick<ResourceType, "kind" | "schema">, selector: string): Matcher {
  const fields = [...OF_ALL, ...((schema === null ? FIELDS[kind] : undefined) ?? [])];
  const matchers = splitTerms(selector).filter((term) => term !== "").map((term): Matcher => {
    const match = /^([\w.]+)\s*(==|=|!=)\s*(.*)$/.exec(term);
    const [, path = "", operator, value] = match ?? [];
    if (!fields.includes(path)) throw new ApiError(400, `field label not supported: ${path === "" ? term : path}`);
    const source = path === "source" ? "source.component" : path;
    return (object) => (String((valueAt(object, source.split(".")) as string | undefined) ?? "") === value) === (operator !== "!=");
  });
  return (object) => matchers.every((matches) => matches(object));
}
