/** Questions to the components of nodes, over NATS. */
import { readFileSync } from "node:fs";
import { coreTypes, createServiceAddresses, isDatastoreError, silentLog, type Datastore, type KubeObject } from "@calico/datastore";
import { querySubject } from "@calico/proto/status";
import { connectNats, NoRespondersError, RequestError, TimeoutError, type NatsConnection, type NatsServer } from "@calico/service-kit/nats";
import type { NatsOptions } from "./arguments.ts";
import { CommandError } from "./usage.ts";

/** What was answered, or in words why nothing was. */
export type Answer<T> = { readonly value: T } | { readonly silence: string };

export interface Queries {
  /** Asks a component of a node. Rejects only when NATS itself is gone. */
  ask(node: string, component: string, request: Uint8Array): Promise<Answer<Uint8Array>>;
  close(): Promise<void>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The Secret that names NATS and an account that may ask nodes, with the keys url, user, password and ca.crt. */
export const NATS_SECRET = { namespace: "calico-system", name: "calicoctl-nats" } as const;

/**
 * Where NATS is: as the command line and the environment say, else as the Secret says. The two are never mixed, so
 * that no password goes to a server that it is not for.
 */
export async function findNats({ url, user, caFile }: NatsOptions, env: Environment, datastore: Pick<Datastore, "get" | "list">, name: string): Promise<NatsServer> {
  const given = url ?? env["NATS_URL"] ?? "";
  if (given !== "") return { name, url: given, user: user ?? env["NATS_USER"], password: env["NATS_PASSWORD"], ca: fileText(caFile ?? env["NATS_CAFILE"]) };
  const data = await secretData(datastore);
  const value = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString();
  if (value("url") === "") throw new CommandError(`the Secret ${NATS_SECRET.namespace}/${NATS_SECRET.name} has no url; set NATS_URL`);
  return { name, ...(await reachable(value("url"), datastore)), user: value("user"), password: value("password"), ca: value("ca.crt") };
}

/**
 * The name of a Service means nothing outside of pods: it stands for one of the Service's endpoints, whose certificate is still
 * for the Service. Without an answer the name is kept: in a pod it is right.
 */
async function reachable(url: string, datastore: Pick<Datastore, "list">): Promise<{ url: string; serverName?: string }> {
  const [, scheme, service, namespace] = /^(tls|nats):\/\/([^./]+)\.([^./]+)\.svc(?::\d+)?$/.exec(url) ?? [];
  if (scheme === undefined || service === undefined || namespace === undefined) return { url };
  const [address] = await createServiceAddresses({ datastore, namespace, service, cacheFile: "", log: silentLog })();
  return address === undefined ? { url } : { url: `${scheme}://${address}`, serverName: service };
}

async function secretData(datastore: Pick<Datastore, "get">): Promise<Readonly<Record<string, string>>> {
  try {
    return (await datastore.get<KubeObject & { data?: Record<string, string> }>(coreTypes.secrets, NATS_SECRET)).data ?? {};
  } catch (error) {
    if (!isDatastoreError(error, "NotFound") && !isDatastoreError(error, "Forbidden")) throw error;
    const why = isDatastoreError(error, "NotFound") ? "there is no" : "you may not read the";
    throw new CommandError(`how to reach NATS is not known: ${why} Secret ${NATS_SECRET.namespace}/${NATS_SECRET.name}; set NATS_URL, NATS_USER, NATS_PASSWORD and NATS_CAFILE`);
  }
}

function fileText(path: string | undefined): string | undefined {
  if (path === undefined || path === "") return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

/** Connects. Rejects with a CommandError that names the server. */
export async function openQueries(server: NatsServer, timeoutMs: number): Promise<Queries> {
  const unreachable = (error: unknown): CommandError => new CommandError(`NATS at ${server.url} does not answer: ${(error as Error).message}; the nodes are asked through it (enforcement is unaffected)`);
  let connection: NatsConnection;
  try {
    connection = await connectNats(server);
  } catch (error) {
    throw unreachable(error);
  }
  return {
    async ask(node, component, request) {
      try {
        return { value: (await connection.request(querySubject(node, component), request, { timeout: timeoutMs })).data };
      } catch (error) {
        if (error instanceof TimeoutError) return { silence: `no answer within ${timeoutMs / 1000} s` };
        if (error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders())) return { silence: "not running, or not connected to NATS" };
        throw unreachable(error);
      }
    },
    close: () => connection.close(),
  };
}

/** The results in order; at most `most` run at a time. */
export async function mapLimited<T, R>(items: readonly T[], most: number, run: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, async () => {
    for (const [i, item] of rest) results[i] = await run(item);
  }));
  return results;
}
