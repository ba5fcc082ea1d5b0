/** The nftables dataplane: what the node half reports, as table, routes and settings. */
import type { DataplaneSink, NodePool, ResolvedEndpoint } from "@calico/calc";
import { cidrParts, disjointCover, familyOf, formatAddress } from "@calico/model";
import { openConntrack, openSys, type Conntrack, type SetElement } from "@calico/kernel";
import { every, type Clock, type Logger } from "@calico/service-kit";
import { chainContent, rule } from "../rules/chain.ts";
import { MAP, POOL_SET } from "../rules/constants.ts";
import { renderOwnChains, type EndpointChains, type OwnChains } from "../rules/endpoint-chains.ts";
import { asksFor, renderList } from "../rules/endpoint-list.ts";
import { fromEndpointChain, policiesChain, toEndpointChain } from "../rules/names.ts";
import { denials } from "../rules/policy-rules.ts";
import { FEWEST_GUARDED, LIST_SIZES, type ListSizes } from "../rules/policy-list.ts";
import type { RenderSettings } from "../rules/settings.ts";
import { OPTIONAL_CHAINS, staticChains, staticSets, vxlanSendersSet } from "../rules/static-chains.ts";
import { createForeignChains, type ForeignChains } from "./foreign-chains.ts";
import { createHostEndpoints, type HostEndpoints } from "./host-endpoints.ts";
import { createIpSets } from "./ip-sets.ts";
import { createNftTable, desiredSet, type NftTable } from "./nft-table.ts";
import { createOverlay, type Overlay, type OverlaySettings } from "./overlay.ts";
import { PolicyChains } from "./policy-chains.ts";
import { PolicyLeaves } from "./policy-leaves.ts";
import { createRoutes, type Routes } from "./routes.ts";
import { endingCounters, ruleCounters, type RuleCounter } from "./rule-counters.ts";
import { SharedChains } from "./shared-chains.ts";
import { UnionSets } from "./union-sets.ts";
import { prepareHost } from "./host-settings.ts";

export type DataplaneConfig = RenderSettings & OverlaySettings & { readonly nftablesRefreshInterval: number; readonly routeRefreshInterval: number };

export interface Dataplane {
  readonly sink: DataplaneSink;
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
  /** Policies and profiles of which the kernel refused a rule: they are in force as they were, or drop everything. */
  refusedPolicies(): ReadonlySet<string>;
  /** In words what of others stands in the way of pods' traffic. */
  obstacles(): readonly string[];
  /** What the kernel counted for the rules of a policy or profile, or for the ends of an endpoint's tiers; none when it does not have them. Throws a KernelError. */
  counters(id: string): readonly RuleCounter[];
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
  /** Where as many policies are to be asked in turn, groups of them get a guard. */
  readonly fewestGuarded?: number;
  /** How long lists of policies are cut. */
  readonly sizes?: ListSizes;
  readonly clock: Clock;
  readonly log: Logger;
};

/** What the kernel refused is tried again after this time, when nothing else makes an apply before. */
const RETRY_MS = 5_000;

const DIRECTIONS = ["ingress", "egress"] as const;

type Rendered = { readonly endpoint: ResolvedEndpoint; readonly settings: DataplaneConfig; readonly chains: EndpointChains };

export function createDataplane({ config: initial, onDrift, onPodMtu, fewestGuarded = FEWEST_GUARDED, sizes = LIST_SIZES, clock, log }: DataplaneOptions): Dataplane {
  let settings: DataplaneConfig = initial;
  /** Of the next apply. */
  let next: DataplaneConfig | null = null;
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
  const endpoints = new Map<string, Rendered>();
  /** Ids of the endpoints behind an interface: two while a recreated pod takes over the name of the old one. */
  const endpointsOn = new Map<string, Set<string>>();
  const pools = new Map<string, NodePool>();
  const blocks = new Set<string>();
  const unions = new UnionSets(ipSets);
  const leaves = new PolicyLeaves();
  const lists = new SharedChains(unions, leaves);
  const policyChains = new PolicyChains({ lists, leaves, sizes, setName: (id, family) => ipSets.nameOf(id, family), guard: (sets) => unions.guard(sets), fewestGuarded });
  const dirtyEndpoints = new Map<string, ResolvedEndpoint | null>();
  const freedAddresses = new Set<string>();
  /** Endpoints whose interface is to be looked at whatever is known of it. */
  const doubted = new Set<string>();
  /** What the table was told of each interface, but for its policies. */
  const ownOn = new Map<string, OwnChains>();
  /** Addresses behind interfaces, as the routes were told. */
  const routed = new Map<string, string>();
  let poolsDirty = true;
  let everythingDirty = true;
  let mapsMade = false;
  let hadRefusals = false;
  const ready = new Set<string>();
  /** Interfaces whose endpoints are to be judged after a commit. */
  const judgeDue = new Set<string>();

  const sink: DataplaneSink = {
    ...overlay.sink,
    ...hosts.sink,
    onIpSetUpdate: (id, type, members) => ipSets.set(id, type, members),
    onIpSetDelta: (id, added, removed) => ipSets.change(id, added, removed),
    onIpSetRemove: (id) => ipSets.remove(id),
    onPolicyUpdate: (policy) => policyChains.setPolicy(policy.id, policy),
    onPolicyRemove: (id) => policyChains.setPolicy(id, null),
    onProfileUpdate: (profile) => policyChains.setProfile(profile.id, profile),
    onProfileRemove: (id) => policyChains.setProfile(id, null),
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

  /** Between two applies, so that the rules and what they protect follow the same settings. */
  function takeSettings(): void {
    if (next === null) return;
    settings = next;
    next = null;
    overlay.configure(settings);
    hosts.configure(settings);
    renderAgain();
  }

  function renderAgain(): void {
    policyChains.renderAgain();
    for (const [id, { endpoint }] of endpoints) if (!dirtyEndpoints.has(id)) dirtyEndpoints.set(id, endpoint);
    lists.invalidate();
    everythingDirty = true;
    poolsDirty = true;
  }

  /** Sets first: a set that changed its shape has another name, and the rules that use it follow. */
  function stageSets(to: NftTable): void {
    const { replaced, changed, removed, renamed, reshaped, touched } = ipSets.takeChanges();
    for (const [name, set] of replaced) to.setSet(name, set);
    for (const [name, change] of changed) to.changeSet(name, change);
    for (const name of removed) to.setSet(name, null);
    unions.follow(touched, to);
    if (renamed.size > 0) policyChains.onRenamed(renamed, reshaped);
  }

  /** Returns the interfaces and the endpoints that were touched. */
  function stageEndpoints(to: NftTable, kernel: Routes): Set<string> {
    const interfaces = new Set<string>();
    for (const [id, endpoint] of dirtyEndpoints) {
      const before = endpoints.get(id);
      if (endpoint !== null) {
        const own = before !== undefined && before.settings === settings && isSameBesidesPolicies(before.endpoint, endpoint) ? before.chains.own : renderOwnChains(endpoint, settings);
        const listOf = (direction: "ingress" | "egress") => renderList(endpoint, { direction, stage: "workload", settings, context: policyChains.contextOf(direction, "workload") });
        const chains = { own, lists: { egress: listOf("egress"), ingress: listOf("ingress") } };
        for (const direction of DIRECTIONS) lists.acquire(chains.lists[direction], to);
        endpoints.set(id, { endpoint, settings, chains });
        join(id, endpoint.interfaceName);
        interfaces.add(endpoint.interfaceName);
      } else endpoints.delete(id);
      if (before === undefined) continue;
      for (const direction of DIRECTIONS) lists.release(before.chains.lists[direction].name, to);
      for (const address of before.endpoint.addresses) if (endpoint === null || !endpoint.addresses.includes(address)) freedAddresses.add(address);
      const { interfaceName } = before.endpoint;
      interfaces.add(interfaceName);
      if (interfaceName !== endpoint?.interfaceName) leave(id, interfaceName);
    }
    for (const name of interfaces) stageInterface(name, to, kernel);
    dirtyEndpoints.clear();
    doubted.clear();
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
    const newest = newestOn(name);
    const addresses = newest?.endpoint.addresses ?? [];
    const isSpoofing = settings.workloadSourceSpoofing === "Any" && newest?.endpoint.allowedSourcePrefixes !== undefined;
    // Looking at an interface takes calls of the kernel, which a change of policies alone does not need.
    const wanted = JSON.stringify([addresses, isSpoofing]);
    if (doubted.has(newest?.endpoint.id ?? "") || routed.get(name) !== wanted) kernel.setInterface(name, addresses, isSpoofing);
    if (newest === undefined) routed.delete(name);
    else routed.set(name, wanted);
    stageOwn(name, newest?.chains.own, to);
    for (const direction of DIRECTIONS) to.setChain(policiesChain(name, direction), newest === undefined ? null : chainContent([rule([{ kind: "goto", chain: newest.chains.lists[direction].name }])]));
  }

  function stageOwn(name: string, own: OwnChains | undefined, to: NftTable): void {
    for (const chain of [fromEndpointChain(name), toEndpointChain(name)]) to.setChain(chain, own?.chains.get(chain) ?? null);
    const before = ownOn.get(name);
    if (before === own) return;
    if (own === undefined) ownOn.delete(name);
    else ownOn.set(name, own);
    for (const { spec, elements } of own?.sets ?? []) to.setSet(spec.name, desiredSet(spec, elements));
    for (const { spec } of before?.sets ?? []) if (own?.sets.some((set) => set.spec.name === spec.name) !== true) to.setSet(spec.name, null);
  }

  function newestOn(interfaceName: string): Rendered | undefined {
    return endpoints.get([...(endpointsOn.get(interfaceName) ?? [])].at(-1) ?? "");
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

  function isAmong({ endpoint, chains: { own, lists: roots } }: Rendered, names: ReadonlyMap<string, unknown>): boolean {
    return [...own.chains.keys()].some((name) => names.has(name)) || DIRECTIONS.some((direction) => names.has(policiesChain(endpoint.interfaceName, direction)) || lists.leadsTo(roots[direction].name, names));
  }

  /** Notes whether an endpoint is in force: with its policies and profiles, if they are not among those that the kernel refused. */
  function judge(id: string, { refused }: NftTable, refusedOwners: ReadonlySet<string>, kernel: Routes): void {
    const rendered = endpoints.get(id);
    // What was told during a commit is in the kernel after the next one.
    if (rendered === undefined || dirtyEndpoints.has(id)) return;
    const { endpoint } = rendered;
    const isRefused = refused.size > 0 && (isAmong(rendered, refused) || asksFor(endpoint, refusedOwners));
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
      takeSettings();
      if (everythingDirty) prepareHost(log, settings.ipv6Support);
      stageSets(table);
      overlay.inspect();
      policyChains.stageShapes(table);
      hosts.prepare((direction, stage) => policyChains.contextOf(direction, stage), (id) => policyChains.onUse(id));
      stagePools(table);
      stageStatic(table);
      stageSenders(table);
      policyChains.stage(table, settings, (id, direction) => hosts.stagesOf(id, direction));
      for (const name of stageEndpoints(table, routes)) judgeDue.add(name);
      hosts.stage(table, lists);
      leaves.place(table);
      await table.commit();
      const refusedOwners = refusedPolicies();
      hosts.onCommit(table.refused, refusedOwners, lists);
      // The old owner's connections go before somebody new gets the address' route.
      if (freedAddresses.size > 0) {
        conntrack?.deleteByAddresses(freedAddresses);
        freedAddresses.clear();
      }
      overlay.place(routes);
      for (const name of routes.apply()) judgeDue.add(name);
      overlay.sweep();
      // The rules go after the device.
      if (overlay.needsRules !== rendersOverlay) onDrift();
      tellMtu();
      const anyRefused = table.refused.size > 0;
      if (anyRefused || hadRefusals) for (const id of endpoints.keys()) judge(id, table, refusedOwners, routes);
      else for (const name of judgeDue) for (const id of endpointsOn.get(name) ?? []) judge(id, table, refusedOwners, routes);
      hadRefusals = anyRefused;
      judgeDue.clear();
    },
    reconfigure(config) {
      next = config;
      onDrift();
    },
    isReady: (id) => ready.has(id) || hosts.isReady(id),
    doubt(id) {
      const rendered = endpoints.get(id);
      if (rendered !== undefined && !dirtyEndpoints.has(id)) dirtyEndpoints.set(id, rendered.endpoint);
      doubted.add(id);
      ready.delete(id);
    },
    refusedPolicies,
    failures() {
      const found: { id: string; reason: string }[] = [];
      for (const [chain, reason] of table?.refused ?? []) for (const id of ownersOf(chain)) found.push({ id, reason });
      const reasons = refusals();
      for (const [id, { endpoint }] of endpoints) {
        const missing = routes?.missing(endpoint.interfaceName) ?? null;
        if (missing !== null) found.push({ id, reason: missing });
        const [owner] = reasons.size === 0 ? [] : [...reasons.keys()].filter((each) => asksFor(endpoint, new Set([each])));
        if (owner !== undefined) found.push({ id, reason: `${owner}: ${reasons.get(owner)}` });
      }
      for (const [id, reason] of hosts.missing()) found.push({ id, reason });
      return found;
    },
    counters(id) {
      if (table === undefined) return [];
      const countersOf = table.counters;
      const rendered = endpoints.get(id);
      if (rendered === undefined) return ruleCounters(id, (chain) => policyChains.rulesOf(chain), countersOf);
      return endingCounters(rendered.endpoint, denials(settings, "workload").length, countersOf);
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

  function refusedPolicies(): ReadonlySet<string> {
    return new Set(refusals().keys());
  }

  /** Policies and profiles of which the kernel refused a chain, with its words. */
  function refusals(): ReadonlyMap<string, string> {
    return new Map([...(table?.refused ?? [])].flatMap(([chain, reason]) => policyChains.ownersOf(chain).map((id): [string, string] => [id, reason])));
  }

  function ownersOf(chain: string): readonly string[] {
    for (const [id, rendered] of endpoints) if (isAmong(rendered, new Map([[chain, ""]]))) return [id];
    const policies = policyChains.ownersOf(chain);
    return policies.length > 0 ? policies : [hosts.ownerOf(chain) ?? chain];
  }
}

function isSameBesidesPolicies({ tiers: _a, ...a }: ResolvedEndpoint, { tiers: _b, ...b }: ResolvedEndpoint): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
