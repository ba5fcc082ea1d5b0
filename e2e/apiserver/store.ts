/** Every object, with one revision for all kinds and a bounded history of changes for watches. */
import type { ApiObject, ResourceType } from "./object.ts";
import { typeKey } from "./object.ts";
import { alreadyExists, expired } from "./status.ts";
import type { Matcher } from "./selectors.ts";

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";
type Change = { readonly revision: number; readonly type: ChangeType; readonly object: ApiObject; readonly before: ApiObject | null; /** Encoded lines by event type, made once and shared by all watches. */ readonly lines: Map<ChangeType, Buffer> };

export type Scope = { readonly namespace: string | undefined; readonly matches: Matcher | null };

/** A watch: lines are written as they come. */
export type Watcher = { readonly scope: Scope; readonly write: (line: Buffer) => void; readonly end: () => void };

export interface Store {
  readonly revision: number;
  get(type: ResourceType, namespace: string | undefined, name: string): ApiObject | undefined;
  list(type: ResourceType, scope: Scope): ApiObject[];
  /** Stores a new object under the next revision. */
  create(type: ResourceType, object: ApiObject): ApiObject;
  replace(type: ResourceType, object: ApiObject): ApiObject;
  remove(type: ResourceType, object: ApiObject): ApiObject;
  /** Changes after `from`, then everything new. Throws an ApiError 410 when they are no longer known. */
  watch(type: ResourceType, from: number, watcher: Watcher): Disposable;
  /** Forgets the history: watches from before end with 410. */
  compact(): void;
  readonly watchers: Iterable<Watcher>;
}

export function createStore(historyLimit = 10_000): Store {
  const kinds = new Map<string, { objects: Map<string, ApiObject>; history: Change[]; floor: number; watchers: Set<Watcher> }>();
  let revision = 1;

  function kindOf(type: ResourceType): { objects: Map<string, ApiObject>; history: Change[]; floor: number; watchers: Set<Watcher> } {
    const key = typeKey(type);
    let kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, (kind = { objects: new Map(), history: [], floor: revision, watchers: new Set() }));
    return kind;
  }
  const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ""}/${name}`;

  function record(type: ResourceType, change: ChangeType, object: ApiObject, before: ApiObject | null): ApiObject {
    revision += 1;
    object.metadata.resourceVersion = String(revision);
    const kind = kindOf(type);
    const entry: Change = { revision, type: change, object, before, lines: new Map() };
    kind.history.push(entry);
    if (kind.history.length > historyLimit) kind.floor = kind.history.shift()?.revision ?? kind.floor;
    for (const watcher of kind.watchers) deliver(watcher, entry);
    return object;
  }

  return {
    get revision() {
      return revision;
    },
    get: (type, namespace, name) => kindOf(type).objects.get(keyOf(namespace, name)),
    list: (type, { namespace, matches }) => [...kindOf(type).objects.values()]
      .filter((object) => (namespace === undefined || object.metadata.namespace === namespace) && (matches === null || matches(object)))
      .sort((a, b) => (keyOf(a.metadata.namespace, a.metadata.name) < keyOf(b.metadata.namespace, b.metadata.name) ? -1 : 1)),
    create(type, object) {
      const { objects } = kindOf(type);
      const key = keyOf(object.metadata.namespace, object.metadata.name);
      if (objects.has(key)) throw alreadyExists(type, object.metadata.name);
      objects.set(key, object);
      return record(type, "ADDED", object, null);
    },
    replace(type, object) {
      const { objects } = kindOf(type);
      const key = keyOf(object.metadata.namespace, object.metadata.name);
      const before = objects.get(key) ?? null;
      objects.set(key, object);
      return record(type, "MODIFIED", object, before);
    },
    remove(type, object) {
      kindOf(type).objects.delete(keyOf(object.metadata.namespace, object.metadata.name));
      return record(type, "DELETED", structuredClone(object), object);
    },
    watch(type, from, watcher) {
      const kind = kindOf(type);
      if (from < kind.floor) throw expired(`too old resource version: ${from} (${kind.floor})`);
      for (const change of kind.history) if (change.revision > from) deliver(watcher, change);
      kind.watchers.add(watcher);
      return { [Symbol.dispose]: () => void kind.watchers.delete(watcher) };
    },
    compact() {
      for (const kind of kinds.values()) {
        kind.history = [];
        kind.floor = revision;
      }
    },
    get watchers() {
      return [...kinds.values()].flatMap(({ watchers }) => [...watchers]);
    },
  };
}

/** An object that begins or ceases to match a watch's selector appears or goes for it. */
function deliver({ scope, write }: Watcher, change: Change): void {
  const inNamespace = scope.namespace === undefined || change.object.metadata.namespace === scope.namespace;
  if (!inNamespace) return;
  let { type } = change;
  if (scope.matches !== null) {
    const matchedBefore = change.before !== null && scope.matches(change.before);
    const matchesNow = type !== "DELETED" && scope.matches(change.object);
    if (!matchedBefore && !matchesNow) return;
    type = matchesNow ? (matchedBefore ? "MODIFIED" : "ADDED") : "DELETED";
  }
  let line = change.lines.get(type);
  if (line === undefined) change.lines.set(type, (line = Buffer.from(`${JSON.stringify({ type, object: type === "DELETED" && change.type !== "DELETED" ? lastSeen(change) : change.object })}\n`)));
  write(line);
}

/** What goes for a watch goes as the watch knew it, under the revision at which it went. */
function lastSeen({ object, before }: Change): ApiObject {
  return before === null ? object : { ...before, metadata: { ...before.metadata, resourceVersion: object.metadata.resourceVersion } };
}
