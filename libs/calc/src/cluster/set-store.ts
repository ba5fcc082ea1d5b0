/** IP sets in use: who refers to them, and who belongs to them by a selector, a Service or as a Node. */
import type { Node, SelectorId, ServiceRef, ServiceSlice } from "@calico/model";
import { IpSetMembers } from "../ip-set-members/ip-set-members.ts";
import type { Contributor } from "../ip-set-members/members-of.ts";
import { SelectorMembers } from "../ip-set-members/selector-members.ts";
import { LabelIndex } from "../label-index/label-index.ts";
import { Slots } from "../label-index/slots.ts";
import type { IpSetId, NodeUpdate } from "../messages.ts";
import type { ClusterSink } from "../ports.ts";
import { isOfSelector, type SelectorSetDefinition, type SetDefinition } from "../rule-scanner/rule-scanner.ts";
import type { Interest } from "./interest.ts";

/** A set lives from its first reference to its last. */
export class SetStore {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  /** Of endpoints and network sets. */
  readonly #ofSelectors: SelectorMembers;
  /** Of Nodes: their labels are nothing that a selector of endpoints sees. */
  readonly #ofNodes: SelectorMembers;
  readonly #nodeIndex: LabelIndex;
  readonly #nodeSlots = new Slots();
  readonly #ofServices = new IpSetMembers();
  readonly #all: readonly (SelectorMembers | IpSetMembers)[];
  readonly #references = new Map<IpSetId, number>();
  readonly #setsByService = new Map<string, Set<IpSetId>>();
  readonly #slicesByService = new Map<string, Map<string, ServiceSlice>>();
  readonly #serviceOfSlice = new Map<string, string>();

  constructor(sink: ClusterSink, interest: Interest, index: LabelIndex) {
    this.#sink = sink;
    this.#interest = interest;
    const isWanted = (id: IpSetId): boolean => interest.isWanted(`IpSet:${id}`);
    this.#ofSelectors = new SelectorMembers(index, isWanted);
    this.#nodeIndex = new LabelIndex({ onMatchStart: (selector, slot) => this.#ofNodes.onMatchStart(selector, slot), onMatchStop: (selector, slot) => this.#ofNodes.onMatchStop(selector, slot) });
    this.#ofNodes = new SelectorMembers(this.#nodeIndex, isWanted);
    this.#all = [this.#ofSelectors, this.#ofNodes, this.#ofServices];
  }

  get size(): number {
    return this.#all.reduce((size, members) => size + members.size, 0);
  }

  valueOf(id: IpSetId): NodeUpdate | undefined {
    for (const each of this.#all) {
      const definition = each.definitionOf(id);
      if (definition !== undefined) return { kind: "IpSet", id, type: definition.port === null ? "net" : "ip-port", members: each.members(id) ?? [] };
    }
    return undefined;
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
    if (isOfSelector(definition)) this.#selectedBy(definition).create(definition);
    else if (definition.origin.kind === "service") {
      const service = keyOf(definition.origin.service);
      add(this.#setsByService, service, definition.id);
      this.#ofServices.create(definition, this.#slicesByService.get(service)?.values() ?? []);
    }
  }

  #delete(definition: SetDefinition): void {
    if (isOfSelector(definition)) this.#selectedBy(definition).delete(definition);
    else if (definition.origin.kind === "service") {
      discard(this.#setsByService, keyOf(definition.origin.service), definition.id);
      this.#ofServices.delete(definition.id);
    }
  }

  #selectedBy({ origin }: SelectorSetDefinition): SelectorMembers {
    return origin.kind === "nodes" ? this.#ofNodes : this.#ofSelectors;
  }

  /** Sets what an item gives to the sets that match it; null: it is gone, from the index already. Labels are the index's business. */
  setContributor(slot: number, contributor: Contributor | null): void {
    this.#ofSelectors.setContributor(slot, contributor);
  }

  /** Sets the labels and addresses of a Node; null: it is gone. */
  setNode(name: string, node: Pick<Node, "labels" | "addresses"> | null): void {
    const slot = this.#nodeSlots.of(name);
    if (node !== null) {
      this.#ofNodes.setContributor(slot, node);
      this.#nodeIndex.setItem(slot, { labels: node.labels, profiles: [] });
      return;
    }
    this.#nodeIndex.setItem(slot, null);
    this.#ofNodes.setContributor(slot, null);
    this.#nodeSlots.release(name);
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
    for (const members of this.#all) {
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
