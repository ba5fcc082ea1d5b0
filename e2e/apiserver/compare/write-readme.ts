/** Writes the table of known differences into the README. */
import { readFileSync, writeFileSync } from "node:fs";
import { table } from "./known.ts";

const file = new URL("../README.md", import.meta.url);
writeFileSync(file, readFileSync(file, "utf8").replace(/\| Difference \|[\s\S]*?\|\n(?!\|)/, () => `${table()}\n`));
