/** Brings the CustomResourceDefinitions of a cluster to those of this version. */
import { coreTypes, isDatastoreError, type Datastore, type KubeObject } from "@calico/datastore";
import { crdManifests, type Manifest } from "@calico/model/resources";
import type { Logger } from "@calico/service-kit";

type Definition = KubeObject & { readonly status?: { readonly storedVersions?: readonly string[] } };

const FIELD_MANAGER = "calico-chart";

/** A definition that cannot be replaced: objects are stored in a version that this release does not know. */
export class StoredVersionError extends Error {
  readonly code = "StoredVersion";
}

/**
 * Applies every definition from the server's side. Nothing is changed when one of them has objects stored in a version that this
 * release does not know: they could no longer be read.
 */
export async function applyDefinitions(datastore: Pick<Datastore, "get" | "patch">, log: Pick<Logger, "info">, manifests: readonly Manifest[] = crdManifests()): Promise<void> {
  const refusals: string[] = [];
  for (const manifest of manifests) refusals.push(...unknownVersions(manifest, await storedVersions(datastore, manifest.metadata.name)));
  if (refusals.length > 0) throw new StoredVersionError(`the definitions are left as they are: ${refusals.join("; ")}; go back to the release that knows these versions and store the objects anew first`);
  for (const manifest of manifests) {
    await datastore.patch(coreTypes.customResourceDefinitions, { name: manifest.metadata.name }, manifest, { type: "apply", fieldManager: FIELD_MANAGER, force: true });
  }
  log.info("Definitions applied", { definitions: manifests.length });
}

/** In words, which stored versions a manifest does not have. */
export function unknownVersions({ metadata, spec }: Manifest, stored: readonly string[]): string[] {
  const known = new Set((spec["versions"] as readonly { readonly name: string }[]).map(({ name }) => name));
  const unknown = stored.filter((version) => !known.has(version));
  return unknown.length === 0 ? [] : [`${metadata.name} has objects stored as ${unknown.join(", ")}`];
}

async function storedVersions(datastore: Pick<Datastore, "get">, name: string): Promise<readonly string[]> {
  try {
    return (await datastore.get<Definition>(coreTypes.customResourceDefinitions, { name })).status?.storedVersions ?? [];
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) return [];
    throw error;
  }
}
