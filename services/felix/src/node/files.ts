/** Files that others read. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Writes one line when it is another one than before; readers see the old one or the new one. */
export function replaceFile(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, "utf8") === `${text}\n`) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}
