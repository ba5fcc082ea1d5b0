/** What one node was told, joined with the interfaces that exist, as what its dataplane shall hold. */
import { parseCanonicalSelector, selector, type EndpointId, type PolicyId, type ProfileId } from "@calico/model";
import type { IpSetId, NodeBlock, NodeEndpoint, NodePolicy, NodePool, NodeProfile, NodeRule, NodeUpdate, RemovableKind } from "./messages.ts";
import { HostEndpoints } from "./node/host-endpoints.ts";
import { Matching } from "./node/matching.ts";
import { Overlay } from "./node/overlay.ts";
import { NodeSets } from "./node/node-sets.ts";
import { PolicyOrder } from "./node/policy-order.ts";
import { RuleObjects } from "./node/rule-objects.ts";
import type { Attachment, DataplaneSink, NodeHalf, ResolvedEndpoint } from "./ports.ts";

/** Of a selector that cannot be read here (a newer typha wrote it) nobody knows whom it protects, so it is for everybody, and opens nothing. */
const EVERYBODY = selector("all()");

/** `node` is the name of this node. */
export function createNodeHalf({ node, sink }: { readonly node: string; readonly sink: DataplaneSink }): NodeHalf {
  return new NodeCalculator(node, sink);
}

class NodeCalculator implements NodeHalf {
  readonly #sink: DataplaneSink;
  readonly #sets: NodeSets;
  readonly #policies: RuleObjects<PolicyId, NodePolicy>;
  readonly #profiles: RuleObjects<ProfileId, NodeProfile>;
  readonly #order = new PolicyOrder();
  readonly #endpoints = new Map<EndpointId, NodeEndpoint>();
  readonly #byUid = new Map<string, EndpointId>();
  readonly #attachments = new Map<string, Attachment>();
  /** Uids of pods whose interface was taken away: the addresses that the API still shows are nobody's. */
  readonly #detached = new Set<string>();
  readonly #matching = new Matching();
  readonly #hosts: HostEndpoints;
  readonly #pools: PlainReports<NodePool>;
  readonly #blocks: PlainReports<NodeBlock>;
  readonly #overlay: Overlay;
  readonly #dirtyEndpoints = new Set<EndpointId>();
  /** What the dataplane was given last. */
  readonly #reported = new Map<EndpointId, ResolvedEndpoint>();
  /** Keys repeated since the snapshot began; null outside of one. */
  #repeated: Set<string> | null = null;
  #inSync = false;

  constructor(node: string, sink: DataplaneSink) {
    this.#sink = sink;
    this.#overlay = new Overlay(node, sink);
    this.#sets = new NodeSets(sink);
    this.#policies = new RuleObjects(this.#sets, { onUpdate: (policy) => sink.onPolicyUpdate(policy), onRemove: (id) => sink.onPolicyRemove(id) });
    this.#profiles = new RuleObjects(this.#sets, { onUpdate: (profile) => sink.onProfileUpdate(profile), onRemove: (id) => sink.onProfileRemove(id) });
    this.#hosts = new HostEndpoints({ policies: this.#policies, profiles: this.#profiles, order: this.#order, matching: this.#matching, sink });
    this.#pools = new PlainReports((pool) => sink.onPoolUpdate(pool), (name) => sink.onPoolRemove(name));
    this.#blocks = new PlainReports((block) => sink.onBlockUpdate(block), (cidr) => sink.onBlockRemove(cidr));
  }

  onUpdate(update: NodeUpdate): void {
    switch (update.kind) {
      case "IpSet":
        this.#note("IpSet", update.id);
        if (this.#sets.replace(update.id, update.type, update.members)) this.#onSetPresence(update.id);
        return;
      case "IpSetDelta": return this.#sets.change(update.id, update.added, update.removed);
      case "Policy": return this.#onPolicy(update.value);
      case "Profile": return this.#onProfile(update.value);
      case "Tier":
        this.#note("Tier", update.value.name);
        this.#order.setTier(update.value.name, update.value);
        return this.#onTierChange(update.value.name);
      case "WorkloadEndpoint": return this.#onEndpoint(update.value);
      case "HostEndpoint":
        this.#note("HostEndpoint", update.value.id);
        this.#hosts.set(update.value);
        this.#dirtyEndpoints.add(update.value.id);
        return;
      case "IpPool":
        this.#note("IpPool", update.value.name);
        return this.#pools.set(update.value.name, update.value);
      case "Block":
        this.#note("Block", update.value.cidr);
        return this.#blocks.set(update.value.cidr, update.value);
      case "Node":
        this.#note("Node", update.value.name);
        return this.#overlay.setNode(update.value.name, update.value);
      case "Route":
        this.#note("Route", update.value.destination);
        return this.#overlay.setRoute(update.value.destination, update.value);
      case "Remove": return this.#onRemove(update.of, update.id);
      default:
    }
  }

  onSnapshotStart(): void {
    this.#repeated = new Set();
  }

  onInSync(): void {
    this.#inSync = true;
    const repeated = this.#repeated;
    this.#repeated = null;
    if (repeated === null) return;
    const known: Partial<Record<RemovableKind, Iterable<string>>> = {
      IpSet: this.#sets.ids, Policy: this.#policies.ids, Profile: this.#profiles.ids, Tier: this.#order.tierNames, WorkloadEndpoint: this.#endpoints.keys(), HostEndpoint: this.#hosts.ids, IpPool: this.#pools.ids, Block: this.#blocks.ids,
      Node: this.#overlay.nodeNames, Route: this.#overlay.destinations,
    };
    for (const [kind, ids] of Object.entries(known)) for (const id of [...ids]) if (!repeated.has(`${kind}:${id}`)) this.#onRemove(kind as RemovableKind, id);
  }

  onAttach(attachment: Attachment): void {
    this.#attachments.set(attachment.uid, attachment);
    this.#detached.delete(attachment.uid);
    this.#touchUid(attachment.uid);
  }

  onDetach(uid: string, containerId: string): void {
    if (this.#attachments.get(uid)?.containerId !== containerId) return;
    this.#attachments.delete(uid);
    if (this.#byUid.has(uid)) this.#detached.add(uid);
    this.#touchUid(uid);
  }

  flush(): void {
    if (!this.#inSync) return;
    this.#hosts.resolve(this.#dirtyEndpoints);
    const { updated, removed } = this.#resolveDirty();
    this.#policies.settle();
    this.#profiles.settle();
    this.#pools.report();
    this.#blocks.report();
    this.#overlay.report();
    this.#sets.report();
    this.#policies.report();
    this.#profiles.report();
    for (const endpoint of updated) this.#sink.onEndpointUpdate(endpoint);
    for (const id of removed) this.#sink.onEndpointRemove(id);
    this.#hosts.report();
    this.#profiles.reportRemovals();
    this.#policies.reportRemovals();
    this.#sets.reportRemovals();
    this.#overlay.reportRemovals();
  }

  waitingFor(uid: string): string | null {
    if (!this.#inSync) return "the first snapshot from typha has not arrived";
    const id = this.#byUid.get(uid);
    const endpoint = id === undefined ? undefined : this.#endpoints.get(id);
    if (endpoint === undefined) return `the pod with uid ${uid} was not announced by typha yet`;
    const result = this.#resolve(endpoint);
    if (typeof result === "string") return result;
    for (const policy of new Set(result.tiers.flatMap(({ ingress, egress }) => [...ingress, ...egress]))) {
      const missing = this.#policies.missingSetOf(policy);
      if (missing !== undefined) return `set ${missing} of policy ${policy} has not arrived`;
    }
    return null;
  }

  unresolved(): readonly { readonly endpoint: NodeEndpoint; readonly reason: string }[] {
    return [...this.#endpoints.values()].flatMap((endpoint) => {
      const result = this.#reported.has(endpoint.id) ? null : this.#resolve(endpoint);
      return typeof result === "string" ? [{ endpoint, reason: result }] : [];
    });
  }

  #note(kind: RemovableKind, id: string): void {
    this.#repeated?.add(`${kind}:${id}`);
  }

  #touchUid(uid: string): void {
    const id = this.#byUid.get(uid);
    if (id !== undefined) this.#dirtyEndpoints.add(id);
  }

  #touch(ids: Iterable<EndpointId>): void {
    for (const id of ids) this.#dirtyEndpoints.add(id);
  }

  #onSetPresence(id: IpSetId): void {
    this.#policies.onSetPresence(id);
    this.#profiles.onSetPresence(id);
  }

  #onPolicy(told: NodePolicy): void {
    const parsed = parseCanonicalSelector(told.selector);
    const policy = parsed.ok ? told : { ...told, inbound: onlyDenying(told.inbound), outbound: onlyDenying(told.outbound) };
    this.#note("Policy", policy.id);
    const before = this.#policies.get(policy.id);
    this.#policies.set(policy.id, policy);
    this.#order.setPolicy(policy.id, policy);
    this.#touch(this.#matching.setPolicy(policy.id, parsed.ok ? parsed.selector : EVERYBODY));
    if (before !== undefined && placeOf(before) !== placeOf(policy)) this.#touch(this.#matching.endpointsOf(policy.id));
  }

  #onProfile(profile: NodeProfile): void {
    this.#note("Profile", profile.id);
    const isNew = this.#profiles.get(profile.id) === undefined;
    this.#profiles.set(profile.id, profile);
    if (isNew) this.#touchProfile(profile.id);
  }

  #touchProfile(id: ProfileId): void {
    for (const endpoint of this.#endpoints.values()) if (endpoint.profiles.includes(id)) this.#dirtyEndpoints.add(endpoint.id);
    this.#touch(this.#hosts.with(id));
  }

  #onTierChange(name: string): void {
    for (const id of this.#policies.ids) if (this.#policies.get(id)?.tier === name) this.#touch(this.#matching.endpointsOf(id));
  }

  #onEndpoint(endpoint: NodeEndpoint): void {
    this.#note("WorkloadEndpoint", endpoint.id);
    const before = this.#endpoints.get(endpoint.id);
    if (before !== undefined && before.uid !== endpoint.uid) this.#forgetUid(before);
    this.#endpoints.set(endpoint.id, endpoint);
    this.#byUid.set(endpoint.uid, endpoint.id);
    this.#matching.setEndpoint(endpoint.id, endpoint.labels);
    this.#dirtyEndpoints.add(endpoint.id);
  }

  #forgetUid({ uid, id }: NodeEndpoint): void {
    if (this.#byUid.get(uid) !== id) return;
    this.#byUid.delete(uid);
    this.#detached.delete(uid);
  }

  #onRemove(of: RemovableKind, id: string): void {
    switch (of) {
      case "IpSet":
        if (this.#sets.remove(id as IpSetId)) this.#onSetPresence(id as IpSetId);
        return;
      case "Policy":
        if (!this.#policies.remove(id as PolicyId)) return;
        this.#order.setPolicy(id as PolicyId, null);
        this.#touch(this.#matching.setPolicy(id as PolicyId, null));
        return;
      case "Profile":
        if (this.#profiles.remove(id as ProfileId)) this.#touchProfile(id as ProfileId);
        return;
      case "Tier":
        if (this.#order.setTier(id, null)) this.#onTierChange(id);
        return;
      case "WorkloadEndpoint": {
        const endpoint = this.#endpoints.get(id as EndpointId);
        if (endpoint === undefined) return;
        this.#forgetUid(endpoint);
        this.#endpoints.delete(endpoint.id);
        this.#matching.setEndpoint(endpoint.id, null);
        this.#dirtyEndpoints.add(endpoint.id);
        return;
      }
      case "HostEndpoint":
        this.#hosts.remove(id as EndpointId);
        this.#dirtyEndpoints.add(id as EndpointId);
        return;
      case "IpPool": return this.#pools.set(id, null);
      case "Block": return this.#blocks.set(id, null);
      case "Node": return this.#overlay.setNode(id, null);
      case "Route": return this.#overlay.setRoute(id, null);
      default:
    }
  }

  /** The endpoint as its dataplane shall know it; or in words what is missing. */
  #resolve(endpoint: NodeEndpoint): ResolvedEndpoint | string {
    const attachment = this.#attachments.get(endpoint.uid);
    const addresses = attachment?.addresses ?? endpoint.addresses;
    const { id, uid, namespace, pod, profiles, allowedSourcePrefixes } = endpoint;
    if (this.#detached.has(uid)) return `the interface of pod ${namespace}/${pod} was taken away`;
    if (addresses.length === 0) return `pod ${namespace}/${pod} has no address and no interface yet`;
    const absent = profiles.find((profile) => this.#profiles.get(profile) === undefined);
    if (absent !== undefined) return `profile ${absent} of pod ${namespace}/${pod} has not arrived (is its namespace or service account known?)`;
    const tiers = this.#order.inTiers(this.#matching.policiesOf(id), isForPods);
    return { id, uid, namespace, pod, interfaceName: attachment?.interfaceName ?? endpoint.interfaceName, addresses, tiers, profiles, ...(allowedSourcePrefixes === undefined ? {} : { allowedSourcePrefixes }) };
  }

  #resolveDirty(): { updated: ResolvedEndpoint[]; removed: EndpointId[] } {
    const updated: ResolvedEndpoint[] = [];
    const removed: EndpointId[] = [];
    for (const id of this.#dirtyEndpoints) {
      const endpoint = this.#endpoints.get(id);
      const result = endpoint === undefined ? "gone" : this.#resolve(endpoint);
      const before = this.#reported.get(id);
      if (typeof result === "string") {
        if (before === undefined) continue;
        this.#reported.delete(id);
        removed.push(id);
      } else {
        if (before !== undefined && isSame(before, result)) continue;
        this.#reported.set(id, result);
        updated.push(result);
        this.#count(result, "acquire");
      }
      if (before !== undefined) this.#count(before, "release");
    }
    this.#dirtyEndpoints.clear();
    return { updated, removed };
  }

  /** What an endpoint refers to is in force as long as it is. */
  #count({ tiers, profiles }: ResolvedEndpoint, how: "acquire" | "release"): void {
    for (const { ingress, egress } of tiers) for (const id of new Set([...ingress, ...egress])) this.#policies[how](id);
    for (const id of profiles) this.#profiles[how](id);
  }
}

/** Rules that only close: what passes to the next tier could open there what a later rule of this one denies. */
function onlyDenying(rules: readonly NodeRule[]): NodeRule[] {
  return rules.filter(({ action }) => action === "Deny" || action === "Pass").map((rule) => ({ ...rule, action: "Deny" }));
}

/** Policies with doNotTrack or preDNAT are for hosts alone. */
const isForPods = ({ doNotTrack, preDnat }: NodePolicy): boolean => !doNotTrack && !preDnat;

function isSame(a: ResolvedEndpoint, b: ResolvedEndpoint): boolean {
  const { tiers: aTiers, ...aRest } = a;
  const { tiers: bTiers, ...bRest } = b;
  const sameTiers = aTiers.length === bTiers.length && aTiers.every((tier, i) => {
    const other = bTiers[i];
    return other !== undefined && tier.name === other.name && tier.defaultAction === other.defaultAction && isSameList(tier.ingress, other.ingress) && isSameList(tier.egress, other.egress);
  });
  return sameTiers && JSON.stringify(aRest) === JSON.stringify(bRest);
}

function isSameList(a: readonly PolicyId[], b: readonly PolicyId[]): boolean {
  return a === b || (a.length === b.length && a.every((id, i) => id === b[i]));
}

/** Objects that are reported as they are. */
class PlainReports<T> {
  readonly #told = new Map<string, T>();
  readonly #reported = new Map<string, string>();
  readonly #dirty = new Set<string>();
  readonly #onUpdate: (value: T) => void;
  readonly #onRemove: (id: string) => void;

  constructor(onUpdate: (value: T) => void, onRemove: (id: string) => void) {
    this.#onUpdate = onUpdate;
    this.#onRemove = onRemove;
  }

  get ids(): Iterable<string> {
    return this.#told.keys();
  }

  /** null: it is gone. */
  set(id: string, value: T | null): void {
    if (value === null) this.#told.delete(id);
    else this.#told.set(id, value);
    this.#dirty.add(id);
  }

  report(): void {
    for (const id of this.#dirty) {
      const value = this.#told.get(id);
      if (value === undefined) {
        if (this.#reported.delete(id)) this.#onRemove(id);
        continue;
      }
      const text = JSON.stringify(value);
      if (this.#reported.get(id) === text) continue;
      this.#reported.set(id, text);
      this.#onUpdate(value);
    }
    this.#dirty.clear();
  }
}

/** What of a policy decides about its place in the order, and about the stage at which hosts have it. */
function placeOf({ tier, order, name, ingress, egress, doNotTrack, preDnat, applyOnForward }: NodePolicy): string {
  return JSON.stringify([tier, order, name, ingress, egress, doNotTrack, preDnat, applyOnForward]);
}
