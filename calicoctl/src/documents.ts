/** Objects in YAML and JSON files, each with its place. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { isMap, isScalar, LineCounter, parseAllDocuments, type Document } from "yaml";
import { CommandError } from "./usage.ts";

export type Item = {
  readonly value: unknown;
  /** "file.yaml:12". */
  readonly at: string;
  /** Where a field ("spec.ingress[0].action") stands; the object's own place when that cannot be told. */
  readonly placeOf: (path: string) => string;
};

export type Items = { readonly items: readonly Item[]; /** What cannot be read, with file and line. */ readonly problems: readonly string[] };

/** What a source holds, and where it came from. */
type Source = { readonly name: string; readonly text: string };

/** Every object of files, of folders of such, and of standard input ("-"), in order; items of lists one by one. Throws when a path cannot be read. */
export function readItems(paths: readonly string[]): Items {
  const items: Item[] = [];
  const problems: string[] = [];
  for (const source of paths.flatMap(sourcesOf)) parseSource(source, items, problems);
  return { items, problems };
}

function sourcesOf(path: string): Source[] {
  try {
    if (path === "-") return [{ name: "standard input", text: readFileSync(0, "utf8") }];
    if (!statSync(path).isDirectory()) return [{ name: path, text: readFileSync(path, "utf8") }];
    return readdirSync(path).filter((name) => /\.(ya?ml|json)$/.test(name)).sort().map((name) => ({ name: join(path, name), text: readFileSync(join(path, name), "utf8") }));
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

function parseSource({ name, text }: Source, items: Item[], problems: string[]): void {
  const lines = new LineCounter();
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })) {
    const lineOf = (offset: number): string => `${name}:${lines.linePos(offset).line}`;
    const [error] = document.errors;
    if (error !== undefined) {
      problems.push(`${lineOf(error.pos[0])}: ${error.message}`);
      continue;
    }
    const value = valueOf(document, problems, lineOf);
    if (value === null || value === undefined) continue;
    const start = document.contents?.range?.[0] ?? document.range?.[0] ?? 0;
    const at = lineOf(start);
    if (isList(value)) for (const item of value.items) items.push({ value: item, at, placeOf: () => at });
    else items.push({ value, at, placeOf: (path) => lineOf(offsetOf(document, path) ?? start) });
  }
}

/** What a document says; undefined with a problem noted when it refers to what is not there, or to itself too often. */
function valueOf(document: Document, problems: string[], lineOf: (offset: number) => string): unknown {
  try {
    return document.toJS() as unknown;
  } catch (error) {
    problems.push(`${lineOf(document.range?.[0] ?? 0)}: ${(error as Error).message}`);
    return undefined;
  }
}

function isList(value: unknown): value is { items: unknown[] } {
  return typeof value === "object" && value !== null && Array.isArray((value as { items?: unknown }).items) && /List$/.test(String((value as { kind?: unknown }).kind as string));
}

/** Where a field stands in the text; that of the nearest field around it when it is missing. */
function offsetOf(document: Document, path: string): number | null {
  let at: unknown = document.contents;
  let offset: number | null = null;
  for (const part of path.split(/[.[\]]+/).filter((text) => text !== "")) {
    if (isMap(at)) {
      const pair = at.items.find(({ key }) => isScalar(key) && key.value === part);
      if (pair === undefined) return offset;
      offset = (pair.key as { range?: [number, number, number] }).range?.[0] ?? offset;
      at = pair.value;
    } else {
      at = (at as { items?: unknown[] } | null)?.items?.[Number(part)];
      offset = (at as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
    }
  }
  return offset;
}
