/** What comes into the table is put there before anything leads to it, in transactions during which felix is away for some milliseconds only. */
import type { Command, SetElement, SetSpec } from "@calico/kernel";

/** Commands that belong into one transaction, and what is noted once they are in the kernel. */
export type Step = { readonly commands: readonly Command[]; readonly done: () => void };

/** A set comes with so many members at once. */
const MOST_MEMBERS = 4_096;
/** How long a transaction should take. */
const AIM_MS = 10;
const FIRST_SIZE = 1_024;
/** Each transaction also costs what is in the table already, however little it brings. */
const SIZES = { smallest: 128, largest: 16_384 } as const;

/** Lets others do something before the next transaction. */
export const othersTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a step weighs: its commands and the members that they bring. */
export const weightOf = ({ commands }: Step): number => commands.reduce((sum, command) => sum + 1 + (command.do === "add-elements" ? command.elements.length : 0), 0);

/** A set's members in steps; `done` is called after the last one. None when there are no members. */
export function memberSteps(set: SetSpec, members: readonly SetElement[], done: () => void): Step[] {
  const slices = Array.from({ length: Math.ceil(members.length / MOST_MEMBERS) }, (_, i) => members.slice(i * MOST_MEMBERS, (i + 1) * MOST_MEMBERS));
  return slices.map((elements, i) => ({ commands: [{ do: "add-elements", set, elements }], done: i === slices.length - 1 ? done : () => undefined }));
}

/**
 * Sends steps in their order, as many in a transaction as the kernel takes in about ten milliseconds: how many that are depends on what is in the
 * table already, for it finds sets by name in a list. Between two transactions others get their turn. What `send` throws is thrown; the steps before it are done.
 */
export async function sendSteps(steps: readonly Step[], send: (commands: readonly Command[]) => void): Promise<void> {
  let size = FIRST_SIZE;
  let batch: Step[] = [];
  let weight = 0;
  for (const [i, step] of steps.entries()) {
    batch.push(step);
    weight += weightOf(step);
    const isLast = i === steps.length - 1;
    if (!isLast && weight < size) continue;
    const began = performance.now();
    send(batch.flatMap(({ commands }) => commands));
    size = Math.min(SIZES.largest, Math.max(SIZES.smallest, Math.round((weight * AIM_MS) / (performance.now() - began))));
    for (const { done } of batch) done();
    batch = [];
    weight = 0;
    if (!isLast) await othersTurn();
  }
}
