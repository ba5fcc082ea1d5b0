/** Lists: selected, in pages, at one revision. */
import { apiVersionOf, type ApiObject, type Json, type ResourceType } from "./object.ts";
import { listOptionsOf } from "./options.ts";
import { decodeContinue, encodeContinue, type Target } from "./requests.ts";
import { fieldMatcher, labelMatcher, type Matcher } from "./selectors.ts";
import type { Scope, Store } from "./store.ts";
import { tooNew } from "./watch.ts";

/** What a request is about, by its path and selectors. Throws an ApiError 400 for a selector that cannot be read. */
export function scopeOf(type: ResourceType, { namespace }: Pick<Target, "namespace">, query: URLSearchParams): Scope {
  const matchers: Matcher[] = [];
  const labels = query.get("labelSelector") ?? "";
  const fields = query.get("fieldSelector") ?? "";
  if (labels !== "") matchers.push(labelMatcher(labels));
  if (fields !== "") matchers.push(fieldMatcher(type, fields));
  return { namespace, matches: matchers.length === 0 ? null : (object) => matchers.every((matches) => matches(object)) };
}

/** Throws an ApiError for a state that is not known yet, or options that contradict themselves. */
export function list(store: Store, type: ResourceType, target: Target, query: URLSearchParams): Json {
  const { limit, revision: wanted, continues } = listOptionsOf(query);
  if (wanted > store.revision) throw tooNew(wanted, store.revision);
  const from = continues === "" ? null : decodeContinue(continues);
  const keyOf = ({ metadata }: ApiObject): string => `${metadata.namespace ?? ""}/${metadata.name}`;
  const scope = scopeOf(type, target, query);
  const all = store.list(type, scope).filter((object) => from === null || keyOf(object) > from.after);
  const items = all.slice(0, limit);
  const last = items.at(-1);
  const revision = from?.revision ?? store.revision;
  const remaining = scope.matches === null ? { remainingItemCount: all.length - items.length } : {};
  const more = all.length > items.length && last !== undefined ? { continue: encodeContinue(revision, keyOf(last)), ...remaining } : {};
  return { kind: `${type.kind}List`, apiVersion: apiVersionOf(type), metadata: { resourceVersion: String(revision), ...more }, items: items.map((object) => asItem(type, object)) };
}

/** Items of core kinds do not say of what kind they are. */
export function asItem({ schema }: ResourceType, object: ApiObject): Json {
  if (schema !== null) return object;
  const { kind: _, apiVersion: __, ...item } = object;
  return item;
}
