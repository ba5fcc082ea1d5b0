/** The command line, taken apart. Pure. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import { nearest, protocolNumber } from "@calico/model";
import { UsageError } from "./usage.ts";

export type Output = "table" | "wide" | "yaml" | "json" | "name";
export type Connection = { readonly kubeconfig: string | undefined; readonly context: string | undefined };
export type StatusOutput = "table" | "yaml" | "json";
/** Where NATS is, as far as the command line says it. */
export type NatsOptions = { readonly url: string | undefined; readonly user: string | undefined; readonly caFile: string | undefined };
export type WriteVerb = "create" | "apply" | "replace" | "delete";

export type Command =
  | { readonly verb: "help" }
  | { readonly verb: "version"; readonly connection: Connection }
  | { readonly verb: "ipam show"; readonly address: string | null; readonly blocks: boolean; readonly configuration: boolean; readonly connection: Connection }
  | { readonly verb: "ipam release"; readonly address: string; readonly force: boolean; readonly connection: Connection }
  | { readonly verb: "ipam check"; readonly output: "text" | "json"; readonly connection: Connection }
  | { readonly verb: "node status"; readonly names: readonly string[]; readonly output: StatusOutput; readonly timeoutMs: number; readonly nats: NatsOptions; readonly connection: Connection }
  | {
    readonly verb: "policy status"; readonly policy: { readonly kind: string; readonly name: string } | null; readonly namespace: string | null;
    readonly output: StatusOutput; readonly timeoutMs: number; readonly waitMs: number; readonly nats: NatsOptions; readonly connection: Connection;
  }
  | { readonly verb: "policy eval"; readonly files: readonly string[]; readonly probes: string; readonly staged: boolean; readonly output: "table" | "json" }
  | { readonly verb: "explain"; readonly from: string; readonly to: string; readonly port: number; readonly protocol: string; readonly output: "text" | "json"; readonly timeoutMs: number; readonly nats: NatsOptions; readonly connection: Connection }
  | { readonly verb: "get"; readonly kind: string; readonly names: readonly string[]; readonly namespace: string | null; readonly output: Output; readonly connection: Connection }
  | { readonly verb: WriteVerb; readonly files: readonly string[]; readonly kind: string | null; readonly names: readonly string[]; readonly namespace: string; readonly skip: boolean; readonly connection: Connection }
  | { readonly verb: "patch"; readonly kind: string; readonly name: string; readonly namespace: string; readonly patch: string; readonly type: "merge" | "json"; readonly connection: Connection };

const VERBS = ["get", "create", "apply", "replace", "delete", "patch", "ipam", "node", "policy", "explain", "version", "help"];
/** Commands of Calico's calicoctl that this version does not have, and what serves meanwhile. */
const NOT_BUILT: Readonly<Record<string, string>> = {
  label: "kubectl label serves every kind",
  convert: "there is one version of the API only",
  datastore: "the datastore is Kubernetes",
  cluster: "curl http://NODE:9099/readiness and the metrics of each service tell how it is",
};
/** Commands of the original's `node`. */
const NODE_VERBS: Readonly<Record<string, string>> = {
  run: "the chart runs the node's services",
  diags: "calicoctl node status and the readiness pages of the services tell how a node is",
  checksystem: "calicoctl node status tells whether felix of a node could program its kernel",
};
const DEFAULT_TIMEOUT_SECONDS = 2;
const OUTPUTS = ["wide", "yaml", "json", "name"];

const GLOBAL = {
  kubeconfig: { type: "string" }, config: { type: "string", short: "c" }, context: { type: "string" }, help: { type: "boolean", short: "h" }, "allow-version-mismatch": { type: "boolean" },
} as const satisfies ParseArgsConfig["options"];
const NATS = { "nats-url": { type: "string" }, "nats-user": { type: "string" }, "nats-ca": { type: "string" } } as const satisfies ParseArgsConfig["options"];
const OPTIONS = {
  get: { output: { type: "string", short: "o" }, namespace: { type: "string", short: "n" }, "all-namespaces": { type: "boolean", short: "A" }, a: { type: "boolean", short: "a" } },
  write: { filename: { type: "string", short: "f", multiple: true }, namespace: { type: "string", short: "n" }, "skip-exists": { type: "boolean" }, "skip-not-exists": { type: "boolean" }, "skip-empty": { type: "boolean" } },
  patch: { patch: { type: "string", short: "p" }, type: { type: "string", short: "t" }, namespace: { type: "string", short: "n" } },
  "ipam show": { ip: { type: "string" }, "show-blocks": { type: "boolean" }, "show-configuration": { type: "boolean" } },
  "ipam check": { output: { type: "string", short: "o" } },
  "ipam release": { ip: { type: "string" }, force: { type: "boolean" }, "from-report": { type: "string", multiple: true } },
  "node status": { output: { type: "string", short: "o" }, timeout: { type: "string" }, ...NATS },
  "policy status": { output: { type: "string", short: "o" }, namespace: { type: "string", short: "n" }, "all-namespaces": { type: "boolean", short: "A" }, timeout: { type: "string" }, wait: { type: "string" }, ...NATS },
  "policy eval": { filename: { type: "string", short: "f", multiple: true }, probes: { type: "string" }, staged: { type: "boolean" }, output: { type: "string", short: "o" } },
  explain: { output: { type: "string", short: "o" }, timeout: { type: "string" }, ...NATS },
  version: {},
} as const satisfies Record<string, ParseArgsConfig["options"]>;

/** Reads the arguments after the program's name. Throws UsageError with the remedy. */
export function parseCommand(argv: readonly string[]): Command {
  const [verb, ...rest] = verbFirst(argv);
  if (verb === undefined || verb === "help" || verb === "--help" || verb === "-h" || rest.includes("--help") || rest.includes("-h")) return { verb: "help" };
  switch (verb) {
    case "get": return parseGet(rest);
    case "create": case "apply": case "replace": case "delete": return parseWrite(verb, rest);
    case "patch": return parsePatch(rest);
    case "ipam": return parseIpam(rest);
    case "node": return parseNode(rest);
    case "policy": return parsePolicy(rest);
    case "explain": return parseExplain(rest);
    case "version": return { verb, connection: connectionOf(take(rest, OPTIONS.version, 0).values) };
    default: throw new UsageError(unknownVerb(verb));
  }
}

/** What is said for every command may stand in front of it too: calicoctl --kubeconfig FILE get nodes. */
function verbFirst(argv: readonly string[]): readonly string[] {
  const [flag = "", value, ...rest] = argv;
  const [name = "", inline] = flag.replace(/^--|^-(?=c$)/, "").split("=", 2);
  const option = flag.startsWith("-") ? Object.entries(GLOBAL).find(([long, spec]) => name === long || ("short" in spec && flag === `-${spec.short}`))?.[1] : undefined;
  if (option === undefined || flag === "-h" || flag === "--help") return argv;
  if (option.type === "boolean" || inline !== undefined) return [...verbFirst(argv.slice(1)), flag];
  return value === undefined ? argv : [...verbFirst(rest), flag, value];
}

function unknownVerb(verb: string): string {
  const instead = NOT_BUILT[verb];
  if (instead !== undefined) return `"calicoctl ${verb}" is not part of this version; ${instead}`;
  const near = nearest(verb, VERBS);
  return `there is no command "${verb}"${near === null ? "." : `; did you mean ${near}?`} Commands: ${VERBS.join(", ")}`;
}

type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

function take(args: readonly string[], options: NonNullable<ParseArgsConfig["options"]>, most = Number.POSITIVE_INFINITY): { values: Values; positionals: string[] } {
  const all = { ...options, ...GLOBAL };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: all, allowPositionals: true, strict: true });
    if (positionals.length > most) throw new UsageError(`too many arguments: ${positionals.slice(most).join(" ")}`);
    return { values, positionals };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const name = /Unknown option '(-{1,2})([^']+)'/.exec((error as Error).message)?.[2];
    if (name === undefined) throw new UsageError((error as Error).message);
    const near = nearest(name, Object.keys(all));
    throw new UsageError(`there is no option ${name}${near === null ? "" : `; did you mean --${near}?`}`);
  }
}

function connectionOf(values: Values): Connection {
  if (values["config"] !== undefined) throw new UsageError("--config: a CalicoAPIConfig file is not read by this version; give --kubeconfig or set KUBECONFIG");
  return { kubeconfig: text(values["kubeconfig"]), context: text(values["context"]) };
}

function parseGet(args: readonly string[]): Command {
  const { values, positionals: [kind, ...names] } = take(args, OPTIONS.get);
  if (kind === undefined) throw new UsageError("get what? calicoctl get KIND [NAME...], for instance: calicoctl get ippools");
  const output = text(values["output"]) ?? "table";
  if (output !== "table" && !OUTPUTS.includes(output)) throw new UsageError(`-o ${output}: there is ${OUTPUTS.join(", ")}${output === "ps" ? "; without -o it is a table" : ""}`);
  const everywhere = values["all-namespaces"] === true || values["a"] === true;
  return { verb: "get", kind, names, namespace: everywhere ? null : (text(values["namespace"]) ?? "default"), output: output as Output, connection: connectionOf(values) };
}

function parseWrite(verb: WriteVerb, args: readonly string[]): Command {
  const { values, positionals: [kind = null, ...names] } = take(args, OPTIONS.write);
  const files = (values["filename"] ?? []) as readonly string[];
  if (kind !== null && verb !== "delete") throw new UsageError(`${verb} takes resources from a file: calicoctl ${verb} -f FILE`);
  if (kind === null && files.length === 0) throw new UsageError(`${verb} what? calicoctl ${verb} -f FILE${verb === "delete" ? ", or calicoctl delete KIND NAME" : ""}`);
  if (kind !== null && files.length > 0) throw new UsageError("delete takes a file or a kind and names, not both");
  if (kind !== null && names.length === 0) throw new UsageError(`delete which ${kind}? calicoctl delete ${kind} NAME...`);
  const remote = files.find((file) => /^https?:\/\//.test(file));
  if (remote !== undefined) throw new UsageError(`-f ${remote}: a file, a folder or - is read; download it first: curl -O ${remote}`);
  return { verb, files, kind, names, namespace: text(values["namespace"]) ?? "default", skip: values["skip-exists"] === true || values["skip-not-exists"] === true, connection: connectionOf(values) };
}

function parsePatch(args: readonly string[]): Command {
  const { values, positionals: [kind, name, ...more] } = take(args, OPTIONS.patch);
  const patch = text(values["patch"]);
  if (kind === undefined || name === undefined || patch === undefined) throw new UsageError(`patch what? calicoctl patch KIND NAME -p '{"spec": {...}}'`);
  if (more.length > 0) throw new UsageError(`too many arguments: ${more.join(" ")}`);
  const type = text(values["type"]) ?? "merge";
  if (type !== "merge" && type !== "json") throw new UsageError(`-t ${type}: there is merge and json${type === "strategic" ? "; custom resources know no strategic merge" : ""}`);
  return { verb: "patch", kind, name, namespace: text(values["namespace"]) ?? "default", patch, type, connection: connectionOf(values) };
}

function parseIpam([verb = "", ...args]: readonly string[]): Command {
  if (verb === "show") {
    const { values } = take(args, OPTIONS["ipam show"], 0);
    return { verb: "ipam show", address: text(values["ip"]) ?? null, blocks: values["show-blocks"] === true, configuration: values["show-configuration"] === true, connection: connectionOf(values) };
  }
  if (verb === "check") {
    const { values } = take(args, OPTIONS["ipam check"], 0);
    const output = text(values["output"]) ?? "text";
    if (output !== "text" && output !== "json") throw new UsageError(`-o ${output}: there is json; without -o it is text`);
    return { verb: "ipam check", output, connection: connectionOf(values) };
  }
  if (verb === "release") {
    const { values } = take(args, OPTIONS["ipam release"], 0);
    if (values["from-report"] !== undefined) throw new UsageError("--from-report: reports are not read by this version; kube-controllers releases what vanished pods held");
    const address = text(values["ip"]);
    if (address === undefined) throw new UsageError("release which address? calicoctl ipam release --ip=ADDRESS");
    return { verb: "ipam release", address, force: values["force"] === true, connection: connectionOf(values) };
  }
  if (["configure", "split"].includes(verb)) throw new UsageError(`"calicoctl ipam ${verb}" is not part of this version; ${verb === "configure" ? "calicoctl patch ipamconfiguration default serves meanwhile" : "make another pool and disable this one"}`);
  throw new UsageError(`ipam ${verb}: there is ipam show, ipam check and ipam release`);
}

function parseNode([verb = "", ...args]: readonly string[]): Command {
  if (verb === "status") {
    const { values, positionals } = take(args, OPTIONS["node status"]);
    return { verb: "node status", names: positionals, ...statusOptions(values) };
  }
  const instead = NODE_VERBS[verb];
  throw new UsageError(instead === undefined ? `node ${verb}: there is node status` : `"calicoctl node ${verb}" is not part of this version; ${instead}`);
}

function parsePolicy([verb = "", ...args]: readonly string[]): Command {
  if (verb === "eval") return parseEval(args);
  if (verb !== "status") throw new UsageError(`policy ${verb}: there is policy status and policy eval`);
  const { values, positionals: [which] } = take(args, OPTIONS["policy status"], 1);
  const [kind = "", name = "", more] = which?.split("/") ?? [];
  if (which !== undefined && (kind === "" || name === "" || more !== undefined)) throw new UsageError(`${which}: which policy? calicoctl policy status KIND/NAME -n NAMESPACE, for instance: calicoctl policy status gnp/default-deny`);
  const written = text(values["namespace"]) ?? null;
  if (which !== undefined && values["all-namespaces"] === true) throw new UsageError("-A: one policy is in one namespace; give -n NAMESPACE");
  const namespace = values["all-namespaces"] === true ? null : which === undefined ? written : (written ?? "default");
  return { verb: "policy status", policy: which === undefined ? null : { kind, name }, namespace, waitMs: milliseconds(values, "wait", 0), ...statusOptions(values) };
}

function parseEval(args: readonly string[]): Command {
  const { values } = take(args, OPTIONS["policy eval"], 0);
  const files = (values["filename"] ?? []) as readonly string[];
  const probes = text(values["probes"]);
  if (files.length === 0) throw new UsageError("evaluate what? calicoctl policy eval -f MANIFESTS --probes PROBES");
  if (probes === undefined) throw new UsageError('which connections? --probes FILE, a list such as [{"from": "shop/web", "to": "shop/db", "port": 5432, "protocol": "TCP"}]');
  if (probes === "-" && files.includes("-")) throw new UsageError("standard input is read once: give the manifests or the probes in a file");
  const output = text(values["output"]) ?? "table";
  if (output !== "table" && output !== "json") throw new UsageError(`-o ${output}: there is json; without -o it is a table`);
  return { verb: "policy eval", files, probes, staged: values["staged"] === true, output };
}

function parseExplain(args: readonly string[]): Command {
  const { values, positionals: [from, to, where = "0/ICMP"] } = take(args, OPTIONS.explain, 3);
  if (from === undefined || to === undefined) throw new UsageError("explain what? calicoctl explain FROM TO PORT[/PROTOCOL], for instance: calicoctl explain shop/web shop/db 5432/TCP");
  const [, port, protocol = "TCP"] = /^(\d{1,5})(?:\/([a-z0-9]+))?$/i.exec(where) ?? [];
  if (port === undefined || Number(port) > 65_535 || protocolNumber(protocol) === null) throw new UsageError(`${where}: PORT[/PROTOCOL] is needed, such as 80, 53/UDP or 0/ICMP`);
  const output = text(values["output"]) ?? "text";
  if (output !== "text" && output !== "json") throw new UsageError(`-o ${output}: there is json; without -o it is text`);
  return { verb: "explain", from, to, port: Number(port), protocol: protocol.toUpperCase(), ...questions(values), output, connection: connectionOf(values) };
}

function statusOptions(values: Values): { output: StatusOutput; timeoutMs: number; nats: NatsOptions; connection: Connection } {
  const output = text(values["output"]) ?? "table";
  if (output !== "table" && output !== "yaml" && output !== "json") throw new UsageError(`-o ${output}: there is table, yaml, json`);
  return { output, ...questions(values), connection: connectionOf(values) };
}

/** How nodes are asked, and how long an answer may take. */
function questions(values: Values): { timeoutMs: number; nats: NatsOptions } {
  return { timeoutMs: milliseconds(values, "timeout", DEFAULT_TIMEOUT_SECONDS), nats: { url: text(values["nats-url"]), user: text(values["nats-user"]), caFile: text(values["nats-ca"]) } };
}

/** An option in seconds. */
function milliseconds(values: Values, name: string, fallbackSeconds: number): number {
  const written = text(values[name]) ?? String(fallbackSeconds);
  const seconds = Number(/^(\d+(?:\.\d+)?)s?$/.exec(written)?.[1] ?? Number.NaN);
  if (!(seconds >= 0 && seconds <= 86_400)) throw new UsageError(`--${name} ${written}: a number of seconds is needed, at most 86400`);
  return seconds * 1000;
}

function text(value: Values[string]): string | undefined {
  return typeof value === "string" ? value : undefined;
}
