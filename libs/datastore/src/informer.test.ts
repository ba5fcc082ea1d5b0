import { describe, expect, it } from "vitest";
import type { Clock } from "./clock.ts";
import type { Datastore, WatchSink } from "./datastore.ts";
import { DatastoreError } from "./errors.ts";
import { createInformer, type Informer } from "./informer.ts";
import type { KubeObject } from "./object.ts";
import { coreTypes } from "./resource-types.ts";

const pod = (name: string, resourceVersion: string): KubeObject => ({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "a", resourceVersion } });
const gone = new DatastoreError("Gone", "too old");
const absent = new DatastoreError("NotFound", "no such kind");
const away = new DatastoreError("Unavailable", "away");
const SILENCE_MS = 90_000;

/** A clock that stands still, and knows how long it was asked to wait. */
function createTestClock(): Clock & { waits: number[]; pass(): void; skip(ms: number): void } {
  let now = 0;
  const timers = new Map<object, { at: number; task: () => void }>();
  const clock = {
    waits: [] as number[],
    nowMs: () => now,
    wallMs: () => now,
    schedule(delayMs: number, task: () => void): () => void {
      if (delayMs !== SILENCE_MS) clock.waits.push(delayMs);
      const key = {};
      if (delayMs !== SILENCE_MS) timers.set(key, { at: now + delayMs, task });
      return () => void timers.delete(key);
    },
    /** Until the next timer. */
    pass(): void {
      const [first] = [...timers].toSorted(([, a], [, b]) => a.at - b.at);
      if (first === undefined) throw new Error("nobody waits");
      timers.delete(first[0]);
      now = first[1].at;
      first[1].task();
    },
    skip(ms: number): void {
      now += ms;
    },
  };
  return clock;
}

type Server = { list: () => { items: KubeObject[]; resourceVersion: string } | DatastoreError; watch: (sink: WatchSink<KubeObject>) => void };

function follow(server: Server, isOptional = false) {
  const clock = createTestClock();
  const calls: string[] = [];
  const logged: string[] = [];
  let lists = 0;
  let watches = 0;
  const datastore = {
    async *listPages() {
      lists += 1;
      await new Promise((resolve) => setImmediate(resolve));
      const answer = server.list();
      if (answer instanceof DatastoreError) throw answer;
      yield answer as never;
    },
    watch(_: unknown, __: unknown, sink: WatchSink<never>) {
      watches += 1;
      setImmediate(() => server.watch(sink as WatchSink<KubeObject>));
      return { close() {} };
    },
  } as Partial<Datastore> as Datastore;
  const note = (level: string) => (message: string): void => void logged.push(`${level} ${message}`);
  const informer: Informer = createInformer<KubeObject, true>({
    datastore, type: coreTypes.pods, isOptional, clock, random: () => 0, transform: () => true, log: { debug() {}, info: note("info"), warn: note("warn"), error: note("error") },
    handler: { onUpsert: ({ name }) => void calls.push(name), onDelete: ({ name }) => void calls.push(`-${name}`), onSynced: (revision) => void calls.push(`synced ${revision}`) },
  });
  informer.start();
  return { clock, calls, logged, informer, asked: () => ({ lists, watches }) };
}

/** Lets everything go on that waits for the server and not for the clock. */
async function settle(): Promise<void> {
  for (let i = 0; i < 60; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe("an informer waits longer and longer", () => {
  it("while each watch answers that the history is gone, though lists succeed", async () => {
    const { clock, informer, asked } = follow({ list: () => ({ items: [], resourceVersion: "5" }), watch: (sink) => sink.onEnd(gone) });
    await settle();
    // The first is answered by a list at once, the second waits.
    expect([asked(), clock.waits, informer.trouble]).toEqual([{ lists: 2, watches: 2 }, [125], "too old"]);
    for (let i = 0; i < 4; i += 1) {
      clock.pass();
      await settle();
    }
    expect([asked(), clock.waits]).toEqual([{ lists: 6, watches: 6 }, [125, 250, 500, 1_000, 2_000]]);
    informer.stop();
  });

  it("while watches end at once with nothing new, also with bookmarks of what was seen", async () => {
    const { clock, informer, asked } = follow({
      list: () => ({ items: [], resourceVersion: "5" }),
      watch(sink) {
        sink.onEvent({ type: "BOOKMARK", object: pod("", "5") });
        sink.onEnd(undefined);
      },
    });
    await settle();
    expect([asked(), clock.waits, informer.trouble]).toEqual([{ lists: 1, watches: 1 }, [125], null]);
    for (let i = 0; i < 3; i += 1) {
      clock.pass();
      await settle();
    }
    expect([asked(), clock.waits]).toEqual([{ lists: 1, watches: 4 }, [125, 250, 500, 1_000]]);
    informer.stop();
  });

  it("until there is something new; a watch that lived is opened anew at once", async () => {
    let step = 0;
    const { clock, informer, calls, asked } = follow({
      list: () => ({ items: [], resourceVersion: "5" }),
      watch(sink) {
        step += 1;
        if (step === 3) sink.onEvent({ type: "ADDED", object: pod("x", "6") });
        if (step === 4) clock.skip(1_000);
        if (step < 6) sink.onEnd(undefined);
      },
    });
    await settle();
    clock.pass();
    await settle();
    clock.pass();
    await settle();
    // The third had news, the fourth lived a second, the fifth ended at once.
    expect([asked(), clock.waits]).toEqual([{ lists: 1, watches: 5 }, [125, 250, 125]]);
    clock.pass();
    await settle();
    expect([asked(), clock.waits, calls]).toEqual([{ lists: 1, watches: 6 }, [125, 250, 125], ["synced 5", "x"]]);
    informer.stop();
  });
});

it("says that a kind is absent once, then once a minute, and when it is there", async () => {
  let answer: ReturnType<Server["list"]> = absent;
  const { clock, logged, informer, asked } = follow({ list: () => answer, watch() {} });
  await settle();
  for (let i = 0; i < 30; i += 1) {
    clock.pass();
    await settle();
  }
  expect(clock.waits.slice(0, 6)).toEqual([125, 250, 500, 1_000, 2_000, 3_000]);
  expect([asked().lists, clock.nowMs() > 60_000, clock.nowMs() < 120_000, logged]).toEqual([31, true, true, ["warn Following a kind was interrupted", "warn Following a kind was interrupted"]]);
  answer = { items: [pod("x", "1")], resourceVersion: "5" };
  clock.pass();
  await settle();
  expect([logged.slice(2), informer.trouble, informer.size]).toEqual([["info A kind is there again"], null, 1]);
  informer.stop();
});

describe("a kind whose definition vanished while nobody watched", () => {
  /** Lists two pods, then answers what `answer` gives at the time. */
  function vanished(answer: (now: number) => DatastoreError, isOptional: boolean) {
    let listed = false;
    const made: ReturnType<typeof follow> = follow({
      list() {
        if (listed) return answer(made.clock.nowMs());
        listed = true;
        return { items: [pod("x", "1"), pod("y", "2")], resourceVersion: "5" };
      },
      watch: (sink) => sink.onEnd(absent),
    }, isOptional);
    return made;
  }

  /** When the objects went; null: they did not in two minutes. */
  async function goneAt({ clock, calls }: ReturnType<typeof follow>): Promise<number | null> {
    while (clock.nowMs() < 120_000) {
      await settle();
      if (calls.includes("-x")) return clock.nowMs();
      clock.pass();
    }
    return null;
  }

  it("takes its objects along after half a minute, if a cluster need not have it", async () => {
    const followed = vanished(() => absent, true);
    const at = (await goneAt(followed)) ?? 0;
    expect([at >= 30_000, at <= 33_000, followed.calls]).toEqual([true, true, ["x", "y", "synced 5", "-x", "-y"]]);
    expect([followed.informer.size, followed.informer.revision, followed.informer.trouble, followed.clock.waits.at(-1)]).toEqual([0, "", null, 3_000]);
    expect(followed.logged).toEqual(["warn Following a kind was interrupted", "warn The cluster no longer has a kind, its objects are gone with it"]);
    followed.informer.stop();
  });

  it("is not believed while the server answers something else in between", async () => {
    const followed = vanished((now) => (now % 20_000 > 15_000 ? away : absent), true);
    expect([await goneAt(followed), followed.informer.size]).toEqual([null, 2]);
    followed.informer.stop();
  });

  it("is never believed of a kind that a cluster must have", async () => {
    const followed = vanished(() => absent, false);
    expect([await goneAt(followed), followed.informer.size]).toEqual([null, 2]);
    followed.informer.stop();
  });
});
