/** Which node needs which object, counted over the reasons. */
import type { ObjectKey } from "../messages.ts";
import { ALL_NODES, type ClusterSink } from "../ports.ts";

/** Reports the first reason of a node to need an object, and the end of the last one. */
export class Interest {
  readonly #sink: Pick<ClusterSink, "onInterestStart" | "onInterestStop">;
  readonly #countsByNode = new Map<string, Map<ObjectKey, number>>();
  /** How many nodes need a key, and the one text of it that is kept. */
  readonly #wanted = new Map<ObjectKey, { readonly key: ObjectKey; nodes: number }>();

  constructor(sink: Pick<ClusterSink, "onInterestStart" | "onInterestStop">) {
    this.#sink = sink;
  }

  start(node: string, key: ObjectKey): void {
    let counts = this.#countsByNode.get(node);
    if (counts === undefined) this.#countsByNode.set(node, (counts = new Map()));
    const count = counts.get(key) ?? 0;
    if (count > 0) {
      counts.set(key, count + 1);
      return;
    }
    let wanted = this.#wanted.get(key);
    if (wanted === undefined) this.#wanted.set(key, (wanted = { key, nodes: 0 }));
    wanted.nodes += 1;
    counts.set(wanted.key, 1);
    this.#sink.onInterestStart(node, wanted.key);
  }

  stop(node: string, key: ObjectKey): void {
    const counts = this.#countsByNode.get(node);
    const count = counts?.get(key) ?? 0;
    if (counts === undefined || count === 0) return;
    if (count > 1) {
      counts.set(key, count - 1);
      return;
    }
    counts.delete(key);
    if (counts.size === 0) this.#countsByNode.delete(node);
    const wanted = this.#wanted.get(key);
    if (wanted !== undefined) wanted.nodes -= 1;
    if (wanted?.nodes === 0) this.#wanted.delete(key);
    this.#sink.onInterestStop(node, key);
  }

  isWanted(key: ObjectKey): boolean {
    return this.#wanted.has(key);
  }

  /** Keys that a node needs, with those that every node needs. */
  *of(node: string): Generator<ObjectKey> {
    yield* this.#countsByNode.get(node)?.keys() ?? [];
    if (node !== ALL_NODES) yield* this.#countsByNode.get(ALL_NODES)?.keys() ?? [];
  }
}
