/**
 * Calls CNI plugins as a container runtime does: the first network configuration list of a node, its
 * plugins in order for ADD and in reverse for DEL (CNI specification 1.0, section 4).
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { NodeHost } from "../node-host.ts";

export type Sandbox = {
  readonly containerId: string;
  readonly netnsPath: string;
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  /** Values for the capabilities that plugins declare, such as portMappings. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
};

export type CniResult = { readonly ips?: readonly { readonly address: string }[]; readonly [key: string]: unknown };

/** A plugin's error object, with the code of the specification. */
export class CniError extends Error {
  readonly code: number;
  constructor(plugin: string, code: number, message: string) {
    super(`${plugin}: ${message} (code ${code})`);
    this.code = code;
  }
}

export type Conflist = { readonly name: string; readonly cniVersion: string; readonly binDir?: string; readonly plugins: readonly { readonly type: string; readonly [key: string]: unknown }[] };

const BIN_DIR = "/opt/cni/bin";

/** The node's network configuration list: the first file by name, or null while there is none. */
export function readConflist(host: NodeHost): Conflist | null {
  const dir = join(host.dir, "etc-cni", "net.d");
  if (!existsSync(dir)) return null;
  const file = readdirSync(dir).filter((name) => name.endsWith(".conflist")).sort()[0];
  return file ? (JSON.parse(readFileSync(join(dir, file), "utf8")) as Conflist) : null;
}

/** Runs ADD through the list (the node's own when none is given) and returns the last result. Throws CniError. */
export async function cniAdd(host: NodeHost, sandbox: Sandbox, list = requireConflist(host)): Promise<CniResult> {
  let previous: CniResult | undefined;
  for (const plugin of list.plugins) previous = await callPlugin(host, "ADD", sandbox, list, plugin, previous);
  return previous ?? {};
}

/** Runs DEL through the list in reverse; `previous` is what ADD returned, when that is known. */
export async function cniDel(host: NodeHost, sandbox: Sandbox, previous?: CniResult, list = requireConflist(host)): Promise<void> {
  for (const plugin of list.plugins.toReversed()) await callPlugin(host, "DEL", sandbox, list, plugin, previous);
}

/** Runs CHECK through the list; throws the first plugin's complaint. */
export async function cniCheck(host: NodeHost, sandbox: Sandbox, previous: CniResult, list = requireConflist(host)): Promise<void> {
  for (const plugin of list.plugins) await callPlugin(host, "CHECK", sandbox, list, plugin, previous);
}

/** Runs GC through the list: the plugins take away what is not among `valid`. */
export async function cniGc(host: NodeHost, valid: readonly Sandbox[], list = requireConflist(host)): Promise<void> {
  const attachments = valid.map(({ containerId }) => ({ containerID: containerId, ifname: "eth0" }));
  const nobody: Sandbox = { containerId: "", netnsPath: "", namespace: "", pod: "", uid: "" };
  for (const plugin of list.plugins) await callPlugin(host, "GC", nobody, list, { ...plugin, "cni.dev/valid-attachments": attachments }, undefined);
}

function requireConflist(host: NodeHost): Conflist {
  const list = readConflist(host);
  if (!list) throw new CniError("runtime", 11, `no network configuration in /etc/cni/net.d of ${host.plan.name} yet`);
  return list;
}

async function callPlugin(host: NodeHost, verb: string, sandbox: Sandbox, list: Conflist, plugin: Conflist["plugins"][number], previous: CniResult | undefined): Promise<CniResult> {
  const [program = "", ...args] = host.enter([`${list.binDir ?? BIN_DIR}/${plugin.type}`]);
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      CNI_COMMAND: verb,
      CNI_CONTAINERID: sandbox.containerId,
      CNI_NETNS: sandbox.netnsPath,
      CNI_IFNAME: "eth0",
      CNI_PATH: list.binDir ?? BIN_DIR,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${sandbox.namespace};K8S_POD_NAME=${sandbox.pod};K8S_POD_INFRA_CONTAINER_ID=${sandbox.containerId};K8S_POD_UID=${sandbox.uid}`,
    },
  });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.on("error", () => undefined); // a plugin that ends early is judged by its exit code
  child.stdin.end(JSON.stringify({ ...plugin, name: list.name, cniVersion: list.cniVersion, ...runtimeConfigOf(plugin, sandbox), ...(previous ? { prevResult: previous } : {}) }));
  const code = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
  if (code !== 0) throw pluginError(plugin.type, output, errors, code);
  return output.trim() === "" ? {} : (JSON.parse(output) as CniResult);
}

/** What a plugin asked for by its capabilities and the pod has (CNI conventions, "dynamic plugin specific fields"). */
function runtimeConfigOf(plugin: Conflist["plugins"][number], { capabilities = {} }: Sandbox): { runtimeConfig?: object } {
  const declared = Object.entries((plugin["capabilities"] ?? {}) as Record<string, boolean>).filter(([name, wanted]) => wanted && capabilities[name] !== undefined);
  return declared.length === 0 ? {} : { runtimeConfig: Object.fromEntries(declared.map(([name]) => [name, capabilities[name]])) };
}

function pluginError(plugin: string, output: string, errors: string, exitCode: number): CniError {
  try {
    const { code, msg, details } = JSON.parse(output) as { code: number; msg: string; details?: string };
    return new CniError(plugin, code, details ? `${msg}: ${details}` : msg);
  } catch {
    return new CniError(plugin, exitCode, errors.trim() || output.trim() || `exit code ${exitCode}`);
  }
}
