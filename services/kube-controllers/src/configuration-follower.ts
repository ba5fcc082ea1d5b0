/** Puts KubeControllersConfiguration `default` into effect and writes into its status what is in effect. */
import { calicoTypes, createInformer, isDatastoreError, type Datastore, type KubeObject } from "@calico/datastore";
import type { KubeControllersConfigurationSpec } from "@calico/model/resources";
import { createBackoff, delay, type Clock, type ConfigInputs, type Logger } from "@calico/service-kit";
import { runningOf, statusOf, type Running } from "./running-config.ts";

export type FollowerOptions = {
  readonly datastore: Datastore;
  readonly inputs: Pick<ConfigInputs, "env" | "envPrefix">;
  readonly apply: (running: Running) => void;
  readonly clock: Clock;
  readonly log: Logger;
};

type Configuration = KubeObject & { readonly spec?: KubeControllersConfigurationSpec; readonly status?: { readonly runningConfig?: unknown; readonly environmentVars?: unknown } };

const NAME = "default";

/** Follows the object until the signal. Without the object the environment and the defaults are in effect. */
export async function followConfiguration({ datastore, inputs, apply, clock, log }: FollowerOptions, signal: AbortSignal): Promise<void> {
  let current: Configuration | null = null;
  let wake = Promise.withResolvers<void>();
  const change = (next: Configuration | null): void => {
    current = next;
    wake.resolve();
  };
  const informer = createInformer<Configuration, Configuration>({
    datastore, type: calicoTypes.kubeControllersConfigurations, fieldSelector: `metadata.name=${NAME}`, transform: (raw) => raw, log,
    handler: { onUpsert: ({ name }, value) => name === NAME && change(value), onDelete: ({ name }) => name === NAME && change(null), onSynced: () => wake.resolve() },
  });
  const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  const backoff = createBackoff({ firstMs: 500, maxMs: 30_000 });
  informer.start();
  try {
    while (!signal.aborted) {
      await Promise.race([wake.promise, stopped]);
      if (signal.aborted) return;
      wake = Promise.withResolvers();
      try {
        await putIntoEffect(current);
        backoff.reset();
      } catch (error) {
        log.warn("The status of KubeControllersConfiguration could not be written, trying again", { error });
        await delay(clock, backoff.next(), signal);
        wake.resolve();
      }
    }
  } finally {
    informer.stop();
  }

  async function putIntoEffect(object: Configuration | null): Promise<void> {
    const { running, issues } = runningOf(object?.spec ?? {}, inputs);
    for (const issue of issues) log.warn("A parameter cannot be used", { ...issue });
    apply(running);
    const status = statusOf(running, inputs.env);
    if (object === null || isSame(object.status, status)) return;
    try {
      await datastore.patch(calicoTypes.kubeControllersConfigurations, { name: NAME }, [{ op: "add", path: "/status", value: status }], { type: "json", subresource: "status", signal });
    } catch (error) {
      if (!isDatastoreError(error, "NotFound", "Aborted")) throw error;
    }
  }
}

/** The API server gives fields back in an order of its own. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}
