/** Sets of small numbers: a sorted list while there are few, a bitmap when that is smaller. */

/** From so many members on a bitmap is thought of. */
const MIN_DENSE = 32;
/** A member costs eight bytes in a list, an eighth of one in a bitmap. */
const BITS_PER_LISTED = 64;

export class SlotSet {
  #list: number[] | null = [];
  #words: Uint32Array = EMPTY;
  #size = 0;

  /** The members of a bitmap, which is not touched afterwards. */
  static of(words: Uint32Array): SlotSet {
    const set = new SlotSet();
    for (const word of words) set.#size += bitsOf(word);
    if (set.#isDense(words.length * 32)) {
      set.#list = null;
      set.#words = words;
    } else set.#list = [...slotsIn(words)];
    return set;
  }

  get size(): number {
    return this.#size;
  }

  has(slot: number): boolean {
    if (this.#list === null) return ((this.#words[slot >>> 5] ?? 0) & (1 << (slot & 31))) !== 0;
    return this.#list[position(this.#list, slot)] === slot;
  }

  add(slot: number): void {
    if (this.#list !== null) {
      const at = position(this.#list, slot);
      if (this.#list[at] === slot) return;
      if (at === this.#list.length) this.#list.push(slot);
      else this.#list.splice(at, 0, slot);
      this.#size += 1;
      if (this.#isDense(this.#list.at(-1) ?? 0)) this.#toBitmap();
      return;
    }
    const word = slot >>> 5;
    if (word >= this.#words.length) this.#words = grown(this.#words, Math.max(word + 1, this.#words.length + (this.#words.length >> 2)));
    const [before, bit] = [this.#words[word] ?? 0, 1 << (slot & 31)];
    if ((before & bit) !== 0) return;
    this.#words[word] = before | bit;
    this.#size += 1;
  }

  delete(slot: number): void {
    if (!this.has(slot)) return;
    this.#size -= 1;
    if (this.#list !== null) {
      this.#list.splice(position(this.#list, slot), 1);
      return;
    }
    this.#words[slot >>> 5] = (this.#words[slot >>> 5] ?? 0) & ~(1 << (slot & 31));
    // Half of what it took to become one, so that a set at the border does not go to and fro.
    if (this.#size < MIN_DENSE / 2 || this.#size * BITS_PER_LISTED * 2 < this.#words.length * 32) {
      this.#list = [...this];
      this.#words = EMPTY;
    }
  }

  /** In ascending order. The set must not change meanwhile. */
  *[Symbol.iterator](): Generator<number> {
    if (this.#list !== null) yield* this.#list;
    else yield* slotsIn(this.#words);
  }

  /** Adds its members to a bitmap, which is long enough for them. */
  addTo(words: Uint32Array): void {
    if (this.#list !== null) for (const slot of this.#list) words[slot >>> 5] = (words[slot >>> 5] ?? 0) | (1 << (slot & 31));
    else for (let i = 0; i < this.#words.length && i < words.length; i += 1) words[i] = (words[i] ?? 0) | (this.#words[i] ?? 0);
  }

  /** Members that are not in another set, in ascending order. */
  *without(other: SlotSet): Generator<number> {
    const [mine, theirs] = [this.#words, other.#words];
    if (this.#list !== null || other.#list !== null) {
      for (const slot of this) if (!other.has(slot)) yield slot;
    } else yield* slotsIn(mine.map((word, i) => word & ~(theirs[i] ?? 0)));
  }

  #isDense(limit: number): boolean {
    return this.#size >= MIN_DENSE && this.#size * BITS_PER_LISTED > limit;
  }

  #toBitmap(): void {
    const list = this.#list ?? [];
    this.#words = new Uint32Array(((list.at(-1) ?? 0) >>> 5) + 1);
    this.addTo(this.#words);
    this.#list = null;
  }
}

const EMPTY = new Uint32Array(0);

/** Members of a bitmap in ascending order. */
export function* slotsIn(words: Uint32Array): Generator<number> {
  for (let i = 0; i < words.length; i += 1) {
    for (let rest = words[i] ?? 0; rest !== 0; rest &= rest - 1) yield i * 32 + 31 - Math.clz32(rest & -rest);
  }
}

function bitsOf(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Where a number is in a sorted list, or would be. */
function position(list: readonly number[], slot: number): number {
  const last = list.length - 1;
  if (last < 0 || (list[last] ?? 0) < slot) return list.length;
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] ?? 0) < slot) low = middle + 1;
    else high = middle;
  }
  return low;
}

function grown(words: Uint32Array, length: number): Uint32Array {
  const larger = new Uint32Array(length);
  larger.set(words);
  return larger;
}
