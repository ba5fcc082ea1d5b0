#!/usr/bin/env node
// Starts the built program; plain JavaScript, because it runs on whatever Node.js is there.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const program = new URL("../dist/main.mjs", import.meta.url);
if (existsSync(fileURLToPath(program))) await import(program.href);
else {
  process.stderr.write("calicoctl is not built in this checkout yet: npm run build\n");
  process.exitCode = 1;
}
