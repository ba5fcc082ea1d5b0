/** Makes the host endpoints that nodes have of themselves, keeps them as they are to be, and takes them away again. */
import { calicoTypes, coreTypes, createInformer, isDatastoreError, type Datastore, type KubeObject } from "@calico/datastore";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import { isAsWanted, isAuto, isUndecided, nodeViewOf, wantedHostEndpoints, type AutoHostEndpoint, type HostEndpointSettings, type NodeView } from "./auto-host-endpoints.ts";

export interface HostEndpointKeeper {
  /** Nothing is done before the first call within a run: what was wanted in an earlier one may have changed since. */
  configure(settings: HostEndpointSettings): void;
  /** Keeps them until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

export type KeeperOptions = { readonly datastore: Datastore; readonly clock: Clock; readonly log: Logger };

type Api = Pick<Datastore, "get" | "create" | "update" | "delete">;
type View = { readonly nodes: ReadonlyMap<string, NodeView>; readonly present: ReadonlyMap<string, KubeObject>; readonly settings: HostEndpointSettings };

const LOOK_AGAIN_MS = 500;

export function createHostEndpointKeeper({ datastore, clock, log }: KeeperOptions): HostEndpointKeeper {
  let settings: HostEndpointSettings | null = null;
  /** What was said of templates, so that each change is told once. */
  let told = "[]";
  let wake = Promise.withResolvers<void>();
  return {
    configure(next) {
      const issues = JSON.stringify(next.issues);
      if (issues !== told) for (const issue of next.issues) log.warn("A template of host endpoints cannot be used; those that it made stay as they are", { ...issue });
      told = issues;
      settings = next;
      wake.resolve();
    },
    async run(signal) {
      settings = null;
      const nodes = new Map<string, NodeView>();
      const present = new Map<string, KubeObject>();
      const foreign = new Set<string>();
      const onSynced = (): void => wake.resolve();
      const nodeInformer = createInformer<KubeObject, NodeView>({
        datastore, type: coreTypes.nodes, transform: nodeViewOf, log,
        handler: {
          onUpsert({ name }, node) {
            // Every kubelet writes the status of its Node again and again.
            if (JSON.stringify(nodes.get(name)) === JSON.stringify(node)) return;
            nodes.set(name, node);
            wake.resolve();
          },
          onDelete({ name }) {
            nodes.delete(name);
            wake.resolve();
          },
          onSynced,
        },
      });
      const informer = createInformer<KubeObject, KubeObject>({
        datastore, type: calicoTypes.hostEndpoints, transform: (raw) => raw, log,
        handler: {
          onUpsert({ name }, object) {
            present.set(name, object);
            wake.resolve();
          },
          onDelete({ name }) {
            present.delete(name);
            wake.resolve();
          },
          onSynced,
        },
      });
      const isCurrent = (): boolean => [nodeInformer, informer].every((each) => each.isSynced && each.trouble === null);
      const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      const backoff = createBackoff({ firstMs: 500, maxMs: 30_000 });
      nodeInformer.start();
      informer.start();
      wake.resolve();
      try {
        while (!signal.aborted) {
          await Promise.race([wake.promise, stopped]);
          if (signal.aborted) return;
          wake = Promise.withResolvers();
          if (settings === null) continue;
          if (!isCurrent()) {
            await delay(clock, LOOK_AGAIN_MS, signal);
            wake.resolve();
          } else if (await reconcile(datastore, { nodes, present, settings }, foreign, log, signal)) backoff.reset();
          else {
            await delay(clock, backoff.next(), signal);
            wake.resolve();
          }
        }
      } finally {
        nodeInformer.stop();
        informer.stop();
      }
    },
  };
}

/**
 * One pass: makes, corrects and removes. False when something of it failed; the rest is done all the same. `foreign` remembers which names
 * of wanted ones somebody else has taken, so that each is told once.
 */
export async function reconcile(api: Api, { nodes, present, settings }: View, foreign: Set<string>, log: Logger, signal?: AbortSignal): Promise<boolean> {
  const wanted = wantedHostEndpoints(nodes.values(), settings);
  let isDone = true;
  const attempt = async (name: string, work: () => Promise<void>): Promise<void> => {
    if (signal?.aborted === true) return;
    try {
      await work();
    } catch (error) {
      if (isDatastoreError(error, "Aborted")) return;
      isDone = false;
      // Somebody else was faster: what he did is on its way here.
      if (isDatastoreError(error, "Conflict", "AlreadyExists")) return;
      log.warn("An automatic host endpoint could not be brought up to date, trying again", { name, error });
    }
  };
  for (const name of foreign) if (!wanted.has(name) || !present.has(name)) foreign.delete(name);
  for (const [name, endpoint] of wanted) {
    const object = present.get(name);
    if (object === undefined) await attempt(name, () => make(api, endpoint, log, signal));
    else if (!isAuto(object)) {
      if (!foreign.has(name)) log.warn("A host endpoint of this name exists and is somebody else's, so that the node gets none of its own", { name, node: endpoint.spec.node });
      foreign.add(name);
    } else if (!isAsWanted(object, endpoint)) await attempt(name, () => correct(api, object, endpoint, log, signal));
  }
  for (const [name, object] of present) if (!wanted.has(name) && isAuto(object) && !isUndecided(object, nodes, settings)) await attempt(name, () => remove(api, object, nodes, settings, log, signal));
  return isDone;
}

function objectOf({ name, labels, spec }: AutoHostEndpoint): KubeObject {
  return { apiVersion: "projectcalico.org/v3", kind: "HostEndpoint", metadata: { name, labels: { ...labels } }, spec };
}

const withSignal = (signal: AbortSignal | undefined): { signal?: AbortSignal } => (signal === undefined ? {} : { signal });

async function make(api: Api, endpoint: AutoHostEndpoint, log: Logger, signal?: AbortSignal): Promise<void> {
  await api.create(calicoTypes.hostEndpoints, objectOf(endpoint), withSignal(signal));
  log.info("Automatic host endpoint made", { name: endpoint.name, node: endpoint.spec.node });
}

/** With the revision that was seen: what changed since is looked at again first. */
async function correct(api: Api, present: KubeObject, endpoint: AutoHostEndpoint, log: Logger, signal?: AbortSignal): Promise<void> {
  const { metadata, spec } = objectOf(endpoint);
  await api.update(calicoTypes.hostEndpoints, { ...present, metadata: { ...present.metadata, labels: metadata.labels ?? {} }, spec }, withSignal(signal));
  log.info("Automatic host endpoint corrected", { name: endpoint.name, node: endpoint.spec.node });
}

/** One whose node is gone goes only when the API server itself says that the node is. */
async function remove(api: Api, present: KubeObject, nodes: View["nodes"], settings: HostEndpointSettings, log: Logger, signal?: AbortSignal): Promise<void> {
  const { name, uid, resourceVersion } = present.metadata;
  const { node = "" } = (present["spec"] ?? {}) as { node?: string };
  if (settings.autoCreate && !nodes.has(node) && node !== "" && (await exists(api, node, signal))) return;
  try {
    await api.delete(calicoTypes.hostEndpoints, { name }, { ...(uid === undefined ? {} : { uid }), ...(resourceVersion === undefined ? {} : { resourceVersion }), ...withSignal(signal) });
    log.info("Automatic host endpoint removed", { name, node });
  } catch (error) {
    if (!isDatastoreError(error, "NotFound")) throw error;
  }
}

async function exists(api: Api, node: string, signal?: AbortSignal): Promise<boolean> {
  try {
    await api.get(coreTypes.nodes, { name: node }, withSignal(signal));
    return true;
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) return false;
    throw error;
  }
}
