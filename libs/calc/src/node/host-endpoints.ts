/** Host endpoints of the node, with the policies of each place where a packet meets them. */
import type { EndpointId, PolicyId, ProfileId } from "@calico/model";
import type { NodeHostEndpoint, NodePolicy, NodeProfile } from "../messages.ts";
import type { EndpointTier, HostEndpointSink, ResolvedHostEndpoint } from "../ports.ts";
import type { Matching } from "./matching.ts";
import type { PolicyOrder } from "./policy-order.ts";
import type { RuleObjects } from "./rule-objects.ts";

export type HostEndpointInputs = {
  readonly policies: RuleObjects<PolicyId, NodePolicy>;
  readonly profiles: RuleObjects<ProfileId, NodeProfile>;
  readonly order: PolicyOrder;
  readonly matching: Matching;
  readonly sink: HostEndpointSink;
};

/** Holds what was told and what was reported; says nothing of ids that are no host endpoint's. */
export class HostEndpoints {
  readonly #inputs: HostEndpointInputs;
  readonly #told = new Map<EndpointId, NodeHostEndpoint>();
  /** What the dataplane was given last. */
  readonly #reported = new Map<EndpointId, ResolvedHostEndpoint>();
  #updated: ResolvedHostEndpoint[] = [];
  #removed: EndpointId[] = [];

  constructor(inputs: HostEndpointInputs) {
    this.#inputs = inputs;
  }

  get ids(): Iterable<EndpointId> {
    return this.#told.keys();
  }

  /** Those that name a profile. */
  *with(profile: ProfileId): Generator<EndpointId> {
    for (const { id, profiles } of this.#told.values()) if (profiles.includes(profile)) yield id;
  }

  set(endpoint: NodeHostEndpoint): void {
    this.#told.set(endpoint.id, endpoint);
    this.#inputs.matching.setEndpoint(endpoint.id, endpoint.labels);
  }

  remove(id: EndpointId): void {
    if (this.#told.delete(id)) this.#inputs.matching.setEndpoint(id, null);
  }

  /** Works out what may have changed, and takes policies and profiles into use: before these are reported. */
  resolve(ids: Iterable<EndpointId>): void {
    for (const id of ids) {
      const endpoint = this.#told.get(id);
      const before = this.#reported.get(id);
      const after = endpoint === undefined ? undefined : this.#resolved(endpoint);
      if (JSON.stringify(before) === JSON.stringify(after)) continue;
      if (after === undefined) {
        this.#reported.delete(id);
        this.#removed.push(id);
      } else {
        this.#reported.set(id, after);
        this.#updated.push(after);
        this.#count(after, "acquire");
      }
      if (before !== undefined) this.#count(before, "release");
    }
  }

  /** To be called when policies and profiles were reported, and before their removals are. */
  report(): void {
    for (const endpoint of this.#updated) this.#inputs.sink.onHostEndpointUpdate(endpoint);
    for (const id of this.#removed) this.#inputs.sink.onHostEndpointRemove(id);
    this.#updated = [];
    this.#removed = [];
  }

  #resolved({ id, name, interfaceName, expectedIps, profiles: named }: NodeHostEndpoint): ResolvedHostEndpoint {
    const { matching, order, profiles } = this.#inputs;
    const tiersOf = (includes: (policy: NodePolicy) => boolean): EndpointTier[] => order.inTiers(matching.policiesOf(id), includes);
    const isNormal = ({ doNotTrack, preDnat }: NodePolicy): boolean => !doNotTrack && !preDnat;
    return {
      id, name, interfaceName, expectedIps,
      tiers: tiersOf(isNormal),
      untracked: tiersOf(({ doNotTrack }) => doNotTrack),
      preDnat: tiersOf(({ preDnat, doNotTrack, ingress }) => preDnat && !doNotTrack && ingress).map((tier) => ({ ...tier, egress: [] })),
      forward: tiersOf((policy) => isNormal(policy) && policy.applyOnForward),
      profiles: named.filter((profile) => profiles.get(profile) !== undefined),
    };
  }

  /** What an endpoint refers to is in force as long as it is. */
  #count({ tiers, untracked, preDnat, profiles }: ResolvedHostEndpoint, how: "acquire" | "release"): void {
    const used = [...tiers, ...untracked, ...preDnat].flatMap(({ ingress, egress }) => [...ingress, ...egress]);
    for (const id of new Set(used)) this.#inputs.policies[how](id);
    for (const id of profiles) this.#inputs.profiles[how](id);
  }
}
