/** Secrets with the passwords of sessions. They are read here, from the API itself, and go nowhere but into BIRD's configuration. */
import { coreTypes, createInformer, isDatastoreError, type Datastore, type Informer, type KubeObject } from "@calico/datastore";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import type { SecretContent } from "./render/secrets.ts";

export interface SecretSource {
  /** Follows these secrets and no others. */
  follow(names: ReadonlySet<string>): void;
  /** By name; one is not here while the API has not answered for it. */
  readonly contents: ReadonlyMap<string, SecretContent>;
  stop(): void;
}

export type SecretSourceOptions = {
  /** Called when the first secret is needed. */
  readonly open: () => Datastore & { close(): void };
  readonly namespace: string;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Logger;
};

type Followed = { readonly informer: Informer; readonly abort: AbortController; readonly set: (content: SecretContent) => void };
type Secret = KubeObject & { readonly data?: Readonly<Record<string, string>> };

/** DNS-1123 subdomain. */
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Follows secrets by name. One that is not there, or may not be read, is told as missing; one that the API does not
 * answer for keeps what was read last.
 */
export function createSecretSource({ open, namespace, onChange, clock, log }: SecretSourceOptions): SecretSource {
  const contents = new Map<string, SecretContent>();
  const followed = new Map<string, Followed>();
  let datastore: (Datastore & { close(): void }) | null = null;

  /** Until the informer follows: says when the answer is that there is none to be had, and reads where watching is not allowed. */
  async function probe(name: string, api: Datastore, { informer, abort, set }: Followed): Promise<void> {
    const backoff = createBackoff({ firstMs: 1_000, maxMs: 30_000 });
    while (!abort.signal.aborted && !informer.isSynced) {
      try {
        const { data = {} } = await api.get<Secret>(coreTypes.secrets, { namespace, name }, { signal: abort.signal });
        set({ data });
      } catch (error) {
        if (isDatastoreError(error, "NotFound")) set({ missing: notThere(name) });
        else if (isDatastoreError(error, "Forbidden", "Unauthorized")) set({ missing: `secret ${namespace}/${name} may not be read by this node's bird (${error.code})` });
        else if (!abort.signal.aborted) log.warn("A secret could not be read, trying again", { object: `${namespace}/${name}`, error });
      }
      await delay(clock, backoff.next(), abort.signal);
    }
  }

  const notThere = (name: string): string => `secret ${namespace}/${name} does not exist`;

  function start(name: string, api: Datastore): Followed {
    const abort = new AbortController();
    const set = (content: SecretContent): void => {
      if (abort.signal.aborted || JSON.stringify(contents.get(name)) === JSON.stringify(content)) return;
      contents.set(name, content);
      onChange();
    };
    const informer = createInformer<Secret, Readonly<Record<string, string>>>({
      datastore: api, type: coreTypes.secrets, namespace, fieldSelector: `metadata.name=${name}`, log, transform: (raw) => (raw.metadata.name === name ? (raw.data ?? {}) : null),
      handler: {
        onUpsert: (_, data) => set({ data }),
        onDelete: () => set({ missing: notThere(name) }),
        onSynced() {
          if (informer.size === 0) set({ missing: notThere(name) });
        },
      },
    });
    const made = { informer, abort, set };
    informer.start();
    void probe(name, api, made);
    return made;
  }

  return {
    follow(names) {
      for (const [name, { informer, abort }] of followed) {
        if (names.has(name)) continue;
        informer.stop();
        abort.abort();
        followed.delete(name);
      }
      for (const name of contents.keys()) if (!names.has(name)) contents.delete(name);
      for (const name of names) {
        if (followed.has(name)) continue;
        if (!NAME.test(name)) {
          contents.set(name, { missing: `${JSON.stringify(name)} is no name of a secret` });
          continue;
        }
        try {
          datastore ??= open();
          followed.set(name, start(name, datastore));
        } catch (error) {
          contents.set(name, { missing: `secret ${namespace}/${name} cannot be read: ${(error as Error).message}` });
        }
      }
    },
    contents,
    stop() {
      for (const { informer, abort } of followed.values()) {
        informer.stop();
        abort.abort();
      }
      followed.clear();
      datastore?.close();
    },
  };
}
