/** Where the pods of a Service are reached, without the Service's own address: that needs kube-proxy, which may need us. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Datastore } from "./datastore.ts";
import type { Log } from "./log.ts";
import type { KubeObject } from "./object.ts";
import { coreTypes } from "./resource-types.ts";

export type ServiceAddressesOptions = {
  readonly datastore: Pick<Datastore, "list">;
  readonly namespace: string;
  readonly service: string;
  /** Keeps the last answer for a start while the API server is away; "": nothing is kept. */
  readonly cacheFile: string;
  readonly log: Log;
};

export type EndpointSlice = KubeObject & {
  readonly addressType?: string;
  readonly endpoints?: readonly { readonly addresses: readonly string[]; readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean } }[] | null;
  readonly ports?: readonly { readonly port?: number }[] | null;
};

/**
 * Asks for "host:port" of the endpoints of a Service that are ready, or of all when none is. While the API server does not answer, the addresses are those of the last answer, be it of an earlier run.
 */
export function createServiceAddresses({ datastore, namespace, service, cacheFile, log }: ServiceAddressesOptions): () => Promise<readonly string[]> {
  return async () => {
    try {
      const { items } = await datastore.list<EndpointSlice>(coreTypes.endpointSlices, { namespace, labelSelector: `kubernetes.io/service-name=${service}` });
      const found = addressesOf(items);
      if (found.length > 0) keep(cacheFile, found, log);
      return found.length > 0 ? found : kept(cacheFile);
    } catch (error) {
      log.warn("The endpoints of a Service could not be asked for, the last known ones are used", { service: `${namespace}/${service}`, error });
      return kept(cacheFile);
    }
  };
}

/** "host:port" of the endpoints that are ready, or of all when none is. */
export function addressesOf(slices: readonly EndpointSlice[]): string[] {
  const ready = new Set<string>();
  const others = new Set<string>();
  for (const { endpoints, ports, addressType } of slices) {
    for (const { addresses, conditions } of endpoints ?? []) {
      for (const { port } of ports ?? []) {
        if (port === undefined || addressType === "FQDN") continue;
        for (const address of addresses) (conditions?.ready === false ? others : ready).add(`${address.includes(":") ? `[${address}]` : address}:${port}`);
      }
    }
  }
  return [...(ready.size > 0 ? ready : others)].sort();
}

function keep(file: string, addresses: readonly string[], log: Log): void {
  if (file === "" || JSON.stringify(kept(file)) === JSON.stringify(addresses)) return;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.new`, JSON.stringify(addresses));
    renameSync(`${file}.new`, file);
  } catch (error) {
    log.warn("The addresses of a Service could not be kept for the next start", { file, error });
  }
}

function kept(file: string): readonly string[] {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
    return Array.isArray(parsed) ? parsed.filter((item) => typeof item === "string") : [];
  } catch {
    return [];
  }
}
