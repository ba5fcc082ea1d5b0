import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFakeClock } from "@calico/service-kit";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openRevisionsFile } from "./revisions-file.ts";

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), "revisions-"))));
afterEach(() => rmSync(dir, { recursive: true }));

it("writes the last of many a second later, and what is left when it is closed", () => {
  const path = join(dir, "deep", "file.json");
  const clock = createFakeClock();
  const file = openRevisionsFile(path, clock);
  file.save({ pods: "1" });
  file.save({ pods: "2" });
  expect(file.load()).toEqual({});
  clock.advance(1_000);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ pods: "2" });
  file.save({ pods: "3" });
  file[Symbol.dispose]();
  expect(file.load()).toEqual({ pods: "3" });
});

it("takes what it cannot read for nothing", () => {
  const path = join(dir, "file.json");
  for (const text of ["", "{", "null", "[1]", '{"pods": 5}']) {
    writeFileSync(path, text);
    expect(Object.values(openRevisionsFile(path, createFakeClock()).load())).toEqual([]);
  }
});
