/**
 * Plugins of others that come with the daemon (portmap, bandwidth, tuning, and what a runtime itself calls: loopback,
 * host-local): put beside ours on hosts that lack them. A file that somebody else put there is never touched.
 */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type ExtraPluginOptions = {
  /** Folder with the programs; one that is not there counts as empty. */
  readonly extraPlugins: string;
  readonly binDir: string;
  /** Where is kept which files are ours. */
  readonly stateDir: string;
};

/** "foreign": somebody else's is there and stays. */
export type ExtraPlugin = { readonly name: string; readonly outcome: "installed" | "replaced" | "current" | "foreign" };

/** SHA-256 of the contents that we put, or were about to put, under a name. */
type OwnHashes = { [name: string]: string[] };

/** Installs what is missing and replaces older ones of our own, each in one step, so that a runtime never starts half of one. */
export function installExtraPlugins({ extraPlugins, binDir, stateDir }: ExtraPluginOptions): ExtraPlugin[] {
  if (!existsSync(extraPlugins)) return [];
  mkdirSync(binDir, { recursive: true });
  mkdirSync(stateDir, { recursive: true });
  const recordFile = join(stateDir, "plugins.json");
  const record = readRecord(recordFile);
  return readdirSync(extraPlugins).sort().map((name) => {
    const content = readFileSync(join(extraPlugins, name));
    const wanted = hashOf(content);
    const target = join(binDir, name);
    const present = existsSync(target) ? hashOf(readFileSync(target)) : null;
    if (present === wanted) return { name, outcome: "current" };
    if (present !== null && !(record[name] ?? []).includes(present)) return { name, outcome: "foreign" };
    // Recorded before it is there: whatever interrupts this, the file is known for ours.
    record[name] = [...(present === null ? [] : [present]), wanted];
    writeRecord(recordFile, record);
    putInPlace(content, target);
    return { name, outcome: present === null ? "installed" : "replaced" };
  });
}

const hashOf = (content: Buffer): string => createHash("sha256").update(content).digest("hex");

function putInPlace(content: Buffer, target: string): void {
  writeFileSync(`${target}.new`, content);
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
}

function writeRecord(file: string, record: OwnHashes): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`);
  renameSync(`${file}.new`, file);
}

/** A record that cannot be read makes every file somebody else's. */
function readRecord(file: string): OwnHashes {
  try {
    return Object.assign(Object.create(null), JSON.parse(readFileSync(file, "utf8"))) as OwnHashes;
  } catch {
    return Object.create(null) as OwnHashes;
  }
}
