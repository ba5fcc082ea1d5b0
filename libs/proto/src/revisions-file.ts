/** The highest resource versions that a service has put into effect, kept over its restarts. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Clock } from "@calico/service-kit";

export interface RevisionsFile extends Disposable {
  /** What an earlier run left; empty when there is nothing that can be read. */
  load(): Record<string, string>;
  /**
   * Notes revisions. They are written a second later at the latest: a file that is a little behind only makes the
   * check against older state a little weaker, and a write for each change would cost more than the change.
   */
  save(revisions: Readonly<Record<string, string>>): void;
}

const DELAY_MS = 1_000;

/** Disposing writes what is still to be written. */
export function openRevisionsFile(path: string, clock: Clock): RevisionsFile {
  let pending: Readonly<Record<string, string>> | null = null;
  let timer: Disposable | null = null;

  function write(): void {
    timer?.[Symbol.dispose]();
    timer = null;
    if (pending === null) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.new`, JSON.stringify(pending), { mode: 0o600 });
    renameSync(`${path}.new`, path);
    pending = null;
  }

  return {
    load() {
      try {
        const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
        return typeof parsed === "object" && parsed !== null ? Object.fromEntries(Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === "string")) : {};
      } catch {
        return {};
      }
    },
    save(revisions) {
      pending = revisions;
      timer ??= clock.setTimer(DELAY_MS, write);
    },
    [Symbol.dispose]: write,
  };
}
