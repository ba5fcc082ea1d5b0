/** Three nodes on a bridge, each with a real BIRD: from views of the cluster to routes in the kernel. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock } from "@calico/service-kit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runControlCommand } from "./control/client.ts";
import { ConfigRefused, reconfigure, writeConfig } from "./control/configurator.ts";
import { createBirdProcess, type BirdProcess } from "./control/process.ts";
import { parseProtocols } from "./control/protocols.ts";
import { createMonitor, type Monitor } from "./monitor.ts";
import { createReconciler, type Reconciler } from "./reconciler.ts";
import { cidr, nodePool, peerNode, secret, viewOf, type ViewParts } from "./render/testing.ts";

const log = silentLogger;
const prefix = `bt${randomBytes(3).toString("hex")}`;
const directory = mkdtempSync(join(tmpdir(), "bird-netns-"));
const running = new AbortController();
const loops: Promise<void>[] = [];

const sh = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 20_000 });
const inside = (namespace: string, program: string, ...args: string[]): string => sh("nsenter", `--net=/run/netns/${namespace}`, "--", program, ...args);

async function eventually<T>(what: string, read: () => T | Promise<T>, accept: (value: T) => boolean, timeoutMs = 30_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (accept(value)) return value;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const NAMES = ["a", "b", "c"] as const;
type Name = (typeof NAMES)[number];
const blocks: Record<Name, string[]> = { a: ["10.244.1.0/26", "fd10::1:0/122"], b: ["10.244.2.0/26", "fd10::2:0/122"], c: ["10.244.3.0/26", "fd10::3:0/122"] };
/** What a node's view has besides. */
const more: Record<Name, ViewParts> = { a: {}, b: {}, c: {} };
const nodes = NAMES.map((name, i) => peerNode(name, { ipv4: cidr(`10.99.0.${i + 1}/24`), ipv6: cidr(`fd99::${i + 1}/64`) }));

type Agent = { readonly name: Name; readonly namespace: string; readonly files: { birdPath: string; configFile: string; controlSocket: string; pidFile: string }; readonly process: BirdProcess; readonly reconciler: Reconciler; readonly monitor: Monitor };
const agents = new Map<Name, Agent>();
const agentOf = (name: Name): Agent => agents.get(name) ?? expect.unreachable();

function startAgent(name: Name, namespace: string): Agent {
  const birdPath = join(directory, `bird-${name}`);
  writeFileSync(birdPath, `#!/bin/sh\nexec nsenter --net=/run/netns/${namespace} -- /usr/sbin/bird "$@"\n`);
  chmodSync(birdPath, 0o755);
  const at = (file: string) => join(directory, name, file);
  const files = { birdPath, configFile: at("bird.cfg"), controlSocket: at("bird.ctl"), pidFile: at("bird.pid") };
  const process = createBirdProcess({ ...files, silenceTimeoutMs: 2_000, onEnd: () => monitor.poke(), clock: systemClock, log });
  const view = () => viewOf({ node: name, nodes, pools: [nodePool("four", "10.244.0.0/16"), nodePool("six", "fd10::/64")], blocks: blocks[name], ...more[name] });
  const reconciler = createReconciler({ view, process, files, onApplied: () => monitor.poke(), clock: systemClock, log });
  const monitor = createMonitor({ controlSocket: files.controlSocket, applied: () => reconciler.applied, answerTimeoutMs: 1_000, onChange: () => {}, onSilence: () => reconciler.restart(), clock: systemClock, log });
  loops.push(reconciler.run(running.signal), monitor.run(running.signal));
  reconciler.trigger();
  return { name, namespace, files, process, reconciler, monitor };
}

const pidOf = ({ files }: Agent): number => Number(readFileSync(files.pidFile, "utf8"));
const bgpRoutes = ({ namespace }: Agent): string[] =>
  [...inside(namespace, "ip", "-4", "route", "show", "proto", "bird").split("\n"), ...inside(namespace, "ip", "-6", "route", "show", "proto", "bird").split("\n")]
    .flatMap((line) => /^(\S+) (?:proto bird )?.*?via (\S+)/.exec(line)?.slice(1, 3).join(" via ") ?? []).sort();
const states = ({ monitor }: Agent) => monitor.sessions.map(({ peer, status }) => `${peer.node}/${peer.family} ${status.bgpState}`).sort();
const UP: Record<Name, string[]> = Object.fromEntries(NAMES.map((name) => [name, NAMES.filter((other) => other !== name).flatMap((other) => [`${other}/4 Established`, `${other}/6 Established`])])) as Record<Name, string[]>;
const same = (expected: readonly string[]) => (seen: readonly string[]) => JSON.stringify(seen) === JSON.stringify(expected);

beforeAll(async () => {
  const hub = `${prefix}-hub`;
  sh("ip", "netns", "add", hub);
  inside(hub, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0");
  inside(hub, "ip", "link", "set", "br0", "up");
  for (const [i, name] of NAMES.entries()) {
    const namespace = `${prefix}-${name}`;
    sh("ip", "netns", "add", namespace);
    inside(hub, "ip", "link", "add", `p${name}`, "type", "veth", "peer", "name", "eth0", "netns", namespace);
    inside(hub, "ip", "link", "set", `p${name}`, "master", "br0", "up");
    inside(namespace, "ip", "link", "set", "lo", "up");
    inside(namespace, "ip", "addr", "add", `10.99.0.${i + 1}/24`, "dev", "eth0");
    inside(namespace, "ip", "addr", "add", `fd99::${i + 1}/64`, "dev", "eth0", "nodad");
    inside(namespace, "ip", "link", "set", "eth0", "up");
    // What stands for a pod's interface, and one that is nobody's.
    inside(namespace, "ip", "link", "add", "cali1", "up", "type", "veth", "peer", "name", "other1");
    inside(namespace, "ip", "link", "set", "other1", "up");
    agents.set(name, startAgent(name, namespace));
  }
  for (const name of NAMES) await eventually(`the sessions of ${name}`, () => states(agentOf(name)), same(UP[name]));
}, 60_000);

afterAll(async () => {
  running.abort();
  await Promise.all(loops);
  for (const agent of agents.values()) {
    try {
      process.kill(pidOf(agent), "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
  for (const line of sh("ip", "netns", "list").split("\n")) {
    const [name = ""] = line.split(" ");
    if (name.startsWith(`${prefix}-`)) sh("ip", "netns", "delete", name);
  }
  rmSync(directory, { recursive: true, force: true });
}, 30_000);

describe("BIRD on three nodes", () => {
  it("brings every node's blocks into the others' kernels", async () => {
    for (const [i, name] of NAMES.entries()) {
      const expected = NAMES.flatMap((_, j) => (i === j ? [] : [`10.244.${j + 1}.0/26 via 10.99.0.${j + 1}`, `fd10::${j + 1}:0/122 via fd99::${j + 1}`])).sort();
      await eventually(`the routes of ${name}`, () => bgpRoutes(agentOf(name)), same(expected));
    }
    expect(NAMES.map((name) => agentOf(name).process.starts)).toEqual([1, 1, 1]);
    expect(agentOf("a").process.version).toMatch(/^2\./);
  });

  it("tells the counts of a session as BIRD does", async () => {
    const { files } = agentOf("a");
    const sessions = await eventually("counts", async () => parseProtocols(await runControlCommand(files.controlSocket, "show protocols all")).filter(({ kind }) => kind === "BGP"), (found) => found.every(({ imported, exported }) => imported > 0 && exported > 0));
    expect(sessions.map(({ since, ...rest }) => ({ ...rest, since: /^\d{4}-\d{2}-\d{2} /.test(since) }))).toEqual(["Mesh_10_99_0_2", "Mesh_10_99_0_3", "Mesh_fd99__2", "Mesh_fd99__3"].map((name) => (
      { name, kind: "BGP", state: "up", since: true, bgpState: "Established", lastError: "", imported: 1, exported: 1 })));
  });

  it("puts nothing of its own blocks into the own kernel", () => {
    expect(inside(agentOf("a").namespace, "ip", "route", "show", "10.244.1.0/26")).toBe("");
  });

  it("announces a new block, withdraws one that is gone, and keeps the sessions", async () => {
    const { reconciler, files } = agentOf("c");
    const since = (await runControlCommand(files.controlSocket, "show protocols")).lines.map(({ text }) => text).filter((text) => text.includes("BGP"));
    blocks.c = ["10.244.3.0/26", "10.244.33.0/26"];
    reconciler.trigger();
    const wanted = ["10.244.2.0/26 via 10.99.0.2", "10.244.3.0/26 via 10.99.0.3", "10.244.33.0/26 via 10.99.0.3", "fd10::2:0/122 via fd99::2"];
    await eventually("the new block", () => bgpRoutes(agentOf("a")), same(wanted));
    expect((await runControlCommand(files.controlSocket, "show protocols")).lines.map(({ text }) => text).filter((text) => text.includes("BGP"))).toEqual(since);
  });

  it("keeps file and routes when BIRD refuses a configuration", async () => {
    const { files } = agentOf("a");
    const before = { text: readFileSync(files.configFile, "utf8"), routes: bgpRoutes(agentOf("a")) };
    const refusal = writeConfig(`${before.text}\nprotocol bgp broken {`, files);
    await expect(refusal).rejects.toBeInstanceOf(ConfigRefused);
    await expect(refusal).rejects.toThrow(/bird\.cfg\.?\S*:\d+:\d+ .*(syntax|unexpected|error)/i);
    await reconfigure(files.controlSocket);
    expect({ text: readFileSync(files.configFile, "utf8"), routes: bgpRoutes(agentOf("a")) }).toEqual(before);
  });

  it("is refused by the running BIRD in its own words", async () => {
    const { files } = agentOf("a");
    const text = readFileSync(files.configFile, "utf8");
    writeFileSync(files.configFile, "nonsense");
    try {
      await expect(reconfigure(files.controlSocket)).rejects.toBeInstanceOf(ConfigRefused);
    } finally {
      writeFileSync(files.configFile, text);
    }
    await reconfigure(files.controlSocket);
    expect(states(agentOf("a"))).toEqual(UP.a);
  });

  it("finds a running BIRD instead of starting one", async () => {
    const agent = agentOf("b");
    const pid = pidOf(agent);
    const second = createBirdProcess({ ...agent.files, clock: systemClock, log });
    await second.ensure(running.signal);
    expect({ starts: second.starts, version: second.version, pid: pidOf(agent) }).toEqual({ starts: 0, version: agent.process.version, pid });
  });

  /** The kernel's routes inside of a range, without what the kernel adds. */
  const routesTo = (name: Name, family: "-4" | "-6", range: string): string[] =>
    inside(agentOf(name).namespace, "ip", family, "route", "show", "root", range).trim().split("\n").filter((line) => line !== "").map((line) => line.trim().replace(/ pref medium$/, "")).sort();

  it.each([
    { family: "-4", borrowed: "10.244.2.9/32", block: "10.244.2.0/26", viaA: "10.99.0.1", viaB: "10.99.0.2" },
    { family: "-6", borrowed: "fd10::2:9/128", block: "fd10::2:0/122", viaA: "fd99::1", viaB: "fd99::2" },
  ] as const)("announces an address of another node's block that a pod here has: $borrowed", async ({ family, borrowed, block, viaA, viaB }) => {
    const { namespace: a } = agentOf("a");
    const { namespace: b } = agentOf("b");
    const address = borrowed.split("/")[0] ?? "";
    const inA = (...args: string[]): string => inside(a, "ip", family, "route", ...args);
    const pod = ["dev", "cali1", "proto", "80"];
    const wayFrom = (name: Name): string => inside(agentOf(name).namespace, "ip", family, "route", "get", address);
    const isViaA = (way: string): boolean => way.includes(`via ${viaA} `);

    // Of the rest of the kernel's routes nothing is announced: other protocols, interfaces, lengths, blackholes.
    const [net, , length] = family === "-4" ? ["10.244.77", "/30", "/32"] : ["fd10::77", "/126", "/128"];
    const join = family === "-4" ? "." : ":";
    inA("add", `${net}${join}1${length}`, "dev", "cali1", "proto", "static");
    inA("add", `${net}${join}2${length}`, "dev", "other1", "proto", "80");
    inA("add", "blackhole", `${net}${join}3${length}`, "proto", "80");
    inA("add", family === "-4" ? "10.244.77.4/30" : "fd10::77:4/126", ...pod);
    inA("add", family === "-4" ? "10.250.0.1/32" : "fd50::1/128", ...pod);
    inA("add", borrowed, ...pod);

    for (const name of ["b", "c"] as const) await eventually(`the way of ${name} to the borrowed address`, () => wayFrom(name), isViaA);
    for (const name of ["b", "c"] as const) {
      expect(routesTo(name, family, family === "-4" ? "10.244.77.0/24" : "fd10::77:0/112")).toEqual([]);
      expect(routesTo(name, family, family === "-4" ? "10.250.0.0/16" : "fd50::/64")).toEqual([]);
    }
    // The owner's own pods come first: their routes have the metric 0, or 1024 for IPv6.
    expect(routesTo("b", family, borrowed).map((line) => / metric (\d+)/.exec(line)?.[1])).toEqual(["2048"]);
    // The rest of the block is where it was, and the borrower has its own pod, whatever the owner announces.
    expect(routesTo("c", family, block).filter((line) => !line.startsWith(address)).map((line) => line.includes(`via ${viaB} `))).toEqual([true]);
    expect(wayFrom("a")).toContain("dev cali1");

    // A pod of the owner that has the same address comes first, at once and after BIRD knows.
    inside(b, "ip", family, "route", "replace", borrowed, ...pod);
    expect(wayFrom("b")).toContain("dev cali1");
    await eventually("the borrower's route to go from the owner", () => routesTo("b", family, borrowed), (lines) => lines.length === 1 && (lines[0] ?? "").includes("dev cali1"));
    inside(b, "ip", family, "route", "del", borrowed, ...pod);
    await eventually("the way of b to the borrowed address", () => wayFrom("b"), isViaA);

    inA("del", borrowed, ...pod);
    await eventually("the way of c to the owner", () => wayFrom("c"), (way) => way.includes(`via ${viaB} `));
    await eventually("no route to the address", () => routesTo("b", family, borrowed), (lines) => lines.length === 0);
  });

  it("announces borrowed addresses of every pool that is exported, also of a disabled one: its pods still run", async () => {
    const { namespace, reconciler } = agentOf("a");
    const pools = [nodePool("four", "10.244.0.0/16"), nodePool("six", "fd10::/64"), nodePool("hidden", "10.245.0.0/16", { disableBgpExport: true }), nodePool("off", "10.246.0.0/16", { disabled: true }), nodePool("shown", "10.247.0.0/16")];
    more.a = { pools };
    reconciler.trigger();
    for (const pool of [5, 6, 7]) inside(namespace, "ip", "route", "add", `10.24${pool}.0.1/32`, "dev", "cali1", "proto", "80");
    const routes = () => bgpRoutes(agentOf("b")).filter((route) => /^10\.24[567]\./.test(route));
    await eventually("the addresses of the pools that are exported", routes, same(["10.246.0.1 via 10.99.0.1", "10.247.0.1 via 10.99.0.1"]));
    for (const pool of [5, 6, 7]) inside(namespace, "ip", "route", "del", `10.24${pool}.0.1/32`, "dev", "cali1", "proto", "80");
    await eventually("its end", routes, same([]));
    more.a = {};
    reconciler.trigger();
  });

  it("makes sessions by selector, from both ends, without a mesh", async () => {
    const labelled = nodes.map((node) => ({ ...node, labels: { role: node.name === "a" ? "spine" : "leaf" } }));
    const peers = { up: { nodeSelector: "role == 'leaf'", peerSelector: "role == 'spine'", keepaliveTime: "20s", ttlSecurity: 1 } };
    for (const name of NAMES) {
      more[name] = { nodes: labelled, bgp: { nodeToNodeMesh: false }, peers };
      agentOf(name).reconciler.trigger();
    }
    const spine = ["a/4 Established", "a/6 Established"];
    await eventually("the sessions of a", () => states(agentOf("a")), same(UP.a));
    for (const name of ["b", "c"] as const) await eventually(`the session of ${name}`, () => states(agentOf(name)), same(spine));
  }, 60_000);

  it("takes the sessions up with a password, and none with another one", async () => {
    const use = (name: Name, password: string): void => {
      more[name] = { bgp: { meshPassword: { name: "bgp", key: "mesh" } }, secrets: { bgp: secret({ mesh: password }) } };
      agentOf(name).reconciler.trigger();
    };
    for (const name of NAMES) use(name, "right #1");
    for (const name of NAMES) await eventually(`the sessions of ${name}`, () => states(agentOf(name)), same(UP[name]), 60_000);
    for (const name of NAMES) expect(statSync(agentOf(name).files.configFile).mode & 0o777).toBe(0o600);

    use("c", "wrong");
    const withC = (name: Name) => states(agentOf(name)).filter((state) => state.startsWith("c/"));
    await eventually("the sessions of c to end", () => withC("a"), (seen) => seen.every((state) => !state.endsWith("Established")));
    use("a", "right #2");
    use("b", "right #2");
    await eventually("a and b to meet again", () => states(agentOf("a")).filter((state) => state.startsWith("b/")), same(["b/4 Established", "b/6 Established"]), 60_000);
    expect(states(agentOf("c")).filter((state) => state.endsWith("Established"))).toEqual([]);

    more.c = { ...more.c, secrets: {} };
    agentOf("c").reconciler.trigger();
    await eventually("a word about the secret", () => agentOf("c").reconciler.applied?.refused.map(({ reason }) => reason) ?? [], same(["secret bgp was not read yet"]));
    expect(readFileSync(agentOf("c").files.configFile, "utf8")).not.toContain("protocol bgp");
    for (const name of NAMES) {
      more[name] = {};
      agentOf(name).reconciler.trigger();
    }
    for (const name of NAMES) await eventually(`the sessions of ${name}`, () => states(agentOf(name)), same(UP[name]), 60_000);
  }, 200_000);

  it("ends a BIRD that hangs and starts another, and the others keep its routes meanwhile", async () => {
    const agent = agentOf("c");
    const before = await eventually("the routes of a", () => bgpRoutes(agentOf("a")), (routes) => routes.some((route) => route.endsWith("via 10.99.0.3")));
    const { starts } = agent.process;
    const pid = pidOf(agent);
    const lost: string[][] = [];
    const watchRoutes = (): void => {
      const now = bgpRoutes(agentOf("a"));
      if (!same(before)(now)) lost.push(now);
    };
    process.kill(pid, "SIGSTOP");
    agent.monitor.poke();
    await eventually("a word about the silence", () => agent.monitor.trouble, (trouble) => /^BIRD has not answered for \d+ s$/.test(trouble ?? ""));
    await eventually("another BIRD that answers", () => {
      watchRoutes();
      return [agent.process.starts, agent.monitor.trouble];
    }, ([count, trouble]) => count === starts + 1 && trouble === null);
    await eventually("the sessions of c", () => {
      watchRoutes();
      return states(agent);
    }, same(UP.c));
    expect({ lost, samePid: pidOf(agent) === pid }).toEqual({ lost: [], samePid: false });
  }, 60_000);

  it("starts BIRD again when it was killed, and the others keep its routes meanwhile", async () => {
    const agent = agentOf("b");
    const before = bgpRoutes(agentOf("a"));
    const pid = pidOf(agent);
    process.kill(pid, "SIGKILL");
    const lost: string[][] = [];
    await eventually("another BIRD", () => {
      const now = bgpRoutes(agentOf("a"));
      if (!same(before)(now)) lost.push(now);
      return agent.process.starts;
    }, (starts) => starts === 2);
    await eventually("the sessions of b", () => {
      const now = bgpRoutes(agentOf("a"));
      if (!same(before)(now)) lost.push(now);
      return states(agent);
    }, same(UP.b));
    expect({ lost, routes: bgpRoutes(agentOf("a")), samePid: pidOf(agent) === pid }).toEqual({ lost: [], routes: before, samePid: false });
  }, 60_000);
});
