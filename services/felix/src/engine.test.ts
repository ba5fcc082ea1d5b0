import { createNodeHalf, type Attachment, type DataplaneSink, type HostEndpointSink, type NodeUpdate } from "@calico/calc";
import type { EndpointId, IpAddress, PolicyId, ProfileId } from "@calico/model";
import type { SyncStep } from "@calico/proto";
import { createFakeClock, createLogger } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createEngine, type Engine } from "./engine.ts";

const ignore = (): void => {};
const endpoint: NodeUpdate = {
  kind: "WorkloadEndpoint",
  value: { id: "wep/a" as EndpointId, uid: "u", namespace: "a", pod: "web", interfaceName: "cali1", addresses: [], labels: {}, profiles: ["kns.a" as ProfileId], ports: [], revision: "1" },
};
const profile: NodeUpdate = { kind: "Profile", value: { id: "kns.a" as ProfileId, inbound: [], outbound: [] } };
const attachment: Attachment = { uid: "u", namespace: "a", pod: "web", containerId: "c", interfaceName: "cali1", interfaceIndex: 3, addresses: ["10.0.0.1" as IpAddress] };
const step = (snapshot: boolean, ...updates: NodeUpdate[]): SyncStep => ({ epoch: "e", sequence: 1n, snapshot, updates: updates.map((update) => ({ update, traceparent: "" })), revisions: {}, receivedAt: 0 });

let engine: Engine;
let clock: ReturnType<typeof createFakeClock>;
let applies: number;
let fail: boolean;
let refused: Set<string>;
/** What an apply waits for, between its look at what it was told and its end. */
let hold: Promise<void>;
let present: Set<string>;
let stop: AbortController;
let running: Promise<void>;
beforeEach(() => {
  applies = 0;
  fail = false;
  refused = new Set();
  hold = Promise.resolve();
  present = new Set();
  clock = createFakeClock();
  const told = new Set<string>();
  const sink: DataplaneSink & HostEndpointSink = {
    onIpSetUpdate: ignore, onIpSetDelta: ignore, onIpSetRemove: ignore, onPolicyUpdate: ignore, onPolicyRemove: ignore, onProfileUpdate: ignore, onProfileRemove: ignore, onPoolUpdate: ignore, onPoolRemove: ignore, onBlockUpdate: ignore, onBlockRemove: ignore,
    onLocalNodeUpdate: ignore, onVtepUpdate: ignore, onVtepRemove: ignore, onRemoteRouteUpdate: ignore, onRemoteRouteRemove: ignore,
    onHostEndpointUpdate: ({ id }) => void told.add(id), onHostEndpointRemove: (id) => void told.delete(id),
    onEndpointUpdate: ({ id }) => void told.add(id), onEndpointRemove: (id) => void told.delete(id),
  };
  engine = createEngine({
    createNodeHalf: (to) => createNodeHalf({ node: "a", sink: to }), clock, log: createLogger("felix", "Fatal", { write: ignore }), onApplied: ignore,
    dataplane: {
      sink,
      async apply() {
        applies += 1;
        if (fail) throw new Error("EBUSY");
        const taken = new Set(told);
        await hold;
        present = taken;
      },
      isReady: (id) => present.has(id), doubt: (id) => void present.delete(id), failures: () => [], refusedPolicies: () => refused,
    },
  });
  stop = new AbortController();
  running = engine.run(stop.signal);
});
afterEach(async () => {
  stop.abort();
  await running;
});
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe("the engine", () => {
  it("touches the kernel only after the first snapshot", async () => {
    engine.trigger();
    await settle();
    expect([applies, engine.isInSync]).toEqual([0, false]);
    await engine.onStep(step(true, profile));
    expect([applies, engine.isApplied]).toEqual([1, true]);
  });

  it("an attach is done when the endpoint is in the kernel, whatever comes first", async () => {
    await engine.onStep(step(true, profile));
    const attached = engine.attach(attachment, "wep/a", 10_000);
    let done = false;
    void attached.then(() => (done = true));
    await settle();
    expect([done, engine.waitingFor("u")]).toEqual([false, "the pod with uid u was not announced by typha yet"]);
    await engine.onStep(step(false, endpoint));
    await attached;
    expect(present.has("wep/a")).toBe(true);
  });

  it("an attach whose time is over says what is missing and takes the interface out again", async () => {
    await engine.onStep(step(true));
    const attached = engine.attach(attachment, "wep/a", 10_000);
    await settle();
    clock.advance(10_000);
    await expect(attached).rejects.toThrow("the pod with uid u was not announced by typha yet");
    await engine.onStep(step(false, profile, endpoint));
    expect(present.has("wep/a")).toBe(false);
  });

  it("a failed apply is tried again, and says so meanwhile", async () => {
    await engine.onStep(step(true, profile, endpoint));
    fail = true;
    await engine.onStep(step(false, profile));
    expect([engine.lastError, engine.commitErrors]).toEqual(["EBUSY", 1]);
    fail = false;
    clock.advance(60_000);
    await settle();
    expect([engine.lastError, engine.commits]).toEqual(["", 2]);
  });

  it("what comes during an apply is done after the next one", async () => {
    await engine.onStep(step(true, profile));
    const held = Array.from({ length: 2 }, () => Promise.withResolvers<void>());
    const holdApply = (n: number): void => void (hold = held[n]?.promise ?? Promise.resolve());
    holdApply(0);
    engine.trigger();
    await settle();
    const done: string[] = [];
    const all = Promise.all([
      engine.onStep(step(false, endpoint)).then(() => done.push("step")),
      engine.attach(attachment, "wep/a", 10_000).then(() => done.push("attach")),
      engine.detach("another", "d", 10_000).then(() => done.push("detach")),
    ]);
    holdApply(1);
    held[0]?.resolve();
    await settle();
    expect([applies, done]).toEqual([3, []]);
    held[1]?.resolve();
    await all;
    expect([applies, done.sort()]).toEqual([3, ["attach", "detach", "step"]]);
  });

  it("says which revision of a policy is in the kernel, not which one it was told", async () => {
    const policy = (revision: string): NodeUpdate => ({
      kind: "Policy",
      value: {
        id: "p" as PolicyId, kind: "NetworkPolicy", namespace: "a", name: "p", tier: "default", order: null, selector: "all()", ingress: true, egress: false, inbound: [], outbound: [],
        doNotTrack: false, preDnat: false, applyOnForward: false, revision,
      },
    });
    const inForce = (): [string, string][] => [...engine.revisionsInForce];
    await engine.onStep(step(true, profile, endpoint, policy("1")));
    expect([inForce(), engine.unresolved()]).toEqual([[], [expect.objectContaining({ reason: "pod a/web has no address and no interface yet" })]]);
    await engine.attach(attachment, "wep/a", 1_000);
    expect([inForce(), engine.unresolved()]).toEqual([[["p", "1"]], []]);
    fail = true;
    await engine.onStep(step(false, policy("2")));
    expect(inForce()).toEqual([["p", "1"]]);
    fail = false;
    clock.advance(60_000);
    await settle();
    expect(inForce()).toEqual([["p", "2"]]);
    refused = new Set(["p"]);
    await engine.onStep(step(false, policy("3")));
    expect(inForce()).toEqual([["p", "2"]]);
    refused = new Set();
    engine.trigger();
    await settle();
    expect(inForce()).toEqual([["p", "3"]]);
    fail = true;
    await engine.onStep(step(false, { kind: "Remove", of: "Policy", id: "p" }));
    expect(inForce()).toEqual([["p", "3"]]);
    fail = false;
    clock.advance(60_000);
    await settle();
    expect(inForce()).toEqual([]);
  });

  it("an attach of an endpoint that was ready waits for its new interface", async () => {
    await engine.onStep(step(true, profile, endpoint));
    await engine.attach(attachment, "wep/a", 1_000);
    const before = applies;
    await engine.attach({ ...attachment, containerId: "next", interfaceIndex: 9 }, "wep/a", 1_000);
    expect([applies, present.has("wep/a")]).toEqual([before + 1, true]);
  });

  it("a detach takes the endpoint out, and one of another container does not", async () => {
    await engine.onStep(step(true, profile, endpoint));
    await engine.attach(attachment, "wep/a", 1_000);
    await engine.detach("u", "another", 1_000);
    expect(present.has("wep/a")).toBe(true);
    await engine.detach("u", "c", 1_000);
    expect(present.has("wep/a")).toBe(false);
  });
});
