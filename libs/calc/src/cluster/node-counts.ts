/** How often something counts for each node: most often for one node only, which then takes no map. */
export class NodeCounts {
  #node: string | null = null;
  #count = 0;
  #others: Map<string, number> | null = null;

  of(node: string): number {
    return node === this.#node ? this.#count : (this.#others?.get(node) ?? 0);
  }

  /** Returns the count before. */
  add(node: string, by: 1 | -1): number {
    const before = this.of(node);
    const after = before + by;
    if (after < 0) return before;
    if (node === this.#node || (this.#node === null && !this.#others?.has(node))) {
      this.#node = after > 0 ? node : null;
      this.#count = after;
    } else if (after > 0) (this.#others ??= new Map()).set(node, after);
    else {
      this.#others?.delete(node);
      if (this.#others?.size === 0) this.#others = null;
    }
    return before;
  }

  get isEmpty(): boolean {
    return this.#node === null && this.#others === null;
  }

  /** Nodes whose count is not zero. It must not change meanwhile. */
  *nodes(): Generator<string> {
    if (this.#node !== null) yield this.#node;
    if (this.#others !== null) yield* this.#others.keys();
  }
}
