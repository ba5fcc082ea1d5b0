/** Suggestions for names that are not known. */

/** Fields of other products or versions that people write, and what to write instead. */
const REMEDIES: ReadonlyMap<string, string> = new Map([
  ["from", "this is the syntax of a Kubernetes NetworkPolicy; here a rule has an action and a source with nets, selector or namespaceSelector"],
  ["to", "this is the syntax of a Kubernetes NetworkPolicy; here a rule has an action and a destination with nets, selector or namespaceSelector"],
  ["podSelector", 'use selector: "app == \'web\'"'],
  ["matchLabels", 'use a selector: "app == \'web\'"'],
  ["policyTypes", "use types"],
  ["audit", "use a rule with action: Log before the one with action: Allow"],
]);

/** What to write instead of a field; undefined when nothing comes near. */
export function suggestField(written: string, known: readonly string[]): string | undefined {
  const remedy = REMEDIES.get(written);
  if (remedy !== undefined && !known.includes(written)) return remedy;
  const near = nearest(written, known);
  return near === null ? undefined : `did you mean ${near}?`;
}

/** The candidate that differs least; null when all differ in more than two letters and a third of them. */
export function nearest(written: string, candidates: readonly string[]): string | null {
  if (written.length > 64) return null;
  let best: string | null = null;
  // Two letters the wrong way round are two edits.
  let least = Math.max(written.length > 3 ? 2 : 1, Math.floor(written.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(written.toLowerCase(), candidate.toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Levenshtein distance, row by row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
