/** What autodetection looks at on this machine. */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { coreTypes, type Datastore, type KubeObject } from "@calico/datastore";
import type { InterfaceAddress, Surroundings } from "./autodetect.ts";

export function machineSurroundings(datastore: Datastore, node: string): Surroundings {
  return {
    addresses: interfaceAddresses(),
    sourceTo,
    async internalIps() {
      const { status } = await datastore.get<KubeObject & { status?: { addresses?: { type: string; address: string }[] } }>(coreTypes.nodes, { name: node });
      return (status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
    },
  };
}

function interfaceAddresses(): InterfaceAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([interfaceName, addresses = []]) =>
    addresses.map(({ address, cidr }) => ({ interfaceName, address, prefixLength: Number(cidr?.split("/")[1] ?? 0) })));
}

/** Connecting a datagram socket sends nothing and makes the kernel choose a source address. */
function sourceTo(destination: string): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(destination) ? "udp6" : "udp4");
    const done = (address: string | null): void => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => done(null));
    socket.connect(9, destination, () => done(socket.address().address));
  });
}
