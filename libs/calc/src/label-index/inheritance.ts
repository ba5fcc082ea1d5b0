/** Effective labels: an item's own, and those of its profiles. */
import type { Labels, ProfileId } from "@calico/model";
import { SlotSet } from "./slot-set.ts";

/** What an item carries itself. It is kept as it is, so it must not change. */
export type Own = {
  readonly labels: Labels;
  readonly profiles: readonly ProfileId[];
  /** While a profile is not known it has the labels that are; others then have none. */
  readonly goesByKnown?: boolean;
};

/** What a profile is taken to give; null: it is not known. */
export type ProfileLabels = { readonly id: ProfileId; readonly labels: Labels | null };

/** `labels` is null: the profile is not known. */
type Parent = { labels: Labels | null; readonly items: SlotSet };

/**
 * Joins items with the labels of their profiles. Own labels win over inherited ones, a profile wins over
 * those behind it. An item of which a profile is unknown has no effective labels: whoever trusted its
 * labels might let traffic through that a label of the missing profile forbids. It may ask for those that are known:
 * then nobody may trust them so.
 */
export class Inheritance {
  readonly #own: (Own | undefined)[] = [];
  readonly #parents = new Map<ProfileId, Parent>();

  ownOf(slot: number): Own | undefined {
    return this.#own[slot];
  }

  /** Sets what an item carries itself; null takes it out. */
  setItem(slot: number, own: Own | null): void {
    for (const profile of this.#own[slot]?.profiles ?? []) this.#unlink(profile, slot);
    this.#own[slot] = own ?? undefined;
    for (const profile of own?.profiles ?? []) this.#parent(profile).items.add(slot);
  }

  profileLabels(id: ProfileId): Labels | null {
    return this.#parents.get(id)?.labels ?? null;
  }

  /** Sets the labels of a profile; null: it is gone. */
  setProfile(id: ProfileId, labels: Labels | null): void {
    const parent = this.#parent(id);
    parent.labels = labels;
    this.#forgetUnused(id, parent);
  }

  /** Items that have a profile. */
  itemsOf(id: ProfileId): SlotSet {
    return this.#parents.get(id)?.items ?? NONE;
  }

  /** True when the item has effective labels. */
  isLabelled(slot: number): boolean {
    const own = this.#own[slot];
    return own !== undefined && this.#isLabelled(own);
  }

  /** One effective label of an item that has them. */
  labelOf(slot: number, key: string): string | undefined {
    const own = this.#own[slot];
    if (own === undefined) return undefined;
    if (Object.hasOwn(own.labels, key)) return own.labels[key];
    for (const profile of own.profiles) {
      const labels = this.profileLabels(profile);
      if (labels !== null && Object.hasOwn(labels, key)) return labels[key];
    }
    return undefined;
  }

  /** Own and inherited labels; null while a profile is unknown, or for an unknown item. `instead` stands for what one profile gives. */
  effectiveLabels(slot: number, instead?: ProfileLabels): Labels | null {
    const own = this.#own[slot];
    return own === undefined || !this.#isLabelled(own, instead) ? null : this.#merged(own, instead);
  }

  /** Own labels and those of the profiles that are known. */
  knownLabels(own: Own): Labels {
    return this.#merged(own);
  }

  #isLabelled({ profiles, goesByKnown }: Own, instead?: ProfileLabels): boolean {
    return goesByKnown === true || profiles.every((id) => (id === instead?.id ? instead.labels : this.profileLabels(id)) !== null);
  }

  /** Made anew each time: kept for each item, it would be most of what is kept. */
  #merged(own: Own, instead?: ProfileLabels): Labels {
    let merged: Labels = {};
    for (const profile of own.profiles.toReversed()) merged = { ...merged, ...(profile === instead?.id ? instead.labels : this.profileLabels(profile)) };
    return { ...merged, ...own.labels };
  }

  #parent(id: ProfileId): Parent {
    let parent = this.#parents.get(id);
    if (parent === undefined) this.#parents.set(id, (parent = { labels: null, items: new SlotSet() }));
    return parent;
  }

  #unlink(id: ProfileId, slot: number): void {
    const parent = this.#parents.get(id);
    if (parent === undefined) return;
    parent.items.delete(slot);
    this.#forgetUnused(id, parent);
  }

  #forgetUnused(id: ProfileId, { labels, items }: Parent): void {
    if (labels === null && items.size === 0) this.#parents.delete(id);
  }
}

const NONE = new SlotSet();
