/** What staged policies would change if they were enforced. Pure. */
import type { Manifests } from "./manifests.ts";
import { answerProbes, policyName, type Probe, type ProbeAnswer, type Side } from "./policy-eval.ts";
import { grid } from "./print.ts";

/** An answer as things are, and as they would be: null where nothing would be decided otherwise. */
export type StagedAnswer = ProbeAnswer & { readonly staged: Pick<ProbeAnswer, "allow" | "egress" | "ingress"> | null };

/** Every staged policy as its action says: Set takes the place of the enforced one of its kind and name, Delete takes that away, Learn and Ignore do nothing. */
function enforced({ world, staged, ...rest }: Manifests): Manifests {
  const touched = new Set(staged.filter(({ action }) => action === "Set" || action === "Delete").map(({ enforced: id }) => id));
  const policies = [...world.policies.filter(({ id }) => !touched.has(id)), ...staged.flatMap(({ policy }) => policy ?? [])];
  return { ...rest, staged: [], world: { ...world, policies } };
}

/** Answers probes in order, each as it is and as it would be; what cannot be answered, with their numbers. */
export function answerStaged(manifests: Manifests, probes: readonly Probe[]): { answers: StagedAnswer[]; problems: string[] } {
  const { answers, problems } = answerProbes(manifests, probes);
  if (problems.length > 0) return { answers: [], problems };
  const names = new Map(manifests.staged.flatMap(({ policy }) => (policy === null ? [] : [[policyName(policy.id), `Staged${policyName(policy.id)}`] as const])));
  const then = answerProbes(enforced(manifests), probes).answers;
  return {
    problems: [],
    answers: answers.map((now, i) => {
      const would = then[i];
      const isSame = would === undefined || (decidesSame(now.egress, would.egress) && decidesSame(now.ingress, would.ingress));
      return { ...now, staged: isSame ? null : { allow: would.allow, egress: named(would.egress, names), ingress: named(would.ingress, names) } };
    }),
  };
}

/** A side that a staged policy would decide names that one. */
function named(side: Side | null, names: ReadonlyMap<string, string>): Side | null {
  if (side === null) return null;
  const nameOf = (policy: string): string => names.get(policy) ?? policy;
  const { policy, nearest, because } = side;
  return {
    ...side, nearest: nearest === null ? null : { ...nearest, policy: nameOf(nearest.policy) },
    ...(policy === null ? {} : { policy: nameOf(policy), because: because.replace(policy, nameOf(policy)) }),
  };
}

/** Whether the same decides in the same way; which rule came near does not matter. */
function decidesSame(now: Side | null, then: Side | null): boolean {
  return now?.allow === then?.allow && now?.because === then?.because;
}

export function renderStaged(answers: readonly StagedAnswer[]): string {
  return grid(["FROM", "TO", "PORT", "PROTOCOL", "VERDICT", "STAGED", "BECAUSE"], answers.map(({ from, to, port, protocol, allow, egress, ingress, staged }) => [
    from, to, String(port), protocol, verdict(allow), staged === null ? "same" : verdict(staged.allow), staged === null ? "" : reasons({ egress, ingress }, staged),
  ]));
}

const verdict = (allow: boolean): string => (allow ? "allow" : "deny");

/** What would decide otherwise, side by side: "ingress deny: rule 0 of StagedNetworkPolicy/shop/db". */
function reasons(now: Pick<ProbeAnswer, "egress" | "ingress">, then: Pick<ProbeAnswer, "egress" | "ingress">): string {
  return (["egress", "ingress"] as const).flatMap((direction) => {
    const side = then[direction];
    return side === null || side.because === now[direction]?.because ? [] : [`${direction} ${verdict(side.allow)}: ${side.because}`];
  }).join("; ");
}
