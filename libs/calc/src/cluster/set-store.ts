/** IP sets in use: who refers to them, and who belongs to them by a selector or a Service. */
import type { SelectorId, ServiceRef, ServiceSlice } from "@calico/model";
import { IpSetMembers } from "../ip-set-members/ip-set-members.ts";
import type { Contributor } from "../ip-set-members/members-of.ts";
import { SelectorMembers } from "../ip-set-members/selector-members.ts";
import type { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId, NodeUpdate } from "../messages.ts";
import type { ClusterSink } from "../ports.ts";
import { isOfSelector, type SetDefinition } from "../rule-scanner/rule-scanner.ts";
import type { Interest } from "./interest.ts";

/** A set lives from its first reference to its last. */
export class SetStore {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  readonly #index: LabelIndex;
  readonly #ofSelectors: SelectorMembers;
  readonly #ofServices = new IpSetMembers();
  readonly #references = new Map<IpSetId, number>();
  readonly #setsByService = new Map<string, Set<IpSetId>>();
  readonly #slicesByService = new Map<string, Map<string, ServiceSlice>>();
  readonly #serviceOfSlice = new Map<string, string>();

  constructor(sink: ClusterSink, interest: Interest, index: LabelIndex) {
    this.#sink = sink;
    this.#interest = interest;
    this.#index = index;
    this.#ofSelectors = new SelectorMembers(index, (id) => interest.isWanted(`IpSet:${id}`));
  }

  get size(): number {
    return this.#ofSelectors.size + this.#ofServices.size;
  }

  valueOf(id: IpSetId): NodeUpdate | undefined {
    const members = this.#ofSelectors.members(id) ?? this.#ofServices.members(id);
    const definition = this.#ofSelectors.definitionOf(id) ?? this.#ofServices.definitionOf(id);
    if (members === undefined || definition === undefined) return undefined;
    return { kind: "IpSet", id, type: definition.port === null ? "net" : "ip-port", members };
  }

  /** One more reference to a set; the first one creates it and reports its value. */
  acquire(definition: SetDefinition): void {
    const { id } = definition;
    const references = this.#references.get(id) ?? 0;
    this.#references.set(id, references + 1);
    if (references > 0) return;
    this.#create(definition);
    this.#sink.onValueChange(`IpSet:${id}`);
  }

  /** One reference less; the last one ends the set. */
  release(definition: SetDefinition): void {
    const { id } = definition;
    const references = (this.#references.get(id) ?? 1) - 1;
    if (references > 0) {
      this.#references.set(id, references);
      return;
    }
    this.#references.delete(id);
    this.#delete(definition);
    this.#sink.onValueChange(`IpSet:${id}`);
  }

  /** From now on the set hears of its origin. */
  #create(definition: SetDefinition): void {
    if (isOfSelector(definition)) {
      this.#index.acquire(definition.origin.selector);
      this.#ofSelectors.create(definition);
    } else if (definition.origin.kind === "service") {
      const service = keyOf(definition.origin.service);
      add(this.#setsByService, service, definition.id);
      this.#ofServices.create(definition, this.#slicesByService.get(service)?.values() ?? []);
    }
  }

  #delete(definition: SetDefinition): void {
    if (isOfSelector(definition)) {
      this.#ofSelectors.delete(definition);
      this.#index.release(definition.origin.selector);
    } else if (definition.origin.kind === "service") {
      discard(this.#setsByService, keyOf(definition.origin.service), definition.id);
      this.#ofServices.delete(definition.id);
    }
  }

  /** Sets what an item gives to the sets that match it; null: it is gone, from the index already. Labels are the index's business. */
  setContributor(slot: number, contributor: Contributor | null): void {
    this.#ofSelectors.setContributor(slot, contributor);
  }

  /** Sets what a slice gives to the sets of its Service; null: it is gone. */
  setSlice(id: string, slice: ServiceSlice | null): void {
    const before = this.#serviceOfSlice.get(id);
    if (before !== undefined) this.#changeSlice(id, before, null);
    if (slice !== null) this.#changeSlice(id, keyOf(slice.service), slice);
  }

  #changeSlice(id: string, service: string, slice: ServiceSlice | null): void {
    const slices = this.#slicesByService.get(service) ?? new Map<string, ServiceSlice>();
    const before = slices.get(id);
    for (const set of this.#setsByService.get(service) ?? []) {
      if (before !== undefined) this.#ofServices.remove(set, before);
      if (slice !== null) this.#ofServices.add(set, slice);
    }
    if (slice === null) {
      slices.delete(id);
      this.#serviceOfSlice.delete(id);
    } else {
      slices.set(id, slice);
      this.#serviceOfSlice.set(id, service);
    }
    if (slices.size === 0) this.#slicesByService.delete(service);
    else this.#slicesByService.set(service, slices);
  }

  onMatchStart(selector: SelectorId, slot: number): void {
    this.#ofSelectors.onMatchStart(selector, slot);
  }

  onMatchStop(selector: SelectorId, slot: number): void {
    this.#ofSelectors.onMatchStop(selector, slot);
  }

  /** Reports the members that changed, of the sets that a node needs. */
  flush(): void {
    for (const members of [this.#ofSelectors, this.#ofServices]) {
      members.flush((id, added, removed) => {
        if (this.#interest.isWanted(`IpSet:${id}`)) this.#sink.onIpSetDelta(id, added, removed);
      });
    }
  }
}

const keyOf = ({ namespace, name }: ServiceRef): string => `${namespace}/${name}`;

function add<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function discard<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
