import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { DatastoreError, type Datastore } from "@calico/datastore";
import { connectNats, type NatsConnection } from "@calico/service-kit/nats";
import { afterEach, describe, expect, it } from "vitest";
import { findNats, mapLimited, openQueries } from "./queries.ts";

const none = { url: undefined, user: undefined, caFile: undefined };
const base64 = (text: string): string => Buffer.from(text).toString("base64");
type Reading = Pick<Datastore, "get" | "list">;
const holding = (read: () => object, addresses: readonly string[] = []): Reading => ({
  get: async () => read() as never,
  list: async () => ({ items: [{ addressType: "IPv4", ports: [{ port: 4222 }], endpoints: [{ addresses, conditions: { ready: true } }] }] as never[], resourceVersion: "1" }),
});
const secret = holding(() => ({ data: { url: base64("tls://s:4222"), user: base64("u"), password: base64("p"), "ca.crt": base64("PEM") } }));
const absent = holding(() => {
  throw new DatastoreError("NotFound", "not found");
});

describe("findNats", () => {
  it("takes the Secret when nothing is said", async () => expect(await findNats(none, {}, secret, "ctl")).toEqual({ name: "ctl", url: "tls://s:4222", user: "u", password: "p", ca: "PEM" }));
  it("goes to an endpoint where the Secret names a Service, and keeps the name when there is none", async () => {
    const named = { data: { url: base64("tls://calico-nats.calico-system.svc:4222"), user: base64("u"), password: base64("p"), "ca.crt": base64("PEM") } };
    expect(await findNats(none, {}, holding(() => named, ["10.65.0.7"]), "ctl")).toEqual({ name: "ctl", url: "tls://10.65.0.7:4222", serverName: "calico-nats", user: "u", password: "p", ca: "PEM" });
    expect(await findNats(none, {}, holding(() => named), "ctl")).toMatchObject({ url: "tls://calico-nats.calico-system.svc:4222" });
  });
  it("takes the environment as a whole", async () => expect(await findNats(none, { NATS_URL: "nats://e", NATS_USER: "eu", NATS_PASSWORD: "ep" }, secret, "ctl")).toEqual({ name: "ctl", url: "nats://e", user: "eu", password: "ep", ca: undefined }));
  it("never sends the Secret's password to a server of the command line", async () => expect(await findNats({ ...none, url: "nats://o" }, { NATS_URL: "nats://e" }, secret, "ctl")).toMatchObject({ url: "nats://o", user: undefined, password: undefined }));
  it.each([
    ["no Secret", absent, none, "there is no Secret calico-system/calicoctl-nats; set NATS_URL"],
    ["a Secret without url", holding(() => ({ data: {} })), none, "has no url; set NATS_URL"],
    ["a file that is not there", secret, { ...none, url: "tls://x", caFile: "/nowhere.pem" }, "/nowhere.pem cannot be read"],
  ])("says what to do about %s", async (_, datastore, options, message) => expect(findNats(options, {}, datastore, "ctl")).rejects.toThrow(message));
});

describe("questions over NATS", () => {
  let server: ChildProcess | undefined;
  let node: NatsConnection | undefined;
  afterEach(async () => {
    await node?.close();
    server?.kill("SIGKILL");
  });

  /** The URL of a NATS server that answers. */
  async function startServer(): Promise<string> {
    const port = await freePort();
    server = spawn("/usr/sbin/nats-server", ["-a", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    const url = `nats://127.0.0.1:${port}`;
    const deadline = performance.now() + 10_000;
    for (;;) {
      try {
        node = await connectNats({ url, name: "node" });
        return url;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
    }
  }

  it("tells an answer, a silent component and one that is not there apart", async () => {
    const url = await startServer();
    node?.subscribe("calico.query.n_2E1.felix", { callback: (_, message) => void message.respond(Buffer.from("yes")) });
    node?.subscribe("calico.query.n_2E1.bird", { callback: () => undefined });
    await node?.flush();
    const queries = await openQueries({ url, name: "ctl" }, 200);
    const answer = await queries.ask("n.1", "felix", new Uint8Array());
    expect("value" in answer && Buffer.from(answer.value).toString()).toBe("yes");
    expect(await queries.ask("n.1", "bird", new Uint8Array())).toEqual({ silence: "no answer within 0.2 s" });
    expect(await queries.ask("n2", "felix", new Uint8Array())).toEqual({ silence: "not running, or not connected to NATS" });
    await queries.close();
  }, 20_000);

  it("names a server that is not there, also when it goes away later", async () => {
    await expect(openQueries({ url: `nats://127.0.0.1:${await freePort()}`, name: "ctl" }, 200)).rejects.toThrow(/^NATS at nats:\/\/127\.0\.0\.1:\d+ does not answer: /);
    const url = await startServer();
    const queries = await openQueries({ url, name: "ctl" }, 200);
    const gone = node?.closed();
    server?.kill("SIGKILL");
    await gone;
    await expect(queries.ask("n1", "felix", new Uint8Array())).rejects.toThrow(`NATS at ${url} does not answer`);
    await queries.close();
  }, 20_000);

  it("keeps a password from a server without TLS that should have it", async () => {
    const url = await startServer();
    await expect(openQueries({ url: url.replace("nats:", "tls:"), name: "ctl", user: "u", password: "p" }, 200)).rejects.toThrow(/does not answer: .*tls/i);
  }, 20_000);
});

it("mapLimited keeps the order and the limit", async () => {
  let running = 0;
  let most = 0;
  const results = await mapLimited([...Array(20).keys()], 3, async (item) => {
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    return item * 2;
  });
  expect([results, most]).toEqual([[...Array(20).keys()].map((item) => item * 2), 3]);
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
