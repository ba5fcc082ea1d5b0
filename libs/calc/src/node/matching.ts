/** Which policies are for which endpoints of the node. */
import type { EndpointId, Labels, PolicyId, Selector } from "@calico/model";

export class Matching {
  readonly #labels = new Map<EndpointId, Labels>();
  readonly #selectors = new Map<PolicyId, Selector>();
  readonly #policiesOf = new Map<EndpointId, Set<PolicyId>>();
  readonly #endpointsOf = new Map<PolicyId, Set<EndpointId>>();

  policiesOf(id: EndpointId): ReadonlySet<PolicyId> {
    return this.#policiesOf.get(id) ?? NOTHING;
  }

  endpointsOf(id: PolicyId): ReadonlySet<EndpointId> {
    return this.#endpointsOf.get(id) ?? NOTHING;
  }

  /** An endpoint came, changed its labels, or went (null). */
  setEndpoint(id: EndpointId, labels: Labels | null): void {
    const before = this.#labels.get(id);
    if (labels !== null && before !== undefined && sameLabels(before, labels)) return;
    for (const policy of this.#policiesOf.get(id) ?? []) this.#unlink(policy, id);
    if (labels === null) return void this.#labels.delete(id);
    this.#labels.set(id, labels);
    for (const [policy, selector] of this.#selectors) if (selector.evaluate(labels)) this.#link(policy, id);
  }

  /** A policy came, changed its selector, or went (null). Returns the endpoints for which that makes a difference. */
  setPolicy(id: PolicyId, selector: Selector | null): EndpointId[] {
    if (selector !== null && this.#selectors.get(id)?.text === selector.text) return [];
    if (selector === null) this.#selectors.delete(id);
    else this.#selectors.set(id, selector);
    const matched = this.endpointsOf(id);
    if (selector === null) {
      const gone = [...matched];
      for (const endpoint of gone) this.#unlink(id, endpoint);
      return gone;
    }
    const changed: EndpointId[] = [];
    for (const [endpoint, labels] of this.#labels) {
      const matches = selector.evaluate(labels);
      if (matches === this.endpointsOf(id).has(endpoint)) continue;
      if (matches) this.#link(id, endpoint);
      else this.#unlink(id, endpoint);
      changed.push(endpoint);
    }
    return changed;
  }

  #link(policy: PolicyId, endpoint: EndpointId): void {
    this.#policiesOf.set(endpoint, (this.#policiesOf.get(endpoint) ?? new Set()).add(policy));
    this.#endpointsOf.set(policy, (this.#endpointsOf.get(policy) ?? new Set()).add(endpoint));
  }

  #unlink(policy: PolicyId, endpoint: EndpointId): void {
    dropFrom(this.#policiesOf, endpoint, policy);
    dropFrom(this.#endpointsOf, policy, endpoint);
  }
}

const NOTHING: ReadonlySet<never> = new Set<never>();

function dropFrom<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const values = index.get(key);
  values?.delete(value);
  if (values?.size === 0) index.delete(key);
}

function sameLabels(a: Labels, b: Labels): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}
