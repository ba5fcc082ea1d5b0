import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { installExtraPlugins, type ExtraPluginOptions } from "./extra-plugins.ts";

let dir: string;
let options: ExtraPluginOptions;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cni-extra-"));
  options = { extraPlugins: join(dir, "plugins"), binDir: join(dir, "bin"), stateDir: join(dir, "state") };
  mkdirSync(options.extraPlugins);
});
afterEach(() => rmSync(dir, { recursive: true }));

const ship = (name: string, content: string): void => writeFileSync(join(options.extraPlugins, name), content);
const onHost = (name: string): string => readFileSync(join(options.binDir, name), "utf8");

it("installs what the host lacks, executable, once", () => {
  ship("loopback", "one");
  ship("bandwidth", "two");
  expect(installExtraPlugins(options)).toEqual([{ name: "bandwidth", outcome: "installed" }, { name: "loopback", outcome: "installed" }]);
  expect([onHost("loopback"), onHost("bandwidth"), statSync(join(options.binDir, "loopback")).mode & 0o777]).toEqual(["one", "two", 0o755]);
  expect(installExtraPlugins(options)).toEqual([{ name: "bandwidth", outcome: "current" }, { name: "loopback", outcome: "current" }]);
  expect(readdirSync(options.binDir).sort()).toEqual(["bandwidth", "loopback"]);
});

it("replaces its own older ones, also after another upgrade", () => {
  for (const [content, outcome] of [["v1", "installed"], ["v2", "replaced"], ["v3", "replaced"]] as const) {
    ship("portmap", content);
    expect(installExtraPlugins(options)).toEqual([{ name: "portmap", outcome }]);
    expect(onHost("portmap")).toBe(content);
  }
});

it("leaves somebody else's alone, whether it was there before or came later", () => {
  mkdirSync(options.binDir);
  writeFileSync(join(options.binDir, "tuning"), "theirs");
  ship("tuning", "ours");
  ship("portmap", "ours");
  expect(installExtraPlugins(options)).toEqual([{ name: "portmap", outcome: "installed" }, { name: "tuning", outcome: "foreign" }]);
  writeFileSync(join(options.binDir, "portmap"), "theirs, newer");
  ship("portmap", "ours, newer");
  expect(installExtraPlugins(options)).toEqual([{ name: "portmap", outcome: "foreign" }, { name: "tuning", outcome: "foreign" }]);
  expect([onHost("tuning"), onHost("portmap")]).toEqual(["theirs", "theirs, newer"]);
});

it("knows its own after an interruption between the record and the file", () => {
  ship("portmap", "v1");
  installExtraPlugins(options);
  // An upgrade that recorded v2 and got no further.
  const record = JSON.parse(readFileSync(join(options.stateDir, "plugins.json"), "utf8")) as { portmap: string[] };
  writeFileSync(join(options.stateDir, "plugins.json"), JSON.stringify({ portmap: [...record.portmap, "hash of v2"] }));
  ship("portmap", "v3");
  expect(installExtraPlugins(options)).toEqual([{ name: "portmap", outcome: "replaced" }]);
});

it("touches nothing that it does not know when its record is gone or broken", () => {
  ship("portmap", "v1");
  installExtraPlugins(options);
  writeFileSync(join(options.stateDir, "plugins.json"), "{");
  ship("portmap", "v2");
  expect(installExtraPlugins(options)).toEqual([{ name: "portmap", outcome: "foreign" }]);
});

it("does nothing without such a folder", () => {
  expect(installExtraPlugins({ ...options, extraPlugins: join(dir, "nothing") })).toEqual([]);
});
