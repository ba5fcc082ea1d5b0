/** The command line of the lab: what may be asked, and what is refused by name. Pure. */

export type Protocol = "tcp" | "udp" | "sctp" | "icmp";

/** How the pods of a lab reach other nodes. */
export const ENCAPSULATIONS = ["none", "vxlan", "vxlan-crosssubnet"] as const;
export type Encapsulation = (typeof ENCAPSULATIONS)[number];

export type Command =
  | { readonly verb: "up"; readonly nodes: number; readonly subnets: number; readonly encapsulation: Encapsulation; readonly kubernetes: boolean; readonly detach: boolean; readonly demo: boolean }
  | { readonly verb: "use"; readonly kubeconfig: string; readonly values: string | null; readonly detach: boolean; readonly demo: boolean }
  | { readonly verb: "status"; readonly json: boolean }
  | { readonly verb: "down" }
  | { readonly verb: "exec"; readonly target: string; readonly command: readonly string[] }
  | { readonly verb: "netns"; readonly target: string }
  | { readonly verb: "probe"; readonly from: string; readonly to: string; readonly port: number; readonly protocol: Protocol }
  | { readonly verb: "matrix"; readonly port: number | null; readonly json: boolean }
  | { readonly verb: "logs"; readonly component: string | null; readonly node: string | null }
  | { readonly verb: "help" };

/** A question that cannot be answered; the program prints it and ends with exit code 2. */
export class UsageError extends Error {}

export const USAGE = `A cluster on one machine: nodes are network namespaces, pods are wired by the real services.

  npm run lab                                 three nodes and a demo, until Ctrl-C
  npm run lab -- up [--nodes N] [--subnets K] [--encapsulation none|vxlan|vxlan-crosssubnet] [--kubernetes] [--demo] [--detach]
  npm run lab -- up --kubeconfig FILE [--values FILE] [--demo] [--detach]
  npm run lab -- status [-o json] | down
  npm run lab -- exec NAMESPACE/POD -- COMMAND...       also node/NAME
  npm run lab -- netns NAMESPACE/POD          name of its network namespace
  npm run lab -- probe FROM TO PORT [tcp|udp|sctp|icmp] exit code 0 reached, 1 not, 2 bad question
  npm run lab -- matrix [--port P] [-o json]  who can reach whom
  npm run lab -- logs [COMPONENT] [--node NAME]

--subnets: nodes are spread over K routed subnets; the routers between them know nothing of pods, so pods of different
subnets reach each other through an overlay (vxlan-crosssubnet unless said otherwise).
--kubernetes: a real cluster, containerd and kubelets on every node, and Calico installed by its images and its chart (what
it is made of is built once, with Go).
--kubeconfig: a cluster of your own. The chart is installed there unless it is (--values: for the chart, as helm takes
them), and goes with the lab if the lab brought it; the commands work through its API server (netns does not).
FROM and TO are NAMESPACE/POD, node/NAME or (TO only) an address.
kubectl works with KUBECONFIG=.lab/kubeconfig.`;

/** Flags of the plan that are not built yet: refused, never ignored. */
const NOT_BUILT: Record<string, string> = {
  "--tor": "a top-of-rack router is not built yet; nodes peer with each other",
  "--racks": "racks are not built yet; --subnets spreads the nodes over subnets",
};

const VERBS = ["up", "status", "down", "exec", "netns", "probe", "matrix", "logs", "help"];

/** Reads the arguments after `npm run lab --`. Throws UsageError with the remedy. */
export function parseArguments(argv: readonly string[]): Command {
  const [verb, ...rest] = argv;
  if (verb === undefined) return { verb: "up", nodes: 3, subnets: 1, encapsulation: "none", kubernetes: false, detach: false, demo: true };
  if (verb === "--help" || verb === "-h" || rest.includes("--help")) return { verb: "help" };
  switch (verb) {
    case "up": return parseUp(rest);
    case "status": return { verb, json: takeOutput(rest) };
    case "down": return nothingMore(rest, { verb });
    case "exec": return parseExec(rest);
    case "netns": return { verb, target: onlyTarget(rest) };
    case "probe": return parseProbe(rest);
    case "matrix": return parseMatrix(rest);
    case "logs": return parseLogs(rest);
    case "help": return { verb };
    default: throw new UsageError(`there is no command "${verb}"; there are ${VERBS.join(", ")}`);
  }
}

function parseUp(rest: readonly string[]): Command {
  if (rest.includes("--kubeconfig")) return parseUse(rest);
  let nodes = 3;
  let subnets = 1;
  let encapsulation: Encapsulation | null = null;
  let kubernetes = false;
  let detach = false;
  let demo = false;
  for (let index = 0; index < rest.length; index += 1) {
    const flag = rest[index] ?? "";
    if (flag === "--detach") detach = true;
    else if (flag === "--demo") demo = true;
    else if (flag === "--kubernetes") kubernetes = true;
    else if (flag === "--nodes") nodes = count(flag, rest[++index]);
    else if (flag === "--subnets") subnets = count(flag, rest[++index]);
    else if (flag === "--dataplane") only(flag, rest[++index], "nftables");
    else if (flag === "--encapsulation") encapsulation = encapsulationNamed(rest[++index]);
    else if (flag === "--values") throw new UsageError("--values goes with --kubeconfig; a cluster that the lab makes has its own");
    else if (NOT_BUILT[flag]) throw new UsageError(`${flag}: ${NOT_BUILT[flag]}`);
    else throw new UsageError(`"up" does not know ${flag}; it knows --nodes, --subnets, --dataplane, --encapsulation, --kubernetes, --kubeconfig, --demo, --detach`);
  }
  if (subnets > 1 && encapsulation === "none") throw new UsageError(`--subnets ${subnets} with --encapsulation none: the routers between the subnets do not know where pods are; use vxlan-crosssubnet or vxlan`);
  return { verb: "up", nodes, subnets, encapsulation: encapsulation ?? (subnets > 1 ? "vxlan-crosssubnet" : "none"), kubernetes, detach, demo };
}

/** A cluster that is there already. */
function parseUse(rest: readonly string[]): Command {
  const use = { verb: "use" as const, kubeconfig: "", values: null as string | null, detach: false, demo: false };
  for (let index = 0; index < rest.length; index += 1) {
    const flag = rest[index] ?? "";
    if (flag === "--detach") use.detach = true;
    else if (flag === "--demo") use.demo = true;
    else if (flag === "--kubeconfig") use.kubeconfig = file(flag, rest[++index]);
    else if (flag === "--values") use.values = file(flag, rest[++index]);
    else throw new UsageError(`${flag} does not go with --kubeconfig, which uses a cluster as it is; --values, --demo and --detach do`);
  }
  return use;
}

function file(flag: string, text: string | undefined): string {
  if (text === undefined || text.startsWith("--")) throw new UsageError(`${flag} wants the name of a file`);
  return text;
}

/** Also as an Installation writes it: "None", "VXLAN", "VXLANCrossSubnet". */
function encapsulationNamed(text = ""): Encapsulation {
  const plain = (name: string): string => name.toLowerCase().replaceAll("-", "");
  const found = ENCAPSULATIONS.find((name) => plain(name) === plain(text));
  if (found === undefined) throw new UsageError(`--encapsulation ${text}: not built yet; ${ENCAPSULATIONS.join(", ")} are`);
  return found;
}

function only(flag: string, value: string | undefined, built: string): void {
  if (value !== built) throw new UsageError(`${flag} ${value ?? ""}: not built yet; ${built} is`);
}

function parseExec(rest: readonly string[]): Command {
  const [target, separator, ...command] = rest;
  if (target === undefined || separator !== "--" || command.length === 0) throw new UsageError("exec wants NAMESPACE/POD (or node/NAME), then --, then a command");
  return { verb: "exec", target: checkTarget(target), command };
}

function parseProbe(rest: readonly string[]): Command {
  const [from, to, port, protocol = "tcp", ...more] = rest;
  if (from === undefined || to === undefined || port === undefined) throw new UsageError("probe wants FROM TO PORT [tcp|udp|sctp|icmp]");
  if (!["tcp", "udp", "sctp", "icmp"].includes(protocol)) throw new UsageError(`probe: ${protocol} is none of tcp, udp, sctp, icmp`);
  return nothingMore(more, { verb: "probe", from: checkTarget(from), to, port: portNumber(port), protocol: protocol as Protocol });
}

function parseMatrix(rest: readonly string[]): Command {
  const at = rest.indexOf("--port");
  const port = at < 0 ? null : portNumber(rest[at + 1] ?? "");
  return { verb: "matrix", port, json: takeOutput(at < 0 ? rest : rest.toSpliced(at, 2)) };
}

function parseLogs(rest: readonly string[]): Command {
  const at = rest.indexOf("--node");
  const node = at < 0 ? null : (rest[at + 1] ?? null);
  if (at >= 0 && node === null) throw new UsageError("--node wants the name of a node");
  const [component = null, ...more] = at < 0 ? rest : rest.toSpliced(at, 2);
  return nothingMore(more, { verb: "logs", component, node });
}

function takeOutput(rest: readonly string[]): boolean {
  if (rest.length === 0) return false;
  if (rest.length === 2 && rest[0] === "-o" && rest[1] === "json") return true;
  throw new UsageError(`${rest.join(" ")}: the only option here is -o json`);
}

function onlyTarget(rest: readonly string[]): string {
  const [target, ...more] = rest;
  if (target === undefined) throw new UsageError("which pod? NAMESPACE/POD");
  return nothingMore(more, checkTarget(target));
}

function checkTarget(text: string): string {
  if (!/^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(text)) throw new UsageError(`"${text}" is not NAMESPACE/POD or node/NAME`);
  return text;
}

function count(flag: string, text: string | undefined): number {
  if (text === undefined || !/^\d+$/.test(text)) throw new UsageError(`${flag} wants a number, not "${text ?? ""}"`);
  return Number(text);
}

function portNumber(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw new UsageError(`"${text}" is not a port (1 to 65535)`);
  return port;
}

function nothingMore<T>(rest: readonly string[], result: T): T {
  if (rest.length > 0) throw new UsageError(`too many arguments: ${rest.join(" ")}`);
  return result;
}
