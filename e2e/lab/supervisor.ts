/**
 * Runs the processes of a lab as a kubelet runs containers: output to a file, restarted when they end
 * by themselves, stopped in reverse order.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, mkdirSync, type WriteStream } from "node:fs";
import { dirname } from "node:path";

export type ProcessSpec = {
  /** "felix@node-1": unique in the lab. */
  readonly id: string;
  /** Asked for at every start: a node that was rebooted is entered another way. */
  readonly command: () => readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
};

export type ProcessState = { readonly id: string; readonly pid: number | null; readonly restarts: number; readonly lastExit: string | null; readonly stopped: boolean };

export type Supervisor = {
  start(spec: ProcessSpec): void;
  /** Sends a signal to the process; it is restarted when it ends unless it was stopped. */
  kill(id: string, signal: NodeJS.Signals): void;
  /** Ends it (SIGTERM, after `graceMs` SIGKILL) and leaves it ended until `resume`. */
  stop(id: string, graceMs?: number): Promise<void>;
  resume(id: string): void;
  states(): ProcessState[];
  stopAll(): Promise<void>;
};

type Entry = { spec: ProcessSpec; child: ChildProcess | null; restarts: number; lastExit: string | null; stopped: boolean; startedAt: number; timer: NodeJS.Timeout | null; log: WriteStream };

const FIRST_RESTART_MS = 100;
const LONGEST_RESTART_MS = 5_000;
/** A process that ran this long begins with short restart delays again. */
const STEADY_MS = 10_000;

export function createSupervisor(onExit: (id: string, how: string) => void): Supervisor {
  const entries = new Map<string, Entry>();
  let closing = false;

  function launch(entry: Entry): void {
    const [program = "", ...args] = entry.spec.command();
    const child = spawn(program, args, { env: { ...entry.spec.env }, stdio: ["ignore", "pipe", "pipe"] });
    entry.child = child;
    entry.startedAt = Date.now();
    child.stdout.on("data", (chunk: Buffer) => entry.log.write(chunk));
    child.stderr.on("data", (chunk: Buffer) => entry.log.write(chunk));
    child.on("error", (error) => entry.log.write(`${error.message}\n`));
    child.on("exit", (code, signal) => {
      entry.child = null;
      entry.lastExit = signal ?? `exit code ${code}`;
      if (entry.stopped || closing) return;
      onExit(entry.spec.id, entry.lastExit);
      scheduleRestart(entry);
    });
  }

  function scheduleRestart(entry: Entry): void {
    if (Date.now() - entry.startedAt > STEADY_MS) entry.restarts = 0;
    const delay = Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** entry.restarts);
    entry.restarts += 1;
    entry.timer = setTimeout(() => {
      entry.timer = null;
      if (!entry.stopped && !closing) launch(entry);
    }, delay);
  }

  function entryOf(id: string): Entry {
    const entry = entries.get(id);
    if (!entry) throw new Error(`${id} is not a process of this lab; there are ${[...entries.keys()].join(", ")}`);
    return entry;
  }

  async function end(entry: Entry, graceMs: number): Promise<void> {
    if (entry.timer) clearTimeout(entry.timer);
    const { child } = entry;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const force = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(force);
  }

  return {
    start(spec) {
      mkdirSync(dirname(spec.logFile), { recursive: true });
      const entry: Entry = { spec, child: null, restarts: 0, lastExit: null, stopped: false, startedAt: 0, timer: null, log: createWriteStream(spec.logFile, { flags: "a" }) };
      entries.set(spec.id, entry);
      launch(entry);
    },
    kill(id, signal) {
      entryOf(id).child?.kill(signal);
    },
    async stop(id, graceMs = 10_000) {
      const entry = entryOf(id);
      entry.stopped = true;
      await end(entry, graceMs);
    },
    resume(id) {
      const entry = entryOf(id);
      entry.stopped = false;
      if (!entry.child) launch(entry);
    },
    states: () => [...entries.values()].map(({ spec, child, restarts, lastExit, stopped }) => ({ id: spec.id, pid: child?.pid ?? null, restarts, lastExit, stopped })),
    async stopAll() {
      closing = true;
      // What started last depends on what started first; those of one component stop together.
      const groups = Map.groupBy([...entries.values()].toReversed(), (entry) => entry.spec.id.split("@")[0]);
      for (const group of groups.values()) {
        await Promise.all(group.map((entry) => end(entry, 5_000)));
        for (const entry of group) entry.log.end();
      }
    },
  };
}
