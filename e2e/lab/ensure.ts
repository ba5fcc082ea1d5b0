/** Puts objects into a cluster. */
import { calicoTypes, coreTypes, DatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import { untilTrue } from "./wait.ts";

const ACCOUNT_TIMEOUT_MS = 10_000;

/** Creates an object, or merges it into the one that is there. */
export async function ensure(datastore: Datastore, object: KubeObject): Promise<void> {
  const type = typeOf(object);
  try {
    await createWithAccount(datastore, type, object);
  } catch (error) {
    if (!(error instanceof DatastoreError) || error.code !== "AlreadyExists") throw error;
    await datastore.patch(type, object.metadata, object, { type: "merge" });
  }
}

/** Kubernetes makes the default account of a namespace a moment after the namespace, and takes no pods before. */
async function createWithAccount(datastore: Datastore, type: ResourceType, object: KubeObject): Promise<void> {
  let refusal: unknown = null;
  await untilTrue("the account of the pod's namespace", async () => {
    try {
      await datastore.create(type, object);
      refusal = null;
    } catch (error) {
      if (error instanceof DatastoreError && /serviceaccount "default" not found/.test(error.message)) throw error;
      refusal = error;
    }
    return true;
  }, ACCOUNT_TIMEOUT_MS);
  if (refusal !== null) throw refusal;
}

function typeOf(object: KubeObject): ResourceType {
  const type = [...Object.values(coreTypes), ...Object.values(calicoTypes)].find((candidate) => candidate.kind === object.kind && object.apiVersion === (candidate.group ? `${candidate.group}/${candidate.version}` : candidate.version));
  if (!type) throw new Error(`the lab cannot apply ${object.apiVersion} ${object.kind}; use kubectl`);
  return type;
}
