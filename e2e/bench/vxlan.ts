/** Throughput between pods of two nodes: routed, through the VXLAN tunnel, and through it with checksums made by the kernel. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { calicoTypes } from "@calico/datastore";
import { readTxChecksum } from "@calico/kernel";
import type { Lab } from "../lab/lab.ts";
import { NODE_FOLDERS } from "../lab/node-host.ts";
import { probe } from "../lab/prober.ts";
import { untilTrue } from "../lab/wait.ts";
import { iperf } from "./iperf.ts";
import type { Report } from "./report.ts";
import { addressOf, attach, createPod, type Attached } from "./sandboxes.ts";

const TURNS = 5;
const SECONDS = 2;
const WAYS = [
  { name: "routed", vxlanMode: "Never", offload: null },
  { name: "VXLAN", vxlanMode: "Always", offload: true },
  { name: "VXLAN, checksums by the kernel", vxlanMode: "Always", offload: false },
] as const;

export async function benchVxlan(lab: Lab, report: Report): Promise<void> {
  const [here, there] = lab.hosts;
  if (here === undefined || there === undefined) return;
  const rates = new Map<string, { tcp: number[]; packets: number[] }>(WAYS.map(({ name }) => [name, { tcp: [], packets: [] }]));
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const { name, vxlanMode, offload } of WAYS) {
      await configure(lab, vxlanMode, offload === false ? "ChecksumOffloadBroken=true" : null);
      await untilTrue(`the nodes to be ready for ${name}`, async () => lab.hosts.every((host) => {
        const mtu = readFileSync(join(host.dir, NODE_FOLDERS["/var/lib/calico"], "mtu"), "utf8").trim();
        return mtu === (offload === null ? "1500" : "1450") && (offload === null || lab.network.inside(lab.netnsOf(`node/${host.plan.name}`), (sys) => readTxChecksum(sys, "vxlan.calico")) === offload);
      }), 30_000);
      // Pods keep the MTU that they were made with.
      const suffix = `${WAYS.findIndex((way) => way.name === name)}-${turn}`;
      const [client, server] = [await attach(here, await createPod(lab, here, `client-${suffix}`)), await attach(there, await createPod(lab, there, `server-${suffix}`))];
      await untilReached(lab, client, server);
      rates.get(name)?.tcp.push((await iperf(client, server, SECONDS)).bits_per_second / 1e9);
      const { packets = 0, lost_packets: lost = 0, seconds } = await iperf(client, server, SECONDS, ["-u", "-b", "0", "-l", "64"]);
      rates.get(name)?.packets.push((packets - lost) / seconds);
    }
  }
  for (const [name, { tcp, packets }] of rates) {
    report.add(`one TCP connection between two nodes, ${name}`, "median", median(tcp), "Gbit/s");
    report.add(`packets of 64 bytes between two nodes, ${name}`, "median", median(packets), "packets/s");
  }
  await configure(lab, "Never", null);
}

async function configure(lab: Lab, vxlanMode: string, featureDetectOverride: string | null): Promise<void> {
  await lab.datastore.patch(calicoTypes.felixConfigurations, { name: "default" }, { spec: { featureDetectOverride } }, { type: "merge" });
  await lab.datastore.patch(calicoTypes.ipPools, { name: "default-ipv4-ippool" }, { spec: { vxlanMode } }, { type: "merge" });
}

async function untilReached(lab: Lab, client: Attached, server: Attached): Promise<void> {
  await untilTrue("the pods to reach each other", async () => (await probe(lab.network, client.sandbox.netnsPath, { address: addressOf(server), port: 0, protocol: "icmp" }, 500)).reached, 20_000);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
