/** From a port to those who may have something to say about it. */
import type { PortRange } from "@calico/model";

/** Ports, ends included, with the numbers of the items that cover them, in order. */
export type PortSection = PortRange & { readonly items: readonly number[] };

/** Disjoint sections in order; ports that no item covers are in none. Null: the sections would have more than `limit` items in all. */
export function portSections(items: readonly (readonly PortRange[])[], limit: number): PortSection[] | null {
  const edges = items.flatMap((ranges, item) => ranges.flatMap(({ first, last }) => [{ at: first, item, opens: true }, { at: last + 1, item, opens: false }]));
  edges.sort((a, b) => a.at - b.at || Number(a.opens) - Number(b.opens));
  const sections: PortSection[] = [];
  const covering = new Set<number>();
  let count = 0;
  for (const [i, { at, item, opens }] of edges.entries()) {
    if (opens) covering.add(item);
    else covering.delete(item);
    const next = edges[i + 1]?.at ?? at;
    if (next === at || covering.size === 0) continue;
    count += covering.size;
    if (count > limit) return null;
    sections.push({ first: at, last: next - 1, items: [...covering].sort((a, b) => a - b) });
  }
  return sections;
}
