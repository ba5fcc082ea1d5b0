/** The shared half of the calculation: from all objects of a cluster to what each node needs to know. */
import type { EndpointId, HostEndpoint, NetworkSet, Policy, PolicyId, Profile, ProfileId, SelectorId, WorkloadEndpoint } from "@calico/model";
import { Demand } from "./cluster/demand.ts";
import { Interest } from "./cluster/interest.ts";
import { OverlayRoutes } from "./cluster/overlay-routes.ts";
import { PlainObjects } from "./cluster/plain-objects.ts";
import { SetStore } from "./cluster/set-store.ts";
import { Inheritance } from "./label-index/inheritance.ts";
import { LabelIndex } from "./label-index/label-index.ts";
import type { IpSetId, NodeEndpoint, NodeHostEndpoint, NodePolicy, NodeProfile, NodeUpdate, ObjectKey } from "./messages.ts";
import type { ClusterHalf, ClusterSink, ClusterUpdate } from "./ports.ts";
import { scanRules, type SetDefinition } from "./rule-scanner/rule-scanner.ts";

/** Sizes and work done, for metrics. */
export type ClusterStats = {
  readonly policies: number;
  readonly profiles: number;
  readonly endpoints: number;
  readonly hostEndpoints: number;
  readonly networkSets: number;
  readonly ipSets: number;
  readonly selectors: number;
  /** Selectors evaluated since the start. */
  readonly evaluations: number;
};

type HeldPolicy = { readonly policy: Policy; readonly value: NodePolicy; readonly sets: readonly SetDefinition[] };
type HeldProfile = { readonly value: NodeProfile; readonly sets: readonly SetDefinition[] };

/** Creates an empty cluster half that reports to `sink`. */
export function createClusterHalf(sink: ClusterSink): ClusterHalf & { stats(): ClusterStats } {
  return new ClusterCalculator(sink);
}

class ClusterCalculator implements ClusterHalf {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  readonly #demand: Demand;
  readonly #plain: PlainObjects;
  readonly #overlay: OverlayRoutes;
  readonly #inheritance = new Inheritance();
  readonly #index: LabelIndex;
  readonly #sets: SetStore;
  readonly #policies = new Map<PolicyId, HeldPolicy>();
  readonly #policiesBySelector = new Map<SelectorId, Set<PolicyId>>();
  readonly #profiles = new Map<ProfileId, HeldProfile>();
  readonly #endpoints = new Map<string, WorkloadEndpoint>();
  readonly #hostEndpoints = new Map<string, HostEndpoint>();
  readonly #networkSets = new Set<string>();
  #queuedUses: { readonly change: "start" | "stop"; readonly key: ObjectKey; readonly node: string }[] = [];

  constructor(sink: ClusterSink) {
    this.#sink = sink;
    this.#interest = new Interest(sink);
    this.#demand = new Demand(this.#interest);
    this.#plain = new PlainObjects(sink, this.#interest);
    this.#overlay = new OverlayRoutes(sink, this.#interest);
    this.#index = new LabelIndex({
      onMatchStart: (selector, item) => {
        this.#sets.onMatchStart(selector, item);
        this.#queueUses(selector, item, "start");
      },
      onMatchStop: (selector, item) => {
        this.#queueUses(selector, item, "stop");
        this.#sets.onMatchStop(selector, item);
      },
    });
    this.#sets = new SetStore(sink, this.#interest, this.#index);
  }

  onUpdate(update: ClusterUpdate): void {
    switch (update.kind) {
      case "Policy": this.#onPolicy(update.id, update.value); break;
      case "Profile": this.#onProfile(update.id, update.value); break;
      case "WorkloadEndpoint": this.#onEndpoint(update.id, update.value); break;
      case "HostEndpoint": this.#onHostEndpoint(update.id, update.value); break;
      case "NetworkSet": this.#onNetworkSet(update.id, update.value); break;
      case "ServiceSlice": this.#sets.setSlice(update.id, update.value); break;
      case "Node":
        this.#plain.onUpdate(update);
        this.#sets.setNode(update.id, update.value);
        break;
      case "IpPool":
        this.#plain.onUpdate(update);
        this.#overlay.onPool(update.id, update.value);
        break;
      case "Block":
        this.#plain.onUpdate(update);
        this.#overlay.onBlock(update.id, update.value);
        break;
      default: this.#plain.onUpdate(update);
    }
    this.#settle();
  }

  valueOf(key: ObjectKey): NodeUpdate | undefined {
    const colon = key.indexOf(":");
    const id = key.slice(colon + 1);
    switch (key.slice(0, colon)) {
      case "IpSet": return this.#sets.valueOf(id as IpSetId);
      case "Policy": return wrap("Policy", this.#policies.get(id as PolicyId)?.value);
      case "Profile": return wrap("Profile", this.#profiles.get(id as ProfileId)?.value);
      case "WorkloadEndpoint": return wrap("WorkloadEndpoint", this.#nodeEndpoint(id));
      case "HostEndpoint": return wrap("HostEndpoint", this.#nodeHostEndpoint(id));
      case "Route": return this.#overlay.valueOf(id);
      default: return this.#plain.valueOf(key);
    }
  }

  interestOf(node: string): Iterable<ObjectKey> {
    return this.#interest.of(node);
  }

  stats(): ClusterStats {
    return {
      policies: this.#policies.size, profiles: this.#profiles.size, endpoints: this.#endpoints.size, hostEndpoints: this.#hostEndpoints.size,
      networkSets: this.#networkSets.size, ipSets: this.#sets.size, selectors: this.#index.selectorCount, evaluations: this.#index.evaluations,
    };
  }

  #onPolicy(id: PolicyId, policy: Policy | null): void {
    const before = this.#policies.get(id);
    if (policy === null) {
      if (before !== undefined) this.#removePolicy(id, before);
      return;
    }
    const { inbound, outbound, sets } = scanRules(policy.inbound, policy.outbound);
    for (const set of sets) this.#sets.acquire(set);
    const value: NodePolicy = { ...policy, selector: policy.selector.text, inbound, outbound };
    this.#policies.set(id, { policy, value, sets });
    this.#demand.setObject(`Policy:${id}`, sets.map((set) => set.id), () => this.#sink.onValueChange(`Policy:${id}`));
    if (before?.policy.selector.id !== policy.selector.id) this.#subscribe(id, policy);
    if (before?.policy.selector.id !== policy.selector.id || isEarly(before.policy) !== isEarly(policy)) {
      for (const node of this.#nodesOf(policy)) this.#demand.start(`Policy:${id}`, node);
      if (before !== undefined) for (const node of this.#nodesOf(before.policy)) this.#demand.stop(`Policy:${id}`, node);
    }
    if (before !== undefined && before.policy.selector.id !== policy.selector.id) this.#unsubscribe(id, before.policy);
    for (const set of before?.sets ?? []) this.#sets.release(set);
  }

  #removePolicy(id: PolicyId, before: HeldPolicy): void {
    this.#demand.removeObject(`Policy:${id}`);
    for (const node of this.#nodesOf(before.policy)) this.#demand.stop(`Policy:${id}`, node);
    this.#unsubscribe(id, before.policy);
    this.#policies.delete(id);
    this.#sink.onValueChange(`Policy:${id}`);
    for (const set of before.sets) this.#sets.release(set);
  }

  #subscribe(id: PolicyId, { selector }: Policy): void {
    this.#index.acquire(selector);
    const policies = this.#policiesBySelector.get(selector.id);
    if (policies === undefined) this.#policiesBySelector.set(selector.id, new Set([id]));
    else policies.add(id);
  }

  #unsubscribe(id: PolicyId, { selector }: Policy): void {
    const policies = this.#policiesBySelector.get(selector.id);
    policies?.delete(id);
    if (policies?.size === 0) this.#policiesBySelector.delete(selector.id);
    this.#index.release(selector);
  }

  /** The node of each endpoint that a policy is for, as often as it has such endpoints. */
  *#nodesOf(policy: Policy): Generator<string> {
    for (const item of this.#index.itemsOf(policy.selector.id)) {
      const node = this.#nodeWith(item, policy);
      if (node !== "") yield node;
    }
  }

  /** The node on which an item needs a policy that selects it, or "". */
  #nodeWith(item: string, policy: Policy): string {
    return this.#hostEndpoints.get(item)?.node ?? (isEarly(policy) ? "" : (this.#endpoints.get(item)?.node ?? ""));
  }

  #queueUses(selector: SelectorId, item: string, change: "start" | "stop"): void {
    for (const id of this.#policiesBySelector.get(selector) ?? []) {
      const policy = this.#policies.get(id)?.policy;
      const node = policy === undefined ? "" : this.#nodeWith(item, policy);
      if (node !== "") this.#queuedUses.push({ change, key: `Policy:${id}`, node });
    }
  }

  /** Members first: a node that begins to need a set reads all its members, and hears only of later changes. */
  #settle(): void {
    this.#sets.flush();
    for (const { change, key, node } of this.#queuedUses) this.#demand[change](key, node);
    this.#queuedUses = [];
  }

  #onProfile(id: ProfileId, profile: Profile | null): void {
    const before = this.#profiles.get(id);
    if (profile === null) {
      this.#demand.removeObject(`Profile:${id}`);
      this.#profiles.delete(id);
      if (before !== undefined) this.#sink.onValueChange(`Profile:${id}`);
    } else {
      const { inbound, outbound, sets } = scanRules(profile.inbound, profile.outbound);
      for (const set of sets) this.#sets.acquire(set);
      this.#profiles.set(id, { value: { id, inbound, outbound }, sets });
      this.#demand.setObject(`Profile:${id}`, sets.map((set) => set.id), () => this.#sink.onValueChange(`Profile:${id}`));
    }
    for (const item of this.#inheritance.setProfile(id, profile?.labels ?? null)) {
      const host = this.#hostEndpoints.get(item);
      if (host !== undefined) {
        this.#sink.onValueChange(`HostEndpoint:${item}`);
        this.#placeHostEndpoint(host);
        continue;
      }
      if (this.#endpoints.has(item)) this.#sink.onValueChange(`WorkloadEndpoint:${item}`);
      this.#index.setLabels(item, this.#inheritance.effectiveLabels(item));
    }
    this.#settle();
    for (const set of before?.sets ?? []) this.#sets.release(set);
  }

  #onEndpoint(id: EndpointId, endpoint: WorkloadEndpoint | null): void {
    const before = this.#endpoints.get(id);
    if (before !== undefined && before.node !== endpoint?.node) this.#removeEndpoint(before);
    if (endpoint === null) return;
    const stays = before !== undefined && before.node === endpoint.node;
    this.#endpoints.set(id, endpoint);
    this.#inheritance.setItem(id, endpoint);
    this.#sink.onValueChange(`WorkloadEndpoint:${id}`);
    this.#useProfiles(endpoint, "start");
    if (stays) this.#useProfiles(before, "stop");
    this.#sets.setContributor(id, { addresses: [...new Set(endpoint.addresses)], ports: endpoint.ports, nets: [] });
    this.#index.setLabels(id, this.#inheritance.effectiveLabels(id));
    this.#settle();
    if (!stays && endpoint.node !== "") this.#interest.start(endpoint.node, `WorkloadEndpoint:${id}`);
  }

  #removeEndpoint(endpoint: WorkloadEndpoint): void {
    const { id, node } = endpoint;
    if (node !== "") this.#interest.stop(node, `WorkloadEndpoint:${id}`);
    this.#index.setLabels(id, null);
    this.#sets.setContributor(id, null);
    this.#settle();
    this.#useProfiles(endpoint, "stop");
    this.#inheritance.setItem(id, null);
    this.#endpoints.delete(id);
    this.#sink.onValueChange(`WorkloadEndpoint:${id}`);
  }

  #onHostEndpoint(id: EndpointId, endpoint: HostEndpoint | null): void {
    const before = this.#hostEndpoints.get(id);
    if (before !== undefined && before.node !== endpoint?.node) this.#removeHostEndpoint(before);
    if (endpoint === null) return;
    const stays = before !== undefined && before.node === endpoint.node;
    this.#hostEndpoints.set(id, endpoint);
    this.#inheritance.setItem(id, endpoint);
    this.#sink.onValueChange(`HostEndpoint:${id}`);
    this.#useProfiles(endpoint, "start");
    if (stays) this.#useProfiles(before, "stop");
    this.#placeHostEndpoint(endpoint);
    this.#settle();
    if (!stays) this.#interest.start(endpoint.node, `HostEndpoint:${id}`);
  }

  #removeHostEndpoint(endpoint: HostEndpoint): void {
    const { id, node } = endpoint;
    this.#interest.stop(node, `HostEndpoint:${id}`);
    this.#index.setLabels(id, null);
    this.#sets.setContributor(id, null);
    this.#settle();
    this.#useProfiles(endpoint, "stop");
    this.#inheritance.setItem(id, null);
    this.#hostEndpoints.delete(id);
    this.#sink.onValueChange(`HostEndpoint:${id}`);
  }

  /** Policies find it by the labels that are known; while a profile is not, it is in no set. */
  #placeHostEndpoint({ id, expectedIps, ports }: HostEndpoint): void {
    const isKnown = this.#inheritance.effectiveLabels(id) !== null;
    this.#sets.setContributor(id, isKnown ? { addresses: [...new Set(expectedIps)], ports, nets: [] } : null);
    this.#index.setLabels(id, this.#inheritance.knownLabels(id));
  }

  #useProfiles({ node, profiles }: WorkloadEndpoint | HostEndpoint, change: "start" | "stop"): void {
    if (node !== "") for (const profile of profiles) this.#demand[change](`Profile:${profile}`, node);
  }

  #onNetworkSet(id: string, set: NetworkSet | null): void {
    const item = `netset/${id}`;
    if (set === null) this.#networkSets.delete(item);
    else this.#networkSets.add(item);
    this.#inheritance.setItem(item, set);
    if (set !== null) this.#sets.setContributor(item, { addresses: [], ports: [], nets: set.nets });
    this.#index.setLabels(item, this.#inheritance.effectiveLabels(item));
    if (set === null) this.#sets.setContributor(item, null);
  }

  /** With the labels that are known; until every profile is, the node holds the endpoint back. */
  #nodeEndpoint(id: string): NodeEndpoint | undefined {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) return undefined;
    const { node: _node, ...rest } = endpoint;
    return { ...rest, labels: this.#inheritance.knownLabels(id) };
  }

  #nodeHostEndpoint(id: string): NodeHostEndpoint | undefined {
    const endpoint = this.#hostEndpoints.get(id);
    if (endpoint === undefined) return undefined;
    const { node: _node, ...rest } = endpoint;
    return { ...rest, labels: this.#inheritance.knownLabels(id) };
  }
}

/** A policy of a stage that only packets of hosts pass: no pod has it. */
function isEarly({ doNotTrack, preDnat }: Policy): boolean {
  return doNotTrack || preDnat;
}

function wrap<Kind extends string, Value>(kind: Kind, value: Value | undefined): { readonly kind: Kind; readonly value: Value } | undefined {
  return value === undefined ? undefined : { kind, value };
}
