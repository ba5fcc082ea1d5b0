/** Puts the plugin and its network configuration where the runtime looks for them. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type InstallOptions = { readonly pluginSource: string; readonly binDir: string; readonly netDir: string; readonly confName: string; readonly assignIpv6: boolean };

/** Copies the program and moves it into place, so that a runtime never starts half of one. Throws when the source is missing. */
export function installPlugin({ pluginSource, binDir }: InstallOptions): void {
  if (!existsSync(pluginSource)) throw new Error(`the plugin ${pluginSource} does not exist; set CNI_PLUGINSOURCE`);
  mkdirSync(binDir, { recursive: true });
  const target = join(binDir, "calico");
  copyFileSync(pluginSource, `${target}.new`);
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
}

/** The configuration list: calico, and portmap where its program is installed. */
export function renderConflist({ binDir, assignIpv6 }: InstallOptions): string {
  const calico = { type: "calico", ipam: { type: "calico-ipam", assign_ipv4: "true", assign_ipv6: String(assignIpv6) }, policy: { type: "k8s" } };
  const portmap = existsSync(join(binDir, "portmap")) ? [{ type: "portmap", snat: true, capabilities: { portMappings: true } }] : [];
  return `${JSON.stringify({ name: "k8s-pod-network", cniVersion: "1.0.0", plugins: [calico, ...portmap] }, null, 2)}\n`;
}

/** Writes the configuration list: from now on the node counts as having a network. True when it changed. */
export function installConflist(options: InstallOptions): boolean {
  mkdirSync(options.netDir, { recursive: true });
  const path = join(options.netDir, options.confName);
  const text = renderConflist(options);
  if (existsSync(path) && readFileSync(path, "utf8") === text) return false;
  writeFileSync(`${path}.new`, text, { mode: 0o644 });
  renameSync(`${path}.new`, path);
  return true;
}

/** A configuration of another plugin that the runtime would take instead of ours: its file name, or null. */
export function shadowingConflist({ netDir, confName }: InstallOptions): string | null {
  if (!existsSync(netDir)) return null;
  return readdirSync(netDir).filter((name) => /\.(conf|conflist|json)$/.test(name)).sort().find((name) => name < confName) ?? null;
}
