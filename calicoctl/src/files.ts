/** Resources in files: read, with the place of each, and checked before anything is written. */
import type { KubeObject } from "@calico/datastore";
import { validateResource } from "@calico/model/resources";
import { readItems, type Item } from "./documents.ts";
import { kinds, type CtlKind } from "./kinds.ts";
import { CommandError } from "./usage.ts";

export type Resource = { readonly object: KubeObject; readonly kind: CtlKind; /** "file.yaml:12". */ readonly at: string };

/** Every resource of the sources, in order. Throws one CommandError that lists all that is wrong, with file, line and field. */
export function readResources(paths: readonly string[], namespace: string, { checkSpec }: { readonly checkSpec: boolean }): Resource[] {
  const resources: Resource[] = [];
  const { items, problems } = readItems(paths);
  const all = [...problems, ...items.flatMap((item) => readOne(item, namespace, checkSpec, resources))];
  if (all.length > 0) throw new CommandError(all.join("\n"));
  if (resources.length === 0) throw new CommandError(`no resources in ${paths.join(", ")}`);
  return resources;
}

/** What is wrong with an item; nothing: it is among the resources. */
function readOne({ value, at, placeOf }: Item, namespace: string, checkSpec: boolean, resources: Resource[]): string[] {
  const object = value as KubeObject;
  const refusal = refusalOf(object);
  if (refusal !== null) return [`${at}: ${refusal}`];
  const kind = kinds.find((candidate) => candidate.kind === object.kind);
  if (kind === undefined) return [`${at}: ${wordsOf(validateResource(object))}`];
  if (kind.isView) return [`${at}: a ${kind.kind} is a view on an object of Kubernetes; change that with kubectl`];
  const placed: KubeObject = kind.type.namespaced ? { ...object, metadata: { ...object.metadata, namespace: object.metadata.namespace ?? namespace } } : object;
  const problems = checkSpec ? problemsOf(placed, placeOf) : [];
  if (problems.length === 0) resources.push({ object: placed, kind, at });
  return problems;
}

/** What keeps an object of Calico's from being stored, with file, line and field. */
export function problemsOf(object: KubeObject, placeOf: Item["placeOf"]): string[] {
  const checked = validateResource(object);
  if (checked.ok) return [];
  return checked.issues.map(({ path, message, suggestion }) => `${placeOf(path)}: ${object.kind} ${object.metadata.name}: ${path}: ${message}${suggestion === undefined ? "" : `; ${suggestion}`}`);
}

/** Why a document is no resource of this project; null: it is one. */
function refusalOf(object: Partial<KubeObject>): string | null {
  const refusal = shapeProblem(object);
  if (refusal !== null) return refusal;
  if (object.apiVersion === "operator.tigera.io/v1") return `${object.kind} of ${object.apiVersion} is the operator's; this product is installed by its Helm chart`;
  if (object.apiVersion !== "projectcalico.org/v3") return `${object.kind} of ${object.apiVersion} is no resource of Calico's; use kubectl apply -f`;
  return hasName(object) ? null : "metadata.name is missing";
}

/** What makes a document no object of Kubernetes; null: it has a kind of a version. */
export function shapeProblem(object: Partial<KubeObject> | null): string | null {
  if (typeof object !== "object" || object === null || typeof object.kind !== "string") return "kind is missing";
  return typeof object.apiVersion === "string" ? null : "apiVersion is missing";
}

export const hasName = ({ metadata }: Partial<KubeObject>): boolean => typeof (metadata as { name?: unknown } | undefined)?.name === "string";

function wordsOf(result: ReturnType<typeof validateResource>): string {
  return result.ok ? "" : result.issues.map(({ path, message, suggestion }) => `${path}: ${message}${suggestion === undefined ? "" : `; ${suggestion}`}`).join(", ");
}
