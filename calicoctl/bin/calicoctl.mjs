#!/usr/bin/env node
// Starts the built program; plain JavaScript, because it runs on whatever Node.js is there.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../dist/main.mjs", import.meta.url);
const ownNode = fileURLToPath(new URL("../../node_modules/.bin/node", import.meta.url));
const isNewEnough = typeof Map.groupBy === "function" && typeof Promise.withResolvers === "function";
if (!existsSync(fileURLToPath(program))) {
  process.stderr.write("calicoctl is not built in this checkout yet: npm run build\n");
  process.exitCode = 1;
} else if (isNewEnough) await import(program.href);
else if (existsSync(ownNode)) {
  const { status, error } = spawnSync(ownNode, [fileURLToPath(program), ...process.argv.slice(2)], { stdio: "inherit" });
  if (error !== undefined) process.stderr.write(`${ownNode} cannot be run: ${error.message}\n`);
  process.exitCode = status ?? 1;
} else {
  process.stderr.write(`calicoctl needs Node.js 22 or newer, and this is ${process.version}\n`);
  process.exitCode = 1;
}
