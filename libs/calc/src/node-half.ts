/** What one node was told, joined with the interfaces that exist, as what its dataplane shall hold. */
import { parseSelector, type EndpointId, type PolicyId, type ProfileId, type Tier } from "@calico/model";
import { failClosed, missingSets, setsOf } from "./fail-closed.ts";
import type { IpSetId, IpSetType, NodeBlock, NodeEndpoint, NodePolicy, NodePool, NodeProfile, NodeRule, NodeUpdate, RemovableKind } from "./messages.ts";
import { tiersFor, type KnownPolicy } from "./policy-order.ts";
import type { Attachment, DataplaneSink, NodeHalf, ResolvedEndpoint } from "./ports.ts";

type KnownSet = { readonly type: IpSetType; readonly members: Set<string> };

/** Everything that was told, by kind and id. */
type Told = {
  readonly sets: Map<IpSetId, KnownSet>;
  readonly policies: Map<PolicyId, KnownPolicy>;
  readonly profiles: Map<ProfileId, NodeProfile>;
  readonly tiers: Map<string, Tier>;
  readonly endpoints: Map<EndpointId, NodeEndpoint>;
  readonly pools: Map<string, NodePool>;
  readonly blocks: Map<string, NodeBlock>;
};

/** What the dataplane was given last, so that only differences are reported. Values are compared by their text. */
type Reported = {
  readonly sets: Map<IpSetId, { type: IpSetType; members: Set<string> }>;
  readonly policies: Map<PolicyId, string>;
  readonly profiles: Map<ProfileId, string>;
  readonly endpoints: Map<EndpointId, string>;
  readonly pools: Map<string, string>;
  readonly blocks: Map<string, string>;
};

export function createNodeHalf({ sink }: { readonly sink: DataplaneSink }): NodeHalf {
  const told: Told = { sets: new Map(), policies: new Map(), profiles: new Map(), tiers: new Map(), endpoints: new Map(), pools: new Map(), blocks: new Map() };
  const reported: Reported = { sets: new Map(), policies: new Map(), profiles: new Map(), endpoints: new Map(), pools: new Map(), blocks: new Map() };
  const attachments = new Map<string, Attachment>();
  /** By uid, the endpoints that may be resolved. */
  const byUid = new Map<string, EndpointId>();
  /** Keys repeated since the snapshot began; null outside of one. */
  let repeated: Set<string> | null = null;
  const dirtySets = new Set<IpSetId>();
  const dirtyEndpoints = new Set<EndpointId>();
  /** Tiers or the selection of policies changed: every endpoint is looked at again. */
  let orderDirty = false;
  let dirtyPolicies = new Set<PolicyId>();
  let dirtyProfiles = new Set<ProfileId>();
  let poolsDirty = false;
  let inSync = false;
  /** What each reported endpoint uses, for finding what is active. */
  const resolved = new Map<EndpointId, ResolvedEndpoint>();

  const MAPS: Partial<Record<RemovableKind, Map<string, unknown>>> = {
    IpSet: told.sets, Policy: told.policies, Profile: told.profiles, Tier: told.tiers, WorkloadEndpoint: told.endpoints, IpPool: told.pools, Block: told.blocks,
  };

  function setUpdate(id: IpSetId, type: IpSetType, members: readonly string[]): void {
    const isNew = !told.sets.has(id);
    told.sets.set(id, { type, members: new Set(members) });
    dirtySets.add(id);
    if (isNew) markUsersOf(id);
  }

  /** A set came or went: rules that refer to it fail closed no longer, or do so now. */
  function markUsersOf(id: IpSetId): void {
    for (const { policy } of told.policies.values()) if (mentions([...policy.inbound, ...policy.outbound], id)) dirtyPolicies.add(policy.id);
    for (const profile of told.profiles.values()) if (mentions([...profile.inbound, ...profile.outbound], id)) dirtyProfiles.add(profile.id);
  }

  function policyUpdate(policy: NodePolicy): void {
    const before = told.policies.get(policy.id);
    const parsed = parseSelector(policy.selector, { allowGlobal: true });
    // A selector that a newer typha writes and that cannot be read here: nobody knows whom it protects, so it is for everybody.
    const selector = parsed.ok ? parsed.selector : EVERYBODY;
    told.policies.set(policy.id, { policy, selector });
    dirtyPolicies.add(policy.id);
    if (before === undefined || before.selector.text !== selector.text || orderOf(before.policy) !== orderOf(policy)) orderDirty = true;
  }

  function onRemove(of: RemovableKind, id: string): void {
    if (MAPS[of]?.delete(id) !== true) return;
    switch (of) {
      case "IpSet":
        dirtySets.add(id as IpSetId);
        markUsersOf(id as IpSetId);
        break;
      case "Policy":
        dirtyPolicies.add(id as PolicyId);
        orderDirty = true;
        break;
      case "Profile":
        dirtyProfiles.add(id as ProfileId);
        orderDirty = true;
        break;
      case "Tier":
        orderDirty = true;
        break;
      case "WorkloadEndpoint":
        dirtyEndpoints.add(id as EndpointId);
        break;
      default:
        poolsDirty = true;
    }
  }

  function note(kind: string, id: string): void {
    repeated?.add(`${kind}:${id}`);
  }

  /** The endpoint as its dataplane shall know it; or in words what is missing. */
  function resolve(endpoint: NodeEndpoint): ResolvedEndpoint | string {
    const attachment = attachments.get(endpoint.uid);
    const addresses = attachment?.addresses ?? endpoint.addresses;
    const { id, uid, namespace, pod, profiles } = endpoint;
    if (addresses.length === 0) return `pod ${namespace}/${pod} has no address and no interface yet`;
    const absent = profiles.find((profile) => !told.profiles.has(profile));
    if (absent !== undefined) return `profile ${absent} of pod ${namespace}/${pod} has not arrived (is its namespace or service account known?)`;
    return { id, uid, namespace, pod, interfaceName: attachment?.interfaceName ?? endpoint.interfaceName, addresses, tiers: tiersFor(endpoint.labels, told.policies.values(), told.tiers), profiles };
  }

  function resolveDirty(): { updated: ResolvedEndpoint[]; removed: EndpointId[] } {
    const updated: ResolvedEndpoint[] = [];
    const removed: EndpointId[] = [];
    const ids = orderDirty ? new Set([...told.endpoints.keys(), ...dirtyEndpoints]) : new Set(dirtyEndpoints);
    orderDirty = false;
    dirtyEndpoints.clear();
    for (const id of ids) {
      const endpoint = told.endpoints.get(id);
      const result = endpoint === undefined ? null : resolve(endpoint);
      if (result === null || typeof result === "string") {
        resolved.delete(id);
        if (reported.endpoints.delete(id)) removed.push(id);
        continue;
      }
      resolved.set(id, result);
      const text = JSON.stringify(result);
      if (reported.endpoints.get(id) === text) continue;
      reported.endpoints.set(id, text);
      updated.push(result);
    }
    return { updated, removed };
  }

  /** What the resolved endpoints use. */
  function active(): { policies: Set<PolicyId>; profiles: Set<ProfileId>; sets: Set<IpSetId> } {
    const policies = new Set<PolicyId>();
    const profiles = new Set<ProfileId>();
    for (const { tiers, profiles: own } of resolved.values()) {
      for (const { ingress, egress } of tiers) for (const id of [...ingress, ...egress]) policies.add(id);
      for (const id of own) profiles.add(id);
    }
    const sets = new Set<IpSetId>();
    const collect = (rules: readonly NodeRule[]): void => {
      for (const { source, destination } of rules) for (const id of [...setsOf(source), ...setsOf(destination)]) if (told.sets.has(id)) sets.add(id);
    };
    for (const id of policies) {
      const policy = told.policies.get(id)?.policy;
      if (policy !== undefined) collect([...policy.inbound, ...policy.outbound]);
    }
    for (const id of profiles) {
      const profile = told.profiles.get(id);
      if (profile !== undefined) collect([...profile.inbound, ...profile.outbound]);
    }
    return { policies, profiles, sets };
  }

  const hasSet = (id: IpSetId): boolean => told.sets.has(id);

  function reportSets(wanted: ReadonlySet<IpSetId>): void {
    for (const id of wanted) {
      const now = told.sets.get(id);
      if (now === undefined) continue;
      const before = reported.sets.get(id);
      if (before === undefined || before.type !== now.type) {
        sink.onIpSetUpdate(id, now.type, [...now.members]);
        reported.sets.set(id, { type: now.type, members: new Set(now.members) });
      } else if (dirtySets.has(id)) {
        const added = [...now.members].filter((member) => !before.members.has(member));
        const removed = [...before.members].filter((member) => !now.members.has(member));
        if (added.length + removed.length === 0) continue;
        sink.onIpSetDelta(id, added, removed);
        for (const member of removed) before.members.delete(member);
        for (const member of added) before.members.add(member);
      }
    }
    dirtySets.clear();
  }

  function reportPolicies(wanted: ReadonlySet<PolicyId>): void {
    for (const id of wanted) {
      const policy = told.policies.get(id)?.policy;
      if (policy === undefined || (reported.policies.has(id) && !dirtyPolicies.has(id))) continue;
      const value: NodePolicy = { ...policy, inbound: failClosed(policy.inbound, hasSet), outbound: failClosed(policy.outbound, hasSet) };
      const text = JSON.stringify(value);
      if (reported.policies.get(id) === text) continue;
      reported.policies.set(id, text);
      sink.onPolicyUpdate(value);
    }
    dirtyPolicies = new Set();
  }

  function reportProfiles(wanted: ReadonlySet<ProfileId>): void {
    for (const id of wanted) {
      const profile = told.profiles.get(id);
      if (profile === undefined || (reported.profiles.has(id) && !dirtyProfiles.has(id))) continue;
      const value: NodeProfile = { id, inbound: failClosed(profile.inbound, hasSet), outbound: failClosed(profile.outbound, hasSet) };
      const text = JSON.stringify(value);
      if (reported.profiles.get(id) === text) continue;
      reported.profiles.set(id, text);
      sink.onProfileUpdate(value);
    }
    dirtyProfiles = new Set();
  }

  function reportPools(): void {
    if (!poolsDirty) return;
    poolsDirty = false;
    difference(told.pools, reported.pools, (pool) => sink.onPoolUpdate(pool), (name) => sink.onPoolRemove(name));
    difference(told.blocks, reported.blocks, (block) => sink.onBlockUpdate(block), (cidr) => sink.onBlockRemove(cidr));
  }

  return {
    onUpdate(update: NodeUpdate) {
      switch (update.kind) {
        case "IpSet":
          note("IpSet", update.id);
          return setUpdate(update.id, update.type, update.members);
        case "IpSetDelta": {
          const set = told.sets.get(update.id);
          if (set === undefined) return;
          for (const member of update.removed) set.members.delete(member);
          for (const member of update.added) set.members.add(member);
          dirtySets.add(update.id);
          return;
        }
        case "Policy":
          note("Policy", update.value.id);
          return policyUpdate(update.value);
        case "Profile":
          note("Profile", update.value.id);
          if (!told.profiles.has(update.value.id)) orderDirty = true;
          told.profiles.set(update.value.id, update.value);
          dirtyProfiles.add(update.value.id);
          return;
        case "Tier":
          note("Tier", update.value.name);
          told.tiers.set(update.value.name, update.value);
          orderDirty = true;
          return;
        case "WorkloadEndpoint":
          note("WorkloadEndpoint", update.value.id);
          told.endpoints.set(update.value.id, update.value);
          byUid.set(update.value.uid, update.value.id);
          dirtyEndpoints.add(update.value.id);
          return;
        case "IpPool":
          note("IpPool", update.value.name);
          told.pools.set(update.value.name, update.value);
          poolsDirty = true;
          return;
        case "Block":
          note("Block", update.value.cidr);
          told.blocks.set(update.value.cidr, update.value);
          poolsDirty = true;
          return;
        case "Remove":
          return onRemove(update.of, update.id);
        default:
      }
    },
    onSnapshotStart() {
      repeated = new Set();
    },
    onInSync() {
      if (repeated !== null) {
        for (const [kind, map] of Object.entries(MAPS)) for (const id of [...map.keys()]) if (!repeated.has(`${kind}:${id}`)) onRemove(kind as RemovableKind, id);
      }
      repeated = null;
      inSync = true;
    },
    onAttach(attachment) {
      attachments.set(attachment.uid, attachment);
      const id = byUid.get(attachment.uid);
      if (id !== undefined) dirtyEndpoints.add(id);
    },
    onDetach(uid, containerId) {
      if (attachments.get(uid)?.containerId !== containerId) return;
      attachments.delete(uid);
      const id = byUid.get(uid);
      if (id !== undefined) dirtyEndpoints.add(id);
    },
    flush() {
      if (!inSync) return;
      const { updated, removed } = resolveDirty();
      const wanted = active();
      reportPools();
      reportSets(wanted.sets);
      reportPolicies(wanted.policies);
      reportProfiles(wanted.profiles);
      for (const endpoint of updated) sink.onEndpointUpdate(endpoint);
      for (const id of removed) sink.onEndpointRemove(id);
      for (const id of [...reported.profiles.keys()]) {
        if (wanted.profiles.has(id)) continue;
        reported.profiles.delete(id);
        sink.onProfileRemove(id);
      }
      for (const id of [...reported.policies.keys()]) {
        if (wanted.policies.has(id)) continue;
        reported.policies.delete(id);
        sink.onPolicyRemove(id);
      }
      for (const id of [...reported.sets.keys()]) {
        if (wanted.sets.has(id)) continue;
        reported.sets.delete(id);
        sink.onIpSetRemove(id);
      }
    },
    waitingFor(uid) {
      if (!inSync) return "the first snapshot from typha has not arrived";
      const id = byUid.get(uid);
      const endpoint = id === undefined ? undefined : told.endpoints.get(id);
      if (endpoint === undefined) return `the pod with uid ${uid} was not announced by typha yet`;
      const result = resolve(endpoint);
      if (typeof result === "string") return result;
      for (const { ingress, egress } of result.tiers) {
        for (const policyId of [...ingress, ...egress]) {
          const policy = told.policies.get(policyId)?.policy;
          const missing = policy === undefined ? [] : [...policy.inbound, ...policy.outbound].flatMap((rule) => missingSets(rule, hasSet));
          if (missing[0] !== undefined) return `set ${missing[0]} of policy ${policyId} has not arrived`;
        }
      }
      return null;
    },
  };
}

const EVERYBODY = ((): KnownPolicy["selector"] => {
  const parsed = parseSelector("all()");
  if (!parsed.ok) throw new Error("all() is a selector");
  return parsed.selector;
})();

/** What of a policy decides about its place. */
function orderOf({ tier, order, name, ingress, egress }: NodePolicy): string {
  return JSON.stringify([tier, order, name, ingress, egress]);
}

function mentions(rules: readonly NodeRule[], id: IpSetId): boolean {
  return rules.some(({ source, destination }) => setsOf(source).includes(id) || setsOf(destination).includes(id));
}

function difference<K extends string, V>(now: ReadonlyMap<K, V>, before: Map<K, string>, onUpdate: (value: V) => void, onRemove: (key: K) => void): void {
  for (const [key, value] of now) {
    const text = JSON.stringify(value);
    if (before.get(key) === text) continue;
    before.set(key, text);
    onUpdate(value);
  }
  for (const key of [...before.keys()]) {
    if (now.has(key)) continue;
    before.delete(key);
    onRemove(key);
  }
}
