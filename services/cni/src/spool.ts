/** Deletions that the plugin put aside while the daemon was down: whole requests, one per file. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "@calico/service-kit";
import { CniError, CODE } from "./errors.ts";
import type { CallHandler, CniCall } from "./server.ts";

export interface Spool {
  /**
   * Replays what is there, oldest first. One that fails stays for the next time; one that cannot be read is set aside.
   * Called while a replay runs, it waits for that one.
   */
  replay(handle: CallHandler): Promise<void>;
  readonly size: number;
}

const SUFFIX = ".request";
/** Errors in what the request says: they stay whatever time passes. */
const HOPELESS: ReadonlySet<number> = new Set([CODE.invalidEnvironment, CODE.decode, CODE.invalidConfig]);

export function createSpool(dir: string, log: Logger): Spool {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const waiting = (): string[] => readdirSync(dir).filter((name) => name.endsWith(SUFFIX)).sort();
  let running: Promise<void> | null = null;
  return {
    get size() {
      return waiting().length;
    },
    replay(handle) {
      running ??= replayAll(handle).finally(() => (running = null));
      return running;
    },
  };

  async function replayAll(handle: CallHandler): Promise<void> {
    for (const name of waiting()) {
      const path = join(dir, name);
      const call = parseSpooled(readFileSync(path, "utf8"));
      if (call === null) {
        log.error("A postponed deletion cannot be read, it is set aside", { file: path });
        renameSync(path, `${path}.unreadable`);
        continue;
      }
      try {
        await handle(call);
        rmSync(path, { force: true });
        log.info("A postponed deletion is done", { container: call.env["CNI_CONTAINERID"] });
      } catch (error) {
        if (error instanceof CniError && HOPELESS.has(error.code)) {
          log.error("A postponed deletion can never succeed, it is set aside", { file: path, error });
          renameSync(path, `${path}.unreadable`);
          continue;
        }
        log.warn("A postponed deletion failed, it is tried again later", { container: call.env["CNI_CONTAINERID"], error });
      }
    }
  }
}

/** A request as the plugin wrote it: a request line, headers, an empty line, the body. Null for anything else. */
export function parseSpooled(text: string): CniCall | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0 || !text.startsWith("POST /cni ")) return null;
  const env: Record<string, string> = {};
  for (const line of text.slice(0, end).split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (colon > 0 && name.toUpperCase().startsWith("X-CNI_")) env[name.slice(2).toUpperCase()] = line.slice(colon + 1).trim();
  }
  return env["CNI_COMMAND"] === "DEL" ? { env, stdin: text.slice(end + 4) } : null;
}
