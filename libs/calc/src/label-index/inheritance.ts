/** Effective labels: an item's own, and those of its profiles. */
import type { Labels, ProfileId } from "@calico/model";
import { SlotSet } from "./slot-set.ts";

/** What an item carries itself. It is kept as it is, so it must not change. */
export type Own = { readonly labels: Labels; readonly profiles: readonly ProfileId[] };

/** `labels` is null: the profile is not known. */
type Parent = { labels: Labels | null; readonly items: SlotSet };

/**
 * Joins items with the labels of their profiles. Own labels win over inherited ones, a profile wins over
 * those behind it. An item of which a profile is unknown has no effective labels: whoever trusted its
 * labels might let traffic through that a label of the missing profile forbids.
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

  /** True when the item is there and all its profiles are known. */
  isComplete(slot: number): boolean {
    return this.#own[slot]?.profiles.every((profile) => this.profileLabels(profile) !== null) ?? false;
  }

  /** One effective label of a complete item. */
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

  /** Own and inherited labels; null while a profile is unknown, or for an unknown item. `instead` stands for the labels of one profile. */
  effectiveLabels(slot: number, instead?: { readonly id: ProfileId; readonly labels: Labels }): Labels | null {
    const own = this.#own[slot];
    return own === undefined || !this.isComplete(slot) ? null : this.#merged(own, instead);
  }

  /** Own labels and those of the profiles that are known. */
  knownLabels(slot: number): Labels {
    const own = this.#own[slot];
    return own === undefined ? {} : this.#merged(own);
  }

  /** Made anew each time: kept for each item, it would be most of what is kept. */
  #merged(own: Own, instead?: { readonly id: ProfileId; readonly labels: Labels }): Labels {
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
