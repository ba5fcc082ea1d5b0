/** Runs a program to its end and keeps what it said. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { patient } from "./patience.ts";

export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };
export type RunOptions = {
  readonly input?: string;
  readonly cwd?: string;
  /** Its whole environment; this process' own when absent. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What is not done by then (patience.ts) is ended. */
  readonly timeoutMs?: number;
  /** Ends the program, and the promise is rejected. */
  readonly signal?: AbortSignal;
};

/** Rejects when the program cannot be started; how it ended is the caller's to judge. */
export async function runProgram([program = "", ...args]: readonly string[], { input = "", cwd, env, timeoutMs, signal }: RunOptions = {}): Promise<Ended> {
  const child = spawn(program, args, { stdio: "pipe", env: { ...(env ?? process.env) }, ...(cwd === undefined ? {} : { cwd }), ...(timeoutMs === undefined ? {} : { timeout: patient(timeoutMs) }), ...(signal === undefined ? {} : { signal }) });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) child[stream].on("data", (chunk: Buffer) => (said[stream] += chunk.toString()));
  child.stdin.on("error", () => undefined); // it ended without reading all; its status says more
  child.stdin.end(input);
  const [status] = (await once(child, "close")) as [number | null];
  return { status, ...said };
}

/** What the program printed. Throws its words, after a name for what was tried, when it fails. */
export async function outputOf(what: string, command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await runProgram(command, options);
  if (status !== 0) throw new Error(`${what}: ${stderr.trim() || stdout.trim() || `exit code ${status}`}`);
  return stdout;
}
