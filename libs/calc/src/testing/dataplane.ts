/** A dataplane that keeps what it is told, insists on the order of the calls, and can say what it would do with a packet. */
import { contains, familyOf, type EndpointId, type PolicyId, type ProfileId } from "@calico/model";
import type { Direction, HostPath, Packet } from "../evaluator.ts";
import { defaultFailsafes } from "../failsafes.ts";
import type { IpSetId, NodeEntityMatch, NodePolicy, NodeProfile, NodeRule } from "../messages.ts";
import type { DataplaneSink, EndpointTier, LocalNode, RemoteRoute, ResolvedEndpoint, ResolvedHostEndpoint, Vtep } from "../ports.ts";

export class FakeDataplane implements DataplaneSink {
  readonly sets = new Map<IpSetId, { type: string; members: Set<string> }>();
  readonly policies = new Map<PolicyId, NodePolicy>();
  readonly profiles = new Map<ProfileId, NodeProfile>();
  readonly endpoints = new Map<EndpointId, ResolvedEndpoint>();
  readonly hostEndpoints = new Map<EndpointId, ResolvedHostEndpoint>();
  readonly pools = new Map<string, unknown>();
  readonly blocks = new Map<string, unknown>();
  local: LocalNode | null = null;
  readonly vteps = new Map<string, Vtep>();
  readonly routes = new Map<string, RemoteRoute>();
  calls = 0;

  onIpSetUpdate(id: IpSetId, type: string, members: readonly string[]): void {
    this.calls += 1;
    this.sets.set(id, { type, members: new Set(members) });
  }
  onIpSetDelta(id: IpSetId, added: readonly string[], removed: readonly string[]): void {
    this.calls += 1;
    const { members } = must(this.sets.get(id), `delta of ${id}`);
    for (const member of removed) if (!members.delete(member)) throw new Error(`${member} was not in ${id}`);
    for (const member of added) {
      if (members.has(member)) throw new Error(`${member} is in ${id} already`);
      members.add(member);
    }
  }
  onIpSetRemove(id: IpSetId): void {
    this.calls += 1;
    for (const object of [...this.policies.values(), ...this.profiles.values()]) if (setsIn(object).includes(id)) throw new Error(`${id} is removed while ${object.id} uses it`);
    must(this.sets.get(id), `removal of ${id}`);
    this.sets.delete(id);
  }
  onPolicyUpdate(policy: NodePolicy): void {
    this.#checkSets(policy);
    this.policies.set(policy.id, policy);
  }
  onPolicyRemove(id: PolicyId): void {
    this.calls += 1;
    for (const user of [...this.endpoints.values(), ...this.hostEndpoints.values()]) if (policiesOf(user).includes(id)) throw new Error(`${id} is removed while ${user.id} uses it`);
    must(this.policies.get(id), `removal of ${id}`);
    this.policies.delete(id);
  }
  onProfileUpdate(profile: NodeProfile): void {
    this.#checkSets(profile);
    this.profiles.set(profile.id, profile);
  }
  onProfileRemove(id: ProfileId): void {
    this.calls += 1;
    for (const { id: user, profiles } of [...this.endpoints.values(), ...this.hostEndpoints.values()]) if (profiles.includes(id)) throw new Error(`${id} is removed while ${user} uses it`);
    must(this.profiles.get(id), `removal of ${id}`);
    this.profiles.delete(id);
  }
  onEndpointUpdate(endpoint: ResolvedEndpoint): void {
    this.calls += 1;
    this.#checkUsed(endpoint);
    this.endpoints.set(endpoint.id, endpoint);
  }
  onEndpointRemove(id: EndpointId): void {
    this.calls += 1;
    must(this.endpoints.get(id), `removal of ${id}`);
    this.endpoints.delete(id);
  }
  onHostEndpointUpdate(endpoint: ResolvedHostEndpoint): void {
    this.calls += 1;
    this.#checkUsed(endpoint);
    this.hostEndpoints.set(endpoint.id, endpoint);
  }
  onHostEndpointRemove(id: EndpointId): void {
    this.calls += 1;
    must(this.hostEndpoints.get(id), `removal of ${id}`);
    this.hostEndpoints.delete(id);
  }
  onPoolUpdate(pool: { readonly name: string }): void {
    this.calls += 1;
    this.pools.set(pool.name, pool);
  }
  onPoolRemove(name: string): void {
    this.calls += 1;
    this.pools.delete(name);
  }
  onBlockUpdate(block: { readonly cidr: string }): void {
    this.calls += 1;
    this.blocks.set(block.cidr, block);
  }
  onBlockRemove(cidr: string): void {
    this.calls += 1;
    this.blocks.delete(cidr);
  }
  onLocalNodeUpdate(local: LocalNode | null): void {
    this.calls += 1;
    this.local = local;
  }
  onVtepUpdate(vtep: Vtep): void {
    this.calls += 1;
    this.vteps.set(vtep.node, vtep);
  }
  onVtepRemove(node: string): void {
    this.calls += 1;
    for (const route of this.routes.values()) if (route.node === node && route.through === "tunnel") throw new Error(`the end of ${node} is removed while ${route.destination} leads to it`);
    must(this.vteps.get(node), `removal of ${node}`);
    this.vteps.delete(node);
  }
  onRemoteRouteUpdate(route: RemoteRoute): void {
    this.calls += 1;
    if (route.through === "tunnel" && must(this.vteps.get(route.node), `${route.destination} to ${route.node}`).tunnelAddress !== route.gateway) throw new Error(`${route.destination} leads to ${route.gateway}, where ${route.node} is not`);
    this.routes.set(route.destination, route);
  }
  onRemoteRouteRemove(destination: string): void {
    this.calls += 1;
    must(this.routes.get(destination), `removal of ${destination}`);
    this.routes.delete(destination);
  }

  /** What an endpoint's chains would do; null: the endpoint is not there. */
  allows(id: EndpointId, direction: Direction, packet: Packet): boolean | null {
    const endpoint = this.endpoints.get(id);
    if (endpoint === undefined) return null;
    return this.#decision(endpoint.tiers, direction, packet, true) ?? this.#profilesAllow(endpoint, direction, packet);
  }

  /** What a host endpoint's chains would do, hook by hook, with the default failsafes; null: the endpoint is not there. */
  allowsHost(id: EndpointId, path: HostPath, packet: Packet): boolean | null {
    const endpoint = this.hostEndpoints.get(id);
    if (endpoint === undefined) return null;
    const { inbound, outbound } = defaultFailsafes;
    const isIn = (ports: typeof inbound, port: number): boolean => ports.some((each) => each.protocol === packet.protocol && each.port === port);
    const inTo = isIn(inbound, packet.destination.port);
    const outTo = isIn(outbound, packet.destination.port);
    const rawIn = (): boolean | null => (inTo || isIn(outbound, packet.source.port) ? null : this.#decision(endpoint.untracked, "ingress", packet, false));
    const mangleIn = (): boolean | null => (inTo ? null : this.#decision(endpoint.preDnat, "ingress", packet, false));
    const rawOut = (): boolean | null => (outTo || isIn(inbound, packet.source.port) ? null : this.#decision(endpoint.untracked, "egress", packet, false));
    switch (path) {
      case "to host": return rawIn() ?? mangleIn() ?? (inTo || (this.#decision(endpoint.tiers, "ingress", packet, true) ?? this.#profilesAllow(endpoint, "ingress", packet)));
      case "from host": return rawOut() ?? (outTo || (this.#decision(endpoint.tiers, "egress", packet, true) ?? this.#profilesAllow(endpoint, "egress", packet)));
      case "forwarded in": return rawIn() ?? mangleIn() ?? this.#decision(endpoint.forward, "ingress", packet, true) ?? true;
      case "forwarded out": return this.#decision(endpoint.forward, "egress", packet, true) ?? true;
    }
  }

  /** What the tiers decide; null: nothing. */
  #decision(tiers: readonly EndpointTier[], direction: Direction, packet: Packet, ends: boolean): boolean | null {
    for (const { [direction]: list, defaultAction } of tiers) {
      if (list.length === 0) continue;
      const action = this.#first(list.map((policy) => rulesOf(this.policies.get(policy), direction)).flat(), packet);
      if (action === "Allow" || action === "Deny") return action === "Allow";
      if (action === null && ends && defaultAction === "Deny") return false;
    }
    return null;
  }

  #profilesAllow({ profiles }: ResolvedEndpoint | ResolvedHostEndpoint, direction: Direction, packet: Packet): boolean {
    return this.#first(profiles.flatMap((profile) => rulesOf(this.profiles.get(profile), direction)), packet) === "Allow";
  }

  #checkUsed(endpoint: ResolvedEndpoint | ResolvedHostEndpoint): void {
    for (const id of policiesOf(endpoint)) must(this.policies.get(id), `${endpoint.id} with ${id}`);
    for (const id of endpoint.profiles) must(this.profiles.get(id), `${endpoint.id} with ${id}`);
  }

  /** Everything, in an order that does not depend on how it came to be. */
  picture(): unknown {
    const sorted = (map: ReadonlyMap<string, unknown>): unknown => [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return [
      [...this.sets].map(([id, { type, members }]) => [id, type, [...members].toSorted()]).toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)), sorted(this.policies), sorted(this.profiles), sorted(this.endpoints), sorted(this.hostEndpoints),
      sorted(this.pools), sorted(this.blocks), this.local, sorted(this.vteps), sorted(this.routes),
    ];
  }

  #checkSets(object: NodePolicy | NodeProfile): void {
    this.calls += 1;
    for (const id of setsIn(object)) must(this.sets.get(id), `${object.id} with ${id}`);
  }

  #first(rules: readonly NodeRule[], packet: Packet): "Allow" | "Deny" | "Pass" | null {
    for (const rule of rules) if (rule.action !== "Log" && this.#matches(rule, packet)) return rule.action;
    return null;
  }

  #matches(rule: NodeRule, { protocol, source, destination, icmp }: Packet): boolean {
    const isIcmp = (match: NodeRule["icmp"]): boolean => match !== null && match.type === icmp?.type && (match.code === null || match.code === icmp.code);
    return (rule.ipVersion === 0 || rule.ipVersion === familyOf(source.address)) && (rule.protocol === null || rule.protocol === protocol) && rule.notProtocol !== protocol
      && (rule.icmp === null || isIcmp(rule.icmp)) && !isIcmp(rule.notIcmp) && this.#sideMatches(rule.source, source, protocol) && this.#sideMatches(rule.destination, destination, protocol);
  }

  #sideMatches(side: NodeEntityMatch, { address, port }: Packet["source"], protocol: number): boolean {
    const inSet = (id: IpSetId): boolean => [...must(this.sets.get(id), id).members].some((member) => contains(member, address));
    const inPortSet = (id: IpSetId): boolean => must(this.sets.get(id), id).members.has(`${address},${protocol},${port}`);
    const inRange = (ranges: NodeEntityMatch["ports"]): boolean => ranges.some(({ first, last }) => port >= first && port <= last);
    return (side.nets.length === 0 || side.nets.some((net) => contains(net, address))) && !side.notNets.some((net) => contains(net, address))
      && side.ipSets.every(inSet) && !side.notIpSets.some(inSet)
      && ((side.ports.length === 0 && side.portSets.length === 0) || inRange(side.ports) || side.portSets.some(inPortSet)) && !inRange(side.notPorts) && !side.notPortSets.some(inPortSet);
  }
}

/** All policies that an endpoint refers to. */
function policiesOf(endpoint: ResolvedEndpoint | ResolvedHostEndpoint): PolicyId[] {
  const stages = "forward" in endpoint ? [endpoint.tiers, endpoint.untracked, endpoint.preDnat, endpoint.forward] : [endpoint.tiers];
  return stages.flat().flatMap(({ ingress, egress }) => [...ingress, ...egress]);
}

function rulesOf(object: { readonly inbound: readonly NodeRule[]; readonly outbound: readonly NodeRule[] } | undefined, direction: Direction): readonly NodeRule[] {
  return object === undefined ? [] : direction === "ingress" ? object.inbound : object.outbound;
}

function setsIn({ inbound, outbound }: { readonly inbound: readonly NodeRule[]; readonly outbound: readonly NodeRule[] }): IpSetId[] {
  return [...inbound, ...outbound].flatMap(({ source, destination }) => [source, destination].flatMap((side) => [...side.ipSets, ...side.notIpSets, ...side.portSets, ...side.notPortSets]));
}

function must<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what}: it is not there`);
  return value;
}
