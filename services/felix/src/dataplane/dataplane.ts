/** The nftables dataplane: what the node half reports, as table, routes and settings. */
import type { DataplaneSink, HostEndpointSink, IpSetId, NodePolicy, NodePool, NodeProfile, PolicyId, ResolvedEndpoint } from "@calico/calc";
import { cidrParts, disjointCover, familyOf, formatAddress, type ProfileId } from "@calico/model";
import { openConntrack, openSys, type Conntrack, type SetElement } from "@calico/kernel";
import { every, type Clock, type Logger } from "@calico/service-kit";
import { chainContent, type LiteralSet } from "../rules/chain.ts";
import { MAP, POOL_SET } from "../rules/constants.ts";
import { renderEndpoint, type EndpointChains } from "../rules/endpoint-chains.ts";
import { fromEndpointChain, policyChain, profileChain, STAGES, toEndpointChain, type Direction, type Stage } from "../rules/names.ts";
import { renderRules } from "../rules/policy-rules.ts";
import type { RuleOwner } from "../rules/log-prefix.ts";
import type { RenderSettings } from "../rules/settings.ts";
import { OPTIONAL_CHAINS, staticChains, staticSets, vxlanSendersSet } from "../rules/static-chains.ts";
import { createForeignChains, type ForeignChains } from "./foreign-chains.ts";
import { createHostEndpoints, type HostEndpoints } from "./host-endpoints.ts";
import { createIpSets } from "./ip-sets.ts";
import { createNftTable, desiredSet, type NftTable } from "./nft-table.ts";
import { createOverlay, type Overlay, type OverlaySettings } from "./overlay.ts";
import { createRoutes, type Routes } from "./routes.ts";
import { prepareHost } from "./host-settings.ts";

export type DataplaneConfig = RenderSettings & OverlaySettings & { readonly nftablesRefreshInterval: number; readonly routeRefreshInterval: number };

export interface Dataplane {
  readonly sink: DataplaneSink & HostEndpointSink;
  /** Opens the kernel's sockets. Writes nothing. */
  start(): Promise<void>;
  /** Puts into the kernel what the sink was told. Rejects when that was impossible as a whole. */
  apply(): Promise<void>;
  /** Settings changed: everything is rendered anew, and what differs is written at the next apply. */
  reconfigure(config: DataplaneConfig): void;
  /** The endpoint as last told is in force: rules, dispatch and routes. */
  isReady(id: string): boolean;
  /** The endpoint's interface may be another one than before: not ready until the next apply has looked. */
  doubt(id: string): void;
  failures(): readonly { readonly id: string; readonly reason: string }[];
  /** In words what of others stands in the way of pods' traffic. */
  obstacles(): readonly string[];
  /** How the overlay is, in words; "": there is none. */
  overlay(): string;
  /** Metrics that are read when scraped: name, meaning, value. */
  gauges(): readonly (readonly [name: string, help: string, read: () => number])[];
  stop(): Promise<void>;
}

export type DataplaneOptions = {
  readonly config: DataplaneConfig;
  /** The kernel was changed by somebody else: apply again. */
  readonly onDrift: () => void;
  /** The MTU of pods that are made from now on; after every apply that found another one. What it throws is said, and it is called again. */
  readonly onPodMtu: (mtu: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
};

/** What the kernel refused is tried again after this time, when nothing else makes an apply before. */
const RETRY_MS = 5_000;

const DIRECTIONS = ["ingress", "egress"] as const;

type Rendered = { readonly endpoint: ResolvedEndpoint; readonly chains: EndpointChains };

export function createDataplane({ config: initial, onDrift, onPodMtu, clock, log }: DataplaneOptions): Dataplane {
  let settings: DataplaneConfig = initial;
  let table: NftTable | undefined;
  let routes: Routes | undefined;
  const overlay: Overlay = createOverlay({ log, onDrift, settings: initial });
  const hosts: HostEndpoints = createHostEndpoints({ onDrift, settings: initial });
  /** The static chains have the overlay's rules. */
  let rendersOverlay = false;
  let sendersDue = false;
  let toldMtu: number | null = null;
  let mtuTrouble: string | null = null;
  let conntrack: Conntrack | undefined;
  let foreign: ForeignChains | undefined;
  const timers: Disposable[] = [];
  const ipSets = createIpSets();
  const policies = new Map<PolicyId, NodePolicy>();
  const profiles = new Map<ProfileId, NodeProfile>();
  const endpoints = new Map<string, Rendered>();
  /** Ids of the endpoints behind an interface: two while a recreated pod takes over the name of the old one. */
  const endpointsOn = new Map<string, Set<string>>();
  const pools = new Map<string, NodePool>();
  const blocks = new Set<string>();
  /** How many endpoints use a shared chain, and how many chains a literal set. */
  const chainUses = new Map<string, number>();
  const literalUses = new Map<string, number>();
  const literalsOf = new Map<string, readonly LiteralSet[]>();
  const dirtyPolicies = new Set<PolicyId>();
  const dirtyProfiles = new Set<ProfileId>();
  const dirtyEndpoints = new Map<string, ResolvedEndpoint | null>();
  const freedAddresses = new Set<string>();
  let poolsDirty = true;
  let everythingDirty = true;
  let mapsMade = false;
  let hadRefusals = false;
  const ready = new Set<string>();

  const hasPass = (id: PolicyId, direction: Direction): boolean => {
    const policy = policies.get(id);
    return policy !== undefined && (direction === "ingress" ? policy.inbound : policy.outbound).some(({ action }) => action === "Pass");
  };

  const sink: DataplaneSink & HostEndpointSink = {
    ...overlay.sink,
    ...hosts.sink,
    onIpSetUpdate: (id, type, members) => ipSets.set(id, type, members),
    onIpSetDelta: (id, added, removed) => ipSets.change(id, added, removed),
    onIpSetRemove: (id) => ipSets.remove(id),
    onPolicyUpdate(policy) {
      const passed = DIRECTIONS.map((direction) => hasPass(policy.id, direction));
      policies.set(policy.id, policy);
      dirtyPolicies.add(policy.id);
      if (DIRECTIONS.some((direction, i) => hasPass(policy.id, direction) !== passed[i])) refreshEndpointsWith(policy.id);
    },
    onPolicyRemove(id) {
      policies.delete(id);
      dirtyPolicies.add(id);
    },
    onProfileUpdate(profile) {
      profiles.set(profile.id, profile);
      dirtyProfiles.add(profile.id);
    },
    onProfileRemove(id) {
      profiles.delete(id);
      dirtyProfiles.add(id);
    },
    onEndpointUpdate(endpoint) {
      dirtyEndpoints.set(endpoint.id, endpoint);
      ready.delete(endpoint.id);
    },
    onEndpointRemove(id) {
      dirtyEndpoints.set(id, null);
      ready.delete(id);
    },
    onPoolUpdate(pool) {
      pools.set(pool.name, pool);
      poolsDirty = true;
    },
    onPoolRemove(name) {
      pools.delete(name);
      poolsDirty = true;
    },
    onBlockUpdate({ cidr }) {
      blocks.add(cidr);
      routes?.setBlock(cidr, true);
    },
    onBlockRemove(cidr) {
      blocks.delete(cidr);
      routes?.setBlock(cidr, false);
    },
  };

  /** The tier chains of these endpoints look at the mark of Pass or not. */
  function refreshEndpointsWith(id: PolicyId): void {
    hosts.refresh();
    for (const { endpoint } of endpoints.values()) {
      if (dirtyEndpoints.has(endpoint.id) || !endpoint.tiers.some(({ ingress, egress }) => ingress.includes(id) || egress.includes(id))) continue;
      dirtyEndpoints.set(endpoint.id, endpoint);
      ready.delete(endpoint.id);
    }
  }

  function renderAgain(): void {
    for (const id of policies.keys()) dirtyPolicies.add(id);
    for (const id of profiles.keys()) dirtyProfiles.add(id);
    for (const [id, { endpoint }] of endpoints) if (!dirtyEndpoints.has(id)) dirtyEndpoints.set(id, endpoint);
    everythingDirty = true;
    poolsDirty = true;
  }

  /** Sets first: a set that changed its shape has another name, and the rules that use it follow. */
  function stageSets(to: NftTable): void {
    const { replaced, changed, removed, renamed } = ipSets.takeChanges();
    for (const [name, set] of replaced) to.setSet(name, set);
    for (const [name, change] of changed) to.changeSet(name, change);
    for (const name of removed) to.setSet(name, null);
    if (renamed.size === 0) return;
    for (const { id, inbound, outbound } of policies.values()) if (mentions([...inbound, ...outbound], renamed)) dirtyPolicies.add(id);
    for (const { id, inbound, outbound } of profiles.values()) if (mentions([...inbound, ...outbound], renamed)) dirtyProfiles.add(id);
  }

  function stageRules(to: NftTable, chain: string, rules: NodePolicy["inbound"] | null, direction: Direction, stage: Stage, inProfile: boolean, owner: RuleOwner): void {
    const rendered = rules === null ? null : renderRules(rules, { direction, stage, inProfile, owner, settings, setName: (id, family) => ipSets.nameOf(id, family) });
    const literals = rendered?.literals ?? [];
    for (const { spec, elements } of literals) {
      const uses = literalUses.get(spec.name) ?? 0;
      literalUses.set(spec.name, uses + 1);
      if (uses === 0) to.setSet(spec.name, desiredSet(spec, elements));
    }
    for (const { spec } of literalsOf.get(chain) ?? []) {
      const uses = (literalUses.get(spec.name) ?? 1) - 1;
      if (uses > 0) literalUses.set(spec.name, uses);
      else {
        literalUses.delete(spec.name);
        to.setSet(spec.name, null);
      }
    }
    if (literals.length > 0) literalsOf.set(chain, literals);
    else literalsOf.delete(chain);
    to.setChain(chain, rendered === null ? null : chainContent(rendered.rules));
  }

  function stagePolicies(to: NftTable): void {
    for (const id of dirtyPolicies) {
      const policy = policies.get(id);
      const owner: RuleOwner = policy ?? { tier: "", kind: "NetworkPolicy", namespace: "", name: "" };
      const forWorkloads = policy?.doNotTrack === true || policy?.preDnat === true ? [] : (["workload"] as const);
      for (const direction of DIRECTIONS) {
        const stages: readonly Stage[] = [...forWorkloads, ...hosts.stagesOf(id, direction)];
        const rules = (direction === "ingress" ? policy?.inbound : policy?.outbound) ?? null;
        for (const stage of STAGES) stageRules(to, policyChain(id, direction, stage), stages.includes(stage) ? rules : null, direction, stage, false, owner);
      }
    }
    for (const id of dirtyProfiles) {
      const profile = profiles.get(id);
      const owner: RuleOwner = { tier: "", kind: "Profile", namespace: "", name: id };
      for (const direction of DIRECTIONS) {
        const stages: readonly Stage[] = ["workload", ...hosts.stagesOf(id, direction)];
        const rules = (direction === "ingress" ? profile?.inbound : profile?.outbound) ?? null;
        for (const stage of STAGES) stageRules(to, profileChain(id, direction, stage), stages.includes(stage) ? rules : null, direction, stage, true, owner);
      }
    }
    dirtyPolicies.clear();
    dirtyProfiles.clear();
  }

  /** Returns the interfaces and the endpoints that were touched. */
  function stageEndpoints(to: NftTable, kernel: Routes): Set<string> {
    const interfaces = new Set<string>();
    for (const [id, endpoint] of dirtyEndpoints) {
      const before = endpoints.get(id);
      if (endpoint !== null) {
        const chains = renderEndpoint(endpoint, settings, hasPass);
        for (const [name, content] of chains.chains) {
          chainUses.set(name, (chainUses.get(name) ?? 0) + 1);
          to.setChain(name, content);
        }
        endpoints.set(id, { endpoint, chains });
        join(id, endpoint.interfaceName);
        interfaces.add(endpoint.interfaceName);
      } else endpoints.delete(id);
      if (before === undefined) continue;
      release(to, before.chains);
      for (const address of before.endpoint.addresses) if (endpoint === null || !endpoint.addresses.includes(address)) freedAddresses.add(address);
      const { interfaceName } = before.endpoint;
      interfaces.add(interfaceName);
      if (interfaceName !== endpoint?.interfaceName) leave(id, interfaceName);
    }
    dirtyEndpoints.clear();
    for (const name of interfaces) stageInterface(name, to, kernel);
    stageDispatch(to, interfaces);
    return interfaces;
  }

  function join(id: string, interfaceName: string): void {
    const ids = endpointsOn.get(interfaceName);
    if (ids === undefined) endpointsOn.set(interfaceName, new Set([id]));
    else ids.add(id);
  }

  function leave(id: string, interfaceName: string): void {
    const ids = endpointsOn.get(interfaceName);
    ids?.delete(id);
    if (ids?.size === 0) endpointsOn.delete(interfaceName);
  }

  /** The endpoint that came last has the interface: its chains and addresses count, whichever was told of last. */
  function stageInterface(name: string, to: NftTable, kernel: Routes): void {
    const newest = endpoints.get([...(endpointsOn.get(name) ?? [])].at(-1) ?? "");
    kernel.setInterface(name, newest?.endpoint.addresses ?? [], settings.workloadSourceSpoofing === "Any" && newest?.endpoint.allowedSourcePrefixes !== undefined);
    if (newest === undefined) return;
    const { chains, from, to: towards } = newest.chains;
    for (const chain of [from, towards]) {
      const content = chains.get(chain);
      if (content !== undefined) to.setChain(chain, content);
    }
  }

  function release(to: NftTable, { chains }: EndpointChains): void {
    for (const name of chains.keys()) {
      const uses = (chainUses.get(name) ?? 1) - 1;
      if (uses > 0) chainUses.set(name, uses);
      else {
        chainUses.delete(name);
        to.setChain(name, null);
      }
    }
  }

  function stageDispatch(to: NftTable, interfaces: ReadonlySet<string>): void {
    const present = [...interfaces].filter((name) => endpointsOn.has(name));
    const gone = [...interfaces].filter((name) => !endpointsOn.has(name));
    for (const [map, chainOf] of [[MAP.from, fromEndpointChain], [MAP.to, toEndpointChain]] as const) {
      const elements = (names: readonly string[]): SetElement[] => names.map((name) => ({ key: [name], verdict: { goto: chainOf(name) } }));
      if (interfaces.size > 0) to.changeSet(map, { added: elements(present), removed: elements(gone) });
    }
  }

  function stagePools(to: NftTable): void {
    if (!poolsDirty) return;
    poolsDirty = false;
    const cidrs = [...pools.values()];
    overlay.setPools(cidrs);
    for (const family of [4, 6] as const) {
      const own = cidrs.filter(({ cidr }) => familyOf(cidr) === family);
      const elements = (of: readonly NodePool[]): SetElement[] => disjointCover(of.map(({ cidr }) => cidrParts(cidr).cidr), family).map(({ start, end }) => ({ start: formatAddress(start), end: end === null ? null : formatAddress(end) }));
      const spec = (name: string) => ({ name, key: [family === 4 ? "ipv4_addr" : "ipv6_addr"], interval: true }) as const;
      to.setSet(POOL_SET.nat[family], desiredSet(spec(POOL_SET.nat[family]), elements(own.filter(({ natOutgoing }) => natOutgoing))));
      to.setSet(POOL_SET.all[family], desiredSet(spec(POOL_SET.all[family]), elements(own)));
    }
  }

  function stageStatic(to: NftTable): void {
    if (!everythingDirty && overlay.needsRules === rendersOverlay && !hosts.takeHooksChanged()) return;
    everythingDirty = false;
    if (!mapsMade) for (const spec of staticSets) if (spec.map === true) to.setSet(spec.name, desiredSet(spec, []));
    mapsMade = true;
    rendersOverlay = overlay.needsRules;
    const chains = staticChains(settings, rendersOverlay, hosts.hooks);
    for (const [name, content] of chains) to.setChain(name, content);
    for (const name of OPTIONAL_CHAINS) if (!chains.has(name)) to.setChain(name, null);
    sendersDue = true;
  }

  /** Whose tunnel packets are welcome. */
  function stageSenders(to: NftTable): void {
    if (!overlay.takeSendersChanged() && !sendersDue) return;
    sendersDue = false;
    to.setSet(vxlanSendersSet.name, rendersOverlay ? desiredSet(vxlanSendersSet, overlay.senders.map((address) => ({ key: [address] }))) : null);
  }

  function tellMtu(): void {
    const { podMtu } = overlay;
    if (podMtu === null || podMtu === toldMtu) return;
    try {
      onPodMtu(podMtu);
      toldMtu = podMtu;
      mtuTrouble = null;
    } catch (error) {
      const reason = `the MTU of pods could not be told: ${error instanceof Error ? error.message : String(error)}`;
      if (reason !== mtuTrouble) log.error("The MTU of pods could not be told, trying again", { mtu: podMtu, error });
      mtuTrouble = reason;
    }
  }

  /** Notes whether an endpoint is in force. */
  function judge(id: string, { refused }: NftTable, kernel: Routes): void {
    const rendered = endpoints.get(id);
    if (rendered === undefined) return;
    const { endpoint, chains } = rendered;
    const isRefused = refused.size > 0 && [...chains.chains.keys()].some((name) => refused.has(name));
    if (!isRefused && kernel.missing(endpoint.interfaceName) === null) ready.add(id);
    else ready.delete(id);
  }

  /** At an interval that the settings give; while it is 0, not at all. */
  const refreshing = (ms: () => number, run: () => void): Disposable => every(clock, () => ms() || 60_000, () => {
    if (ms() > 0) run();
  });

  return {
    sink,
    async start() {
      table = createNftTable({ log, onForeignChange: onDrift });
      routes = createRoutes({ log, onDrift });
      overlay.start();
      hosts.start();
      conntrack = openConntrack(openSys());
      foreign = createForeignChains(log);
      for (const cidr of blocks) routes.setBlock(cidr, true);
      timers.push(refreshing(() => settings.nftablesRefreshInterval, () => {
        table?.suspect();
        onDrift();
      }), refreshing(() => settings.routeRefreshInterval, () => {
        routes?.suspect();
        overlay.suspect();
        hosts.suspect();
        onDrift();
      }), every(clock, () => RETRY_MS, () => {
        if (routes?.isBehind === true || overlay.trouble !== null || mtuTrouble !== null) onDrift();
      }));
    },
    async apply() {
      if (table === undefined || routes === undefined) throw new Error("the dataplane was not started");
      if (everythingDirty) prepareHost(log, settings.ipv6Support);
      stageSets(table);
      overlay.inspect();
      hosts.prepare(hasPass, (id) => {
        if (policies.has(id as PolicyId)) dirtyPolicies.add(id as PolicyId);
        if (profiles.has(id as ProfileId)) dirtyProfiles.add(id as ProfileId);
      });
      stagePools(table);
      stageStatic(table);
      stageSenders(table);
      stagePolicies(table);
      const interfaces = stageEndpoints(table, routes);
      hosts.stage(table);
      table.commit();
      hosts.onCommit(table.refused);
      // The old owner's connections go before somebody new gets the address' route.
      if (freedAddresses.size > 0) {
        conntrack?.deleteByAddresses(freedAddresses);
        freedAddresses.clear();
      }
      overlay.place(routes);
      for (const name of routes.apply()) interfaces.add(name);
      overlay.sweep();
      // The rules go after the device.
      if (overlay.needsRules !== rendersOverlay) onDrift();
      tellMtu();
      const anyRefused = table.refused.size > 0;
      if (anyRefused || hadRefusals) for (const id of endpoints.keys()) judge(id, table, routes);
      else for (const name of interfaces) for (const id of endpointsOn.get(name) ?? []) judge(id, table, routes);
      hadRefusals = anyRefused;
    },
    reconfigure(config) {
      settings = config;
      overlay.configure(config);
      hosts.configure(config);
      renderAgain();
      onDrift();
    },
    isReady: (id) => ready.has(id) || hosts.isReady(id),
    doubt(id) {
      const rendered = endpoints.get(id);
      if (rendered !== undefined && !dirtyEndpoints.has(id)) dirtyEndpoints.set(id, rendered.endpoint);
      ready.delete(id);
    },
    failures() {
      const found: { id: string; reason: string }[] = [];
      for (const [chain, reason] of table?.refused ?? []) found.push({ id: ownerOf(chain), reason });
      for (const [id, { endpoint }] of endpoints) {
        const missing = routes?.missing(endpoint.interfaceName) ?? null;
        if (missing !== null) found.push({ id, reason: missing });
      }
      for (const [id, reason] of hosts.missing()) found.push({ id, reason });
      return found;
    },
    obstacles: () => [...(foreign?.dropping() ?? []), ...[overlay.trouble, mtuTrouble].filter((trouble) => trouble !== null)],
    overlay: () => overlay.summary,
    gauges: () => [
      ["felix_nft_chains", "Chains of the table.", () => table?.stats.chains ?? 0],
      ["felix_nft_rules", "Rules of the table.", () => table?.stats.rules ?? 0],
      ["felix_nft_sets", "Sets and maps of the table.", () => table?.stats.sets ?? 0],
      ["felix_nft_calls", "Transactions committed.", () => table?.stats.commits ?? 0],
      ["felix_nft_commands", "Commands in committed transactions.", () => table?.stats.commands ?? 0],
      ["felix_nft_foreign_dropping_chains", "Chains of other tables that drop what they do not accept.", () => foreign?.dropping().length ?? 0],
      ["felix_vxlan_peers", "Other nodes' ends of the VXLAN overlay in the kernel.", () => overlay.peerCount],
      ["felix_vxlan_in_trouble", "1 while the VXLAN overlay is wanted and not as it should be.", () => Number(overlay.trouble !== null)],
      ["felix_route_table_num_routes", "Routes that felix keeps.", () => routes?.count ?? 0],
    ],
    async stop() {
      for (const timer of timers) timer[Symbol.dispose]();
      routes?.[Symbol.dispose]();
      overlay[Symbol.dispose]();
      hosts[Symbol.dispose]();
      conntrack?.[Symbol.dispose]();
      foreign?.[Symbol.dispose]();
      table?.[Symbol.dispose]();
    },
  };

  function ownerOf(chain: string): string {
    for (const id of policies.keys()) for (const direction of DIRECTIONS) if (STAGES.some((stage) => policyChain(id, direction, stage) === chain)) return id;
    for (const [id, { chains }] of endpoints) if (chains.chains.has(chain)) return id;
    return hosts.ownerOf(chain) ?? chain;
  }
}

function mentions(rules: NodePolicy["inbound"], sets: ReadonlySet<IpSetId>): boolean {
  return rules.some(({ source, destination }) => [source, destination].some((side) => [...side.ipSets, ...side.notIpSets, ...side.portSets, ...side.notPortSets].some((id) => sets.has(id))));
}
