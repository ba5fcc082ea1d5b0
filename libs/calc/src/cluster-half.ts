/** The shared half of the calculation: from all objects of a cluster to what each node needs to know. */
import type { EndpointId, HostEndpoint, Labels, NetworkSet, Policy, PolicyId, Profile, ProfileId, Selector, SelectorId, WorkloadEndpoint } from "@calico/model";
import { Demand } from "./cluster/demand.ts";
import { Interest } from "./cluster/interest.ts";
import { OverlayRoutes } from "./cluster/overlay-routes.ts";
import { PlainObjects } from "./cluster/plain-objects.ts";
import { PolicyUses } from "./cluster/policy-uses.ts";
import { SetStore } from "./cluster/set-store.ts";
import type { Contributor } from "./ip-set-members/members-of.ts";
import { LabelIndex } from "./label-index/label-index.ts";
import { SlotSet } from "./label-index/slot-set.ts";
import { Slots } from "./label-index/slots.ts";
import type { IpSetId, NodePolicy, NodeProfile, NodeUpdate, ObjectKey } from "./messages.ts";
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
  /** Selectors evaluated since the start: for one item, and for all at once. */
  readonly evaluations: number;
  readonly bitmaps: number;
};

type Endpoint = WorkloadEndpoint | HostEndpoint;
type HeldPolicy = { readonly key: ObjectKey; readonly selector: Selector; readonly uses: PolicyUses; readonly value: NodePolicy; readonly sets: readonly SetDefinition[] };
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
  /** Numbers of endpoints and network sets. */
  readonly #slots = new Slots();
  readonly #index: LabelIndex;
  readonly #sets: SetStore;
  readonly #policies = new Map<PolicyId, HeldPolicy>();
  /** Of policies that every endpoint has, and of those that only host endpoints have. */
  readonly #uses: PolicyUses;
  readonly #earlyUses: PolicyUses;
  readonly #profiles = new Map<ProfileId, HeldProfile>();
  readonly #endpoints: (Endpoint | undefined)[] = [];
  readonly #endpointsByNode = new Map<string, SlotSet>();
  readonly #networkSets = new Set<string>();
  #endpointCount = 0;
  #hostEndpointCount = 0;

  constructor(sink: ClusterSink) {
    this.#sink = sink;
    this.#interest = new Interest(sink);
    this.#demand = new Demand(this.#interest);
    this.#uses = new PolicyUses(this.#demand);
    this.#earlyUses = new PolicyUses(this.#demand);
    this.#plain = new PlainObjects(sink, this.#interest);
    this.#overlay = new OverlayRoutes(sink, this.#interest);
    this.#index = new LabelIndex({
      onMatchStart: (selector, slot) => {
        this.#sets.onMatchStart(selector, slot);
        this.#queueUse(selector, slot, 1);
      },
      onMatchStop: (selector, slot) => {
        this.#queueUse(selector, slot, -1);
        this.#sets.onMatchStop(selector, slot);
      },
    });
    this.#sets = new SetStore(sink, this.#interest, this.#index);
  }

  onUpdate(update: ClusterUpdate): void {
    switch (update.kind) {
      case "Policy": this.#onPolicy(update.id, update.value); break;
      case "Profile": this.#onProfile(update.id, update.value); break;
      case "WorkloadEndpoint":
      case "HostEndpoint": this.#onEndpoint(update.id, update.value); break;
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
      case "WorkloadEndpoint":
      case "HostEndpoint": return this.#nodeEndpoint(id);
      case "Route": return this.#overlay.valueOf(id);
      default: return this.#plain.valueOf(key);
    }
  }

  *interestOf(node: string): Generator<ObjectKey> {
    yield* this.#interest.of(node);
    for (const slot of this.#endpointsByNode.get(node) ?? []) {
      const endpoint = this.#endpoints[slot];
      if (endpoint !== undefined) yield keyOf(endpoint);
    }
  }

  stats(): ClusterStats {
    return {
      policies: this.#policies.size, profiles: this.#profiles.size, endpoints: this.#endpointCount, hostEndpoints: this.#hostEndpointCount,
      networkSets: this.#networkSets.size, ipSets: this.#sets.size, selectors: this.#index.selectorCount, evaluations: this.#index.evaluations, bitmaps: this.#index.bitmaps,
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
    const held: HeldPolicy = { key: before?.key ?? `Policy:${id}`, selector: policy.selector, uses: isEarly(policy) ? this.#earlyUses : this.#uses, value, sets };
    this.#policies.set(id, held);
    this.#demand.setObject(held.key, sets.map((set) => set.id), () => this.#sink.onValueChange(held.key));
    if (before?.selector.id !== policy.selector.id || before.uses !== held.uses) {
      this.#subscribe(held);
      if (before !== undefined) this.#unsubscribe(before);
    }
    for (const set of before?.sets ?? []) this.#sets.release(set);
  }

  #removePolicy(id: PolicyId, before: HeldPolicy): void {
    this.#demand.removeObject(before.key);
    this.#unsubscribe(before);
    this.#policies.delete(id);
    this.#sink.onValueChange(before.key);
    for (const set of before.sets) this.#sets.release(set);
  }

  #subscribe({ key, selector, uses }: HeldPolicy): void {
    this.#index.acquire(selector);
    uses.add(selector.id, key, () => this.#nodesOf(selector.id, uses));
  }

  #unsubscribe({ key, selector, uses }: HeldPolicy): void {
    uses.remove(selector.id, key);
    this.#index.release(selector);
  }

  /** The node of each endpoint that a selector matches and these uses count, as often as it has such endpoints. */
  *#nodesOf(selector: SelectorId, uses: PolicyUses): Generator<string> {
    for (const slot of this.#index.itemsOf(selector)) {
      const endpoint = this.#endpoints[slot];
      if (endpoint !== undefined && endpoint.node !== "" && (uses === this.#uses || isHost(endpoint))) yield endpoint.node;
    }
  }

  #queueUse(selector: SelectorId, slot: number, by: 1 | -1): void {
    const endpoint = this.#endpoints[slot];
    if (endpoint === undefined || endpoint.node === "") return;
    this.#uses.queue(selector, endpoint.node, by);
    if (isHost(endpoint)) this.#earlyUses.queue(selector, endpoint.node, by);
  }

  /** Members first: a node that begins to need a set reads all its members, and hears only of later changes. */
  #settle(): void {
    this.#sets.flush();
    this.#uses.settle();
    this.#earlyUses.settle();
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
    this.#setProfileLabels(id, profile?.labels ?? null);
    this.#settle();
    for (const set of before?.sets ?? []) this.#sets.release(set);
  }

  #setProfileLabels(id: ProfileId, labels: Labels | null): void {
    const before = this.#index.profileLabels(id);
    const isSame = before === null || labels === null ? before === labels : JSON.stringify(before) === JSON.stringify(labels);
    this.#index.setProfile(id, labels);
    if (isSame) return;
    for (const slot of this.#index.itemsOfProfile(id)) {
      const endpoint = this.#endpoints[slot];
      if (endpoint === undefined) continue;
      this.#sink.onValueChange(keyOf(endpoint));
      if (isHost(endpoint)) this.#sets.setContributor(slot, this.#givenBy(endpoint));
    }
  }

  #onEndpoint(id: EndpointId, endpoint: Endpoint | null): void {
    const known = this.#slots.find(id);
    const before = known === undefined ? undefined : this.#endpoints[known];
    if (known !== undefined && before !== undefined && before.node !== endpoint?.node) this.#removeEndpoint(known, before);
    if (endpoint === null) return;
    const stays = before !== undefined && before.node === endpoint.node;
    const slot = this.#slots.of(id);
    if (!stays) this.#count(endpoint, 1);
    this.#endpoints[slot] = endpoint;
    this.#sink.onValueChange(keyOf(endpoint));
    this.#useProfiles(endpoint, "start");
    if (stays) this.#useProfiles(before, "stop");
    this.#sets.setContributor(slot, isHost(endpoint) ? this.#givenBy(endpoint) : endpoint);
    this.#index.setItem(slot, isHost(endpoint) ? { labels: endpoint.labels, profiles: endpoint.profiles, goesByKnown: true } : endpoint);
    this.#settle();
    if (!stays && endpoint.node !== "") this.#announce(slot, endpoint);
  }

  #removeEndpoint(slot: number, endpoint: Endpoint): void {
    if (endpoint.node !== "") this.#retract(slot, endpoint);
    this.#index.setItem(slot, null);
    this.#sets.setContributor(slot, null);
    this.#settle();
    this.#useProfiles(endpoint, "stop");
    this.#endpoints[slot] = undefined;
    this.#count(endpoint, -1);
    this.#slots.release(endpoint.id);
    this.#sink.onValueChange(keyOf(endpoint));
  }

  #count(endpoint: Endpoint, by: 1 | -1): void {
    if (isHost(endpoint)) this.#hostEndpointCount += by;
    else this.#endpointCount += by;
  }

  /** Policies find a host endpoint by the labels that are known; while a profile is not, it gives nothing to the sets that match it. */
  #givenBy({ profiles, expectedIps, ports }: HostEndpoint): Contributor {
    return profiles.every((id) => this.#index.profileLabels(id) !== null) ? { addresses: expectedIps, ports } : NOTHING;
  }

  /** An endpoint is its node's alone: there is nothing to count. */
  #announce(slot: number, endpoint: Endpoint): void {
    let slots = this.#endpointsByNode.get(endpoint.node);
    if (slots === undefined) this.#endpointsByNode.set(endpoint.node, (slots = new SlotSet()));
    slots.add(slot);
    this.#sink.onInterestStart(endpoint.node, keyOf(endpoint));
  }

  #retract(slot: number, endpoint: Endpoint): void {
    const slots = this.#endpointsByNode.get(endpoint.node);
    slots?.delete(slot);
    if (slots?.size === 0) this.#endpointsByNode.delete(endpoint.node);
    this.#sink.onInterestStop(endpoint.node, keyOf(endpoint));
  }

  #useProfiles({ node, profiles }: Endpoint, change: "start" | "stop"): void {
    if (node !== "") for (const profile of profiles) this.#demand[change](`Profile:${profile}`, node);
  }

  #onNetworkSet(id: string, set: NetworkSet | null): void {
    const item = `netset/${id}`;
    if (set === null) {
      const known = this.#slots.find(item);
      if (known === undefined) return;
      this.#networkSets.delete(item);
      this.#index.setItem(known, null);
      this.#sets.setContributor(known, null);
      this.#slots.release(item);
      return;
    }
    const slot = this.#slots.of(item);
    this.#networkSets.add(item);
    this.#sets.setContributor(slot, set);
    this.#index.setItem(slot, set);
  }

  /** With the labels that are known; until every profile is, the node holds the endpoint of a pod back. */
  #nodeEndpoint(id: string): NodeUpdate | undefined {
    const slot = this.#slots.find(id);
    const endpoint = slot === undefined ? undefined : this.#endpoints[slot];
    if (endpoint === undefined) return undefined;
    const labels = this.#index.knownLabels(endpoint);
    if (isHost(endpoint)) {
      const { node: _node, ...rest } = endpoint;
      return { kind: "HostEndpoint", value: { ...rest, labels } };
    }
    const { node: _node, ...rest } = endpoint;
    return { kind: "WorkloadEndpoint", value: { ...rest, labels } };
  }
}

const NOTHING: Contributor = {};

function isHost(endpoint: Endpoint): endpoint is HostEndpoint {
  return "expectedIps" in endpoint;
}

function keyOf(endpoint: Endpoint): ObjectKey {
  return `${isHost(endpoint) ? "HostEndpoint" : "WorkloadEndpoint"}:${endpoint.id}`;
}

/** A policy of a stage that only packets of hosts pass: no pod has it. */
function isEarly({ doNotTrack, preDnat }: Policy): boolean {
  return doNotTrack || preDnat;
}

function wrap<Kind extends string, Value>(kind: Kind, value: Value | undefined): { readonly kind: Kind; readonly value: Value } | undefined {
  return value === undefined ? undefined : { kind, value };
}
