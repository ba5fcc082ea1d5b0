/** Chains that several endpoints lead to: in the table as long as one of them does. */
import type { PolicyId } from "@calico/calc";
import type { ChainNode, Guard, Leaves } from "../rules/policy-list.ts";
import { desiredSet, type NftTable } from "./nft-table.ts";

type Table = Pick<NftTable, "setChain" | "setSet" | "changeSet">;

/** Keeps the sets of guards. */
export type Guards = { acquire(guard: Guard, to: Table): void; release(guard: Guard, to: Table): void };
/** Keeps the chains of policies. */
export type LeafKeeper = { acquire(leaves: Leaves): void; release(leaves: Leaves): void };

export class SharedChains {
  readonly #guards: Guards;
  readonly #leaves: LeafKeeper;
  readonly #held = new Map<string, { uses: number; node: ChainNode }>();
  /** Compiled for settings that are no longer so. */
  readonly #stale = new Set<string>();

  constructor(guards: Guards, leaves: LeafKeeper) {
    this.#guards = guards;
    this.#leaves = leaves;
  }

  /** A chain as it was compiled last, if that is still right. */
  get(name: string): ChainNode | undefined {
    return this.#stale.has(name) ? undefined : this.#held.get(name)?.node;
  }

  /** Everything is to be compiled anew. */
  invalidate(): void {
    for (const name of this.#held.keys()) this.#stale.add(name);
  }

  /** One more use of a chain, with all that it leads to; each wants a `release`. Of two contents of one name, the later counts. */
  acquire(node: ChainNode, to: Table): void {
    const held = this.#held.get(node.name);
    if (held !== undefined) {
      held.uses += 1;
      if (held.node !== node) this.replace(node, to);
      return;
    }
    this.#held.set(node.name, { uses: 1, node });
    for (const child of node.children) this.acquire(child, to);
    for (const guard of node.guards) this.#guards.acquire(guard, to);
    this.#leaves.acquire(node);
    write(node, to);
  }

  release(name: string, to: Table): void {
    const held = this.#held.get(name);
    if (held === undefined) return;
    held.uses -= 1;
    if (held.uses > 0) return;
    this.#held.delete(name);
    this.#stale.delete(name);
    to.setChain(name, null);
    for (const { spec } of held.node.maps) to.setSet(spec.name, null);
    for (const guard of held.node.guards) this.#guards.release(guard, to);
    this.#leaves.release(held.node);
    for (const child of held.node.children) this.release(child.name, to);
  }

  /** Gives a chain that is in use another content. */
  replace(node: ChainNode, to: Table): void {
    const held = this.#held.get(node.name);
    if (held === undefined || held.node === node) return;
    const before = held.node;
    held.node = node;
    this.#stale.delete(node.name);
    for (const child of node.children) this.acquire(child, to);
    for (const guard of node.guards) this.#guards.acquire(guard, to);
    this.#leaves.acquire(node);
    write(node, to);
    this.#leaves.release(before);
    for (const guard of before.guards) this.#guards.release(guard, to);
    const kept = new Set(node.maps.map(({ spec }) => spec.name));
    for (const { spec } of before.maps) if (!kept.has(spec.name)) to.setSet(spec.name, null);
    for (const child of before.children) this.release(child.name, to);
  }

  /** Compiles anew, once, each chain that depends on one of these policies: on its ports alone, or on more. */
  recompile(changed: ReadonlyMap<PolicyId, "ports" | "more">, to: Table): void {
    if (changed.size === 0) return;
    const affected = [...this.#held.values()].filter(({ node }) => dependsOn(node, changed));
    // One that is stale would be compiled for the settings of before: whoever uses it brings a new one.
    for (const { node } of affected) if (this.#held.has(node.name) && !this.#stale.has(node.name)) this.replace(node.again(), to);
  }

  /** Whether one of the chains that a chain leads to is among these, or itself is. */
  leadsTo(name: string, chains: { has(name: string): boolean }): boolean {
    return chains.has(name) || (this.#held.get(name)?.node.children.some((child) => this.leadsTo(child.name, chains)) ?? false);
  }
}

/** Lists are long and changes are few, mostly: an array is searched faster than it is walked. */
const FEW = 8;

function dependsOn({ policies, followsPorts }: ChainNode, changed: ReadonlyMap<PolicyId, "ports" | "more">): boolean {
  const concerns = (what: "ports" | "more" | undefined): boolean => what === "more" || (what === "ports" && followsPorts);
  return changed.size <= FEW ? [...changed].some(([id, what]) => concerns(what) && policies.includes(id)) : policies.some((id) => concerns(changed.get(id)));
}

function write({ name, content, maps }: ChainNode, to: Table): void {
  for (const { spec, elements } of maps) to.setSet(spec.name, desiredSet(spec, elements));
  to.setChain(name, content);
}
