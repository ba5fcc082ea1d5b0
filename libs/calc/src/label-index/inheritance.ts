/** Effective labels: an item's own, and those of its profiles. */
import type { Labels, ProfileId } from "@calico/model";

type Own = { readonly labels: Labels; readonly profiles: readonly ProfileId[] };

/**
 * Joins items with the labels of their profiles. Own labels win over inherited ones, a profile wins over
 * those behind it. An item of which a profile is unknown has no effective labels: whoever trusted its
 * labels might let traffic through that a label of the missing profile forbids.
 */
export class Inheritance {
  readonly #items = new Map<string, Own>();
  readonly #profiles = new Map<ProfileId, Labels>();
  readonly #itemsByProfile = new Map<ProfileId, Set<string>>();

  /** Sets what an item carries itself; null takes it out. */
  setItem(id: string, own: Own | null): void {
    for (const profile of this.#items.get(id)?.profiles ?? []) this.#unlink(profile, id);
    if (own === null) {
      this.#items.delete(id);
      return;
    }
    this.#items.set(id, own);
    for (const profile of own.profiles) {
      const items = this.#itemsByProfile.get(profile);
      if (items === undefined) this.#itemsByProfile.set(profile, new Set([id]));
      else items.add(id);
    }
  }

  /** Sets the labels of a profile (null: it is gone) and returns the items whose effective labels may differ. */
  setProfile(id: ProfileId, labels: Labels | null): readonly string[] {
    if (labels === null) this.#profiles.delete(id);
    else this.#profiles.set(id, labels);
    return [...(this.#itemsByProfile.get(id) ?? [])];
  }

  /** Own and inherited labels; null while a profile is unknown, or for an unknown item. */
  effectiveLabels(id: string): Labels | null {
    const own = this.#items.get(id);
    return own === undefined || own.profiles.some((profile) => !this.#profiles.has(profile)) ? null : this.#merged(own);
  }

  /** Own labels and those of the profiles that are known. */
  knownLabels(id: string): Labels {
    const own = this.#items.get(id);
    return own === undefined ? {} : this.#merged(own);
  }

  #merged(own: Own): Labels {
    const merged: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const profile of own.profiles.toReversed()) Object.assign(merged, this.#profiles.get(profile));
    return Object.assign(merged, own.labels);
  }

  #unlink(profile: ProfileId, item: string): void {
    const items = this.#itemsByProfile.get(profile);
    items?.delete(item);
    if (items?.size === 0) this.#itemsByProfile.delete(profile);
  }
}
