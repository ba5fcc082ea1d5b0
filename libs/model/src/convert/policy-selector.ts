/** Selectors of v3 policies: whom a policy applies to, and whom a side of a rule stands for. */
import { NAMESPACE_LABEL, SERVICE_ACCOUNT_LABEL } from "../labels.ts";
import { and, labelEquals, overNamespaces, overServiceAccounts, parseSelector, selectorOf, not, sortedValues, type Selector } from "../selector/selector.ts";
import { suggestField } from "./did-you-mean.ts";
import { isAbsent, isObject, show, unknownKeys, type RawObject } from "./raw.ts";
import { UnusableRule, unusableField } from "./unusable.ts";

const SERVICE_ACCOUNT_FIELDS = ["names", "selector"];
/** A service account whose name is longer has no label with it, so that no rule could find it by name. */
const SERVICE_ACCOUNT_NAME = /^[a-z0-9](?:[a-z0-9.-]{0,60}[a-z0-9])?$/;

/** The selector in a field; null when there is none. Throws an UnusableRule. */
export function selectorIn(holder: RawObject, key: string, path: string, options: { readonly allowGlobal?: boolean } = {}): Selector | null {
  const written = holder[key];
  if (isAbsent(written) || written === "") return null;
  const field = `${path}.${key}`;
  if (typeof written !== "string") throw new UnusableRule(field, `a selector is a text, not ${show(written)}`, `write ${key}: "app == 'web'"`);
  const result = parseSelector(written, options);
  if (!result.ok) throw new UnusableRule(field, `${show(written)}: ${result.message} at character ${result.offset + 1}`, result.suggestion);
  return result.selector;
}

/**
 * Whom a policy applies to. A namespaced policy applies in its namespace alone. In a global one, a namespaceSelector
 * leaves out whatever is in no namespace, such as host endpoints, unless it matches where labels are absent: "team != 'a'" does,
 * "all() && team != 'a'" does not. Throws an UnusableRule.
 */
export function policySelector(spec: RawObject, namespace: string | null): Selector {
  const own = selectorIn(spec, "selector", "spec");
  const accounts = selectorIn(spec, "serviceAccountSelector", "spec");
  const namespaces = namespace === null ? selectorIn(spec, "namespaceSelector", "spec") : null;
  return and(
    ...(namespaces === null ? [] : [overNamespaces(namespaces)]),
    ...(accounts === null ? [] : [overServiceAccounts(accounts)]),
    ...(own === null ? [] : [own]),
    ...(namespace === null ? [] : [labelEquals(NAMESPACE_LABEL, namespace)]),
  );
}

/**
 * Whom a side of a rule stands for: `selector` with everything folded in, or null for any address, and `notSelector`
 * for those left out when nobody in particular was asked for. In a namespaced policy a side that selects anything
 * stays in the policy's namespace unless it has a namespaceSelector. Throws an UnusableRule.
 */
export function entitySelectors(entity: RawObject, path: string, namespace: string | null): { selector: Selector | null; notSelector: Selector | null } {
  const own = selectorIn(entity, "selector", path);
  const negative = selectorIn(entity, "notSelector", path);
  const namespaces = selectorIn(entity, "namespaceSelector", path, { allowGlobal: true });
  const hasAccounts = !isAbsent(entity["serviceAccounts"]);
  const positive: Selector[] = [];
  if (namespaces !== null) positive.push(overNamespaces(namespaces));
  else if (namespace !== null && (own !== null || negative !== null || hasAccounts)) positive.push(labelEquals(NAMESPACE_LABEL, namespace));
  if (hasAccounts) positive.push(...serviceAccounts(entity["serviceAccounts"], `${path}.serviceAccounts`));
  if (own !== null) positive.push(own);
  if (positive.length === 0) return { selector: null, notSelector: negative };
  return { selector: and(...positive, ...(negative === null ? [] : [not(negative)])), notSelector: null };
}

function serviceAccounts(written: unknown, path: string): Selector[] {
  if (!isObject(written)) throw new UnusableRule(path, `names or a selector are needed, not ${show(written)}`);
  const [unknown] = unknownKeys(written, SERVICE_ACCOUNT_FIELDS);
  if (unknown !== undefined) throw unusableField(`${path}.${unknown}`, suggestField(unknown, SERVICE_ACCOUNT_FIELDS));
  const names: unknown = written["names"] ?? [];
  if (!Array.isArray(names)) throw new UnusableRule(`${path}.names`, `a list of names is needed, not ${show(names)}`);
  const values = names.map((name: unknown, i) => {
    if (typeof name === "string" && SERVICE_ACCOUNT_NAME.test(name)) return name;
    throw new UnusableRule(`${path}.names[${i}]`, `${show(name)} is not the name of a service account of at most 62 characters`);
  });
  const byLabel = selectorIn(written, "selector", path);
  return [
    ...(values.length === 0 ? [] : [selectorOf({ op: "in", key: SERVICE_ACCOUNT_LABEL, values: sortedValues(values) })]),
    ...(byLabel === null ? [] : [overServiceAccounts(byLabel)]),
  ];
}
