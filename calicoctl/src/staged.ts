/** What staged policies would change if they were enforced. Pure. */
import type { Manifests } from "./manifests.ts";
import { answerProbes, badRow, isAnswered, policyName, type BadProbe, type Hop, type Probe, type ProbeAnswer, type Side } from "./policy-eval.ts";
import { grid } from "./print.ts";

/** An answer as things are, and as they would be: null where nothing would be decided otherwise. */
export type StagedAnswer = ProbeAnswer & { readonly staged: Decisions | null };
type Decisions = Pick<ProbeAnswer, "allow" | "egress" | "ingress" | "forwarded">;

/** Every staged policy as its action says: Set takes the place of the enforced one of its kind and name, Delete takes that away, Learn and Ignore do nothing. */
function enforced({ world, staged, ...rest }: Manifests): Manifests {
  const touched = new Set(staged.filter(({ action }) => action === "Set" || action === "Delete").map(({ enforced: id }) => id));
  const policies = [...world.policies.filter(({ id }) => !touched.has(id)), ...staged.flatMap(({ policy }) => policy ?? [])];
  return { ...rest, staged: [], world: { ...world, policies } };
}

/** Answers probes in order, each as it is and as it would be. */
export function answerStaged(manifests: Manifests, probes: readonly (Probe | BadProbe)[]): (StagedAnswer | BadProbe)[] {
  const names = new Map(manifests.staged.flatMap(({ policy }) => (policy === null ? [] : [[policyName(policy.id), `Staged${policyName(policy.id)}`] as const])));
  const then = answerProbes(enforced(manifests), probes);
  return answerProbes(manifests, probes).map((now, i) => {
    const would = then[i];
    if (!isAnswered(now)) return now;
    const isSame = would === undefined || !isAnswered(would) || isSameDecision(now, would);
    return { ...now, staged: isSame ? null : { allow: would.allow, egress: named(would.egress, names), ingress: named(would.ingress, names), forwarded: would.forwarded.map((hop) => ({ ...hop, ...named(hop, names) })) } };
  });
}

/** A side that a staged policy would decide names that one. */
function named<S extends Side | null>(side: S, names: ReadonlyMap<string, string>): S {
  if (side === null) return side;
  const nameOf = (policy: string): string => names.get(policy) ?? policy;
  const { policy, nearest, because } = side;
  return {
    ...side, nearest: nearest === null ? null : { ...nearest, policy: nameOf(nearest.policy) },
    ...(policy === null ? {} : { policy: nameOf(policy), because: because.replace(policy, nameOf(policy)) }),
  };
}

/** Whether everybody on the way decides the same for the same reason. */
function isSameDecision(now: Decisions, then: Decisions): boolean {
  return now.allow === then.allow && decidesSame(now.egress, then.egress) && decidesSame(now.ingress, then.ingress)
    && now.forwarded.length === then.forwarded.length && then.forwarded.every((hop) => decidesSame(sameHop(now, hop), hop));
}

/** What the same host endpoint says as things are. */
const sameHop = ({ forwarded }: Decisions, { node, direction, hostEndpoint }: Hop): Hop | null => forwarded.find((hop) => hop.node === node && hop.direction === direction && hop.hostEndpoint === hostEndpoint) ?? null;

/** Whether the same decides in the same way; which rule came near does not matter. */
function decidesSame(now: Side | null, then: Side | null): boolean {
  return now?.allow === then?.allow && now?.because === then?.because;
}

export function renderStaged(outcomes: readonly (StagedAnswer | BadProbe)[]): string {
  return grid(["FROM", "TO", "PORT", "PROTOCOL", "VERDICT", "STAGED", "BECAUSE"], outcomes.map((outcome) => {
    if (!isAnswered(outcome)) return badRow(outcome);
    const { staged, ...now } = outcome;
    return [now.from, now.to, String(now.port), now.protocol, verdict(now.allow), staged === null ? "same" : verdict(staged.allow), staged === null ? "" : reasons(now, staged)];
  }));
}

const verdict = (allow: boolean): string => (allow ? "allow" : "deny");

/** What would decide otherwise, in the order of the way: "ingress deny: rule 0 of StagedNetworkPolicy/shop/db". */
function reasons(now: Decisions, then: Decisions): string {
  const changed = (title: string, before: Side | null, side: Side | null): string[] => (side === null || decidesSame(before, side) ? [] : [`${title} ${verdict(side.allow)}: ${side.because}`]);
  return [
    ...changed("egress", now.egress, then.egress),
    ...then.forwarded.flatMap((hop) => changed(`forwarded ${hop.direction} at ${hop.node}`, sameHop(now, hop), hop)),
    ...changed("ingress", now.ingress, then.ingress),
  ].join("; ");
}
