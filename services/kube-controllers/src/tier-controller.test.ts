import { DatastoreError, type Datastore, type KubeObject, type PatchOptions, type ResourceType } from "@calico/datastore";
import { createFakeClock, silentLogger } from "@calico/service-kit";
import { describe, expect, it } from "vitest";
import { followTiers } from "./tier-controller.ts";

const FINALIZER = "projectcalico.org/tier-controller";
const NOW = "1970-01-01T00:00:00.000Z";
const ready = { type: "Ready", status: "True", reason: "Ready", message: "the policies in the tier are evaluated", lastTransitionTime: NOW };
const tier = (name: string, more: object = {}): KubeObject => ({ apiVersion: "projectcalico.org/v3", kind: "Tier", metadata: { name, resourceVersion: "1" }, spec: { order: 1 }, ...more });

/** An API server with these tiers and no policies, that refuses to write some of them so many times. */
async function follow(tiers: readonly KubeObject[], refusals: Record<string, number>, isDone: (written: unknown[]) => boolean): Promise<unknown[]> {
  const written: unknown[] = [];
  let revision = 1;
  const datastore = {
    async *listPages({ kind }: ResourceType) {
      yield { items: (kind === "Tier" ? tiers : []) as never[], resourceVersion: "1" };
    },
    watch: () => ({ close() {} }),
    async patch(_: ResourceType, { name }: { name: string }, patch: object, { subresource = "" }: PatchOptions) {
      if ((refusals[name] ?? 0) > 0) {
        refusals[name] = (refusals[name] ?? 0) - 1;
        throw new DatastoreError("Unavailable", name);
      }
      written.push([name, subresource, patch]);
      revision += 1;
      const before = tiers.find(({ metadata }) => metadata.name === name);
      return { ...before, metadata: { ...before?.metadata, ...(patch as KubeObject).metadata, resourceVersion: String(revision) } };
    },
  } as unknown as Datastore;
  const clock = createFakeClock();
  const stop = new AbortController();
  const running = followTiers({ datastore, clock, log: silentLogger }, stop.signal);
  await expect.poll(() => {
    clock.advance(1_000);
    return isDone(written);
  }).toBe(true);
  stop.abort();
  await running;
  return written;
}

describe("followTiers", () => {
  it("writes the other tiers when one cannot be written, and that one again", async () => {
    const names = (written: unknown[]): unknown[] => written.map((each) => (each as unknown[])[0]);
    const written = await follow([tier("a"), tier("b")], { a: 1 }, (so) => names(so).includes("a") && names(so).includes("b"));
    expect(names(written).slice(0, 4)).toEqual(["b", "b", "a", "a"]);
  });

  it("keeps the conditions of other controllers, and writes with the revision that it saw", async () => {
    const other = { type: "Audited", status: "False", reason: "No", message: "", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const stale = { ...ready, status: "False", reason: "NotEmpty", lastTransitionTime: "2026-01-01T00:00:00Z" };
    const written = await follow([tier("a", { status: { conditions: [stale, other] } })], {}, (so) => so.length >= 2);
    expect(written.slice(0, 2)).toEqual([
      ["a", "", { metadata: { resourceVersion: "1", finalizers: [FINALIZER] } }],
      ["a", "status", { metadata: { resourceVersion: "2" }, status: { conditions: [other, { ...ready, lastTransitionTime: expect.stringMatching(/^(1970|20)/) }] } }],
    ]);
  });
});
