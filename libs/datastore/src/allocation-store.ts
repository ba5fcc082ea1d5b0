/** Carries out the effects of address management on a datastore. */
import type { BlockSpec, Effect, ObjectKind, Outcome, Steps } from "@calico/ipam";
import type { Datastore } from "./datastore.ts";
import { isDatastoreError } from "./errors.ts";
import type { KubeObject, ResourceType } from "./object.ts";
import { calicoTypes } from "./resource-types.ts";

const TYPES: Record<ObjectKind, ResourceType> = { block: calicoTypes.ipamBlocks, affinity: calicoTypes.blockAffinities, handle: calicoTypes.ipamHandles };

type Stored = KubeObject & { spec: unknown };

export interface AllocationStore {
  /** Runs a computation of the allocator to its end. Rejects with a DatastoreError when the datastore is away. */
  run<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T>;
}

/** `onWrite` is called for each write with its outcome, "written" or "conflict", and the seconds that the datastore took. */
export function createAllocationStore(datastore: Datastore, onWrite: (kind: ObjectKind, outcome: string, seconds: number) => void): AllocationStore {
  async function perform(effect: Effect, signal: AbortSignal | undefined): Promise<Outcome> {
    const options = signal === undefined ? {} : { signal };
    if (effect.op === "list-blocks") {
      const { items } = await datastore.list<Stored>(calicoTypes.ipamBlocks, options);
      return { op: "listed", blocks: items.map((item) => ({ name: item.metadata.name, spec: item.spec as BlockSpec, revision: item.metadata.resourceVersion ?? "" })) };
    }
    const type = TYPES[effect.kind];
    if (effect.op === "get") {
      try {
        const found = await datastore.get<Stored>(type, { name: effect.name }, options);
        return { op: "found", value: { spec: found.spec, revision: found.metadata.resourceVersion ?? "" } };
      } catch (error) {
        if (isDatastoreError(error, "NotFound")) return { op: "found", value: null };
        throw error;
      }
    }
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    try {
      const revision = await write(datastore, effect, type, options);
      onWrite(effect.kind, "written", seconds());
      return { op: "written", revision };
    } catch (error) {
      if (!isDatastoreError(error, "Conflict", "AlreadyExists", "NotFound")) throw error;
      onWrite(effect.kind, "conflict", seconds());
      return { op: "conflict" };
    }
  }

  return {
    async run<T>(steps: Steps<T>, signal?: AbortSignal): Promise<T> {
      let step = steps.next();
      while (step.done !== true) step = steps.next(await perform(step.value, signal));
      return step.value;
    },
  };
}

async function write(datastore: Datastore, effect: Exclude<Effect, { op: "get" | "list-blocks" }>, type: ResourceType, options: { signal?: AbortSignal }): Promise<string> {
  if (effect.op === "delete") {
    await datastore.delete(type, { name: effect.name }, { ...options, resourceVersion: effect.revision });
    return "";
  }
  const object: Stored = {
    apiVersion: "projectcalico.org/v3", kind: type.kind, spec: effect.spec,
    metadata: effect.op === "update" ? { name: effect.name, resourceVersion: effect.revision } : { name: effect.name },
  };
  const stored = effect.op === "update" ? await datastore.update(type, object, options) : await datastore.create(type, object, options);
  return stored.metadata.resourceVersion ?? "";
}
