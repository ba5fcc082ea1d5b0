import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createConflistInstaller, installConflist, installPlugin, renderConflist, shadowingConflist, type InstallOptions } from "./install.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "cni-install-"));
  mkdirSync(join(dir, "bin"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const options = (over: Partial<InstallOptions> = {}): InstallOptions => ({
  pluginSource: join(dir, "calico"), binDir: join(dir, "bin"), netDir: join(dir, "net.d"), confName: "10-calico.conflist", assignIpv6: false, chainedPlugins: ["portmap", "bandwidth"], sysctls: [], ...over,
});
const types = (over: Partial<InstallOptions> = {}): string[] => (JSON.parse(renderConflist(options(over))) as { plugins: { type: string }[] }).plugins.map(({ type }) => type);

it("2.4 Spec: calico comes first, then those of tuning, portmap and bandwidth whose programs are there", () => {
  expect(types()).toEqual(["calico"]);
  writeFileSync(join(dir, "bin", "bandwidth"), "");
  expect(types()).toEqual(["calico", "bandwidth"]);
  for (const name of ["portmap", "tuning"]) writeFileSync(join(dir, "bin", name), "");
  expect([types(), types({ chainedPlugins: [] })]).toEqual([["calico", "portmap", "bandwidth"], ["calico"]]);
  const { plugins } = JSON.parse(renderConflist(options({ sysctls: ["net.core.somaxconn=1024", "net.ipv4.ip_local_port_range=1024 65000"] }))) as { plugins: object[] };
  expect(plugins[1]).toEqual({ type: "tuning", sysctl: { "net.core.somaxconn": "1024", "net.ipv4.ip_local_port_range": "1024 65000" } });
});

it("refuses what nobody would notice", () => {
  for (const name of ["firewall", "constructor"]) expect(() => types({ chainedPlugins: [name] })).toThrow(`CNI_CHAINEDPLUGINS: "${name}" is not one of portmap, bandwidth`);
  expect(() => types({ sysctls: ["net.core.somaxconn=1"] })).toThrow("the plugin tuning, which makes these settings, is not in");
  writeFileSync(join(dir, "bin", "tuning"), "");
  expect(() => types({ sysctls: ["kernel.panic=1"] })).toThrow('"kernel.panic=1" is not a setting of the network');
});

it("writes the configuration once, and sees one that comes before it", () => {
  expect([installConflist(options()), installConflist(options())]).toEqual([true, false]);
  expect(shadowingConflist(options())).toBeNull();
  writeFileSync(join(dir, "net.d", "05-cilium.conflist"), "{}");
  writeFileSync(join(dir, "net.d", "00-readme.txt"), "");
  expect(shadowingConflist(options())).toBe("05-cilium.conflist");
});

it("tries again until the configuration can be written, and says each reason once", () => {
  const told: string[] = [];
  const install = createConflistInstaller(options({ sysctls: ["net.core.somaxconn=1024"] }), { info: (message) => void told.push(message), error: (message) => void told.push(message) });
  for (let i = 0; i < 2; i += 1) expect(install()).toMatch(/cannot be installed: .*the plugin tuning/);
  writeFileSync(join(dir, "bin", "tuning"), "");
  expect([install(), install()]).toEqual([null, null]);
  expect(told).toEqual(["The network configuration cannot be installed, trying again", "Network configuration installed"]);
  expect(readFileSync(join(dir, "net.d", "10-calico.conflist"), "utf8")).toContain("somaxconn");
});

it("2.4 Spec: installs the program executable, and says which one is missing", () => {
  expect(() => installPlugin(options())).toThrow("does not exist; set CNI_PLUGINSOURCE");
  writeFileSync(join(dir, "calico"), "program");
  installPlugin(options());
  expect(readFileSync(join(dir, "bin", "calico"), "utf8")).toBe("program");
});
