/** The BIRD process: started, found again, watched. It outlives this service, so that routes stay when the service restarts. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { createBackoff, delay, type Clock, type Logger } from "@calico/service-kit";
import { runControlCommand } from "./client.ts";
import { parseVersion } from "./protocols.ts";

export type ProcessOptions = {
  readonly birdPath: string;
  readonly configFile: string;
  readonly controlSocket: string;
  readonly pidFile: string;
  /** One that runs and does not answer for this long is ended; 10 s when absent. */
  readonly silenceTimeoutMs?: number;
  /** A BIRD that this object started has ended. One that was found running is missed by its silence only. */
  readonly onEnd?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
};

export interface BirdProcess {
  /** Finds a running BIRD or starts one; resolves when it answers. */
  ensure(signal: AbortSignal): Promise<void>;
  /** Ends it so that its peers keep the routes for a while (graceful restart). */
  stop(): Promise<void>;
  readonly version: string;
  readonly starts: number;
}

const SILENCE_TIMEOUT_MS = 10_000;
const GONE_WITHIN_MS = 5_000;

export function createBirdProcess({ birdPath, configFile, controlSocket, pidFile, silenceTimeoutMs = SILENCE_TIMEOUT_MS, onEnd, clock, log }: ProcessOptions): BirdProcess {
  /** Lives as long as the machine is up: says that peers may hold our routes. */
  const marker = `${pidFile}.started`;
  let version = "";
  let starts = 0;
  const backoff = createBackoff({ firstMs: 100, maxMs: 5_000 });

  async function answers(timeoutMs: number): Promise<boolean> {
    try {
      version = parseVersion(await runControlCommand(controlSocket, "show status", timeoutMs));
      return true;
    } catch {
      return false;
    }
  }

  function start(): void {
    for (const path of [controlSocket, pidFile]) mkdirSync(dirname(path), { recursive: true });
    rmSync(controlSocket, { force: true });
    const recover = existsSync(marker) ? ["-R"] : [];
    const child = spawn(birdPath, ["-f", "-c", configFile, "-s", controlSocket, "-P", pidFile, ...recover], { detached: true, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error: NodeJS.ErrnoException) => {
      log.error("BIRD cannot be started", { reason: error.code === "ENOENT" ? `${birdPath} is not installed (Debian package bird2)` : error.message });
    });
    child.on("exit", (code, signal) => {
      log.warn("BIRD ended", { code, signal });
      onEnd?.();
    });
    child.unref();
    writeFileSync(marker, "");
    starts += 1;
    log.info("BIRD started", { pid: child.pid, recovery: recover.length > 0 });
  }

  /** Ends it and waits until it is gone: the next one needs its sockets. */
  async function kill(pid: number, signal: AbortSignal): Promise<void> {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      log.debug("BIRD had ended already", { pid, error });
    }
    const deadline = clock.monotonic() + GONE_WITHIN_MS;
    while (!signal.aborted && clock.monotonic() < deadline && runningPid(pidFile) === pid) await delay(clock, 20, signal);
  }

  async function ensure(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const running = runningPid(pidFile);
      if (running !== null) {
        const deadline = clock.monotonic() + silenceTimeoutMs;
        while (!signal.aborted && clock.monotonic() < deadline && runningPid(pidFile) === running) {
          if (await answers(1_000)) {
            backoff.reset();
            return;
          }
          await delay(clock, 50, signal);
        }
        if (signal.aborted) return;
        // Stopped, or in an endless loop: its peers keep the routes while another one recovers.
        if (runningPid(pidFile) === running) {
          log.error("BIRD does not answer, it is ended", { pid: running, silentForMs: silenceTimeoutMs });
          await kill(running, signal);
        }
      }
      start();
      const deadline = clock.monotonic() + 3_000;
      while (!signal.aborted && clock.monotonic() < deadline) {
        if (await answers(1_000)) {
          backoff.reset();
          return;
        }
        await delay(clock, 20, signal);
      }
      await delay(clock, backoff.next(), signal);
    }
  }

  return {
    ensure,
    async stop() {
      try {
        await runControlCommand(controlSocket, "graceful restart");
      } catch (error) {
        log.debug("BIRD was not there to be stopped", { error });
      }
    },
    get version() {
      return version;
    },
    get starts() {
      return starts;
    },
  };
}

/** The process of the pid file, when it lives and is a BIRD; a number that another program got meanwhile is not taken for one. */
function runningPid(pidFile: string): number | null {
  try {
    const pid = Number(readFileSync(pidFile, "utf8").trim());
    if (!Number.isInteger(pid) || pid <= 1) return null;
    // Of one that has ended and nobody has waited for (state Z) only the number is left.
    const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
    return name === "bird" && state !== "Z" ? pid : null;
  } catch {
    return null;
  }
}
