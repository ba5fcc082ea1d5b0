/** Resources in files: read, with the place of each, and checked before anything is written. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { KubeObject } from "@calico/datastore";
import { validateResource } from "@calico/model/resources";
import { isMap, isScalar, LineCounter, parseAllDocuments, type Document } from "yaml";
import { kinds, type CtlKind } from "./kinds.ts";
import { CommandError } from "./usage.ts";

export type Resource = { readonly object: KubeObject; readonly kind: CtlKind; /** "file.yaml:12". */ readonly at: string };

/** What a source holds, and where it came from. */
type Source = { readonly name: string; readonly text: string };

/** Every resource of the sources, in order. Throws one CommandError that lists all that is wrong, with file, line and field. */
export function readResources(paths: readonly string[], namespace: string, { checkSpec }: { readonly checkSpec: boolean }): Resource[] {
  const resources: Resource[] = [];
  const problems: string[] = [];
  for (const source of paths.flatMap(sourcesOf)) parseSource(source, namespace, checkSpec, resources, problems);
  if (problems.length > 0) throw new CommandError(problems.join("\n"));
  if (resources.length === 0) throw new CommandError(`no resources in ${paths.join(", ")}`);
  return resources;
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

function parseSource({ name, text }: Source, namespace: string, checkSpec: boolean, resources: Resource[], problems: string[]): void {
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
    const items = isList(value) ? value.items : [value];
    for (const item of items) readOne(item, document, isList(value) ? null : document, lineOf, namespace, checkSpec, resources, problems);
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

function readOne(
  item: unknown, whole: Document, document: Document | null, lineOf: (offset: number) => string, namespace: string, checkSpec: boolean, resources: Resource[], problems: string[],
): void {
  const start = whole.contents?.range?.[0] ?? whole.range?.[0] ?? 0;
  const at = lineOf(start);
  const object = item as KubeObject;
  const refusal = refusalOf(object);
  if (refusal !== null) return void problems.push(`${at}: ${refusal}`);
  const kind = kinds.find((candidate) => candidate.kind === object.kind);
  if (kind === undefined) return void problems.push(`${at}: ${wordsOf(validateResource(object))}`);
  if (kind.isView) return void problems.push(`${at}: a ${kind.kind} is a view on an object of Kubernetes; change that with kubectl`);
  const placed: KubeObject = kind.type.namespaced ? { ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? namespace } } : object;
  if (checkSpec) {
    const checked = validateResource(placed);
    if (!checked.ok) {
      for (const { path, message, suggestion } of checked.issues) {
        problems.push(`${document === null ? at : lineOf(offsetOf(document, path) ?? start)}: ${object.kind} ${object.metadata.name}: ${path}: ${message}${suggestion === undefined ? "" : `; ${suggestion}`}`);
      }
      return;
    }
  }
  resources.push({ object: placed, kind, at });
}

/** Why a document is no resource of this project; null: it is one. */
function refusalOf(object: Partial<KubeObject>): string | null {
  if (typeof object !== "object" || typeof object.kind !== "string") return "kind is missing";
  if (typeof object.apiVersion !== "string") return "apiVersion is missing";
  if (object.apiVersion === "operator.tigera.io/v1") return `${object.kind} of ${object.apiVersion} is the operator's; this product is installed by its Helm chart`;
  if (object.apiVersion !== "projectcalico.org/v3") return `${object.kind} of ${object.apiVersion} is no resource of Calico's; use kubectl apply -f`;
  return typeof (object.metadata as { name?: unknown } | undefined)?.name === "string" ? null : "metadata.name is missing";
}

function wordsOf(result: ReturnType<typeof validateResource>): string {
  return result.ok ? "" : result.issues.map(({ path, message, suggestion }) => `${path}: ${message}${suggestion === undefined ? "" : `; ${suggestion}`}`).join(", ");
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
