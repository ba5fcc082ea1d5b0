/** IP sets in use: who refers to them, and what their selectors match. */
import type { SelectorId } from "@calico/model";
import { IpSetMembers, type Contributor } from "../ip-set-members/ip-set-members.ts";
import type { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId, NodeUpdate } from "../messages.ts";
import type { ClusterSink } from "../ports.ts";
import type { SetDefinition } from "../rule-scanner/rule-scanner.ts";
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
    const { id, selector } = definition;
    const references = this.#references.get(id) ?? 0;
    this.#references.set(id, references + 1);
    if (references > 0) return;
    this.#index.acquire(selector);
    add(this.#setsBySelector, selector.id, id);
    const items = [...this.#index.itemsOf(selector.id)];
    for (const item of items) add(this.#setsByItem, item, id);
    this.#members.create(definition, items.flatMap((item) => this.#contributors.get(item) ?? []));
    this.#sink.onValueChange(`IpSet:${id}`);
  }

  /** One reference less; the last one ends the set. */
  release(definition: SetDefinition): void {
    const { id, selector } = definition;
    const references = (this.#references.get(id) ?? 1) - 1;
    if (references > 0) {
      this.#references.set(id, references);
      return;
    }
    this.#references.delete(id);
    discard(this.#setsBySelector, selector.id, id);
    for (const item of this.#index.itemsOf(selector.id)) discard(this.#setsByItem, item, id);
    this.#index.release(selector);
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
