/**
 * The allocator does no input and output itself: it is a generator that yields the reads and writes it wants and is
 * resumed with their outcomes. Whoever drives it decides how they are carried out; tests decide how they fail.
 */
import type { BlockSpec } from "./block.ts";

export type AffinityState = "pending" | "confirmed" | "pendingDeletion";
/** `spec` of a BlockAffinity. */
export type AffinitySpec = { readonly state: AffinityState; readonly node: string; readonly type: "host"; readonly cidr: string; readonly deleted: boolean };
/** `spec` of an IPAMHandle. */
export type HandleSpec = { readonly handleID: string; readonly block: Readonly<Record<string, number>>; readonly deleted: boolean };

/** A value and the revision at which it was read or written. */
export type Versioned<T> = { readonly spec: T; readonly revision: string };

export type SpecOf = { readonly block: BlockSpec; readonly affinity: AffinitySpec; readonly handle: HandleSpec };
export type ObjectKind = keyof SpecOf;

export type Effect =
  | { readonly op: "get"; readonly kind: ObjectKind; readonly name: string }
  | { readonly op: "list-blocks" }
  | { readonly [K in ObjectKind]: { readonly op: "create"; readonly kind: K; readonly name: string; readonly spec: SpecOf[K] } }[ObjectKind]
  | { readonly [K in ObjectKind]: { readonly op: "update"; readonly kind: K; readonly name: string; readonly spec: SpecOf[K]; readonly revision: string } }[ObjectKind]
  | { readonly op: "delete"; readonly kind: ObjectKind; readonly name: string; readonly revision: string };

/** "conflict": somebody else was faster (changed, exists, or is gone); anything worse is thrown into the generator. */
export type Outcome =
  | { readonly op: "found"; readonly value: Versioned<unknown> | null }
  | { readonly op: "listed"; readonly blocks: readonly (Versioned<BlockSpec> & { readonly name: string })[] }
  | { readonly op: "written"; readonly revision: string }
  | { readonly op: "conflict" };

/** A computation with effects and a result. */
export type Steps<T> = Generator<Effect, T, Outcome>;

/** Reads an object; null when it is not there. */
export function* read<K extends ObjectKind>(kind: K, name: string): Steps<Versioned<SpecOf[K]> | null> {
  const outcome = yield { op: "get", kind, name };
  if (outcome.op !== "found") throw new Error(`a get was answered with ${outcome.op}`);
  return outcome.value as Versioned<SpecOf[K]> | null;
}

/** Writes by compare-and-swap (`revision` null: creates). The new revision, or null when somebody else was faster. */
export function* write<K extends ObjectKind>(kind: K, name: string, spec: SpecOf[K], revision: string | null): Steps<string | null> {
  const effect = revision === null ? { op: "create", kind, name, spec } : { op: "update", kind, name, spec, revision };
  const outcome = yield effect as Effect;
  if (outcome.op === "written") return outcome.revision;
  if (outcome.op === "conflict") return null;
  throw new Error(`a write was answered with ${outcome.op}`);
}

/** Deletes when it was not changed since; false when somebody else was faster. */
export function* remove(kind: ObjectKind, name: string, revision: string): Steps<boolean> {
  const outcome = yield { op: "delete", kind, name, revision };
  return outcome.op === "written";
}

/** Every block of the cluster. */
export function* listBlocks(): Steps<readonly (Versioned<BlockSpec> & { name: string })[]> {
  const outcome = yield { op: "list-blocks" };
  if (outcome.op !== "listed") throw new Error(`a list was answered with ${outcome.op}`);
  return outcome.blocks;
}
