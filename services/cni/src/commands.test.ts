import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interfaceNameForPod } from "@calico/model";
import { createLogger } from "@calico/service-kit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createCallHandler } from "./calls.ts";
import type { Surroundings } from "./commands.ts";
import { createContainerStore } from "./container-store.ts";
import type { PodInfo } from "./ports.ts";
import type { CallHandler } from "./server.ts";
import { createSpool } from "./spool.ts";

const log = createLogger("cni", "Fatal", { write: () => {} });
const config = { cniVersion: "1.0.0", name: "net", type: "calico", ipam: { type: "calico-ipam" } };

let dir: string;
/** What the world did, in order. */
let done: string[];
let failing: string;
let pod: PodInfo;
let free: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cni-"));
  writeFileSync(join(dir, "netns"), "");
  done = [];
  failing = "";
  pod = { uid: "u1", annotations: {}, namespaceAnnotations: {}, namespaceLabels: { team: "a" } };
  free = ["10.65.0.1/26"];
});
afterEach(() => rmSync(dir, { recursive: true }));

function act(what: string): void {
  done.push(what);
  if (what.startsWith(failing) && failing !== "") throw new Error(`${failing} broke`);
}

function handler(over: Partial<Surroundings> = {}): CallHandler {
  const surroundings: Surroundings = {
    node: "n1", log, settings: { mtu: 0, mtuFile: join(dir, "mtu"), assignIpv6: false, policyTimeout: 10_000 }, onStage: () => {}, containers: createContainerStore(join(dir, "containers")),
    network: {
      setUp({ hostInterface, mtu, addresses, mac }) {
        act(`set up ${hostInterface} ${mtu} ${addresses.join()}${mac === null ? "" : ` ${mac}`}`);
        return { hostIndex: 7, podMac: "02:00:00:00:00:01" };
      },
      tearDown: ({ hostIndex }) => act(`tear down ${hostIndex}`),
      isUp: () => true,
      problems: () => (failing === "check" ? ["cali1 is down"] : []),
    },
    pods: {
      async find() {
        act("find");
        return pod;
      },
      announce: (_namespace, _pod, _uid, _container, addresses) => act(`announce ${addresses.join()}`),
      withdraw: () => act("withdraw"),
      backlog: 0,
      stop: async () => {},
    },
    ipam: {
      async autoAssign({ ipv4Pools, owner }) {
        act(`assign ${ipv4Pools.join()}${owner?.podUid}`);
        return { ipv4: free, ipv6: [], because: free.length === 0 ? ["pool p 10.65.0.0/26: 64 of 64 addresses in use"] : [] };
      },
      async assignAddress({ address }) {
        act(`assign ${address}`);
        return { cidr: `${address}/26` };
      },
      async releaseByHandle() {
        act("release");
        return { released: [] };
      },
    },
    felix: {
      async attachEndpoint({ interfaceName }) {
        act(`attach ${interfaceName}`);
        return { sequence: 1n };
      },
      async detachEndpoint() {
        act("detach");
        return {};
      },
    },
    ...over,
  };
  return createCallHandler({ surroundings, notReady: async () => null, onCall: () => {} });
}

const call = (handle: CallHandler, command: string, env: Record<string, string> = {}, conf: object = config): Promise<string> =>
  handle({ env: { CNI_COMMAND: command, CNI_CONTAINERID: "c1", CNI_NETNS: join(dir, "netns"), CNI_IFNAME: "eth0", CNI_ARGS: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=web;K8S_POD_UID=u1", ...env }, stdin: JSON.stringify(conf) });

describe("ADD", () => {
  it("asks, assigns, makes, waits for felix, and tells the API afterwards", async () => {
    const result = JSON.parse(await call(handler(), "ADD")) as object;
    expect(result).toEqual({
      cniVersion: "1.0.0", dns: {}, routes: [], ips: [{ address: "10.65.0.1/32", interface: 1 }],
      interfaces: [{ name: expect.stringMatching(/^cali[0-9a-f]{11}$/) as string }, { name: "eth0", mac: "02:00:00:00:00:01", sandbox: join(dir, "netns") }],
    });
    expect(done.map((each) => each.split(" ")[0])).toEqual(["find", "assign", "set", "attach", "announce"]);
  });

  it("gives the same when it is repeated, without doing anything", async () => {
    const handle = handler();
    const first = await call(handle, "ADD");
    done = [];
    expect(await call(handle, "ADD")).toBe(first);
    expect(done).toEqual([]);
  });

  it.each([
    ["find", ["find"]],
    ["assign", ["find", "assign", "release"]],
    ["set up", ["find", "assign", "set", "release"]],
    ["attach", ["find", "assign", "set", "attach", "detach", "tear", "release"]],
  ])("that fails at %s is undone in reverse", async (where, expected) => {
    failing = where;
    const handle = handler();
    await expect(call(handle, "ADD")).rejects.toThrow(/broke|no address|not in the kernel/);
    expect(done.map((each) => each.split(" ")[0])).toEqual(expected);
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
  });

  it("says which pool is exhausted, and that trying later may help", async () => {
    free = [];
    await expect(call(handler(), "ADD")).rejects.toMatchObject({ code: 11, details: "pool p 10.65.0.0/26: 64 of 64 addresses in use" });
  });

  it("refuses another pod of the same name", async () => {
    pod = { ...pod, uid: "u2" };
    await expect(call(handler(), "ADD")).rejects.toMatchObject({ code: 100, details: "the runtime means uid u1, the API server has u2" });
  });

  it("follows the annotations, and refuses those that it does not put into effect", async () => {
    pod = { ...pod, annotations: { "cni.projectcalico.org/ipv4pools": '["gold"]' } };
    await call(handler(), "ADD");
    expect(done).toContain("assign goldu1");
    pod = { ...pod, annotations: { "cni.projectcalico.org/ipAddrs": '["10.65.0.9"]' } };
    await call(handler(), "ADD", { CNI_CONTAINERID: "c2" });
    expect(done).toContain("assign 10.65.0.9");
    pod = { ...pod, annotations: { "cni.projectcalico.org/ipAddrs": "10.65.0.9" } };
    await expect(call(handler(), "ADD", { CNI_CONTAINERID: "c3" })).rejects.toMatchObject({ code: 7 });
    pod = { ...pod, annotations: { "cni.projectcalico.org/floatingIPs": "[]" } };
    await expect(call(handler(), "ADD", { CNI_CONTAINERID: "c4" })).rejects.toMatchObject({ code: 2 });
  });

  it("takes pools from the namespace where the pod says nothing, and the MAC address of the pod", async () => {
    pod = { ...pod, annotations: { "cni.projectcalico.org/hwAddr": "02:00:5E:10:00:01" }, namespaceAnnotations: { "cni.projectcalico.org/ipv4pools": '["silver"]', "cni.projectcalico.org/hwAddr": "nobody reads this" } };
    await call(handler(), "ADD");
    expect(done.slice(0, 3)).toEqual(["find", "assign silveru1", expect.stringMatching(/^set up .* 02:00:5e:10:00:01$/)]);
    pod = { ...pod, annotations: { "cni.projectcalico.org/ipv4pools": '["gold"]' } };
    await call(handler(), "ADD", { CNI_CONTAINERID: "c2" });
    expect(done).toContain("assign goldu1");
  });

  it.each([
    ["hwAddr", "02:00:5e", "is no MAC address"], ["hwAddr", "01:00:5e:00:00:01", "is a multicast address"], ["hwAddr", "00:00:00:00:00:00", "is no MAC address"],
    ["ipv4pools", "gold", "is not a JSON list of strings"], ["ipv6pools", "[]", "is not a JSON list of strings"], ["ipAddrs", '["10.65.0.9/32"]', "is no address"],
  ])("refuses the annotation %s: %s", async (name, value, reason) => {
    pod = { ...pod, annotations: { [`cni.projectcalico.org/${name}`]: value } };
    await expect(call(handler(), "ADD")).rejects.toMatchObject({ code: 7, message: expect.stringContaining(reason) as string });
    expect(done).toEqual(["find"]);
  });

  it("refuses an interface name that another pod's hash has too, and leaves that pod alone", async () => {
    const containers = createContainerStore(join(dir, "containers"));
    containers.save({ containerId: "c9", ifname: "eth0", netns: "/run/netns/other", namespace: "b", pod: "twin", podUid: "u9", hostInterface: interfaceNameForPod("a", "web"), hostIndex: 5, podMac: "", mtu: 1500, addresses: [] });
    await expect(call(handler({ containers }), "ADD")).rejects.toThrow("is that of pod b/twin too");
    expect(done.map((each) => each.split(" ")[0])).toEqual(["find", "assign", "release"]);
  });

  it("takes the MTU of the configuration, else what felix found, else 1500", async () => {
    const mtus = (): string[] => done.filter((each) => each.startsWith("set")).map((each) => each.split(" ")[3] ?? "");
    await call(handler(), "ADD");
    writeFileSync(join(dir, "mtu"), "1430\n");
    await call(handler(), "ADD", { CNI_CONTAINERID: "c2" });
    await call(handler(), "ADD", { CNI_CONTAINERID: "c3" }, { ...config, mtu: 9000 });
    expect(mtus()).toEqual(["1500", "1430", "9000"]);
  });
});

describe("DEL", () => {
  it("takes away what ADD made, and what is gone already is fine", async () => {
    const handle = handler();
    await call(handle, "ADD");
    done = [];
    expect(await call(handle, "DEL")).toBe("");
    expect(done).toEqual(["detach", "tear down 7", "release", "withdraw"]);
    done = [];
    await call(handle, "DEL");
    expect(done).toEqual(["tear down null", "release"]);
  });

  it("goes on without felix, and is to be repeated when the addresses cannot be released", async () => {
    const handle = handler();
    await call(handle, "ADD");
    failing = "detach";
    await call(handle, "DEL");
    await call(handle, "ADD");
    failing = "release";
    await expect(call(handle, "DEL")).rejects.toMatchObject({ code: 11 });
    expect(readdirSync(join(dir, "containers"))).toHaveLength(1);
  });

  it("of an older sandbox leaves the interface to the newer one that has the namespace now", async () => {
    const handle = handler();
    await call(handle, "ADD", { CNI_CONTAINERID: "c2" });
    done = [];
    await call(handle, "DEL");
    expect(done).toEqual(["release"]);
    await call(handle, "DEL", { CNI_CONTAINERID: "c2" });
    expect(done).toEqual(["release", "detach", "tear down 7", "release", "withdraw"]);
  });

  it("knows whose a namespace is also after the daemon was started again", async () => {
    await call(handler(), "ADD", { CNI_CONTAINERID: "c2" });
    done = [];
    await call(handler(), "DEL");
    expect(done).toEqual(["release"]);
  });

  it.each([["c1", "c9"], ["c9", "c1"]])("knows after a restart which of two sandboxes came last: %s, then %s", async (older, newer) => {
    const handle = handler();
    await call(handle, "ADD", { CNI_CONTAINERID: older });
    await call(handle, "ADD", { CNI_CONTAINERID: newer });
    utimesSync(join(dir, "containers", `${older}@eth0.json`), 1, 1);
    done = [];
    await call(handler(), "DEL", { CNI_CONTAINERID: older });
    expect(done).toEqual(["detach", "release", "withdraw"]);
  });

  it("of one sandbox waits for the ADD of another of the same pod", async () => {
    const handle = handler();
    await Promise.all([call(handle, "ADD", { CNI_CONTAINERID: "c2" }), call(handle, "DEL")]);
    expect(done.slice(-2)).toEqual(["announce 10.65.0.1", "release"]);
  });

  it("of a container waits for its ADD", async () => {
    const handle = handler();
    await Promise.all([call(handle, "ADD"), call(handle, "DEL")]);
    expect(done.at(-1)).toBe("withdraw");
    expect(readdirSync(join(dir, "containers"))).toEqual([]);
  });
});

describe("CHECK", () => {
  const withResult = { ...config, prevResult: { ips: [{ address: "10.65.0.1/32" }] } };

  it("is content with what ADD made, and lists what is missing", async () => {
    const handle = handler();
    await call(handle, "ADD");
    expect(await call(handle, "CHECK", {}, withResult)).toBe("");
    failing = "check";
    await expect(call(handle, "CHECK", {}, withResult)).rejects.toMatchObject({ code: 100, details: "cali1 is down" });
  });

  it("refuses a container that it does not know, a missing result and one of another address", async () => {
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
    failing = "release";
    await expect(gc(handle, valid())).rejects.toMatchObject({ code: 11, message: "2 containers could not be taken away" });
    failing = "";
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
    expect([done, readdirSync(join(dir, "spool"))]).toEqual([["tear down null", "release"], ["2.request.unreadable"]]);
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
