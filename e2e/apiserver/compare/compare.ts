/** Replays a chapter on both servers and says where the answers differ. */
import { differencesOf, normalised, type Difference } from "./normalise.ts";
import { replay, type Reply } from "./replay.ts";
import type { Chapter, Step } from "./script.ts";
import type { Servers } from "./servers.ts";

/** "chapter / step" and a difference there. */
export type Found = { readonly step: string; readonly difference: Difference };

export async function compare(chapter: Chapter, { embedded, kubernetes }: Pick<Servers, "embedded" | "kubernetes">): Promise<Found[]> {
  const [ours, theirs] = await Promise.all([replay(chapter, embedded), replay(chapter, kubernetes)]);
  return chapter.steps.flatMap((step) => differencesOf(seen(step, ours), seen(step, theirs)).map((difference) => ({ step: `${chapter.name} / ${step.id}`, difference })));
}

function seen({ id, view }: Step, replies: ReadonlyMap<string, Reply>): unknown {
  const reply = replies.get(id);
  return normalised(reply === undefined || view === undefined ? reply : { ...reply, body: view(reply.body) });
}

/** "subresources / bound: body.metadata.generation: embedded 2, Kubernetes 1". */
export function describeFound({ step, difference: { at, embedded, kubernetes } }: Found): string {
  const short = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 300);
  return `${step}: ${at}: embedded ${short(embedded)}, Kubernetes ${short(kubernetes)}`;
}
