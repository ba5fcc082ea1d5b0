/** The reference plugins ptp and host-local on the nodes of a real cluster, in turns with Calico's: the runtime takes the first file of its folder. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NODE_FOLDERS, type NodeHost } from "../lab/node-host.ts";

export const REFERENCE_PLUGINS = ["ptp", "host-local", "loopback"].map((name) => `/usr/lib/cni/${name}`);
export const REFERENCE_ADDRESS = /^10\.77\./;

const FILE = "00-reference.conflist";

const folder = (host: NodeHost): string => {
  const dir = join(host.dir, NODE_FOLDERS["/etc/cni"], "net.d");
  mkdirSync(dir, { recursive: true });
  return dir;
};

/** From now on the nodes' pods are the reference plugins'. */
export function useReference(hosts: readonly NodeHost[]): void {
  for (const [index, host] of hosts.entries()) {
    const ipam = { type: "host-local", ranges: [[{ subnet: `10.77.${index}.0/24` }]], routes: [{ dst: "0.0.0.0/0" }] };
    writeFileSync(join(folder(host), FILE), JSON.stringify({ name: "reference", cniVersion: "1.0.0", plugins: [{ type: "ptp", ipMasq: false, ipam }] }));
  }
}

/** The nodes' pods are again those of the network that is installed, if there is one. */
export function leaveReference(hosts: readonly NodeHost[]): void {
  for (const host of hosts) rmSync(join(folder(host), FILE), { force: true });
}

/** Takes every network from the nodes, also what an uninstalled one left. */
export function leaveAll(hosts: readonly NodeHost[]): void {
  for (const host of hosts) if (existsSync(folder(host))) for (const name of readdirSync(folder(host))) rmSync(join(folder(host), name), { recursive: true });
}
