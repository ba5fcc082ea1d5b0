/** Small numbers for items, so that what is known of them fits in arrays and bitmaps. */

/** A number is given again once its item is gone. */
export class Slots {
  readonly #slotById = new Map<string, number>();
  readonly #ids: (string | undefined)[] = [];
  readonly #free: number[] = [];

  /** The slot of an item, undefined when it has none. */
  find(id: string): number | undefined {
    return this.#slotById.get(id);
  }

  /** The slot of an item; a new one if it has none. */
  of(id: string): number {
    const known = this.#slotById.get(id);
    if (known !== undefined) return known;
    const slot = this.#free.pop() ?? this.#ids.length;
    this.#ids[slot] = id;
    this.#slotById.set(id, slot);
    return slot;
  }

  idOf(slot: number): string {
    return this.#ids[slot] ?? "";
  }

  /** Ends the use of a slot: nothing may be known of it any more. */
  release(slot: number): void {
    const id = this.#ids[slot];
    if (id === undefined) return;
    this.#slotById.delete(id);
    this.#ids[slot] = undefined;
    this.#free.push(slot);
  }
}
