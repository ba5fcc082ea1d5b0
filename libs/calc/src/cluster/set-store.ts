/** IP sets in use: who refers to them, and who belongs to them by a selector, a Service or as a Node. */
import type { Node, SelectorId, ServiceRef, ServiceSlice } from "@calico/model";
import { IpSetMembers, type Contributor } from "../ip-set-members/ip-set-members.ts";
import { LabelIndex } from "../label-index/label-index.ts";
import type { IpSetId, NodeUpdate } from "../messages.ts";
import type { ClusterSink } from "../ports.ts";
import type { SetDefinition, SetOrigin } from "../rule-scanner/rule-scanner.ts";
import type { Interest } from "./interest.ts";
import { add, discard, SelectedSets } from "./selected-sets.ts";

/** A set lives from its first reference to its last. */
export class SetStore {
  readonly #sink: ClusterSink;
  readonly #interest: Interest;
  readonly #members = new IpSetMembers();
  readonly #references = new Map<IpSetId, number>();
  /** Of endpoints and network sets. */
  readonly #selected: SelectedSets;
  /** Of Nodes: their labels are nothing that a selector of endpoints sees. */
  readonly #nodes: SelectedSets;
  readonly #nodeIndex: LabelIndex;
  readonly #setsByService = new Map<string, Set<IpSetId>>();
  readonly #slicesByService = new Map<string, Map<string, Contributor>>();
  readonly #serviceOfSlice = new Map<string, string>();

  constructor(sink: ClusterSink, interest: Interest, index: LabelIndex) {
    this.#sink = sink;
    this.#interest = interest;
    this.#selected = new SelectedSets(index, this.#members);
    this.#nodeIndex = new LabelIndex({ onMatchStart: (selector, item) => this.#nodes.onMatchStart(selector, item), onMatchStop: (selector, item) => this.#nodes.onMatchStop(selector, item) });
    this.#nodes = new SelectedSets(this.#nodeIndex, this.#members);
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
    return this.#selectedBy(origin).attach(id, origin.selector);
  }

  #detach(id: IpSetId, origin: SetOrigin): void {
    if (origin.kind === "service") discard(this.#setsByService, keyOf(origin.service), id);
    else this.#selectedBy(origin).detach(id, origin.selector);
  }

  #selectedBy({ kind }: SetOrigin): SelectedSets {
    return kind === "nodes" ? this.#nodes : this.#selected;
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
    this.#selected.setContributor(item, contributor);
  }

  /** Sets the labels and addresses of a Node; null: it is gone. */
  setNode(name: string, node: Pick<Node, "labels" | "addresses"> | null): void {
    if (node !== null) this.#nodes.setContributor(name, { addresses: node.addresses, ports: [], nets: [] });
    this.#nodeIndex.setLabels(name, node?.labels ?? null);
    if (node === null) this.#nodes.setContributor(name, null);
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
    this.#selected.onMatchStart(selector, item);
  }

  onMatchStop(selector: SelectorId, item: string): void {
    this.#selected.onMatchStop(selector, item);
  }

  /** Reports the members that changed, of the sets that a node needs. */
  flush(): void {
    this.#members.flush((id, added, removed) => {
      if (this.#interest.isWanted(`IpSet:${id}`)) this.#sink.onIpSetDelta(id, added, removed);
    });
  }
}

const keyOf = ({ namespace, name }: ServiceRef): string => `${namespace}/${name}`;
