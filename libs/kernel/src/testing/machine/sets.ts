/** How the kernel finds a key in a set: by hash, by interval, or field by field in a concatenation with ranges. */
import type { Registers } from "./registers.ts";
import type { MachineElement, MachineSet } from "./ruleset.ts";

/** The element that a key in the registers has; null: none. */
export type Finder = (registers: Registers, at: number) => MachineElement | null;

export function finderOf(set: MachineSet): Finder {
  if (!set.interval) return byHash(set);
  return set.fields === null ? byInterval(set) : byFields(set, set.fields);
}

function byHash({ elements, keyBytes }: MachineSet): Finder {
  const byKey = new Map(elements.map((element) => [textOf(element.key, 0, element.key.length), element]));
  return ({ bytes }, at) => byKey.get(textOf(bytes, at, keyBytes)) ?? null;
}

function textOf(bytes: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i += 1) text += String.fromCharCode(bytes[at + i] ?? 0);
  return text;
}

/** The last border at or below the key decides; where an interval ends and the next begins, the beginning. */
function byInterval({ elements, name }: MachineSet): Finder {
  const ranged = elements.find(({ keyEnd }) => keyEnd !== null);
  if (ranged !== undefined) throw new Error(`set ${name}: the machine knows ranges in one element only in concatenations`);
  const borders = elements.toSorted((a, b) => Buffer.compare(a.key, b.key) || Number(b.isEnd) - Number(a.isEnd));
  return (registers, at) => {
    let [low, high] = [0, borders.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (registers.compare(at, borders[middle]?.key ?? new Uint8Array()) >= 0) low = middle + 1;
      else high = middle;
    }
    const border = borders[low - 1];
    return border === undefined || border.isEnd ? null : border;
  };
}

/** Every field lies between its two ends; fields begin at whole words. */
function byFields({ elements }: MachineSet, lengths: readonly number[]): Finder {
  const places: { from: number; to: number }[] = [];
  let from = 0;
  for (const length of lengths) {
    places.push({ from, to: from + length });
    from += Math.ceil(length / 4) * 4;
  }
  const ranges = elements.map((element) => ({ element, fields: places.map((place) => ({ at: place.from, low: element.key.subarray(place.from, place.to), high: (element.keyEnd ?? element.key).subarray(place.from, place.to) })) }));
  return (registers, at) => ranges.find(({ fields }) => fields.every((field) => registers.compare(at + field.at, field.low) >= 0 && registers.compare(at + field.at, field.high) <= 0))?.element ?? null;
}
