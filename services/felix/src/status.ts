/** What felix says of itself and of its kernel. Pure. */
import type { ResolvedEndpoint, ResolvedHostEndpoint } from "@calico/calc";
import type { felix } from "@calico/proto";
import type { RuleCounter } from "./dataplane/rule-counters.ts";
import type { ApplyingDataplane, Engine } from "./engine.ts";

/** Whose counters are read for one question: each takes calls of the kernel. */
const MOST_OWNERS = 16;

export type StatusSources = {
  readonly node: string;
  readonly version: string;
  readonly engine: Omit<Engine, "onStep" | "attach" | "detach" | "restore" | "trigger" | "run">;
  readonly dataplane: Pick<ApplyingDataplane, "isReady" | "failures"> & { overlay(): string; counters(id: string): readonly RuleCounter[] };
  /** How the connection to typha is, in words. */
  readonly connection: string;
};

/** Brief: without the endpoints that are in the kernel and without what applies to the others. */
export function statusOf({ node, version, engine, dataplane, connection }: StatusSources, { brief, countersOf }: felix.StatusRequest): felix.StatusResponse {
  const failures = new Map(dataplane.failures().map(({ id, reason }) => [id, reason]));
  const notCommitted = engine.lastError === "" ? "the dataplane has not committed it" : engine.lastError;
  const inKernel = ({ id }: { readonly id: string }): string => (dataplane.isReady(id) ? "" : (failures.get(id) ?? notCommitted));
  /** Why an endpoint is not protected as it should be; "": it is. */
  const missing = (endpoint: ResolvedEndpoint): string => engine.waitingFor(endpoint.uid) ?? inKernel(endpoint);

  const uses = new Map<string, { endpoints: number; ready: number }>();
  const statusWith = ({ id, interfaceName }: ResolvedEndpoint | ResolvedHostEndpoint, addresses: readonly string[], tiers: ResolvedEndpoint["tiers"], waitingFor: string): felix.EndpointStatus => {
    const policies = [...new Set(tiers.flatMap(({ ingress, egress }) => [...ingress, ...egress]))];
    for (const policy of policies) {
      const { endpoints, ready } = uses.get(policy) ?? { endpoints: 0, ready: 0 };
      uses.set(policy, { endpoints: endpoints + 1, ready: ready + Number(waitingFor === "") });
    }
    return { id, interfaceName, addresses: [...addresses], ready: waitingFor === "", waitingFor, policies };
  };
  const resolved = [
    ...[...engine.endpoints.values()].map((endpoint) => statusWith(endpoint, endpoint.addresses, endpoint.tiers, missing(endpoint))),
    ...[...engine.hostEndpoints.values()].map((endpoint) => statusWith(endpoint, endpoint.expectedIps, [...endpoint.tiers, ...endpoint.untracked, ...endpoint.preDnat], inKernel(endpoint))),
  ];
  const unresolved = engine.unresolved().map(({ endpoint: { id, interfaceName, addresses }, reason }): felix.EndpointStatus => ({ id, interfaceName, addresses: [...addresses], ready: false, waitingFor: reason, policies: [] }));
  const endpoints = [...resolved, ...unresolved];
  return {
    node, version, inSync: engine.isInSync && engine.isApplied, epoch: engine.step?.epoch ?? "", sequence: engine.step?.sequence ?? 0n, commits: BigInt(engine.commits), commitErrors: BigInt(engine.commitErrors),
    lastError: engine.lastError === "" && !engine.isInSync ? connection : engine.lastError, dataplane: "nftables", overlay: dataplane.overlay(),
    endpointCount: endpoints.length, endpointsReady: endpoints.filter(({ ready }) => ready).length,
    endpoints: brief ? endpoints.filter(({ ready }) => !ready).map((endpoint) => ({ ...endpoint, policies: [] })) : endpoints,
    policies: [...engine.revisionsInForce].map(([id, revision]) => {
      const { endpoints: count, ready } = uses.get(id) ?? { endpoints: 0, ready: 0 };
      return { id, revision, endpoints: count, endpointsReady: ready, failure: failures.get(id) ?? "" };
    }),
    ruleCounters: countersOf.slice(0, MOST_OWNERS).flatMap((owner) => dataplane.counters(owner).map(({ direction, rule, tier, packets }): felix.RuleCounter => ({ owner, egress: direction === "egress", rule: rule ?? 0, tier: tier ?? "", packets }))),
  };
}
