/** A datastore in memory that can lose answers, for tests of the allocator. */
import type { Effect, Outcome, Steps, Versioned } from "../effects.ts";
import type { BlockSpec } from "../block.ts";

/** "lost": the write happened, its answer did not arrive. "crash": neither the write nor anything after it happened. */
export type Fault = "none" | "lost" | "crash";

export class Crash extends Error {}

export class SimulatedStore {
  readonly objects = new Map<string, Versioned<unknown>>();
  writes: Effect[] = [];
  #revision = 0;

  /** Carries out one effect. */
  perform(effect: Effect, fault: Fault = "none"): Outcome {
    if (fault === "crash") throw new Crash();
    const outcome = this.#apply(effect);
    if (fault === "lost" && outcome.op === "written") throw new Crash();
    return outcome;
  }

  #apply(effect: Effect): Outcome {
    if (effect.op === "list-blocks") {
      const blocks = [...this.objects].filter(([key]) => key.startsWith("block/")).map(([key, value]) => ({ ...(value as Versioned<BlockSpec>), name: key.slice("block/".length) }));
      return { op: "listed", blocks };
    }
    const key = `${effect.kind}/${effect.name}`;
    const present = this.objects.get(key);
    if (effect.op === "get") return { op: "found", value: present ?? null };
    this.writes.push(effect);
    if (effect.op === "create") {
      if (present !== undefined) return { op: "conflict" };
      return this.#store(key, effect.spec);
    }
    if (present?.revision !== effect.revision) return { op: "conflict" };
    if (effect.op === "update") return this.#store(key, effect.spec);
    this.objects.delete(key);
    return { op: "written", revision: "" };
  }

  #store(key: string, spec: unknown): Outcome {
    this.#revision += 1;
    this.objects.set(key, { spec, revision: String(this.#revision) });
    return { op: "written", revision: String(this.#revision) };
  }

  blocks(): BlockSpec[] {
    return [...this.objects].filter(([key]) => key.startsWith("block/")).map(([, value]) => (value as Versioned<BlockSpec>).spec);
  }
}

/** Runs a computation to its end. `fault` is asked before each effect. */
export function run<T>(store: SimulatedStore, steps: Steps<T>, fault: (effect: Effect) => Fault = () => "none"): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next(store.perform(step.value, fault(step.value)));
  return step.value;
}

/** Runs computations together, one effect of a random one at a time. Crashed ones have the result null. */
export function interleave<T>(store: SimulatedStore, all: readonly Steps<T>[], pick: (n: number) => number, fault: (effect: Effect) => Fault = () => "none"): (T | null)[] {
  const results: (T | null)[] = all.map(() => null);
  const running = all.map((steps, index) => ({ steps, index, step: steps.next() }));
  while (running.length > 0) {
    const at = pick(running.length);
    const one = running[at];
    if (one === undefined) throw new Error("pick is out of range");
    if (one.step.done === true) {
      results[one.index] = one.step.value;
      running.splice(at, 1);
      continue;
    }
    try {
      one.step = one.steps.next(store.perform(one.step.value, fault(one.step.value)));
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      running.splice(at, 1);
    }
  }
  return results;
}
