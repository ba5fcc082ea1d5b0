/** Namespaces that end: they take nothing new, lose what they hold, and go when they are empty. */
import { clone, type ApiObject, type Json, type ResourceType } from "./object.ts";
import type { Registry } from "./registry.ts";
import { ApiError, aboutObject, groupResource, notFound } from "./status.ts";
import type { Store } from "./store.ts";

const KEPT = ["default", "kube-system", "kube-public"];

export interface Namespaces {
  /** Throws an ApiError when nothing may be made in the namespace: 404, or 403 while it ends. */
  admit(type: ResourceType, namespace: string, name: string): void;
  /** Throws an ApiError 403 for one that stays. */
  checkRemovable(name: string): void;
  /** The marked namespace, whose contents are being removed. */
  end(namespace: ApiObject, marked: { readonly deletionTimestamp: string }): ApiObject;
  /** To be told of every object that is gone: the last one takes an ending namespace with it. */
  onRemoved(namespace: string | undefined): void;
}

export function createNamespaces({ store, registry, remove }: { store: Store; registry: Registry; remove: (type: ResourceType, namespace: string, name: string) => void }): Namespaces {
  const type = (): ResourceType => {
    const found = registry.find("", "v1", "namespaces");
    if (found === null) throw new Error("there is no kind of namespaces");
    return found;
  };
  const inside = (namespace: string): [ResourceType, ApiObject][] => registry.all().filter(({ namespaced }) => namespaced).flatMap((kind) => store.list(kind, { namespace, matches: null }).map((object): [ResourceType, ApiObject] => [kind, object]));

  function onRemoved(name: string | undefined): void {
    const namespace = name === undefined ? undefined : store.get(type(), undefined, name);
    if (namespace?.metadata.deletionTimestamp !== undefined && inside(namespace.metadata.name).length === 0 && (namespace.metadata.finalizers ?? []).length === 0) store.remove(type(), namespace);
  }

  return {
    admit(kind, namespace, name) {
      const found = store.get(type(), undefined, namespace);
      if (found === undefined) throw notFound(type(), namespace);
      if (found.metadata.deletionTimestamp === undefined) return;
      const why = `${groupResource(kind)} "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`;
      throw new ApiError(403, why, { about: aboutObject(kind, name), causes: [{ field: "metadata.namespace", reason: "NamespaceTerminating", message: `namespace ${namespace} is being terminated` }] });
    },
    checkRemovable(name) {
      if (KEPT.includes(name)) throw new ApiError(403, `namespaces "${name}" is forbidden: this namespace may not be deleted`, { about: aboutObject(type(), name) });
    },
    end(namespace, { deletionTimestamp }) {
      const marked = clone(namespace);
      marked.metadata.deletionTimestamp = deletionTimestamp;
      marked["status"] = { ...(marked["status"] as Json), phase: "Terminating" };
      const stored = store.replace(type(), marked);
      for (const [kind, object] of inside(namespace.metadata.name)) remove(kind, namespace.metadata.name, object.metadata.name);
      onRemoved(namespace.metadata.name);
      return stored;
    },
    onRemoved,
  };
}
