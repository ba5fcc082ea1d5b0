/** A runtime's call, taken apart and checked. */
import { CniError, CODE } from "./errors.ts";
import { DNS_NAME, parseNetworkConfig, type NetworkConfig } from "./network-config.ts";

export const COMMANDS = ["ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"] as const;
export type Command = (typeof COMMANDS)[number];
/** Versions of the specification in which results can be given. */
export const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;
export type CniVersion = (typeof VERSIONS)[number];

export type CniRequest = {
  readonly command: Command;
  readonly containerId: string;
  /** Path of the container's network namespace; "" when it is gone. */
  readonly netns: string;
  readonly ifname: string;
  readonly namespace: string;
  readonly pod: string;
  /** "" when the runtime does not say. */
  readonly podUid: string;
  readonly config: NetworkConfig;
  readonly cniVersion: CniVersion;
};

const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;
/** An interface name: 1 to 15 bytes without "/", ":" or white space, and not "." or "..". */
const IFNAME = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/** Takes a call apart. Throws a CniError that names the variable or the field of the configuration. */
export function parseRequest(env: Readonly<Record<string, string | undefined>>, stdin: string): CniRequest {
  const command = COMMANDS.find((candidate) => candidate === env["CNI_COMMAND"]);
  if (command === undefined) throw new CniError(CODE.invalidEnvironment, `CNI_COMMAND is ${JSON.stringify(env["CNI_COMMAND"] ?? "")}`, `one of ${COMMANDS.join(", ")} was expected`);
  const config = parseNetworkConfig(stdin);
  const cniVersion = versionOf(config);
  if (command === "STATUS" || command === "GC" || command === "VERSION") {
    return { command, containerId: "", netns: "", ifname: "", namespace: "", pod: "", podUid: "", config, cniVersion };
  }
  const variable = (name: string, pattern: RegExp): string => {
    const value = env[name] ?? "";
    if (!pattern.test(value)) throw new CniError(CODE.invalidEnvironment, `${name} is ${value === "" ? "missing" : JSON.stringify(value)}`, "the runtime must set it");
    return value;
  };
  const args = parseArgs(env["CNI_ARGS"] ?? "");
  if (command === "ADD" && args.has("IP")) throw new CniError(CODE.unsupportedField, "CNI_ARGS has IP, which is not supported", "give the pod the annotation cni.projectcalico.org/ipAddrs");
  const argument = (name: string, otherwise = "", remedy = ""): string => {
    const value = args.get(name) ?? otherwise;
    if (!DNS_NAME.test(value)) throw new CniError(CODE.invalidEnvironment, `CNI_ARGS has ${value === "" ? `no ${name}` : `${name}=${value}`}`, `this plugin serves Kubernetes pods only${remedy}`);
    return value;
  };
  return {
    command, containerId: variable("CNI_CONTAINERID", CONTAINER_ID), ifname: variable("CNI_IFNAME", IFNAME),
    netns: command === "DEL" ? (env["CNI_NETNS"] ?? "") : variable("CNI_NETNS", /^\/.+/),
    namespace: argument("K8S_POD_NAMESPACE", config.default_namespace, "; for a runtime that names no namespace set default_namespace in the network configuration"), pod: argument("K8S_POD_NAME"), podUid: args.get("K8S_POD_UID") ?? "", config, cniVersion,
  };
}

function versionOf(config: NetworkConfig): CniVersion {
  const wanted = config.cniVersion ?? "0.3.1";
  const version = VERSIONS.find((candidate) => candidate === wanted);
  if (version === undefined) throw new CniError(CODE.incompatibleVersion, `cniVersion ${wanted} is not supported`, `supported are ${VERSIONS.join(", ")}`);
  return version;
}

/** "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b": unknown ones are passed over. */
function parseArgs(text: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const part of text.split(";")) {
    const equals = part.indexOf("=");
    if (equals > 0) args.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return args;
}
