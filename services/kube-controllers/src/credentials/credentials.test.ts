import { DatastoreError, type KubeObject } from "@calico/datastore";
import { expiryOf } from "@calico/pki";
import { describe, expect, it } from "vitest";
import { ensureCredentials } from "./credentials.ts";
import { NATS_ACCOUNTS } from "./nats-users.ts";
import { MADE_HERE } from "./secrets.ts";

const DAY_MS = 86_400_000;
const start = new Date("2026-03-01T00:00:00Z");
type Secret = KubeObject & { data?: Record<string, string> };

/** Secrets in memory, by name. */
function memory() {
  const secrets = new Map<string, Secret>();
  const log: string[] = [];
  const keep = (verb: string, object: KubeObject): Promise<never> => {
    secrets.set(object.metadata.name, structuredClone(object));
    log.push(`${verb} ${object.metadata.name}`);
    return Promise.resolve(object as never);
  };
  return {
    secrets, log,
    text: (name: string, key: string): string => Buffer.from(secrets.get(name)?.data?.[key] ?? "", "base64").toString(),
    get: (_: unknown, { name }: { name: string }): Promise<never> => {
      const found = secrets.get(name);
      return found === undefined ? Promise.reject(new DatastoreError("NotFound", name)) : Promise.resolve(structuredClone(found) as never);
    },
    create: (_: unknown, object: KubeObject): Promise<never> => keep("create", object),
    update: (_: unknown, object: KubeObject): Promise<never> => keep("update", object),
    patch: ({ kind }: { kind: string }, { name }: { name: string }): Promise<never> => {
      log.push(`patch ${kind} ${name}`);
      return Promise.resolve({} as never);
    },
  };
}

const options = (datastore: ReturnType<typeof memory>, over: object = {}) => ({
  datastore, namespace: "calico-system", certificates: "keep" as const, nats: true, natsCertificate: "calico-nats-tls", lifetimeMs: 300 * DAY_MS, now: start, log: { info() {}, warn() {} }, ...over,
});
const CERTIFICATES = ["calico-typha-tls", "calico-node-tls", "calico-nats-tls"];

describe("ensureCredentials", () => {
  it("makes everything once and then leaves it", async () => {
    const store = memory();
    await ensureCredentials(options(store));
    expect([...store.secrets.keys()]).toEqual([
      "calico-ca", ...CERTIFICATES, "calico-nats-felix", "calico-nats-bird", "calico-nats-ipam", "calico-nats-cni", "calico-nats-typha", "calico-nats-kube-controllers", "calicoctl-nats", "calico-nats-users",
    ]);
    expect([store.text("calicoctl-nats", "url"), store.text("calicoctl-nats", "user"), store.text("calicoctl-nats", "ca.crt")]).toEqual(["tls://calico-nats.calico-system.svc:4222", "calicoctl", store.text("calico-ca", "tls.crt")]);
    const written = store.log.length;
    await ensureCredentials(options(store, { now: new Date(start.getTime() + 199 * DAY_MS) }));
    expect(store.log.slice(written)).toEqual([]);
  });

  it("renews certificates at two thirds of their life under the same authority, and NATS reads its own", async () => {
    const store = memory();
    await ensureCredentials(options(store));
    const authority = store.text("calico-ca", "tls.crt");
    const written = store.log.length;
    const later = new Date(start.getTime() + 201 * DAY_MS);
    await ensureCredentials(options(store, { now: later }));
    expect(store.log.slice(written)).toEqual([...CERTIFICATES.map((name) => `update ${name}`), "patch StatefulSet calico-nats"]);
    expect(store.text("calico-typha-tls", "ca.crt")).toBe(authority);
    expect(expiryOf(store.text("calico-typha-tls", "tls.crt"))?.to).toBe(later.getTime() + 300 * DAY_MS);
  });

  it("makes what was deleted, damaged or is for other names", async () => {
    const store = memory();
    await ensureCredentials(options(store));
    store.secrets.delete("calico-node-tls");
    const typha = store.secrets.get("calico-typha-tls");
    if (typha?.data === undefined) throw new Error("typha has a certificate");
    typha.data["tls.crt"] = Buffer.from("damaged").toString("base64");
    const written = store.log.length;
    await ensureCredentials(options(store));
    expect(store.log.slice(written)).toEqual(["update calico-typha-tls", "create calico-node-tls"]);
    await ensureCredentials(options(store, { namespace: "elsewhere" }));
    expect(store.log.slice(written + 2)).toEqual(["update calico-typha-tls", "update calico-nats-tls", "patch StatefulSet calico-nats", "update calicoctl-nats"]);
  });

  it("only makes the first certificates when somebody else takes over", async () => {
    const store = memory();
    await ensureCredentials(options(store, { certificates: "first" }));
    expect([...store.secrets.keys()].slice(0, 4)).toEqual(["calico-ca", ...CERTIFICATES]);
    const taken = store.secrets.get("calico-typha-tls");
    if (taken === undefined) throw new Error("typha has a certificate");
    taken.data = { "tls.crt": Buffer.from("cert-manager's").toString("base64") };
    const written = store.log.length;
    await ensureCredentials(options(store, { certificates: "first", now: new Date(start.getTime() + 290 * DAY_MS) }));
    expect(store.log.slice(written)).toEqual([]);
  });

  it("leaves a certificate that somebody else made", async () => {
    const store = memory();
    await ensureCredentials(options(store));
    const own = store.secrets.get("calico-typha-tls");
    if (own === undefined) throw new Error("typha has a certificate");
    expect(own.metadata.labels).toEqual(MADE_HERE);
    own.metadata.labels = {};
    own.data = { "tls.crt": Buffer.from("mine").toString("base64") };
    const written = store.log.length;
    await ensureCredentials(options(store));
    expect(store.log.slice(written)).toEqual([]);
  });

  it("gives NATS one user for each component, with its password and no more rights than it needs", async () => {
    const store = memory();
    await ensureCredentials(options(store, { certificates: "none" }));
    const { authorization } = JSON.parse(store.text("calico-nats-users", "users.conf")) as { authorization: { users: { user: string; password: string; permissions: { publish: string[]; subscribe: string[] } }[] } };
    expect(authorization.users.map(({ user }) => user)).toEqual(NATS_ACCOUNTS.map(({ component }) => component));
    expect(new Set(authorization.users.map(({ password }) => password)).size).toBe(NATS_ACCOUNTS.length);
    expect(authorization.users.find(({ user }) => user === "bird")).toEqual({
      user: "bird", password: store.text("calico-nats-bird", "password"),
      permissions: { publish: ["calico.node.*.state.bird", "calico.node.*.bgp", "_INBOX.>"], subscribe: ["calico.query.*.bird", "_INBOX.>"] },
    });
  });
});
