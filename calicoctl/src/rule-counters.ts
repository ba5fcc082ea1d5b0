/** What the kernels of the nodes counted for the rules that decide about a connection. */
import { canonicalAddress, policyId, type PolicyKind, type WorkloadEndpoint } from "@calico/model";
import { felix } from "@calico/proto/status";
import type { Manifests } from "./manifests.ts";
import type { ProbeAnswer, Side } from "./policy-eval.ts";
import type { Answer } from "./queries.ts";

export type Direction = "egress" | "ingress";

/** What of which node is wanted for one side. */
export type Wanted = { readonly direction: Direction; readonly node: string; readonly owner: string; /** null: of the end of a tier. */ readonly rule: number | null; readonly tier: string };

/** Packets since the rule was last written; null, with the reason: not known. */
export type SideCount = { readonly node: string; readonly packets: string | null; readonly trouble: string | null };

/** The counters that show how often what decided has decided: of each side where a policy was asked, on the node of its pod, or the node that it is. */
export function wantedCounters(manifests: Pick<Manifests, "pods">, { from, to, egress, ingress }: ProbeAnswer): Wanted[] {
  return ([["egress", from, egress], ["ingress", to, ingress]] as const).flatMap(([direction, text, side]) => {
    const pod = podAt(manifests, text);
    const node = pod?.node ?? (text.startsWith("node:") ? text.slice("node:".length) : null);
    if (side === null || node === null) return [];
    const owner = ownerOf(side, pod?.id ?? null);
    return owner === null ? [] : [{ direction, node, owner, rule: side.rule, tier: side.tier ?? "" }];
  });
}

function podAt({ pods }: Pick<Manifests, "pods">, text: string): WorkloadEndpoint | undefined {
  const address = canonicalAddress(text);
  return address === null ? pods.get(text) : [...pods.values()].find(({ addresses }) => addresses.includes(address));
}

/** Id of the policy, the profile, or the pod itself. Null: nothing counts it. */
function ownerOf({ policy, allow }: Side, pod: string | null): string | null {
  if (policy === null) return allow ? null : pod;
  const [kind = "", ...rest] = policy.split("/");
  if (kind === "Profile") return rest.join("/");
  const [namespace = "", name = ""] = rest.length === 2 ? rest : ["", ...rest];
  return policyId(kind as PolicyKind, namespace, name);
}

export const countersRequest = (wanted: readonly Wanted[]): Uint8Array => felix.StatusRequest.encode({ brief: true, countersOf: wanted.map(({ owner }) => owner) }).finish();

/** The count of one side in what its node answered. */
export function countIn(answer: Answer<Uint8Array>, { direction, node, owner, rule, tier }: Wanted): SideCount {
  if ("silence" in answer) return { node, packets: null, trouble: `felix: ${answer.silence}` };
  try {
    const { ruleCounters } = felix.StatusResponse.decode(answer.value);
    const found = ruleCounters.find((counter) => counter.owner === owner && counter.egress === (direction === "egress") && (rule === null ? counter.tier === tier : counter.rule === rule));
    return found === undefined ? { node, packets: null, trouble: "the node does not have this rule in its kernel" } : { node, packets: found.packets.toString(), trouble: null };
  } catch (error) {
    return { node, packets: null, trouble: `felix: an answer that cannot be read: ${(error as Error).message}` };
  }
}

export function renderCount({ node, packets, trouble }: SideCount): string {
  return packets === null ? `    counter on ${node}: ${trouble ?? ""}` : `    counter on ${node}: ${packets} ${packets === "1" ? "packet" : "packets"}`;
}
