/** IP sets in use: who refers to them, and who belongs to them by a selector or a Service. */
import type { SelectorId, ServiceRef, ServiceSlice } from "@calico/model";
import { IpSetMembers, type Contributor } from "../ip-set-members/ip-set-members.ts";
import type { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId, NodeUpdate } from "../messages.ts";
import type { ClusterSink } from "../ports.ts";
import type { SetDefinition, SetOrigin } from "../rule-scanner/rule-scanner.ts";
import type { Interest } from "./interest.ts";

/** A set lives from its first reference to its last. */
export class SetStore {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  readonly #index: LabelIndex;
  readonly #members = new IpSetMembers();
  readonly #references = new Map<IpSetId, number>();
  readonly #setsBySelector = new Map<SelectorId, Set<IpSetId>>();
  readonly #setsByItem = new Map<string, Set<IpSetId>>();
  readonly #contributors = new Map<string, Contributor>();
  readonly #setsByService = new Map<string, Set<IpSetId>>();
  readonly #slicesByService = new Map<string, Map<string, Contributor>>();
  readonly #serviceOfSlice = new Map<string, string>();

  constructor(sink: ClusterSink, interest: Interest, index: LabelIndex) {
    this.#sink = sink;
    this.#interest = interest;
    this.#index = index;
  }

  get size(): number {
    return this.#members.size;
  }

  valueOf(id: IpSetId): NodeUpdate | undefined {
    const members = this.#members.members(id);
    const definition = this.#members.definitionOf(id);
    if (members === undefined || definition === undefined) return undefined;
    return { kind: "IpSet", id, type: definition.port === null ? "net" : "ip-port", members };
  }

  /** One more reference to a set; the first one creates it and reports its value. */
  acquire(definition: SetDefinition): void {
    const { id, origin } = definition;
    const references = this.#references.get(id) ?? 0;
    this.#references.set(id, references + 1);
    if (references > 0) return;
    this.#members.create(definition, this.#attach(id, origin));
    this.#sink.onValueChange(`IpSet:${id}`);
  }

  /** From now on a set hears of its origin; those who belong to it now. */
  #attach(id: IpSetId, origin: SetOrigin): Contributor[] {
    if (origin.kind === "service") {
      const service = keyOf(origin.service);
      add(this.#setsByService, service, id);
      return [...(this.#slicesByService.get(service)?.values() ?? [])];
    }
    const { selector } = origin;
    this.#index.acquire(selector);
    add(this.#setsBySelector, selector.id, id);
    const items = [...this.#index.itemsOf(selector.id)];
    for (const item of items) add(this.#setsByItem, item, id);
    return items.flatMap((item) => this.#contributors.get(item) ?? []);
  }

  #detach(id: IpSetId, origin: SetOrigin): void {
    if (origin.kind === "service") return discard(this.#setsByService, keyOf(origin.service), id);
    const { selector } = origin;
    discard(this.#setsBySelector, selector.id, id);
    for (const item of this.#index.itemsOf(selector.id)) discard(this.#setsByItem, item, id);
    this.#index.release(selector);
  }

  /** One reference less; the last one ends the set. */
  release(definition: SetDefinition): void {
    const { id, origin } = definition;
    const references = (this.#references.get(id) ?? 1) - 1;
    if (references > 0) {
      this.#references.set(id, references);
      return;
    }
    this.#references.delete(id);
    this.#detach(id, origin);
    this.#members.delete(id);
    this.#sink.onValueChange(`IpSet:${id}`);
  }

  /** Sets what an item gives to the sets that match it; null: it is gone. Labels are the index's business. */
  setContributor(item: string, contributor: Contributor | null): void {
    const before = this.#contributors.get(item);
    for (const id of this.#setsByItem.get(item) ?? []) {
      if (before !== undefined) this.#members.remove(id, before);
      if (contributor !== null) this.#members.add(id, contributor);
    }
    if (contributor === null) this.#contributors.delete(item);
    else this.#contributors.set(item, contributor);
  }

  /** Sets what a slice gives to the sets of its Service; null: it is gone. */
  setSlice(id: string, slice: ServiceSlice | null): void {
    const before = this.#serviceOfSlice.get(id);
    if (before !== undefined) this.#changeSlice(id, before, null);
    if (slice === null) return;
    this.#changeSlice(id, keyOf(slice.service), { addresses: slice.addresses, ports: slice.ports, nets: [] });
  }

  #changeSlice(id: string, service: string, contributor: Contributor | null): void {
    const slices = this.#slicesByService.get(service) ?? new Map<string, Contributor>();
    const before = slices.get(id);
    for (const set of this.#setsByService.get(service) ?? []) {
      if (before !== undefined) this.#members.remove(set, before);
      if (contributor !== null) this.#members.add(set, contributor);
    }
    if (contributor === null) {
      slices.delete(id);
      this.#serviceOfSlice.delete(id);
    } else {
      slices.set(id, contributor);
      this.#serviceOfSlice.set(id, service);
    }
    if (slices.size === 0) this.#slicesByService.delete(service);
    else this.#slicesByService.set(service, slices);
  }

  onMatchStart(selector: SelectorId, item: string): void {
    const contributor = this.#contributors.get(item);
    for (const id of this.#setsBySelector.get(selector) ?? []) {
      add(this.#setsByItem, item, id);
      if (contributor !== undefined) this.#members.add(id, contributor);
    }
  }

  onMatchStop(selector: SelectorId, item: string): void {
    const contributor = this.#contributors.get(item);
    for (const id of this.#setsBySelector.get(selector) ?? []) {
      discard(this.#setsByItem, item, id);
      if (contributor !== undefined) this.#members.remove(id, contributor);
    }
  }

  /** Reports the members that changed, of the sets that a node needs. */
  flush(): void {
    this.#members.flush((id, added, removed) => {
      if (this.#interest.isWanted(`IpSet:${id}`)) this.#sink.onIpSetDelta(id, added, removed);
    });
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
