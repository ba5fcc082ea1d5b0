/** The network of one node and of its pods, as namespaces of this machine: veth pairs as the CNI daemon makes them, and nothing behind the node. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createNetns, deleteNetns, NETNS_DIR, openSys } from "@calico/kernel";

export type PodInterface = {
  readonly name: string;
  /** Name of the pod's namespace. */
  readonly namespace: string;
  readonly address: string;
  readonly interfaceName: string;
  readonly interfaceIndex: number;
};

export interface NodeNetwork extends Disposable {
  readonly namespace: string;
  /** This machine's end of the link to the node, and the node's. */
  readonly gateway: string;
  readonly address: string;
  addPod(name: string, address: string): PodInterface;
  removePod(name: string): void;
  /** Runs a program in the node's network with its own /sys; returns what it printed. */
  exec(command: readonly string[], input?: string): string;
}

const PREFIX = "calico-rig-";
const POD_GATEWAY = "169.254.1.1";
const HOST_MAC = "ee:ee:ee:ee:ee:ee";

/** Removes what a process that ended badly has left: its pid is in the names. */
function sweepOrphans(): void {
  for (const name of readdirSync(NETNS_DIR, { encoding: "utf8" })) {
    const owner = /^calico-rig-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) deleteNetns(openSys(), name);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

let made = 0;

/** Makes the node's namespace; disposing it removes everything. It is removed when this process ends, too. */
export function createNodeNetwork(): NodeNetwork {
  const sys = openSys();
  sweepOrphans();
  made += 1;
  const own = `${PREFIX}${process.pid}-${made}`;
  const namespace = `${own}-node`;
  const uplink = `rig${process.pid % 100_000}u${made}`;
  const subnet = `198.18.${process.pid % 250}.${(made * 4) % 248}`;
  const at = (host: number): string => subnet.replace(/\d+$/, (last) => String(Number(last) + host));
  const pods = new Map<string, PodInterface>();
  let numbered = 0;

  const run = (program: string, args: readonly string[], input = ""): string => execFileSync(program, args, { encoding: "utf8", input, maxBuffer: 256 << 20, stdio: ["pipe", "pipe", "pipe"], timeout: 300_000 });
  const ip = (inside: string, lines: readonly string[]): string => run("ip", [...(inside === "" ? [] : ["-n", inside]), "-batch", "-"], `${lines.join("\n")}\n`);

  createNetns(sys, namespace);
  const dispose = (): void => {
    process.off("exit", dispose);
    for (const pod of pods.values()) deleteNetns(sys, pod.namespace);
    pods.clear();
    deleteNetns(sys, namespace);
  };
  process.once("exit", dispose);
  try {
    ip("", [`link add name ${uplink} type veth peer name eth0 netns ${namespace}`, `addr add ${at(1)}/30 dev ${uplink}`, `link set ${uplink} up`]);
    ip(namespace, ["link set lo up", `addr add ${at(2)}/30 dev eth0`, "link set eth0 up", `route add default via ${at(1)}`]);
    // Connections of a benchmark are forgotten soon, so that the table of connections does not fill.
    run("ip", ["netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_tcp_timeout_close=1", "net.netfilter.nf_conntrack_tcp_timeout_syn_sent=1", "net.netfilter.nf_conntrack_tcp_timeout_time_wait=1"]);
  } catch (error) {
    dispose();
    throw error;
  }

  return {
    namespace,
    gateway: at(1),
    address: at(2),
    addPod(name, address) {
      numbered += 1;
      const inside = `${own}-${numbered}`;
      const interfaceName = `cali${numbered}`;
      createNetns(sys, inside);
      pods.set(name, { name, namespace: inside, address, interfaceName, interfaceIndex: 0 });
      ip(namespace, [`link add name ${interfaceName} address ${HOST_MAC} type veth peer name eth0 netns ${inside}`, `link set ${interfaceName} up`]);
      ip(inside, ["link set lo up", `addr add ${address}/32 dev eth0`, "link set eth0 up", `route add ${POD_GATEWAY} dev eth0`, `route add default via ${POD_GATEWAY}`, `neigh add ${POD_GATEWAY} lladdr ${HOST_MAC} dev eth0 nud permanent`]);
      const interfaceIndex = Number(/^(\d+):/.exec(run("ip", ["-n", namespace, "-o", "link", "show", interfaceName]))?.[1] ?? 0);
      const pod = { name, namespace: inside, address, interfaceName, interfaceIndex };
      pods.set(name, pod);
      return pod;
    },
    removePod(name) {
      const pod = pods.get(name);
      if (pod === undefined) return;
      pods.delete(name);
      ip(namespace, [`link del ${pod.interfaceName}`]);
      deleteNetns(sys, pod.namespace);
    },
    exec: (command, input) => run("ip", ["netns", "exec", namespace, ...command], input),
    [Symbol.dispose]: dispose,
  };
}
