/** Three nodes on a bridge, each with a real BIRD: from views of the cluster to routes in the kernel. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
import { cidr, nodePool, peerNode, viewOf } from "./render/testing.ts";

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
  const process = createBirdProcess({ ...files, onEnd: () => monitor.poke(), clock: systemClock, log });
  const view = () => viewOf({ node: name, nodes, pools: [nodePool("four", "10.244.0.0/16"), nodePool("six", "fd10::/64")], blocks: blocks[name] });
  const reconciler = createReconciler({ view, process, files, onApplied: () => monitor.poke(), clock: systemClock, log });
  const monitor = createMonitor({ controlSocket: files.controlSocket, applied: () => reconciler.applied, onChange: () => {}, onSilence: () => reconciler.restart(), clock: systemClock, log });
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
