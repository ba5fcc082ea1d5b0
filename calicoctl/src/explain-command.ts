/** `explain`: why a connection in the cluster is allowed or denied. */
import { apiVersionOf, calicoTypes, coreTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import type { Command } from "./arguments.ts";
import type { Item } from "./documents.ts";
import { readManifests } from "./manifests.ts";
import { answerProbes, renderAnswer } from "./policy-eval.ts";
import { CommandError } from "./usage.ts";

/** All that a verdict depends on. */
const KINDS: readonly ResourceType[] = [
  coreTypes.pods, coreTypes.namespaces, coreTypes.serviceAccounts, coreTypes.nodes, coreTypes.endpointSlices, coreTypes.networkPolicies, coreTypes.clusterNetworkPolicies,
  calicoTypes.networkPolicies, calicoTypes.globalNetworkPolicies, calicoTypes.tiers, calicoTypes.networkSets, calicoTypes.globalNetworkSets, calicoTypes.hostEndpoints, calicoTypes.felixConfigurations,
];

/** Reads the cluster and answers as its nodes would; what they cannot use of an object is said on standard error. */
export async function explain({ from, to, port, protocol, output }: Extract<Command, { verb: "explain" }>, datastore: Datastore, say: (text: string) => void): Promise<void> {
  const items = (await Promise.all(KINDS.map((type) => itemsOf(datastore, type)))).flat();
  const manifests = readManifests(items, "cluster");
  const { answers, problems } = answerProbes(manifests, [{ from, to, port, protocol }]);
  const [answer] = answers;
  if (answer === undefined) throw new CommandError(problems.map((problem) => problem.replace(/^\[0\]\./, "")).join("\n"));
  say(output === "json" ? `${JSON.stringify(answer, null, 2)}\n` : renderAnswer(answer));
  if (manifests.problems.length > 0) process.stderr.write(`${manifests.problems.map((problem) => `note: ${problem}`).join("\n")}\n`);
}

/** None of a kind that the cluster does not have. */
async function itemsOf(datastore: Datastore, type: ResourceType): Promise<Item[]> {
  try {
    const { items } = await datastore.list<KubeObject>(type);
    return items.map((object) => {
      const at = `${object.metadata.namespace === undefined ? "" : `${object.metadata.namespace}/`}${object.metadata.name}`;
      return { value: { ...object, apiVersion: apiVersionOf(type), kind: type.kind }, at, placeOf: () => at };
    });
  } catch (error) {
    if (isDatastoreError(error, "NotFound")) return [];
    throw error;
  }
}
