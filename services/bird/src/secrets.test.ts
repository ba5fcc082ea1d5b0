import { DatastoreError, type Datastore, type DatastoreErrorCode, type KubeObject, type WatchSink } from "@calico/datastore";
import { silentLogger, systemClock } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createSecretSource, type SecretSource } from "./secrets.ts";

/** Secrets of one namespace in memory. What is asked in another way than by namespace and name is refused. */
function createFakeApi() {
  const secrets = new Map<string, KubeObject & { data: Record<string, string> }>();
  const watches = new Map<string, Set<WatchSink<KubeObject>>>();
  let revision = 1;
  let refuse: DatastoreErrorCode | null = null;
  const nameOf = (namespace: string | undefined, fieldSelector: string | undefined): string => {
    const name = /^metadata\.name=(.+)$/.exec(fieldSelector ?? "")?.[1];
    if (refuse !== null) throw new DatastoreError(refuse, "refused");
    if (namespace !== "calico" || name === undefined) throw new DatastoreError("Forbidden", "secrets are read one by one");
    return name;
  };
  const datastore = {
    async get(_, { namespace, name }) {
      const found = secrets.get(nameOf(namespace, `metadata.name=${name}`));
      if (found === undefined) throw new DatastoreError("NotFound", name);
      return found as never;
    },
    async *listPages(_, { namespace, fieldSelector } = {}) {
      const found = secrets.get(nameOf(namespace, fieldSelector));
      yield { items: (found === undefined ? [] : [found]) as never[], resourceVersion: String(revision) };
    },
    watch(_, { namespace, fieldSelector, signal }, sink) {
      const name = nameOf(namespace, fieldSelector);
      const sinks = watches.get(name) ?? new Set();
      watches.set(name, sinks.add(sink as never));
      const close = (): void => void sinks.delete(sink as never);
      signal?.addEventListener("abort", close);
      return { close };
    },
    close() {},
  } as Partial<Datastore> as Datastore;
  const tell = (name: string, type: "MODIFIED" | "DELETED", object: KubeObject): void => watches.get(name)?.forEach((sink) => sink.onEvent({ type, object }));
  return {
    datastore,
    get watched() {
      return [...watches].flatMap(([name, sinks]) => (sinks.size === 0 ? [] : [name]));
    },
    refuseWith: (code: DatastoreErrorCode | null) => void (refuse = code),
    put(name: string, password: string) {
      const object = { apiVersion: "v1", kind: "Secret", metadata: { namespace: "calico", name, resourceVersion: String(++revision) }, data: { password: btoa(password) } };
      secrets.set(name, object);
      tell(name, "MODIFIED", object);
    },
    remove(name: string) {
      const object = secrets.get(name);
      secrets.delete(name);
      if (object !== undefined) tell(name, "DELETED", { ...object, metadata: { ...object.metadata, resourceVersion: String(++revision) } });
    },
  };
}

let api: ReturnType<typeof createFakeApi>;
let source: SecretSource;
let changes: number;
beforeEach(() => {
  api = createFakeApi();
  changes = 0;
  source = createSecretSource({ open: () => api.datastore, namespace: "calico", onChange: () => void (changes += 1), clock: systemClock, log: silentLogger });
});
afterEach(() => source.stop());

const seen = () => Object.fromEntries([...source.contents].map(([name, content]) => [name, "missing" in content ? content.missing : atob(content.data["password"] ?? "")]));
const eventually = (expected: Record<string, string>) => vi.waitFor(() => expect(seen()).toEqual(expected), 5_000);

describe("secrets", () => {
  it("are read and followed", async () => {
    api.put("bgp", "first");
    source.follow(new Set(["bgp", "none"]));
    expect(seen()).toEqual({});
    await eventually({ bgp: "first", none: "secret calico/none does not exist" });
    await vi.waitFor(() => expect(api.watched).toEqual(["bgp", "none"]));
    const before = changes;
    api.put("bgp", "second");
    api.put("none", "now");
    await eventually({ bgp: "second", none: "now" });
    expect(changes).toBe(before + 2);
    api.remove("bgp");
    await eventually({ bgp: "secret calico/bgp does not exist", none: "now" });
  });

  it("are forgotten when no session needs them", async () => {
    api.put("bgp", "first");
    source.follow(new Set(["bgp"]));
    await eventually({ bgp: "first" });
    await vi.waitFor(() => expect(api.watched).toEqual(["bgp"]));
    source.follow(new Set());
    expect([seen(), api.watched]).toEqual([{}, []]);
    api.put("bgp", "second");
    expect(seen()).toEqual({});
  });

  it("that may not be read are told as missing, and read when they may", async () => {
    api.put("bgp", "first");
    api.refuseWith("Forbidden");
    source.follow(new Set(["bgp"]));
    await eventually({ bgp: "secret calico/bgp may not be read by this node's bird (Forbidden)" });
    api.refuseWith(null);
    await eventually({ bgp: "first" });
  });

  it("are read again and again where they may be read and not watched", async () => {
    vi.spyOn(api.datastore, "listPages").mockImplementation(() => {
      throw new DatastoreError("Forbidden", "refused");
    });
    api.put("bgp", "first");
    source.follow(new Set(["bgp"]));
    await eventually({ bgp: "first" });
    api.put("bgp", "second");
    await eventually({ bgp: "second" });
  });

  it("are not told as missing while the API does not answer", async () => {
    api.refuseWith("Unavailable");
    api.put("bgp", "first");
    source.follow(new Set(["bgp"]));
    const asked = vi.spyOn(api.datastore, "get");
    await vi.waitFor(() => expect(asked).toHaveBeenCalled(), 5_000);
    expect(seen()).toEqual({});
    api.refuseWith(null);
    await eventually({ bgp: "first" });
  });

  it.each(["", "a,metadata.name!=b", "../x", "Upper"])("are never asked for by the name %j", (name) => {
    source.follow(new Set([name]));
    expect([seen(), api.watched]).toEqual([{ [name]: `${JSON.stringify(name)} is no name of a secret` }, []]);
  });

  it("are missing when there is no way to the API", () => {
    const none = createSecretSource({
      open() {
        throw new Error("no kubeconfig");
      },
      namespace: "calico", onChange() {}, clock: systemClock, log: silentLogger,
    });
    none.follow(new Set(["bgp"]));
    expect(none.contents).toEqual(new Map([["bgp", { missing: "secret calico/bgp cannot be read: no kubeconfig" }]]));
    none.stop();
  });
});
