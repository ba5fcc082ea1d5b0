/** Labels that mean something to the calculation, and who may set them. */
import type { Labels } from "../labels.ts";
import { NAMESPACE_LABEL, NAMESPACE_LABEL_PREFIX, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_LABEL_PREFIX } from "../labels.ts";

const DERIVED: ReadonlySet<string> = new Set([NAMESPACE_LABEL, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL]);

/**
 * Labels of a namespaced object without the keys that are derived or inherited. Own labels win over inherited ones,
 * so whoever may label a pod could otherwise give it the labels of another namespace or service account.
 */
export function withoutInheritedKeys(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) =>
    !DERIVED.has(key) && !key.startsWith(NAMESPACE_LABEL_PREFIX) && !key.startsWith(SERVICE_ACCOUNT_LABEL_PREFIX)));
}

/** The same labels, every key with a prefix. */
export function prefixed(labels: Labels, prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [`${prefix}${key}`, value]));
}
