/** Chains of policies and profiles, for each place where they are asked, and what lists of them depend on. */
import type { IpSetId, NodePolicy, NodeProfile, NodeRule, PolicyId } from "@calico/calc";
import type { ProfileId } from "@calico/model";
import { chainContent, type LiteralSet } from "../rules/chain.ts";
import type { RuleOwner } from "../rules/log-prefix.ts";
import { policyChain, profileChain, STAGES, type Direction, type Stage } from "../rules/names.ts";
import { listedPolicy, type ListContext, type ListedPolicy } from "../rules/policy-list.ts";
import { renderRules, type SetNames } from "../rules/policy-rules.ts";
import { sameShape, shapeOf, UNKNOWN_SHAPE, type PolicyShape } from "../rules/policy-shape.ts";
import type { RenderSettings } from "../rules/settings.ts";
import { desiredSet, type NftTable } from "./nft-table.ts";
import type { PolicyLeaves } from "./policy-leaves.ts";
import type { WrittenRules } from "./rule-counters.ts";
import type { SharedChains } from "./shared-chains.ts";

const DIRECTIONS = ["ingress", "egress"] as const;

/** Stages in which an object is asked beside those of workloads. */
export type StagesOf = (id: PolicyId | ProfileId, direction: Direction) => readonly Stage[];

type Ruled = { readonly inbound: readonly NodeRule[]; readonly outbound: readonly NodeRule[] };
type Written = { readonly id: PolicyId | ProfileId; readonly rules: readonly NodeRule[]; readonly chain: string; readonly direction: Direction; readonly stage: Stage; readonly inProfile: boolean; readonly owner: RuleOwner };

export type PolicyChainsOptions = { readonly lists: SharedChains; readonly leaves: PolicyLeaves; readonly setName: SetNames } & Pick<ListContext, "guard" | "fewestGuarded" | "sizes">;

export class PolicyChains {
  readonly #lists: SharedChains;
  readonly #leaves: PolicyLeaves;
  readonly #setName: SetNames;
  readonly #guard: ListContext["guard"];
  readonly #fewestGuarded: number;
  readonly #sizes: ListContext["sizes"];
  readonly #policies = new Map<PolicyId, NodePolicy>();
  readonly #profiles = new Map<ProfileId, NodeProfile>();
  /** By place; policies that a list there has looked up. */
  readonly #listed = new Map<string, Map<PolicyId, ListedPolicy>>();
  readonly #shapes: Readonly<Record<Direction, Map<PolicyId, PolicyShape>>> = { ingress: new Map(), egress: new Map() };
  /** Whose rules mention a set. */
  readonly #users = new Map<IpSetId, Set<PolicyId | ProfileId>>();
  /** Policies of which a set was reshaped: lists with them are to be compiled anew. */
  readonly #relisted = new Set<PolicyId | ProfileId>();
  readonly #dirtyPolicies = new Set<PolicyId>();
  readonly #dirtyProfiles = new Set<ProfileId>();
  readonly #literalsOf = new Map<string, readonly LiteralSet[]>();
  /** How many chains use a literal set. */
  readonly #literalUses = new Map<string, number>();
  /** By chain: whose it is, and which written rule each of its rules comes from. */
  readonly #written = new Map<string, { readonly id: PolicyId | ProfileId; readonly numbers: ReadonlyMap<string, number> }>();

  constructor({ lists, leaves, setName, guard, fewestGuarded, sizes }: PolicyChainsOptions) {
    this.#lists = lists;
    this.#leaves = leaves;
    this.#sizes = sizes;
    this.#setName = setName;
    this.#guard = guard;
    this.#fewestGuarded = fewestGuarded;
  }

  /** What compiling lists of one place looks up. */
  contextOf(direction: Direction, stage: Stage): ListContext {
    const place = `${direction} ${stage}`;
    const listed = this.#listed.get(place) ?? new Map<PolicyId, ListedPolicy>();
    this.#listed.set(place, listed);
    return {
      policy: (id) => {
        const found = listed.get(id);
        if (found !== undefined) return found;
        const shape = this.#shapes[direction].get(id);
        const policy = listedPolicy(id, policyChain(id, direction, stage), shape ?? UNKNOWN_SHAPE);
        // One that is gone may be in a list that is about to go.
        if (shape !== undefined) listed.set(id, policy);
        return policy;
      },
      known: (name) => this.#lists.get(name),
      peer: direction === "ingress" ? "source" : "destination", guard: this.#guard, fewestGuarded: this.#fewestGuarded, sizes: this.#sizes,
    };
  }

  /** null: it is gone. */
  setPolicy(id: PolicyId, policy: NodePolicy | null): void {
    this.#setUser(id, this.#policies.get(id), policy);
    if (policy === null) this.#policies.delete(id);
    else this.#policies.set(id, policy);
    this.#dirtyPolicies.add(id);
  }

  /** null: it is gone. */
  setProfile(id: ProfileId, profile: NodeProfile | null): void {
    this.#setUser(id, this.#profiles.get(id), profile);
    if (profile === null) this.#profiles.delete(id);
    else this.#profiles.set(id, profile);
    this.#dirtyProfiles.add(id);
  }

  /** Sets have other names than before: the rules that use them follow. Of the reshaped ones there are guards that can no longer be, or can be now. */
  onRenamed(sets: ReadonlySet<IpSetId>, reshaped: ReadonlySet<IpSetId>): void {
    for (const set of sets) {
      for (const id of this.#users.get(set) ?? []) {
        this.onUse(id);
        if (reshaped.has(set)) this.#relisted.add(id);
      }
    }
  }

  #setUser(id: PolicyId | ProfileId, before: Ruled | undefined, after: Ruled | null): void {
    const [old, now] = [setsOf(before), setsOf(after ?? undefined)];
    for (const set of old) {
      if (now.has(set)) continue;
      const users = this.#users.get(set);
      users?.delete(id);
      if (users?.size === 0) this.#users.delete(set);
    }
    for (const set of now) if (!old.has(set)) this.#users.set(set, (this.#users.get(set) ?? new Set()).add(id));
  }

  /** It is to be written again: it is asked in other places than before, or what it mentions has another name. */
  onUse(id: PolicyId | ProfileId): void {
    if (this.#policies.has(id as PolicyId)) this.#dirtyPolicies.add(id as PolicyId);
    if (this.#profiles.has(id as ProfileId)) this.#dirtyProfiles.add(id as ProfileId);
  }

  renderAgain(): void {
    for (const id of this.#policies.keys()) this.#dirtyPolicies.add(id);
    for (const id of this.#profiles.keys()) this.#dirtyProfiles.add(id);
  }

  /** Lists follow what their policies ask for. Before any list is compiled. */
  stageShapes(to: NftTable): void {
    for (const direction of DIRECTIONS) {
      const changed = new Map<PolicyId, "ports" | "more">();
      for (const id of this.#dirtyPolicies) {
        const before = this.#shapes[direction].get(id);
        const policy = this.#policies.get(id);
        if (policy === undefined) {
          this.#shapes[direction].delete(id);
          this.#forget(id);
          continue;
        }
        const shape = shapeOf(direction === "ingress" ? policy.inbound : policy.outbound, direction);
        if (before !== undefined && sameShape(before, shape)) {
          if (this.#relisted.has(id) && shape.peers !== null) changed.set(id, "ports");
          continue;
        }
        this.#shapes[direction].set(id, shape);
        this.#forget(id);
        changed.set(id, before !== undefined && before.hasPass === shape.hasPass && before.isEmpty === shape.isEmpty ? "ports" : "more");
      }
      this.#lists.recompile(changed, to);
    }
    this.#relisted.clear();
  }

  #forget(id: PolicyId): void {
    for (const listed of this.#listed.values()) listed.delete(id);
  }

  stage(to: NftTable, settings: RenderSettings, stagesOf: StagesOf): void {
    for (const id of this.#dirtyPolicies) {
      const policy = this.#policies.get(id);
      const owner: RuleOwner = policy ?? { tier: "", kind: "NetworkPolicy", namespace: "", name: "" };
      // Those for hosts alone have no chain for workloads.
      const forWorkloads = policy?.doNotTrack === true || policy?.preDnat === true ? [] : (["workload"] as const);
      for (const direction of DIRECTIONS) {
        const stages: readonly Stage[] = [...forWorkloads, ...stagesOf(id, direction)];
        const rules = (direction === "ingress" ? policy?.inbound : policy?.outbound) ?? [];
        for (const stage of STAGES) this.#write(to, settings, { id, rules: stages.includes(stage) ? rules : [], chain: policyChain(id, direction, stage), direction, stage, inProfile: false, owner }, rules.length > 0 && stages.includes(stage));
      }
    }
    for (const id of this.#dirtyProfiles) {
      const profile = this.#profiles.get(id);
      const owner: RuleOwner = { tier: "", kind: "Profile", namespace: "", name: id };
      for (const direction of DIRECTIONS) {
        const stages: readonly Stage[] = ["workload", ...stagesOf(id, direction)];
        const rules = (direction === "ingress" ? profile?.inbound : profile?.outbound) ?? [];
        for (const stage of STAGES) this.#write(to, settings, { id, rules, chain: profileChain(id, direction, stage), direction, stage, inProfile: true, owner }, profile !== undefined && stages.includes(stage));
      }
    }
    this.#dirtyPolicies.clear();
    this.#dirtyProfiles.clear();
  }

  #write(to: NftTable, settings: RenderSettings, { id, rules, chain, direction, stage, inProfile, owner }: Written, isThere: boolean): void {
    if (!isThere && !this.#written.has(chain)) return;
    const rendered = isThere ? renderRules(rules, { direction, stage, inProfile, owner, settings, setName: this.#setName }) : null;
    const literals = rendered?.literals ?? [];
    for (const { spec, elements } of literals) {
      const uses = this.#literalUses.get(spec.name) ?? 0;
      this.#literalUses.set(spec.name, uses + 1);
      if (uses === 0) to.setSet(spec.name, desiredSet(spec, elements));
    }
    for (const { spec } of this.#literalsOf.get(chain) ?? []) {
      const uses = (this.#literalUses.get(spec.name) ?? 1) - 1;
      if (uses > 0) this.#literalUses.set(spec.name, uses);
      else {
        this.#literalUses.delete(spec.name);
        to.setSet(spec.name, null);
      }
    }
    if (literals.length > 0) this.#literalsOf.set(chain, literals);
    else this.#literalsOf.delete(chain);
    const content = rendered === null ? null : chainContent(rendered.rules);
    if (rendered === null) this.#written.delete(chain);
    else this.#written.set(chain, { id, numbers: new Map(content?.hashes.map((hash, i) => [hash, rendered.numbers[i] ?? 0])) });
    if (inProfile) to.setChain(chain, content);
    else this.#leaves.set(chain, content);
  }

  /** Which written rule each rule of a policy or profile comes from, and where these rules are; undefined: it has none of this name. */
  rulesOf(chain: string): WrittenRules | undefined {
    const numbers = this.#written.get(chain)?.numbers;
    return numbers === undefined ? undefined : { numbers, places: [...this.#leaves.placesOf(chain), ...(this.#isProfile(chain) ? [chain] : [])] };
  }

  #isProfile(chain: string): boolean {
    return this.#profiles.has(this.#written.get(chain)?.id as ProfileId);
  }

  /** The policies or the profile of which a chain has rules. */
  ownersOf(chain: string): (PolicyId | ProfileId)[] {
    return this.#leaves.membersOf(chain).flatMap((member) => this.#written.get(member)?.id ?? []);
  }
}

function setsOf(ruled: Ruled | undefined): ReadonlySet<IpSetId> {
  const sides = [...(ruled?.inbound ?? []), ...(ruled?.outbound ?? [])].flatMap(({ source, destination }) => [source, destination]);
  return new Set(sides.flatMap((side) => [...side.ipSets, ...side.notIpSets, ...side.portSets, ...side.notPortSets]));
}
