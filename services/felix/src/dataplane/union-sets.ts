/** Kernel sets of the members of several sets: who is in none of them need not be looked for in each. */
import type { IpSetId } from "@calico/calc";
import { addressOf, familyOf } from "@calico/model";
import type { Family, SetElement, SetSpec } from "@calico/kernel";
import { unionSetName } from "../rules/names.ts";
import type { Guard } from "../rules/policy-list.ts";
import { isWide, type IpSets } from "./ip-sets.ts";
import { desiredSet, type NftTable } from "./nft-table.ts";

type Table = Pick<NftTable, "setSet" | "changeSet">;
type Held = { readonly guard: Guard; uses: number };

const FAMILIES = [4, 6] as const;

export class UnionSets {
  readonly #ipSets: Pick<IpSets, "singlesOf">;
  /** By the name of the IPv4 set. */
  readonly #held = new Map<string, Held>();
  readonly #users = new Map<IpSetId, Set<Held>>();

  constructor(ipSets: Pick<IpSets, "singlesOf">) {
    this.#ipSets = ipSets;
  }

  /** The guard of these sets; null when one of them has members that are no single addresses. */
  guard(sets: readonly IpSetId[]): Guard | null {
    return sets.every((id) => this.#ipSets.singlesOf(id) !== null) ? { sets, names: { 4: unionSetName(sets, 4), 6: unionSetName(sets, 6) } } : null;
  }

  /** One more use; the first one makes the sets. */
  acquire(guard: Guard, to: Table): void {
    const held = this.#held.get(guard.names[4]);
    if (held !== undefined) {
      held.uses += 1;
      return;
    }
    const made: Held = { guard, uses: 1 };
    this.#held.set(guard.names[4], made);
    for (const id of guard.sets) this.#users.set(id, (this.#users.get(id) ?? new Set()).add(made));
    this.#fill(guard, to);
  }

  release({ names }: Guard, to: Table): void {
    const held = this.#held.get(names[4]);
    if (held === undefined) return;
    held.uses -= 1;
    if (held.uses > 0) return;
    this.#held.delete(names[4]);
    for (const id of held.guard.sets) {
      const users = this.#users.get(id);
      users?.delete(held);
      if (users?.size === 0) this.#users.delete(id);
    }
    for (const family of FAMILIES) to.setSet(names[family], null);
  }

  /** Follows members that came to or went from sets; null: any of them. */
  follow(touched: ReadonlyMap<IpSetId, ReadonlySet<string> | null>, to: Table): void {
    for (const [id, members] of touched) {
      for (const { guard } of this.#users.get(id) ?? []) {
        if (members === null) this.#fill(guard, to);
        else this.#change(guard, members, to);
      }
    }
  }

  #fill({ sets, names }: Guard, to: Table): void {
    const elements: Record<Family, SetElement[]> = { 4: [], 6: [] };
    for (const member of new Set(sets.flatMap((id) => [...(this.#ipSets.singlesOf(id) ?? [])]))) elements[familyOf(member)].push(elementOf(member));
    for (const family of FAMILIES) to.setSet(names[family], desiredSet(specOf(names[family], family), elements[family]));
  }

  #change({ sets, names }: Guard, members: ReadonlySet<string>, to: Table): void {
    const changes: Record<Family, { added: SetElement[]; removed: SetElement[] }> = { 4: { added: [], removed: [] }, 6: { added: [], removed: [] } };
    for (const member of members) {
      // A range that came and went meanwhile is no member, though it begins with an address that may be one.
      if (isWide(member, familyOf(member))) continue;
      const isMember = sets.some((id) => this.#ipSets.singlesOf(id)?.has(member) === true);
      changes[familyOf(member)][isMember ? "added" : "removed"].push(elementOf(member));
    }
    for (const family of FAMILIES) if (changes[family].added.length + changes[family].removed.length > 0) to.changeSet(names[family], changes[family]);
  }
}

const specOf = (name: string, family: Family): SetSpec => ({ name, key: [family === 4 ? "ipv4_addr" : "ipv6_addr"] });
const elementOf = (member: string): SetElement => ({ key: [addressOf(member)] });
