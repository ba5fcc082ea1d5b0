/** Who can reach whom, as a table. Pure. */

export type MatrixCell = { readonly from: string; readonly to: string; readonly reached: boolean | null };

/**
 * Renders rows (from) and columns (to) with a dot for what is the same pod, "ok" and "-".
 * Columns are numbered; the legend is the row headers, which carry the same numbers.
 */
export function renderMatrix(names: readonly string[], cells: readonly MatrixCell[]): string {
  const byPair = new Map(cells.map((cell) => [`${cell.from}\0${cell.to}`, cell.reached]));
  const labels = names.map((name, index) => `${index + 1} ${name}`);
  const width = Math.max(4, ...labels.map((label) => label.length));
  const header = ["from \\ to".padEnd(width), ...names.map((_, index) => String(index + 1).padStart(4))].join("");
  const rows = names.map((from, index) => {
    const marks = names.map((to) => (from === to ? "." : markOf(byPair.get(`${from}\0${to}`))).padStart(4));
    return [(labels[index] ?? "").padEnd(width), ...marks].join("");
  });
  return [header, ...rows].join("\n");
}

function markOf(reached: boolean | null | undefined): string {
  if (reached === true) return "ok";
  return reached === false ? "-" : "?";
}
