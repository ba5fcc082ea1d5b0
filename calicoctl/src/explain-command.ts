/** `explain`: why a connection in the cluster is allowed or denied. */
import { apiVersionOf, calicoTypes, coreTypes, isDatastoreError, type Datastore, type KubeObject, type ResourceType } from "@calico/datastore";
import type { Command } from "./arguments.ts";
import { VERSION } from "./commands.ts";
import type { Item } from "./documents.ts";
import { readManifests } from "./manifests.ts";
import { answerProbes, isAnswered, renderAnswer } from "./policy-eval.ts";
import { printable, printableLines } from "./printable.ts";
import { findNats, openQueries, type Environment } from "./queries.ts";
import { countersRequest, countIn, renderCount, wantedCounters, type Direction, type SideCount, type Wanted } from "./rule-counters.ts";
import { CommandError } from "./usage.ts";

/** All that a verdict depends on. */
const KINDS: readonly ResourceType[] = [
  coreTypes.pods, coreTypes.namespaces, coreTypes.serviceAccounts, coreTypes.nodes, coreTypes.endpointSlices, coreTypes.networkPolicies, coreTypes.clusterNetworkPolicies,
  calicoTypes.networkPolicies, calicoTypes.globalNetworkPolicies, calicoTypes.tiers, calicoTypes.networkSets, calicoTypes.globalNetworkSets, calicoTypes.hostEndpoints, calicoTypes.felixConfigurations,
];

type Explain = Extract<Command, { verb: "explain" }>;

/**
 * Reads the cluster and answers as its nodes would, with what their kernels counted; what they cannot use of an object, and why
 * there are no counters, is said on standard error.
 */
export async function explain(command: Explain, datastore: Datastore, env: Environment, say: (text: string) => void): Promise<void> {
  const { from, to, port, protocol, output } = command;
  const items = (await Promise.all(KINDS.map((type) => itemsOf(datastore, type)))).flat();
  const manifests = readManifests(items, "cluster");
  const [answer] = answerProbes(manifests, [{ from, to, port, protocol }]);
  if (answer === undefined || !isAnswered(answer)) throw new CommandError(answer?.error ?? "there is no answer");
  const counts = await countersOf(command, wantedCounters(manifests, answer), datastore, env);
  const linesOf = (direction: "egress" | "ingress"): string[] => (counts[direction] === undefined ? [] : [renderCount(counts[direction])]);
  say(output === "json" ? `${JSON.stringify({ ...answer, counters: counts }, null, 2)}\n` : renderAnswer(answer, { egress: linesOf("egress"), ingress: linesOf("ingress") }));
  if (manifests.problems.length > 0) process.stderr.write(`${manifests.problems.map((problem) => `note: ${printable(problem)}`).join("\n")}\n`);
}

/** Nodes are asked for what they counted; that NATS is not there is said, and no failure. */
async function countersOf({ nats, timeoutMs }: Explain, wanted: readonly Wanted[], datastore: Datastore, env: Environment): Promise<Partial<Record<Direction, SideCount>>> {
  if (wanted.length === 0) return {};
  try {
    const queries = await openQueries(await findNats(nats, env, datastore, `calicoctl/${VERSION}`), timeoutMs);
    try {
      return Object.fromEntries(await Promise.all(wanted.map(async (each) => [each.direction, countIn(await queries.ask(each.node, "felix", countersRequest([each])), each)])));
    } finally {
      await queries.close();
    }
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    process.stderr.write(`note: no counters: ${printableLines(error.message)}\n`);
    return {};
  }
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
