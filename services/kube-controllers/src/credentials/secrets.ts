/** Secrets that this program makes: marked, and never touched when somebody else made them. */
import { coreTypes, isDatastoreError, type Datastore, type KubeObject } from "@calico/datastore";

/** What marks a Secret as made here. One of the same name without it is somebody's own. */
export const MADE_HERE = { "app.kubernetes.io/managed-by": "calico-kube-controllers" } as const;

export type SecretData = Readonly<Record<string, string>>;
export type FoundSecret = { readonly data: SecretData; readonly isOurs: boolean; readonly object: SecretObject };
type SecretObject = KubeObject & { data?: Record<string, string>; type?: string };
type Store = Pick<Datastore, "get" | "create" | "update">;

/** The Secret with its values decoded, or null. */
export async function readSecret(datastore: Store, namespace: string, name: string): Promise<FoundSecret | null> {
  try {
    const object = await datastore.get<SecretObject>(coreTypes.secrets, { namespace, name });
    const data = Object.fromEntries(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]));
    const isOurs = Object.entries(MADE_HERE).every(([key, value]) => object.metadata.labels?.[key] === value);
    return { data, isOurs, object };
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) return null;
    throw error;
  }
}

/** Makes the Secret, or gives the found one these values; `Conflict` and `AlreadyExists` when somebody was faster. */
export async function writeSecret(datastore: Store, { namespace, name, type = "Opaque" }: { namespace: string; name: string; type?: string }, data: SecretData, found: FoundSecret | null): Promise<void> {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]));
  if (found === null) await datastore.create<SecretObject>(coreTypes.secrets, { apiVersion: "v1", kind: "Secret", metadata: { namespace, name, labels: { ...MADE_HERE } }, type, data: encoded });
  else await datastore.update<SecretObject>(coreTypes.secrets, { ...found.object, data: encoded });
}
