import { readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { interfaceNameForPod } from "@calico/model";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createContainerStore } from "./container-store.ts";
import type { CallHandler } from "./server.ts";
import { createSpool } from "./spool.ts";
import { FakeWorld, networkConfig as config, silent as log } from "./testing/fake-world.ts";

let world: FakeWorld;
let dir: string;
beforeEach(() => {
  world = new FakeWorld();
  ({ dir } = world);
});
afterEach(() => world[Symbol.dispose]());

const handler: FakeWorld["handler"] = (over) => world.handler(over);
const call: FakeWorld["call"] = (...args) => world.call(...args);

describe("ADD", () => {
  it("2.4 ADD: asks, assigns, makes, waits for felix, and annotates the pod afterwards", async () => {
    const result = JSON.parse(await call(handler(), "ADD")) as object;
    expect(result).toEqual({
      cniVersion: "1.0.0", dns: {}, routes: [], ips: [{ address: "10.65.0.1/32", interface: 1 }],
      interfaces: [{ name: expect.stringMatching(/^cali[0-9a-f]{11}$/) as string }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: join(dir, "netns") }],
    });
    expect(world.verbs).toEqual(["find", "assign", "set", "attach", "announce"]);
  });

  it("2.4 ADD: gives the same when it is repeated, without doing anything", async () => {
    const handle = handler();
    const first = await call(handle, "ADD");
    world.done = [];
    expect(await call(handle, "ADD")).toBe(first);
    expect(world.done).toEqual([]);
  });

  it.each([
    ["find", ["find"]],
    ["assign", ["find", "assign", "release"]],
    ["set up", ["find", "assign", "set", "release"]],
    ["attach", ["find", "assign", "set", "attach", "detach", "tear", "release"]],
  ])("2.4 ADD: that fails at %s gives back address and pair, in reverse", async (where, expected) => {
    world.failing = where;
    const handle = handler();
    await expect(call(handle, "ADD")).rejects.toThrow(/broke|no address|not in the kernel/);
    expect(world.verbs).toEqual(expected);
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
  });

  it("says which pool is exhausted, and that trying later may help", async () => {
    world.free.ipv4 = [];
    await expect(call(handler(), "ADD")).rejects.toMatchObject({ code: 11, details: "pool p 10.65.0.0/26: 64 of 64 addresses in use" });
  });

  it("refuses an interface name that another pod's hash has too, and leaves that pod alone", async () => {
    const containers = createContainerStore(join(dir, "containers"));
    containers.save({ containerId: "c9", ifname: "eth0", netns: "/run/netns/other", namespace: "b", pod: "twin", podUid: "u9", hostInterface: interfaceNameForPod("a", "web"), hostIndex: 5, podMac: "", mtu: 1500, addresses: [] });
    await expect(call(handler({ containers }), "ADD")).rejects.toThrow("is that of pod b/twin too");
    expect(world.verbs).toEqual(["find", "assign", "release"]);
  });
});

describe("DEL", () => {
  it("2.4 DEL: takes away what ADD made, and what is gone already is fine", async () => {
    const handle = handler();
    await call(handle, "ADD");
    world.done = [];
    expect(await call(handle, "DEL")).toBe("");
    expect(world.done).toEqual(["detach", "tear down 7", "release net.c1", "withdraw those of c1"]);
    world.done = [];
    await call(handle, "DEL");
    expect(world.done).toEqual(["tear down null", "release net.c1"]);
  });

  it("2.4 DEL: goes on without felix, and is to be repeated when the addresses cannot be released", async () => {
    const handle = handler();
    await call(handle, "ADD");
    world.failing = "detach";
    await call(handle, "DEL");
    await call(handle, "ADD");
    world.failing = "release";
    await expect(call(handle, "DEL")).rejects.toMatchObject({ code: 11 });
    expect(readdirSync(join(dir, "containers"))).toHaveLength(1);
  });

  it("2.4 DEL: of an older sandbox leaves the interface to the newer one that has the namespace now", async () => {
    const handle = handler();
    await call(handle, "ADD", { CNI_CONTAINERID: "c2" });
    world.done = [];
    await call(handle, "DEL");
    expect(world.done).toEqual(["release net.c1"]);
    await call(handle, "DEL", { CNI_CONTAINERID: "c2" });
    expect(world.done).toEqual(["release net.c1", "detach", "tear down 7", "release net.c2", "withdraw those of c2"]);
  });

  it("knows whose a namespace is also after the daemon was started again", async () => {
    await call(handler(), "ADD", { CNI_CONTAINERID: "c2" });
    world.done = [];
    await call(handler(), "DEL");
    expect(world.done).toEqual(["release net.c1"]);
  });

  it.each([["c1", "c9"], ["c9", "c1"]])("knows after a restart which of two sandboxes came last: %s, then %s", async (older, newer) => {
    const handle = handler();
    await call(handle, "ADD", { CNI_CONTAINERID: older });
    await call(handle, "ADD", { CNI_CONTAINERID: newer });
    utimesSync(join(dir, "containers", `${older}@eth0.json`), 1, 1);
    world.done = [];
    await call(handler(), "DEL", { CNI_CONTAINERID: older });
    expect(world.done).toEqual(["detach", `release net.${older}`, `withdraw those of ${older}`]);
  });

  it("of one sandbox waits for the ADD of another of the same pod", async () => {
    const handle = handler();
    await Promise.all([call(handle, "ADD", { CNI_CONTAINERID: "c2" }), call(handle, "DEL")]);
    expect(world.done.slice(-2)).toEqual(["announce 10.65.0.1 of c2", "release net.c1"]);
  });

  it("of a container waits for its ADD", async () => {
    const handle = handler();
    await Promise.all([call(handle, "ADD"), call(handle, "DEL")]);
    expect(world.done.at(-1)).toBe("withdraw those of c1");
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
  });
});

describe("CHECK", () => {
  const withResult = { ...config, prevResult: { ips: [{ address: "10.65.0.1/32" }] } };

  it("2.4 CHECK: is content with what ADD made, and lists what is missing", async () => {
    const handle = handler();
    await call(handle, "ADD");
    expect(await call(handle, "CHECK", {}, withResult)).toBe("");
    world.failing = "check";
    await expect(call(handle, "CHECK", {}, withResult)).rejects.toMatchObject({ code: 100, details: "cali1 is down" });
  });

  it("2.4 CHECK: refuses a container that it does not know, a missing result and one of another address", async () => {
    const handle = handler();
    await expect(call(handle, "CHECK", {}, withResult)).rejects.toMatchObject({ code: 3 });
    await call(handle, "ADD");
    await expect(call(handle, "CHECK")).rejects.toMatchObject({ code: 7 });
    await expect(call(handle, "CHECK", {}, { ...config, prevResult: { ips: [{ address: "10.65.0.2/32" }, { address: "nonsense" }] } })).rejects.toMatchObject({ details: "prevResult does not name 10.65.0.1, which the container has" });
  });
});

describe("GC", () => {
  const valid = (...ids: string[]): object => ({ ...config, "cni.dev/valid-attachments": ids.map((containerID) => ({ containerID, ifname: "eth0" })) });
  const gc = (handle: CallHandler, conf: object): Promise<string> => handle({ env: { CNI_COMMAND: "GC" }, stdin: JSON.stringify(conf) });

  it("takes away what the runtime does not name, and nothing when it names nobody by mistake", async () => {
    const handle = handler();
    for (const id of ["c1", "c2", "c3"]) await call(handle, "ADD", { CNI_CONTAINERID: id });
    expect(await gc(handle, valid("c1", "c3"))).toBe("");
    expect(readdirSync(join(dir, "containers")).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(["c1@eth0.json", "c3@eth0.json"]);
    await expect(gc(handle, config)).rejects.toMatchObject({ code: 7 });
    expect(readdirSync(join(dir, "containers"))).toHaveLength(2);
  });

  it("goes on when one fails, and names it", async () => {
    const handle = handler();
    for (const id of ["c1", "c2"]) await call(handle, "ADD", { CNI_CONTAINERID: id });
    world.failing = "release";
    await expect(gc(handle, valid())).rejects.toMatchObject({ code: 11, message: "2 containers could not be taken away" });
    world.failing = "";
    await gc(handle, valid());
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
  });
});

describe("spool", () => {
  const request = (container: string): string => `POST /cni HTTP/1.1\r\nHost: calico\r\nX-CNI_COMMAND: DEL\r\nX-CNI_CONTAINERID: ${container}\r\n\r\n${JSON.stringify(config)}`;

  it("replays in order, keeps what failed, and sets aside what nobody can read", async () => {
    const spool = createSpool(join(dir, "spool"), log);
    for (const [name, text] of [["2.request", request("two")], ["1.request", request("one")], ["3.request", "garbage"]] as const) writeFileSync(join(dir, "spool", name), text);
    const seen: string[] = [];
    await spool.replay(async ({ env }) => {
      seen.push(env["CNI_CONTAINERID"] ?? "");
      if (env["CNI_CONTAINERID"] === "one") throw new Error("not now");
      return "";
    });
    expect(seen).toEqual(["one", "two"]);
    expect(readdirSync(join(dir, "spool")).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(["1.request", "3.request.unreadable"]);
  });

  it("sets aside what can never succeed", async () => {
    const spool = createSpool(join(dir, "spool"), log);
    for (const [name, text] of [["1.request", request("one")], ["2.request", request("two").replace(JSON.stringify(config), "{")]] as const) writeFileSync(join(dir, "spool", name), text);
    const handle = handler();
    await spool.replay((asked) => handle({ ...asked, env: { CNI_NETNS: "", CNI_IFNAME: "eth0", CNI_ARGS: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=web", ...asked.env } }));
    expect([world.done, readdirSync(join(dir, "spool"))]).toEqual([["tear down null", "release net.one"], ["2.request.unreadable"]]);
  });

  it("replays each once, however many ask", async () => {
    const spool = createSpool(join(dir, "spool"), log);
    writeFileSync(join(dir, "spool", "1.request"), request("one"));
    const seen: string[] = [];
    const handle: CallHandler = async ({ env }) => {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(env["CNI_CONTAINERID"] ?? "");
      return "";
    };
    await Promise.all([spool.replay(handle), spool.replay(handle)]);
    expect([seen, spool.size]).toEqual([["one"], 0]);
  });
});
