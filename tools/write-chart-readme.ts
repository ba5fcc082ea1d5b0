/** Writes the table of values in charts/calico/README.md from the comments of values.yaml; with --check only says whether it is current. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";

const folder = join(import.meta.dirname, "..", "charts", "calico");
const path = join(folder, "README.md");
const BEGIN = "<!-- values: written by npm run docs from values.yaml -->\n";
const END = "<!-- end of values -->";

const document = parseDocument(readFileSync(join(folder, "values.yaml"), "utf8"));
if (!isMap(document.contents)) throw new Error("values.yaml is no map");
const rows = rowsOf(document.contents, []);
const before = readFileSync(path, "utf8");
const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)];
if (begin < 0 || end < begin) throw new Error(`README.md lacks the line ${BEGIN.trim()} or ${END}`);
const text = `${before.slice(0, begin)}${BEGIN}| Key | Default | Meaning |\n|---|---|---|\n${rows.join("\n")}\n${before.slice(end)}`;

if (!process.argv.includes("--check")) writeFileSync(path, text);
else if (before !== text) {
  console.error("charts/calico/README.md is not current: run npm run docs");
  process.exit(1);
}

/** A row for each key that has a comment "-- ..."; keys without one are groups, or explained by the comment of another. */
function rowsOf(map: YAMLMap, above: readonly string[]): string[] {
  return map.items.flatMap((pair, index) => {
    if (!isScalar(pair.key)) return [];
    const key = [...above, String(pair.key.value)];
    // The comment of a map's first key is the map's own.
    const comment = pair.key.commentBefore ?? (index === 0 ? map.commentBefore : undefined) ?? "";
    const [, meaning] = /^\s*-- (.*)$/m.exec(comment) ?? [];
    if (meaning !== undefined) return [`| \`${key.join(".")}\` | \`${cell(JSON.stringify(document.getIn(key) === undefined ? null : toJs(key)))}\` | ${cell(meaning)} |`];
    return isMap(pair.value) && pair.value.items.length > 0 && !pair.value.flow ? rowsOf(pair.value, key) : [];
  });
}

function toJs(key: readonly string[]): unknown {
  return key.reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], document.toJS());
}

function cell(content: string): string {
  return content.replaceAll("|", "\\|");
}
