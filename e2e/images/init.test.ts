import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { repositoryRoot } from "../lab/paths.ts";
import { untilTrue } from "../lab/wait.ts";

const dir = mkdtempSync(join(tmpdir(), "init-"));
const init = join(dir, "init");
const compiled = spawnSync("gcc", ["-Os", "-static", "-Wall", "-Wextra", "-Werror", "-o", init, join(repositoryRoot, "images", "init", "init.c")], { encoding: "utf8" });
const hasCompiler = compiled.error === undefined;

type Line = { level: string; service: string; msg: string; code?: number; signal?: number; earlyFailures: number };

const said = (output: string): (Line | string)[] => output.trim().split("\n").filter((line) => line !== "").map((line) => {
  if (!line.startsWith("{")) return line;
  const { time, ...rest } = JSON.parse(line) as Line & { time: string };
  expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
  return rest;
});
const again = (how: { code: number } | { signal: number }, earlyFailures: number) => ({ level: "warn", service: "init", ...how, earlyFailures, msg: "The program ended, it is started again" });
const givesUp = (code: number, earlyFailures: number) => ({ level: "fatal", service: "init", code, earlyFailures, msg: "The program cannot work as it is" });

describe.skipIf(!hasCompiler)("init", () => {
  const running: ChildProcess[] = [];
  afterEach(() => {
    for (const child of running.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  it("compiles without a warning", () => expect([compiled.status, compiled.stderr]).toEqual([0, ""]));

  const end = (...command: string[]) => {
    const { status, stdout, stderr } = spawnSync(init, command, { encoding: "utf8", timeout: 20_000 });
    return { status, said: said(stdout), stderr };
  };
  const sh = (script: string) => end("--", "sh", "-c", script);

  /** A running one: what it printed so far, and how it ended. */
  function begin(script: string) {
    const child = spawn(init, ["--", "sh", "-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    running.push(child);
    const ended = new Promise<number | null>((resolve) => child.on("exit", (code) => resolve(code)));
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
    return { child, ended, output: () => printed, until: (text: string | RegExp) => untilTrue(() => `${text} in ${printed}`, async () => printed.match(text) !== null, 5_000) };
  }

  it("ends with a program that ended well", () => expect(sh("echo done")).toEqual({ status: 0, said: ["done"], stderr: "" }));

  it("ends at once when the configuration is wrong or there is nothing to run", () => {
    expect(sh("echo run; exit 2")).toEqual({ status: 2, said: ["run", givesUp(2, 1)], stderr: "" });
    expect(end("--", "no-such-program")).toEqual({ status: 127, said: [givesUp(127, 1)], stderr: "init: no-such-program: No such file or directory\n" });
    writeFileSync(join(dir, "text"), "text");
    expect(end(join(dir, "text"))).toMatchObject({ status: 126, said: [givesUp(126, 1)] });
    expect(end("--")).toEqual({ status: 2, said: [], stderr: "usage: init [--] PROGRAM [ARGUMENT...]\n" });
  });

  it("gives up after five early failures in a row, with the code of the last", () => {
    expect(sh("echo run; exit 3")).toEqual({ status: 3, said: [...[1, 2, 3, 4].flatMap((times) => ["run", again({ code: 3 }, times)]), "run", givesUp(3, 5)], stderr: "" });
  });

  it("counts anew after a program that ran for a second", () => {
    const count = join(dir, "count");
    // Fails early four times, once late, four times early, then ends well.
    expect(sh(`n=$(cat ${count} 2>/dev/null || echo 0); echo $((n + 1)) > ${count}; [ $n = 4 ] && sleep 1.1; [ $n -lt 9 ]; exit $((1 - $?))`).said)
      .toEqual([1, 2, 3, 4, 0, 1, 2, 3, 4].map((times) => again({ code: 1 }, times)));
  });

  it("starts a killed program again at once, and hands SIGTERM down", async () => {
    const program = begin("echo pid $$; exec sleep 60");
    await program.until(/pid \d+\n/);
    const killedAt = performance.now();
    process.kill(Number(/pid (\d+)/.exec(program.output())?.[1]), "SIGKILL");
    await program.until(/pid \d+\n[^]*pid \d+\n/);
    expect(performance.now() - killedAt).toBeLessThan(1_000);
    const second = Number(/pid (\d+)\n$/.exec(program.output())?.[1]);
    program.child.kill("SIGTERM");
    expect(await program.ended).toBe(128 + 15);
    expect(existsSync(`/proc/${second}`)).toBe(false);
    expect(said(program.output())).toEqual([expect.stringMatching(/^pid/), again({ signal: 9 }, 1), `pid ${second}`]);
  });

  it("lets the program end in its own way, and hands down the signals that do not end it", async () => {
    const program = begin(`for s in HUP USR1 USR2; do trap "echo $s" $s; done; trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done`);
    await program.until("ready");
    for (const signal of ["HUP", "USR1", "USR2"] as const) {
      program.child.kill(`SIG${signal}`);
      await program.until(signal);
    }
    program.child.kill("SIGTERM");
    expect([await program.ended, said(program.output())]).toEqual([7, ["ready", "HUP", "USR1", "USR2", "bye"]]);
  });

  it("reaps what others leave behind", async () => {
    const program = begin("sh -c 'sleep 0.1 & echo orphan $!'; exec sleep 60");
    await program.until(/orphan \d+\n/);
    const orphan = Number(/orphan (\d+)/.exec(program.output())?.[1]);
    await untilTrue(`the end of ${orphan}`, async () => !existsSync(`/proc/${orphan}`), 5_000);
    program.child.kill("SIGTERM");
    expect(await program.ended).toBe(143);
  });
});
