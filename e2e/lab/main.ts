/** `npm run lab`: reads the command line, runs a lab or asks the one that runs. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { parseArguments, USAGE, UsageError, type Command } from "./arguments.ts";
import { runDemo } from "./demo-run.ts";
import { labFront, type Front, type Status } from "./front.ts";
import { startLab } from "./lab.ts";
import { labLogs } from "./log-files.ts";
import { renderMatrix, type MatrixCell } from "./matrix.ts";
import { giveBack } from "./own-cluster/give-back.ts";
import { openOwnCluster } from "./own-cluster/own-cluster.ts";
import { readRecord } from "./own-cluster/record.ts";
import { labPaths, nodeBinary, userLabDir } from "./paths.ts";
import { askLab, RemoteError, serveRemote } from "./remote.ts";
import type { ProbeResult } from "./prober.ts";
import { sweep } from "./sweep.ts";
import { untilTrue } from "./wait.ts";

const LAB = { name: "lab", dir: userLabDir, octet: 30 } as const;
/** Kubernetes may have to be built first. */
const BUILD_TIMEOUT_MS = 20 * 60_000;
/** Calico is uninstalled from a cluster of the user's own. */
const GIVE_BACK_TIMEOUT_MS = 5 * 60_000;
const paths = labPaths(LAB.dir);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** What a lab is started by. */
type Start = Extract<Command, { verb: "up" | "use" }>;

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  try {
    return await run(fromWhereItWasCalled(parseArguments(argv)));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`lab: ${error.message}\n`);
      return 2;
    }
    process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof RemoteError ? error.exitCode : 1;
  }
}

/** npm runs everything in the checkout: files are named from where the user is. */
function fromWhereItWasCalled(command: Command): Command {
  if (command.verb !== "use") return command;
  const place = (file: string): string => resolve(process.env["INIT_CWD"] ?? process.cwd(), file);
  return { ...command, kubeconfig: place(command.kubeconfig), values: command.values === null ? null : place(command.values) };
}

async function run(command: Command): Promise<number> {
  switch (command.verb) {
    case "help": return done(USAGE);
    case "up": case "use": return command.detach ? upDetached(command) : up(command);
    case "down": return down();
    case "status": return status(command.json);
    case "exec": return inherit(await askLab<string[]>(paths.controlSocket, "exec", { target: command.target, command: command.command, terminal: process.stdin.isTTY === true }));
    case "netns": return done((await askLab<{ netns: string }>(paths.controlSocket, "netns", { target: command.target })).netns);
    case "probe": return probe(command);
    case "matrix": return matrix(command.port, command.json);
    case "logs": return logs(command.component, command.node);
  }
}

async function up(command: Start): Promise<number> {
  if (await isRunning()) {
    process.stderr.write("lab: a lab is already running here; end it with: npm run lab -- down\n");
    return 1;
  }
  const ending = new AbortController();
  const interrupted = new Promise<void>((resolve) => {
    ending.signal.addEventListener("abort", () => resolve());
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());
  });
  const began = performance.now();
  const since = (): string => `${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`;
  const tell = (line: string): void => say(`${since()}  ${line}`);
  let front: Front | null = null;
  try {
    await giveBack(LAB.dir, tell);
    const starting = start(command, tell, ending.signal);
    front = await Promise.race([starting, interrupted.then(() => null)]);
    if (!front) {
      // What it was about to do in somebody's cluster ends, and is taken back, before the lab does.
      if (command.verb === "use") front = await starting.catch(() => null);
      else await sweep(LAB.name, LAB.dir);
      return 130;
    }
    tell(`the lab is up: ${front.nodeCount} nodes`);
    let started = false;
    const server = await serveRemote(paths.controlSocket, { ...handlersOf(front, () => process.kill(process.pid, "SIGTERM")), started: async () => started });
    if (command.demo) await Promise.race([runDemo(front.stage(), say), interrupted]);
    say(nextSteps(command));
    started = true;
    await interrupted;
    say("\nstopping");
    server.close();
    server.closeAllConnections();
    return 0;
  } finally {
    await front?.stop();
    if (command.verb === "use") rmSync(LAB.dir, { recursive: true, force: true });
  }
}

async function start(command: Start, onProgress: (line: string) => void, signal: AbortSignal): Promise<Front> {
  if (command.verb === "use") return openOwnCluster({ dir: LAB.dir, kubeconfig: command.kubeconfig, values: command.values, onProgress, signal });
  const { nodes, subnets, encapsulation, kubernetes } = command;
  return labFront(await startLab({ ...LAB, nodes, subnets, encapsulation, kubernetes: kubernetes ? "cluster" : undefined, onProgress }));
}

function handlersOf(front: Front, end: () => void): Parameters<typeof serveRemote>[1] {
  return {
    status: () => front.status(),
    exec: ({ target, command, terminal }: { target: string; command: string[]; terminal: boolean }) => front.execCommand(target, command, terminal),
    netns: async ({ target }: { target: string }) => ({ netns: await front.netns(target) }),
    probe: ({ from, to, port, protocol }: Extract<Command, { verb: "probe" }>) => front.probe(from, to, port, protocol),
    matrix: ({ port }: { port: number | null }) => front.matrix(port),
    logs: ({ component, node }: { component: string | null; node: string | null }) => front.logs(component, node),
    down: async () => void setImmediate(end),
  };
}

function nextSteps({ verb, demo }: Start): string {
  const own = verb === "use";
  return `
Try, in another terminal (KUBECONFIG=.lab/kubeconfig):
  npm run lab -- matrix                          who reaches whom
  npm run lab -- exec ${demo ? "shop/frontend" : "NAMESPACE/POD"} -- ip route
  npm run lab -- exec node/${own ? "NAME" : "node-1"} -- nft list table inet calico
  kubectl --kubeconfig .lab/kubeconfig get pods -A -o wide
  kubectl --kubeconfig .lab/kubeconfig ${demo ? "delete networkpolicy -n shop default-deny" : "apply -f my-policy.yaml"}
  npx calicoctl --kubeconfig .lab/kubeconfig policy status${own ? "" : `
  curl http://172.30.0.11:9091/metrics           felix of node-1; health: :9099/readiness`}
Ctrl-C ends the lab and removes ${own ? "what it made" : "everything"}.`;
}

/** Starts the lab as a process of its own and waits until all is told, the demo too. */
async function upDetached(command: Start): Promise<number> {
  if (await isRunning()) return done("a lab is already running here");
  mkdirSync(LAB.dir, { recursive: true });
  const log = openSync(`${LAB.dir}.log`, "w");
  const child = spawn(nodeBinary, ["--disable-warning=ExperimentalWarning", process.argv[1] ?? "", "up", ...argumentsOf(command)], { detached: true, stdio: ["ignore", log, log] });
  let ended = false;
  child.on("exit", () => (ended = true));
  await untilTrue("the lab to start", async () => ended || (await askLab<boolean>(paths.controlSocket, "started").catch(() => false)), command.verb === "use" || command.kubernetes ? BUILD_TIMEOUT_MS : 120_000);
  process.stdout.write(readFileSync(`${LAB.dir}.log`, "utf8"));
  rmSync(`${LAB.dir}.log`);
  child.unref();
  return ended ? 1 : 0;
}

/** The same start, in the foreground. */
function argumentsOf(command: Start): string[] {
  const demo = command.demo ? ["--demo"] : [];
  if (command.verb === "use") return ["--kubeconfig", command.kubeconfig, ...(command.values === null ? [] : ["--values", command.values]), ...demo];
  return ["--nodes", String(command.nodes), "--subnets", String(command.subnets), "--encapsulation", command.encapsulation, ...(command.kubernetes ? ["--kubernetes"] : []), ...demo];
}

async function isRunning(): Promise<boolean> {
  return askLab(paths.controlSocket, "status").then(() => true, () => false);
}

async function down(): Promise<number> {
  const isElsewhere = readRecord(LAB.dir) !== null;
  const wasRunning = await askLab(paths.controlSocket, "down").then(() => true, () => false);
  if (wasRunning) await untilTrue("the lab to end", async () => !(await isRunning()) && !isThere(LAB.dir), isElsewhere ? GIVE_BACK_TIMEOUT_MS : 30_000).catch(() => undefined);
  if (isElsewhere) {
    await giveBack(LAB.dir, say);
    rmSync(LAB.dir, { recursive: true, force: true });
    return done("the lab is down");
  }
  const left = await sweep(LAB.name, LAB.dir);
  return done(wasRunning ? "the lab is down" : `no lab was running; removed ${left.processes} processes and ${left.namespaces} namespaces`);
}

function isThere(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

async function status(json: boolean): Promise<number> {
  const answer = await askLab<Status>(paths.controlSocket, "status");
  if (json) return done(JSON.stringify(answer, null, 2));
  say(`NODES\n${answer.nodes.map(({ name, address }) => `  ${name.padEnd(10)} ${address}`).join("\n")}`);
  if (answer.processes.length > 0) say(`PROCESSES\n${answer.processes.map(({ id, pid, restarts, lastExit }) => `  ${id.padEnd(26)} ${pid === null ? "not running" : `pid ${pid}`}${restarts > 0 ? `, restarted ${restarts}x (${lastExit})` : ""}`).join("\n")}`);
  if (answer.components.length > 0) say(`COMPONENTS\n${answer.components.map(({ name, node, ready, restarts, because }) => `  ${name.padEnd(48)} ${node.padEnd(12)} ${ready ? "ready" : `not ready: ${because}`}${restarts > 0 ? `, restarted ${restarts}x` : ""}`).join("\n")}`);
  say(`PODS\n${answer.pods || "  none"}`);
  if (answer.waiting.length > 0) say(`WAITING\n${answer.waiting.map(([key, why]) => `  ${key}: ${why}`).join("\n")}`);
  say(`BGP\n${answer.bgp}`);
  return 0;
}

async function probe(command: Extract<Command, { verb: "probe" }>): Promise<number> {
  const result = await askLab<ProbeResult>(paths.controlSocket, "probe", command);
  say(`${result.reached ? "reached" : "not reached"}: ${result.because} (${result.milliseconds} ms)`);
  return result.reached ? 0 : 1;
}

async function matrix(port: number | null, json: boolean): Promise<number> {
  const { names, cells } = await askLab<{ names: string[]; cells: MatrixCell[] }>(paths.controlSocket, "matrix", { port });
  return done(json ? JSON.stringify(cells, null, 2) : renderMatrix(names, cells));
}

async function logs(component: string | null, node: string | null): Promise<number> {
  // Of a lab on this machine they are files, which outlive one that could not start.
  if (readRecord(LAB.dir) === null && !isThere(paths.logs)) throw new RemoteError("no lab is running here; start one with: npm run lab", 2);
  const lines = readRecord(LAB.dir) === null ? labLogs(paths, component, node) : await askLab<string[]>(paths.controlSocket, "logs", { component, node });
  return done(lines.join("\n"));
}

function inherit(command: readonly string[]): number {
  const [program = "", ...args] = command;
  return spawnSync(program, args, { stdio: "inherit" }).status ?? 1;
}

function done(text: string): number {
  say(text);
  return 0;
}
