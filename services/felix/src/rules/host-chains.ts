/** Host endpoints as chains: what a packet meets on its way into, out of and through this host itself. Pure. */
import type { EndpointTier, PolicyId, ResolvedHostEndpoint } from "@calico/calc";
import type { ProfileId } from "@calico/model";
import type { SetElement } from "@calico/kernel";
import { chainContent, rule, type ChainContent, type LiteralSet } from "./chain.ts";
import { CHAIN, HOST_DISCOVERY_TYPES } from "./constants.ts";
import { invalid } from "./endpoint-chains.ts";
import { renderList } from "./endpoint-list.ts";
import { FAILSAFE, failsafeChains } from "./failsafe-chains.ts";
import type { Direction, Stage } from "./names.ts";
import type { ChainNode, ListContext } from "./policy-list.ts";
import type { RenderSettings } from "./settings.ts";

/** "*": every interface that is no workload's and has no host endpoint of its own, except for lo. */
export type HostBinding = { readonly interfaceName: string; readonly endpoint: ResolvedHostEndpoint };

/** Where a packet meets host endpoints; a place has a map of this name from interfaces to chains. */
export type Place = "untracked-from" | "untracked-to" | "pre-dnat-from" | "host-from" | "host-to" | "translated-to" | "forward-from" | "forward-to";

type PlaceSpec = {
  readonly stage: Stage;
  readonly direction: Direction;
  readonly policies: "tiers" | "untracked" | "preDnat" | "forward";
  /** There whatever the policies: what no policy allows is denied. */
  readonly isClosed: boolean;
  readonly failsafe: string | null;
};

const PLACES: Readonly<Record<Place, PlaceSpec>> = {
  "untracked-from": { stage: "untracked", direction: "ingress", policies: "untracked", isClosed: false, failsafe: FAILSAFE.untrackedFrom },
  "untracked-to": { stage: "untracked", direction: "egress", policies: "untracked", isClosed: false, failsafe: FAILSAFE.untrackedTo },
  "pre-dnat-from": { stage: "pre-dnat", direction: "ingress", policies: "preDnat", isClosed: false, failsafe: FAILSAFE.from },
  "host-from": { stage: "host", direction: "ingress", policies: "tiers", isClosed: true, failsafe: FAILSAFE.from },
  "host-to": { stage: "host", direction: "egress", policies: "tiers", isClosed: true, failsafe: FAILSAFE.to },
  "translated-to": { stage: "translated", direction: "egress", policies: "tiers", isClosed: true, failsafe: FAILSAFE.to },
  "forward-from": { stage: "forward", direction: "ingress", policies: "forward", isClosed: false, failsafe: null },
  "forward-to": { stage: "forward", direction: "egress", policies: "forward", isClosed: false, failsafe: null },
};

/** Which places are in use, and by what: absent, nobody meets anything there. */
export type HostHooks = ReadonlyMap<Place, { readonly named: boolean; readonly wildcard: boolean }>;

export type HostTable = {
  readonly hooks: HostHooks;
  readonly chains: ReadonlyMap<string, ChainContent>;
  /** Where these lead; a list may be there several times. */
  readonly lists: readonly ChainNode[];
  /** The maps of the places and the failsafe ports. */
  readonly sets: readonly LiteralSet[];
  /** In which stages chains of policies and profiles are needed: "<stage> <direction>" by their ids. */
  readonly uses: ReadonlyMap<PolicyId | ProfileId, ReadonlySet<string>>;
  /** Own chains and lists of each endpoint. */
  readonly chainsOf: ReadonlyMap<string, ReadonlySet<string>>;
};

/** The chain of one interface at a place. No interface has a slash in its name. */
export function hostChain(place: Place, interfaceName: string): string {
  return `${place}-${interfaceName === "*" ? "/any" : interfaceName}`;
}

export const useOf = (stage: Stage, direction: Direction): string => `${stage} ${direction}`;

/** At most one binding per interface. */
export function renderHostEndpoints(bindings: readonly HostBinding[], settings: RenderSettings, contextOf: (direction: Direction, stage: Stage) => ListContext): HostTable {
  const chains = new Map<string, ChainContent>();
  const chainsOf = new Map<string, Set<string>>();
  const uses = new Map<PolicyId | ProfileId, Set<string>>();
  const lists: ChainNode[] = [];
  const hooks = new Map<Place, { named: boolean; wildcard: boolean }>();
  const sets: LiteralSet[] = [];
  const named = bindings.filter(({ interfaceName }) => interfaceName !== "*");

  function place(at: Place, spec: PlaceSpec): void {
    const here = bindings.filter(({ endpoint }) => spec.isClosed || tiersAt(endpoint, spec).length > 0);
    if (here.length === 0) return;
    // The kernel cannot answer where this packet is dropped, so Reject has lists of its own there.
    const stage = spec.stage === "translated" && settings.iptablesFilterDenyAction === "Drop" ? "host" : spec.stage;
    for (const { interfaceName, endpoint } of here) {
      const list = renderList({ tiers: tiersAt(endpoint, spec), profiles: profilesAt(endpoint, spec) }, { direction: spec.direction, stage, settings, context: contextOf(spec.direction, stage) });
      lists.push(list);
      chains.set(hostChain(at, interfaceName), chainContent([
        ...(spec.stage === "untracked" || spec.stage === "pre-dnat" ? [] : invalid(settings)),
        ...(spec.failsafe === null ? [] : [rule([{ kind: "jump", chain: spec.failsafe }])]),
        rule([{ kind: "goto", chain: list.name }], `host endpoint ${endpoint.name}`),
      ]));
      chainsOf.set(endpoint.id, new Set([...(chainsOf.get(endpoint.id) ?? []), hostChain(at, interfaceName), list.name]));
      for (const id of [...tiersAt(endpoint, spec).flatMap((tier) => tier[spec.direction]), ...profilesAt(endpoint, spec)]) uses.set(id, (uses.get(id) ?? new Set()).add(useOf(stage, spec.direction)));
    }
    hooks.set(at, { named: named.length > 0, wildcard: here.some(({ interfaceName }) => interfaceName === "*") });
    // An interface with nothing at this place is there all the same: the wildcard is not for it.
    const elements = named.map(({ interfaceName }): SetElement => ({ key: [interfaceName], verdict: chains.has(hostChain(at, interfaceName)) ? { goto: hostChain(at, interfaceName) } : { verdict: "accept" } }));
    if (named.length > 0) sets.push({ spec: { name: at, key: ["ifname"], map: true }, elements });
  }

  for (const [at, spec] of Object.entries(PLACES) as [Place, PlaceSpec][]) place(at, spec);
  if (hooks.size > 0) {
    chains.set(CHAIN.hostDiscovery, chainContent(HOST_DISCOVERY_TYPES.map((type) => rule([{ kind: "icmp", family: 6, type, code: null }, { kind: "verdict", verdict: "accept" }]))));
    const failsafe = failsafeChains(settings, hooks.has("untracked-from") || hooks.has("untracked-to"));
    for (const [name, content] of failsafe.chains) chains.set(name, content);
    sets.push(...failsafe.sets);
  }
  return { hooks, chains, lists, sets, uses, chainsOf };
}

function tiersAt(endpoint: ResolvedHostEndpoint, { policies, direction }: PlaceSpec): EndpointTier[] {
  return endpoint[policies].filter((tier) => tier[direction].length > 0);
}

/** Profiles speak for what this host itself sends and receives. */
function profilesAt(endpoint: ResolvedHostEndpoint, { policies }: PlaceSpec): readonly ProfileId[] {
  return policies === "tiers" ? endpoint.profiles : [];
}
