/** Puts a rendered configuration into effect: checked by BIRD's own parser first, refused ones change nothing. */
import { execFile } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { runControlCommand } from "./client.ts";

/** A configuration that BIRD refuses, in BIRD's words. */
export class ConfigRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConfigRefused";
  }
}

/**
 * Writes the text beside the configuration file, has BIRD parse it, and moves it into place. Rejects with ConfigRefused,
 * and then the file is what it was. Only its owner may read it: it has the passwords of sessions.
 */
export async function writeConfig(text: string, { birdPath, configFile }: { birdPath: string; configFile: string }): Promise<void> {
  mkdirSync(dirname(configFile), { recursive: true });
  const candidate = `${configFile}.new`;
  rmSync(candidate, { force: true });
  writeFileSync(candidate, text, { mode: 0o600, flag: "wx" });
  try {
    await parseOnly(birdPath, candidate);
    renameSync(candidate, configFile);
  } finally {
    rmSync(candidate, { force: true });
  }
}

function parseOnly(birdPath: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(birdPath, ["-p", "-c", file], { timeout: 30_000 }, (error, stdout, stderr) => {
      if (error === null) return resolve();
      const words = `${stdout}${stderr}`.trim().replaceAll(file, "bird.cfg");
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(missing ? new Error(`${birdPath} is not installed (Debian package bird2)`, { cause: error }) : new ConfigRefused(words === "" ? error.message : words));
    });
  });
}

/** Tells a running BIRD to read its configuration file. Rejects with ConfigRefused when it does not take it. */
export async function reconfigure(controlSocket: string): Promise<void> {
  const reply = await runControlCommand(controlSocket, "configure", 10_000);
  if (reply.code >= 8000) throw new ConfigRefused(reply.lines.map(({ text }) => text).join(" "));
}
