/** Host endpoints of this node: what is told of them and which interfaces there are, as chains of the table. */
import type { HostEndpointSink, PolicyId, ResolvedHostEndpoint } from "@calico/calc";
import type { ProfileId } from "@calico/model";
import { openRtnetlink, openSys, type Rtnetlink } from "@calico/kernel";
import { renderHostEndpoints, useOf, type HostHooks, type HostTable } from "../rules/host-chains.ts";
import { asksFor } from "../rules/endpoint-list.ts";
import { STAGES, type Direction, type Stage } from "../rules/names.ts";
import type { ListContext } from "../rules/policy-list.ts";
import type { RenderSettings } from "../rules/settings.ts";
import { bindHostEndpoints, type HostBindings, type HostInterfaces } from "./host-bindings.ts";
import { desiredSet, type NftTable } from "./nft-table.ts";
import type { SharedChains } from "./shared-chains.ts";

export interface HostEndpoints extends Disposable {
  readonly sink: HostEndpointSink;
  /** Opens the kernel's sockets. Writes nothing. */
  start(): void;
  configure(settings: RenderSettings): void;
  /** The interfaces may be others than before: looked at by the next `prepare`. */
  suspect(): void;
  /** Works out who has which interface. Policies and profiles that are needed in other stages than before are said to `onUse`. */
  prepare(contextOf: (direction: Direction, stage: Stage) => ListContext, onUse: (id: PolicyId | ProfileId) => void): void;
  /** Where packets meet host endpoints, as of the last `prepare`. */
  readonly hooks: HostHooks;
  /** True when they changed since the last call. */
  takeHooksChanged(): boolean;
  /** Stages other than the workloads' in which a policy or profile is needed. */
  stagesOf(id: PolicyId | ProfileId, direction: Direction): readonly Stage[];
  /** Chains and maps; the rules that they jump to were staged before. */
  stage(to: Pick<NftTable, "setChain" | "setSet" | "changeSet">, lists: SharedChains): void;
  /** After a commit: what was staged is in force, except for the refused chains and those of refused policies. */
  onCommit(refused: ReadonlyMap<string, string>, refusedPolicies: ReadonlySet<string>, lists: SharedChains): void;
  isReady(id: string): boolean;
  /** Endpoints that are not in force as somebody meant it, and why. */
  missing(): ReadonlyMap<string, string>;
  /** Of which endpoint a chain is. */
  ownerOf(chain: string): string | undefined;
}

export type HostEndpointsOptions = {
  /** Other interfaces than before: apply again. */
  readonly onDrift: () => void;
  readonly settings: RenderSettings;
};

const NOTHING: HostTable = { hooks: new Map(), chains: new Map(), lists: [], sets: [], uses: new Map(), chainsOf: new Map() };

export function createHostEndpoints({ onDrift, settings: initial }: HostEndpointsOptions): HostEndpoints {
  let settings = initial;
  let rtnetlink: Rtnetlink | null = null;
  let subscription: Disposable | null = null;
  const endpoints = new Map<string, ResolvedHostEndpoint>();
  /** Interfaces by number, as last listed: those of workloads are not among them. */
  let names = new Map<number, string>();
  let interfaces: HostInterfaces = { addressesOf: new Map(), isWorkload };
  let bound: HostBindings = { bindings: [], missing: new Map() };
  let table: HostTable = NOTHING;
  let staged: HostTable = NOTHING;
  let hooksChanged = false;
  let renderDue = false;
  let lookDue = true;
  const ready = new Set<string>();

  function isWorkload(name: string): boolean {
    return name.startsWith(settings.interfacePrefix);
  }

  const drift = (): void => {
    lookDue = true;
    if (endpoints.size > 0) onDrift();
  };
  const expects = (address: string): boolean => [...endpoints.values()].some(({ interfaceName, expectedIps }) => interfaceName === "" && expectedIps.some((each) => each === address));

  function look(kernel: Rtnetlink): void {
    const addresses = kernel.listAddresses();
    const links = kernel.listLinks().filter(({ name }) => !isWorkload(name));
    names = new Map(links.map(({ index, name }) => [index, name]));
    interfaces = { addressesOf: new Map(links.map(({ index, name }) => [name, new Set(addresses.filter(({ interfaceIndex }) => interfaceIndex === index).map(({ address }) => address))])), isWorkload };
    lookDue = false;
  }

  return {
    sink: {
      onHostEndpointUpdate(endpoint) {
        endpoints.set(endpoint.id, endpoint);
        ready.delete(endpoint.id);
        renderDue = true;
        lookDue = true;
      },
      onHostEndpointRemove(id) {
        endpoints.delete(id);
        ready.delete(id);
        renderDue = true;
      },
    },
    start() {
      rtnetlink = openRtnetlink(openSys());
      subscription = rtnetlink.subscribe({
        onLink({ index, name }, present) {
          if (present ? names.get(index) !== name && (names.has(index) || !isWorkload(name)) : names.has(index)) drift();
        },
        onAddress({ address }) {
          if (expects(address)) drift();
        },
        onOverflow: drift,
      });
    },
    configure(next) {
      settings = next;
      renderDue = true;
      lookDue = true;
    },
    suspect() {
      lookDue = true;
    },
    prepare(contextOf, onUse) {
      if (rtnetlink === null) throw new Error("the host endpoints' part was not started");
      const looks = endpoints.size > 0 && lookDue;
      if (looks) look(rtnetlink);
      if (!looks && !renderDue) return;
      const boundBefore = bound;
      bound = bindHostEndpoints(endpoints.values(), interfaces);
      if (!renderDue && isSameBinding(boundBefore, bound)) return;
      // Until it is staged.
      renderDue = true;
      const before = table;
      table = renderHostEndpoints(bound.bindings, settings, contextOf);
      for (const id of new Set([...before.uses.keys(), ...table.uses.keys()])) if (text(before.uses.get(id)) !== text(table.uses.get(id))) onUse(id);
      if (JSON.stringify([...before.hooks]) !== JSON.stringify([...table.hooks])) hooksChanged = true;
    },
    get hooks() {
      return table.hooks;
    },
    takeHooksChanged() {
      const changed = hooksChanged;
      hooksChanged = false;
      return changed;
    },
    stagesOf: (id, direction) => STAGES.filter((stage) => table.uses.get(id)?.has(useOf(stage, direction))),
    stage(to, lists) {
      if (staged === table) return;
      for (const list of table.lists) lists.acquire(list, to);
      for (const { spec, elements } of table.sets) to.setSet(spec.name, desiredSet(spec, elements));
      for (const [name, content] of table.chains) to.setChain(name, content);
      const kept = new Set(table.sets.map(({ spec }) => spec.name));
      for (const { spec } of staged.sets) if (!kept.has(spec.name)) to.setSet(spec.name, null);
      for (const name of staged.chains.keys()) if (!table.chains.has(name)) to.setChain(name, null);
      for (const { name } of staged.lists) lists.release(name, to);
      staged = table;
      renderDue = false;
    },
    onCommit(refused, refusedPolicies, lists) {
      // What was told during a commit is in the kernel after the next one.
      if (renderDue) return;
      for (const [id, { tiers, untracked, preDnat, profiles }] of endpoints) {
        const chains = staged.chainsOf.get(id);
        const isRefused = refused.size > 0 && ([...(chains ?? [])].some((name) => lists.leadsTo(name, refused)) || asksFor({ tiers: [...tiers, ...untracked, ...preDnat], profiles }, refusedPolicies));
        if (chains !== undefined && !bound.missing.has(id) && !isRefused) ready.add(id);
        else ready.delete(id);
      }
    },
    isReady: (id) => ready.has(id),
    missing: () => bound.missing,
    ownerOf: (chain) => [...staged.chainsOf].find(([, chains]) => chains.has(chain))?.[0],
    [Symbol.dispose]() {
      subscription?.[Symbol.dispose]();
      rtnetlink?.[Symbol.dispose]();
    },
  };
}

function isSameBinding(a: HostBindings, b: HostBindings): boolean {
  return a.bindings.length === b.bindings.length && a.bindings.every(({ interfaceName, endpoint }, i) => b.bindings[i]?.interfaceName === interfaceName && b.bindings[i].endpoint === endpoint);
}

const text = (uses: ReadonlySet<string> | undefined): string => [...(uses ?? [])].sort().join();
