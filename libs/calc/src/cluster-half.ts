/** The shared half of the calculation: from all objects of a cluster to what each node needs to know. */
import type { EndpointId, Labels, NetworkSet, Policy, PolicyId, Profile, ProfileId, Selector, SelectorId, WorkloadEndpoint } from "@calico/model";
import { Demand } from "./cluster/demand.ts";
import { Interest } from "./cluster/interest.ts";
import { OverlayRoutes } from "./cluster/overlay-routes.ts";
import { PlainObjects } from "./cluster/plain-objects.ts";
import { PolicyUses } from "./cluster/policy-uses.ts";
import { SetStore } from "./cluster/set-store.ts";
import { LabelIndex } from "./label-index/label-index.ts";
import { SlotSet } from "./label-index/slot-set.ts";
import { Slots } from "./label-index/slots.ts";
import type { IpSetId, NodeEndpoint, NodePolicy, NodeProfile, NodeUpdate, ObjectKey } from "./messages.ts";
import type { ClusterHalf, ClusterSink, ClusterUpdate } from "./ports.ts";
import { scanRules, type SetDefinition } from "./rule-scanner/rule-scanner.ts";

/** Sizes and work done, for metrics. */
export type ClusterStats = {
  readonly policies: number;
  readonly profiles: number;
  readonly endpoints: number;
  readonly networkSets: number;
  readonly ipSets: number;
  readonly selectors: number;
  /** Selectors evaluated since the start: for one item, and for all at once. */
  readonly evaluations: number;
  readonly bitmaps: number;
};

type HeldPolicy = { readonly key: ObjectKey; readonly selector: Selector; readonly value: NodePolicy; readonly sets: readonly SetDefinition[] };
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
  readonly #uses: PolicyUses;
  readonly #profiles = new Map<ProfileId, HeldProfile>();
  readonly #endpoints: (WorkloadEndpoint | undefined)[] = [];
  readonly #endpointsByNode = new Map<string, SlotSet>();
  readonly #networkSets = new Set<string>();
  #endpointCount = 0;

  constructor(sink: ClusterSink) {
    this.#sink = sink;
    this.#interest = new Interest(sink);
    this.#demand = new Demand(this.#interest);
    this.#uses = new PolicyUses(this.#demand);
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
      case "WorkloadEndpoint": this.#onEndpoint(update.id, update.value); break;
      case "NetworkSet": this.#onNetworkSet(update.id, update.value); break;
      case "ServiceSlice": this.#sets.setSlice(update.id, update.value); break;
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
      case "Route": return this.#overlay.valueOf(id);
      default: return this.#plain.valueOf(key);
    }
  }

  *interestOf(node: string): Generator<ObjectKey> {
    yield* this.#interest.of(node);
    for (const slot of this.#endpointsByNode.get(node) ?? []) yield `WorkloadEndpoint:${this.#slots.idOf(slot)}`;
  }

  stats(): ClusterStats {
    return {
      policies: this.#policies.size, profiles: this.#profiles.size, endpoints: this.#endpointCount,
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
    const held: HeldPolicy = { key: before?.key ?? `Policy:${id}`, selector: policy.selector, value, sets };
    this.#policies.set(id, held);
    this.#demand.setObject(held.key, sets.map((set) => set.id), () => this.#sink.onValueChange(held.key));
    if (before?.selector.id !== policy.selector.id) {
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

  #subscribe({ key, selector }: HeldPolicy): void {
    this.#index.acquire(selector);
    this.#uses.add(selector.id, key, () => this.#nodesOf(selector.id));
  }

  #unsubscribe({ key, selector }: HeldPolicy): void {
    this.#uses.remove(selector.id, key);
    this.#index.release(selector);
  }

  /** The node of each endpoint that a selector matches, as often as it has such endpoints. */
  *#nodesOf(selector: SelectorId): Generator<string> {
    for (const slot of this.#index.itemsOf(selector)) {
      const node = this.#endpoints[slot]?.node ?? "";
      if (node !== "") yield node;
    }
  }

  #queueUse(selector: SelectorId, slot: number, by: 1 | -1): void {
    const node = this.#endpoints[slot]?.node ?? "";
    if (node !== "") this.#uses.queue(selector, node, by);
  }

  /** Members first: a node that begins to need a set reads all its members, and hears only of later changes. */
  #settle(): void {
    this.#sets.flush();
    this.#uses.settle();
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
    for (const slot of this.#index.itemsOfProfile(id)) if (this.#endpoints[slot] !== undefined) this.#sink.onValueChange(`WorkloadEndpoint:${this.#slots.idOf(slot)}`);
  }

  #onEndpoint(id: EndpointId, endpoint: WorkloadEndpoint | null): void {
    const known = this.#slots.find(id);
    const before = known === undefined ? undefined : this.#endpoints[known];
    if (known !== undefined && before !== undefined && before.node !== endpoint?.node) this.#removeEndpoint(known, before);
    if (endpoint === null) return;
    const stays = before !== undefined && before.node === endpoint.node;
    const slot = this.#slots.of(id);
    if (!stays) this.#endpointCount += 1;
    this.#endpoints[slot] = endpoint;
    this.#sink.onValueChange(`WorkloadEndpoint:${id}`);
    this.#useProfiles(endpoint, "start");
    if (stays) this.#useProfiles(before, "stop");
    this.#sets.setContributor(slot, endpoint);
    this.#index.setItem(slot, endpoint);
    this.#settle();
    if (!stays && endpoint.node !== "") this.#announce(endpoint.node, slot, id);
  }

  #removeEndpoint(slot: number, endpoint: WorkloadEndpoint): void {
    const { id, node } = endpoint;
    if (node !== "") this.#retract(node, slot, id);
    this.#index.setItem(slot, null);
    this.#sets.setContributor(slot, null);
    this.#settle();
    this.#useProfiles(endpoint, "stop");
    this.#endpoints[slot] = undefined;
    this.#endpointCount -= 1;
    this.#slots.release(slot);
    this.#sink.onValueChange(`WorkloadEndpoint:${id}`);
  }

  /** An endpoint is its node's alone: there is nothing to count. */
  #announce(node: string, slot: number, id: EndpointId): void {
    let slots = this.#endpointsByNode.get(node);
    if (slots === undefined) this.#endpointsByNode.set(node, (slots = new SlotSet()));
    slots.add(slot);
    this.#sink.onInterestStart(node, `WorkloadEndpoint:${id}`);
  }

  #retract(node: string, slot: number, id: EndpointId): void {
    const slots = this.#endpointsByNode.get(node);
    slots?.delete(slot);
    if (slots?.size === 0) this.#endpointsByNode.delete(node);
    this.#sink.onInterestStop(node, `WorkloadEndpoint:${id}`);
  }

  #useProfiles({ node, profiles }: WorkloadEndpoint, change: "start" | "stop"): void {
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
      this.#slots.release(known);
      return;
    }
    const slot = this.#slots.of(item);
    this.#networkSets.add(item);
    this.#sets.setContributor(slot, set);
    this.#index.setItem(slot, set);
  }

  /** With the labels that are known; until every profile is, the node holds the endpoint back. */
  #nodeEndpoint(id: string): NodeEndpoint | undefined {
    const slot = this.#slots.find(id);
    const endpoint = slot === undefined ? undefined : this.#endpoints[slot];
    if (slot === undefined || endpoint === undefined) return undefined;
    const { node: _node, ...rest } = endpoint;
    return { ...rest, labels: this.#index.knownLabels(slot) };
  }
}

function wrap<Kind extends string, Value>(kind: Kind, value: Value | undefined): { readonly kind: Kind; readonly value: Value } | undefined {
  return value === undefined ? undefined : { kind, value };
}
