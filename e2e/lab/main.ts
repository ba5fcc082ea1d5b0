/** `npm run lab`: reads the command line, runs a lab or asks the one that runs. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { parseArguments, USAGE, UsageError, type Command } from "./arguments.ts";
import { bgpState, podTable, runDemo } from "./demo-run.ts";
import { startLab, type Lab } from "./lab.ts";
import { labelOf, logFiles, withoutRuntimePrefix } from "./log-files.ts";
import { renderMatrix, type MatrixCell } from "./matrix.ts";
import { labPaths, nodeBinary, userLabDir } from "./paths.ts";
import { askLab, RemoteError, serveRemote } from "./remote.ts";
import type { ProbeResult } from "./prober.ts";
import type { ProcessState } from "./supervisor.ts";
import { sweep } from "./sweep.ts";
import { untilTrue } from "./wait.ts";

const LAB = { name: "lab", dir: userLabDir, octet: 30 } as const;
/** Kubernetes may have to be built first. */
const BUILD_TIMEOUT_MS = 20 * 60_000;
const paths = labPaths(LAB.dir);
const say = (text: string): void => void process.stdout.write(`${text}\n`);

type Status = { nodes: { name: string; address: string }[]; processes: ProcessState[]; pods: string; waiting: [string, string][]; bgp: string };

process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  try {
    return await run(parseArguments(argv));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`lab: ${error.message}\n`);
      return 2;
    }
    process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof RemoteError ? error.exitCode : 1;
  }
}

async function run(command: Command): Promise<number> {
  switch (command.verb) {
    case "help": return done(USAGE);
    case "up": return command.detach ? upDetached(command) : up(command);
    case "down": return down();
    case "status": return status(command.json);
    case "exec": return inherit(await askLab<string[]>(paths.controlSocket, "exec", { target: command.target, command: command.command }));
    case "netns": return done((await askLab<{ netns: string }>(paths.controlSocket, "netns", { target: command.target })).netns);
    case "probe": return probe(command);
    case "matrix": return matrix(command.port, command.json);
    case "logs": return logs(command.component, command.node);
  }
}

async function up(command: Extract<Command, { verb: "up" }>): Promise<number> {
  if (await isRunning()) {
    process.stderr.write("lab: a lab is already running here; end it with: npm run lab -- down\n");
    return 1;
  }
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, resolve);
  });
  const began = performance.now();
  const since = (): string => `${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s`;
  let lab: Lab | null = null;
  try {
    lab = await Promise.race([startLab({ ...LAB, nodes: command.nodes, subnets: command.subnets, encapsulation: command.encapsulation, kubernetes: command.kubernetes ? "cluster" : undefined, onProgress: (line) => say(`${since()}  ${line}`) }), interrupted.then(() => null)]);
    if (!lab) {
      await sweep(LAB.name, LAB.dir);
      return 130;
    }
    say(`${since()}  the lab is up: ${command.nodes} nodes`);
    const server = await serveRemote(paths.controlSocket, handlersOf(lab, () => process.kill(process.pid, "SIGTERM")));
    if (command.demo) await Promise.race([runDemo(lab, say), interrupted]);
    say(nextSteps(command.demo));
    await interrupted;
    say("\nstopping");
    server.close();
    server.closeAllConnections();
    return 0;
  } finally {
    await lab?.stop();
  }
}

function handlersOf(lab: Lab, end: () => void): Parameters<typeof serveRemote>[1] {
  return {
    status: async (): Promise<Status> => ({
      nodes: lab.plan.nodes.map(({ name, address }) => ({ name, address })),
      processes: lab.supervisor.states(),
      pods: podTable(lab),
      waiting: [...lab.waiting()],
      bgp: bgpState(lab),
    }),
    exec: async ({ target, command }: { target: string; command: string[] }) => lab.execCommand(target, command),
    netns: async ({ target }: { target: string }) => ({ netns: lab.netnsOf(target).replace("/run/netns/", "") }),
    probe: ({ from, to, port, protocol }: Extract<Command, { verb: "probe" }>) => lab.probe(from, to, port, protocol),
    matrix: ({ port }: { port: number | null }) => lab.matrix(port),
    down: async () => void setImmediate(end),
  };
}

function nextSteps(demo: boolean): string {
  return `
Try, in another terminal (KUBECONFIG=.lab/kubeconfig):
  npm run lab -- matrix                          who reaches whom
  npm run lab -- exec ${demo ? "shop/frontend" : "NAMESPACE/POD"} -- ip route
  npm run lab -- exec node/node-1 -- nft list table inet calico
  kubectl --kubeconfig .lab/kubeconfig get pods -A -o wide
  kubectl --kubeconfig .lab/kubeconfig ${demo ? "delete networkpolicy -n shop default-deny" : "apply -f my-policy.yaml"}
  npx calicoctl --kubeconfig .lab/kubeconfig policy status
  curl http://172.30.0.11:9091/metrics           felix of node-1; health: :9099/readiness
Ctrl-C ends the lab and removes everything.`;
}

/** Starts the lab as a process of its own and waits until it answers. */
async function upDetached(command: Extract<Command, { verb: "up" }>): Promise<number> {
  if (await isRunning()) return done("a lab is already running here");
  mkdirSync(LAB.dir, { recursive: true });
  const log = openSync(`${LAB.dir}.log`, "w");
  const child = spawn(nodeBinary, ["--disable-warning=ExperimentalWarning", process.argv[1] ?? "", "up", "--nodes", String(command.nodes), "--subnets", String(command.subnets), "--encapsulation", command.encapsulation, ...(command.kubernetes ? ["--kubernetes"] : []), ...(command.demo ? ["--demo"] : [])], { detached: true, stdio: ["ignore", log, log] });
  let ended = false;
  child.on("exit", () => (ended = true));
  await untilTrue("the lab to start", async () => ended || (await isRunning()), command.kubernetes ? BUILD_TIMEOUT_MS : 120_000);
  process.stdout.write(readFileSync(`${LAB.dir}.log`, "utf8"));
  rmSync(`${LAB.dir}.log`);
  child.unref();
  return ended ? 1 : 0;
}

async function isRunning(): Promise<boolean> {
  return askLab(paths.controlSocket, "status").then(() => true, () => false);
}

async function down(): Promise<number> {
  const wasRunning = await askLab(paths.controlSocket, "down").then(() => true, () => false);
  if (wasRunning) await untilTrue("the lab to end", async () => !(await isRunning()) && !isThere(LAB.dir), 30_000).catch(() => undefined);
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
  say(`PROCESSES\n${answer.processes.map(({ id, pid, restarts, lastExit }) => `  ${id.padEnd(26)} ${pid === null ? "not running" : `pid ${pid}`}${restarts > 0 ? `, restarted ${restarts}x (${lastExit})` : ""}`).join("\n")}`);
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

function logs(component: string | null, node: string | null): number {
  if (!isThere(paths.logs)) throw new RemoteError("no lab is running here; start one with: npm run lab", 2);
  const all = logFiles(paths);
  const wanted = all.filter((file) => (component === null || file.component === component) && (node === null || file.node === node));
  if (wanted.length === 0) throw new RemoteError(`no log of ${component ?? "any component"}${node ? ` on ${node}` : ""}; there are ${[...new Set(all.map(labelOf))].join(", ")}`, 2);
  for (const file of wanted) {
    for (const line of readFileSync(file.path, "utf8").split("\n").filter(Boolean)) say(`${labelOf(file)}  ${withoutRuntimePrefix(line)}`);
  }
  return 0;
}

function inherit(command: readonly string[]): number {
  const [program = "", ...args] = command;
  return spawnSync(program, args, { stdio: "inherit" }).status ?? 1;
}

function done(text: string): number {
  say(text);
  return 0;
}
