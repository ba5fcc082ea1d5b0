/** Small numbers for items, so that what is known of them fits in arrays and bitmaps. */

/** A number is given again once its item is gone. */
export class Slots {
  readonly #slotById = new Map<string, number>();
  readonly #free: number[] = [];

  /** The slot of an item, undefined when it has none. */
  find(id: string): number | undefined {
    return this.#slotById.get(id);
  }

  /** The slot of an item; a new one if it has none. */
  of(id: string): number {
    const known = this.#slotById.get(id);
    if (known !== undefined) return known;
    // Without one that is free, all below the number of items are taken.
    const slot = this.#free.pop() ?? this.#slotById.size;
    this.#slotById.set(id, slot);
    return slot;
  }

  /** Ends the use of an item's slot: nothing may be known of it any more. */
  release(id: string): void {
    const slot = this.#slotById.get(id);
    if (slot === undefined) return;
    this.#slotById.delete(id);
    this.#free.push(slot);
  }
}
