/** The commands that talk to the cluster. */
import { DatastoreError, isDatastoreError, openKubernetesDatastore, type Datastore, type KubeObject, type ObjectKey } from "@calico/datastore";
import { parse } from "yaml";
import type { Command, Connection, WriteVerb } from "./arguments.ts";
import { readResources, type Resource } from "./files.ts";
import { kindCalled, type CtlKind } from "./kinds.ts";
import { render } from "./print.ts";
import { CommandError } from "./usage.ts";

type Of<V> = Extract<Command, { verb: V }>;
export type Say = (text: string) => void;

/** Version of this program. */
export const VERSION = "0.1.0";
const DONE: Readonly<Record<WriteVerb, string>> = { create: "created", apply: "applied", replace: "replaced", delete: "deleted" };

/** Opens the datastore for one command. Rejects with a CommandError that says what was tried. */
export async function withDatastore<T>({ kubeconfig, context }: Connection, run: (datastore: Datastore) => Promise<T>): Promise<T> {
  let datastore: ReturnType<typeof openKubernetesDatastore>;
  try {
    datastore = openKubernetesDatastore({ userAgent: `calicoctl/${VERSION}`, ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) });
  } catch (error) {
    throw new CommandError(`no cluster to talk to: ${(error as Error).message}; give --kubeconfig or set KUBECONFIG`);
  }
  try {
    return await run(datastore);
  } catch (error) {
    if (error instanceof DatastoreError && error.code === "Unavailable") throw new CommandError(`the API server ${datastore.server} does not answer: ${error.message}`);
    throw error;
  } finally {
    datastore.close();
  }
}

export async function get({ kind: written, names, namespace, output }: Of<"get">, datastore: Datastore, say: Say): Promise<void> {
  const kind = kindCalled(written);
  const inNamespace = kind.type.namespaced && namespace !== null ? { namespace } : {};
  const objects = names.length === 0
    ? (await datastore.list<KubeObject>(kind.type, inNamespace)).items
    : await Promise.all(names.map((name) => one(datastore, kind, { ...inNamespace, name: kind.kind === "Profile" ? name.replace(/^kns\./, "") : name })));
  const shown = kind.view === undefined ? objects : objects.flatMap((object) => kind.view?.(object) ?? []);
  const complete = shown.map((object) => ({ ...object, apiVersion: object.apiVersion || apiVersionOf(kind), kind: object.kind || kind.type.kind }));
  say(render(kind, complete, output, names.length === 1));
}

async function one(datastore: Datastore, kind: CtlKind, key: ObjectKey): Promise<KubeObject> {
  try {
    return await datastore.get<KubeObject>(kind.type, key);
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) throw new CommandError(`there is no ${kind.kind} ${key.namespace === undefined ? "" : `${key.namespace}/`}${key.name}`);
    throw error;
  }
}

/** Writes one after the other. What failed is listed at the end; the rest is done. */
export async function write(command: Of<WriteVerb>, datastore: Datastore, say: Say): Promise<void> {
  const { verb, files, kind, names, namespace, skip } = command;
  const resources = kind === null ? readResources(files, namespace, { checkSpec: verb !== "delete" }) : named(kindCalled(kind), names, namespace);
  const failed: string[] = [];
  const counts = new Map<string, number>();
  for (const resource of resources) {
    try {
      if (await writeOne(verb, resource, datastore, skip)) counts.set(resource.kind.kind, (counts.get(resource.kind.kind) ?? 0) + 1);
    } catch (error) {
      failed.push(`${resource.at === "" ? "" : `${resource.at}: `}${resource.kind.kind} ${resource.object.metadata.name}: ${(error as Error).message}`);
    }
  }
  for (const [name, count] of counts) say(`Successfully ${DONE[verb]} ${count} '${name}' resource(s)\n`);
  if (failed.length > 0) throw new CommandError(failed.join("\n"));
}

function named(kind: CtlKind, names: readonly string[], namespace: string): Resource[] {
  if (kind.isView) throw new CommandError(`a ${kind.kind} is a view on an object of Kubernetes; delete that with kubectl`);
  return names.map((name) => ({ kind, at: "", object: { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { name, ...(kind.type.namespaced ? { namespace } : {}) } } }));
}

/** False: it was to be passed over. */
async function writeOne(verb: WriteVerb, { object, kind }: Resource, datastore: Datastore, skip: boolean): Promise<boolean> {
  const key = { name: object.metadata.name, ...(object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace }) };
  try {
    switch (verb) {
      case "create":
        await datastore.create(kind.type, object, { fieldValidation: "Strict" });
        return true;
      case "replace":
        await replace(datastore, kind, key, object);
        return true;
      case "delete":
        await datastore.delete(kind.type, key);
        return true;
      case "apply":
        await datastore.create(kind.type, object, { fieldValidation: "Strict" });
        return true;
    }
  } catch (error) {
    if (verb === "apply" && isDatastoreError(error, "AlreadyExists")) {
      await replace(datastore, kind, key, object);
      return true;
    }
    if (skip && isDatastoreError(error, verb === "create" ? "AlreadyExists" : "NotFound")) return false;
    throw error;
  }
}

/** Puts the object in the place of the one that is there; what only the server knows of it stays. */
async function replace(datastore: Datastore, kind: CtlKind, key: ObjectKey, object: KubeObject): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const present = await datastore.get<KubeObject>(kind.type, key);
    const { resourceVersion = present.metadata.resourceVersion, ...metadata } = object.metadata;
    try {
      await datastore.update(kind.type, { ...object, metadata: { ...metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) } }, { fieldValidation: "Strict" });
      return;
    } catch (error) {
      // Without a revision in the file the newest one is meant.
      if (object.metadata.resourceVersion !== undefined || attempt > 5 || !isDatastoreError(error, "Conflict")) throw error;
    }
  }
}

export async function patch({ kind: written, name, namespace, patch: text, type }: Of<"patch">, datastore: Datastore, say: Say): Promise<void> {
  const kind = kindCalled(written);
  if (kind.isView) throw new CommandError(`a ${kind.kind} is a view on an object of Kubernetes; patch that with kubectl`);
  let value: unknown;
  try {
    value = parse(text) as unknown;
  } catch (error) {
    throw new CommandError(`-p is neither JSON nor YAML: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) !== (type === "json")) throw new CommandError(`-p must be ${type === "json" ? "a list of operations" : "an object such as {\"spec\": {...}}"}`);
  await datastore.patch(kind.type, kind.type.namespaced ? { namespace, name } : { name }, value, { type, fieldValidation: "Strict" });
  say(`Successfully patched 1 '${kind.kind}' resource\n`);
}

export async function version(datastore: Datastore, say: Say): Promise<void> {
  say(`Client Version:    ${VERSION}\n`);
  const info = kindCalled("clusterinformation");
  try {
    const { spec } = await datastore.get<KubeObject & { spec?: { calicoVersion?: string; clusterType?: string } }>(info.type, { name: "default" });
    say(`Cluster Version:   ${spec?.calicoVersion ?? "unknown"}\nCluster Type:      ${spec?.clusterType ?? "unknown"}\n`);
  } catch (error) {
    if (!isDatastoreError(error, "NotFound")) throw error;
    say("Cluster Version:   unknown (Calico is not installed, or kube-controllers did not start yet)\n");
  }
}

function apiVersionOf({ type }: CtlKind): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}
