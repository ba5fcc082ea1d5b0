import { spawn, type ChildProcess } from "node:child_process";
import { createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "./clock.ts";
import { silentLogger } from "./log.ts";
import { connectBus, type Bus } from "./nats.ts";
import { bracketed } from "./nats-transport.ts";

const servers: ChildProcess[] = [];
const buses: Bus[] = [];
afterEach(async () => {
  for (const bus of buses.splice(0)) await bus.close();
  for (const server of servers.splice(0)) server.kill("SIGKILL");
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function startNats(port: number): ChildProcess {
  const server = spawn("/usr/sbin/nats-server", ["-a", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
  servers.push(server);
  return server;
}

function bus(port: number, name: string): Bus {
  const made = connectBus({ url: `nats://127.0.0.1:${port}`, name, clock: systemClock, log: silentLogger });
  buses.push(made);
  return made;
}

async function until(done: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!done()) {
    if (Date.now() > deadline) throw new Error("waited too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("without a server messages are dropped and counted, requests fail, nothing throws", async () => {
  const lonely = bus(await freePort(), "lonely");
  lonely.publish("a", new Uint8Array());
  expect(lonely.dropped).toBe(1);
  expect(lonely.connected).toBe(false);
  await expect(lonely.request("a", new Uint8Array(), 100)).rejects.toThrow("NATS not connected");
  expect(lonely.detail).toContain("enforcement unaffected");
});

test("subscriptions and responders live on when the server comes back", async () => {
  const port = await freePort();
  const first = startNats(port);
  const a = bus(port, "a");
  const b = bus(port, "b");
  const heard: string[] = [];
  a.subscribe("calico.test", ({ data }) => heard.push(Buffer.from(data).toString()));
  a.respond("calico.ask", ({ data }) => Buffer.from(`re: ${Buffer.from(data).toString()}`));
  await until(() => a.connected && b.connected);
  expect(Buffer.from(await b.request("calico.ask", Buffer.from("1"), 2_000)).toString()).toBe("re: 1");
  first.kill("SIGKILL");
  await until(() => !a.connected && !b.connected);
  startNats(port);
  await until(() => a.connected && b.connected);
  await until(() => {
    b.publish("calico.test", Buffer.from("again"));
    return heard.includes("again");
  });
});

test.each([
  ["fd00:96::7:4222", "[fd00:96::7]:4222"],
  ["::1:4222", "[::1]:4222"],
  ["[fd00::7]:4222", "[fd00::7]:4222"],
  ["10.96.0.7:4222", "10.96.0.7:4222"],
  ["cafe:4222", "cafe:4222"],
  ["nats.example.org:4222", "nats.example.org:4222"],
])("the server %s is %s", (given, server) => expect(bracketed(given)).toBe(server));
