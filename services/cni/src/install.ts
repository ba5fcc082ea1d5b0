/** Puts the plugin and its network configuration where the runtime looks for them. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeError, type Logger } from "@calico/service-kit";

export type InstallOptions = {
  readonly pluginSource: string;
  readonly binDir: string;
  readonly netDir: string;
  readonly confName: string;
  readonly assignIpv6: boolean;
  readonly chainedPlugins: readonly string[];
  /** "name=value". */
  readonly sysctls: readonly string[];
};

/** How the plugins of others that may follow are called. */
const CHAINED: Readonly<Record<string, object>> = {
  portmap: { type: "portmap", snat: true, capabilities: { portMappings: true } },
  bandwidth: { type: "bandwidth", capabilities: { bandwidth: true } },
};

/** Copies the program and moves it into place, so that a runtime never starts half of one. Throws when the source is missing. */
export function installPlugin({ pluginSource, binDir }: InstallOptions): void {
  if (!existsSync(pluginSource)) throw new Error(`the plugin ${pluginSource} does not exist; set CNI_PLUGINSOURCE`);
  mkdirSync(binDir, { recursive: true });
  const target = join(binDir, "calico");
  copyFileSync(pluginSource, `${target}.new`);
  chmodSync(`${target}.new`, 0o755);
  renameSync(`${target}.new`, target);
}

/**
 * The configuration list: calico, then the plugins of others whose programs are installed. Throws for a plugin that is
 * not known, settings that cannot be read, and settings without the program that makes them: nobody would notice.
 */
export function renderConflist({ binDir, assignIpv6, chainedPlugins, sysctls }: InstallOptions): string {
  const calico = { type: "calico", ipam: { type: "calico-ipam", assign_ipv4: "true", assign_ipv6: String(assignIpv6) }, policy: { type: "k8s" } };
  const isInstalled = (name: string): boolean => existsSync(join(binDir, name));
  const chained = chainedPlugins.flatMap((name) => {
    const plugin = Object.hasOwn(CHAINED, name) ? CHAINED[name] : undefined;
    if (plugin === undefined) throw new Error(`CNI_CHAINEDPLUGINS: ${JSON.stringify(name)} is not one of ${Object.keys(CHAINED).join(", ")}`);
    return isInstalled(name) ? [plugin] : [];
  });
  if (sysctls.length > 0 && !isInstalled("tuning")) throw new Error(`CNI_SYSCTLS: the plugin tuning, which makes these settings, is not in ${binDir}`);
  const tuning = sysctls.length === 0 ? [] : [{ type: "tuning", sysctl: Object.fromEntries(sysctls.map(settingOf)) }];
  return `${JSON.stringify({ name: "k8s-pod-network", cniVersion: "1.0.0", plugins: [calico, ...tuning, ...chained] }, null, 2)}\n`;
}

function settingOf(text: string): [name: string, value: string] {
  const [, name, value] = /^(net\.[a-zA-Z0-9_./-]+)=(.+)$/.exec(text.trim()) ?? [];
  if (name === undefined || value === undefined) throw new Error(`CNI_SYSCTLS: ${JSON.stringify(text)} is not a setting of the network; write for instance net.core.somaxconn=1024`);
  return [name, value];
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

/** Installs the configuration list when called, and says in words why it could not, or null; the log is told what is new. */
export function createConflistInstaller(options: InstallOptions, log: Pick<Logger, "info" | "error">): () => string | null {
  let told: string | null = null;
  return () => {
    try {
      if (installConflist(options)) log.info("Network configuration installed", { file: join(options.netDir, options.confName) });
      told = null;
    } catch (error) {
      const reason = `the network configuration cannot be installed: ${describeError(error)}`;
      if (reason !== told) log.error("The network configuration cannot be installed, trying again", { error });
      told = reason;
    }
    return told;
  };
}

/** A configuration of another plugin that the runtime would take instead of ours: its file name, or null. */
export function shadowingConflist({ netDir, confName }: InstallOptions): string | null {
  if (!existsSync(netDir)) return null;
  return readdirSync(netDir).filter((name) => /\.(conf|conflist|json)$/.test(name)).sort().find((name) => name < confName) ?? null;
}
