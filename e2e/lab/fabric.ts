/**
 * The network between the nodes: a namespace that routes, one bridge for each subnet, a veth pair for
 * each node and one to the machine itself, where the control plane listens.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import type { LabPlan, NodePlan } from "./topology.ts";

/** Makes namespaces, bridges, links, addresses and routes. Throws with iproute2's words. */
export function buildFabric(plan: LabPlan): void {
  const { fabricNamespace: fabric } = plan;
  addNamespace(fabric);
  for (const node of plan.nodes) addNamespace(node.namespace);
  const uplink = uplinkName(plan);
  ip([`link add name ${uplink} type veth peer name control netns ${fabric}`, `addr add ${plan.controlAddress}/30 dev ${uplink}`, `link set ${uplink} up`, `route add 172.${plan.octet}.0.0/16 via ${plan.controlGateway} dev ${uplink}`]);
  sysctl(fabric, { "ipv4.ip_forward": "1", "ipv6.conf.all.forwarding": "1", "ipv6.conf.all.accept_dad": "0", "ipv6.conf.default.accept_dad": "0" });
  ip([
    "link set lo up",
    `addr add ${plan.controlGateway}/30 dev control`,
    "link set control up",
    ...plan.subnets.flatMap((subnet) => [
      `link add name ${subnet.bridge} type bridge`,
      `addr add ${subnet.gateway}/24 dev ${subnet.bridge}`,
      `-6 addr add ${subnet.gateway6}/64 dev ${subnet.bridge} nodad`,
      `link set ${subnet.bridge} up`,
    ]),
  ], fabric);
  for (const [index, node] of plan.nodes.entries()) connectNode(plan, node, index);
}

/** The fabric's end of a node's cable. */
const portName = (index: number): string => `port${index}`;

/** Gives a node a new network namespace, as a machine that starts again has. */
export function rebuildNode(plan: LabPlan, node: NodePlan): void {
  const index = plan.nodes.indexOf(node);
  // The kernel takes a namespace down in its own time; its cable is pulled now.
  spawnSync("ip", ["-n", plan.fabricNamespace, "link", "del", portName(index)]);
  spawnSync("ip", ["netns", "del", node.namespace]);
  addNamespace(node.namespace);
  connectNode(plan, node, index);
}

function connectNode(plan: LabPlan, node: NodePlan, index: number): void {
  const port = portName(index);
  sysctl(node.namespace, { "ipv6.conf.all.accept_dad": "0", "ipv6.conf.default.accept_dad": "0" });
  ip([`link add name ${port} type veth peer name eth0 netns ${node.namespace}`, `link set ${port} master ${node.subnet.bridge} up`], plan.fabricNamespace);
  ip([
    "link set lo up",
    `addr add ${node.address}/${node.prefixLength} dev eth0`,
    `-6 addr add ${node.address6}/64 dev eth0 nodad`,
    "link set eth0 up",
    `route add default via ${node.subnet.gateway}`,
    `-6 route add default via ${node.subnet.gateway6}`,
  ], node.namespace);
}

/** Removes every namespace of the lab and its link to the machine; what is not there is no error. */
export function removeFabric(labName: string): void {
  for (const namespace of namespacesOf(labName)) spawnSync("ip", ["netns", "del", namespace]);
  spawnSync("ip", ["link", "del", `${labName}0`], { stdio: "ignore" });
}

/** Namespaces under /run/netns whose name says they belong to the lab. */
export function namespacesOf(labName: string): string[] {
  if (!existsSync("/run/netns")) return [];
  return readdirSync("/run/netns").filter((name) => [`${labName}-fabric`].includes(name) || name.startsWith(`${labName}-node-`) || name.startsWith(`${labName}-pod-`));
}

const uplinkName = (plan: LabPlan): string => `${plan.name}0`;

function addNamespace(name: string): void {
  runOrThrow("ip", ["netns", "add", name]);
}

/** Runs `ip -batch` in a namespace (or on the machine). */
export function ip(lines: readonly string[], namespace?: string): void {
  const batch = (family: string[], input: string[]): void => {
    if (input.length === 0) return;
    runOrThrow("ip", [...(namespace ? ["-n", namespace] : []), ...family, "-batch", "-"], `${input.join("\n")}\n`);
  };
  // A batch has one family; keep the order by running the IPv6 lines where they stand.
  let pending: string[] = [];
  for (const line of lines) {
    if (!line.startsWith("-6 ")) {
      pending.push(line);
      continue;
    }
    batch([], pending);
    pending = [];
    batch(["-6"], [line.slice(3)]);
  }
  batch([], pending);
}

function sysctl(namespace: string, values: Record<string, string>): void {
  const script = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/net/${key.replaceAll(".", "/")}`).join("; ");
  runOrThrow("nsenter", [`--net=/run/netns/${namespace}`, "sh", "-c", script]);
}

function runOrThrow(command: string, args: string[], input?: string): void {
  const result = spawnSync(command, args, { encoding: "utf8", input });
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${result.stderr.trim() || result.error?.message || `exit code ${result.status}`}${input ? `\n${input}` : ""}`);
}
