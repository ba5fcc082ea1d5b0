/** Connections between network namespaces, made in process: sockets are where their thread was when they came to be. */
import { createSocket } from "node:dgram";
import { connect, createServer, isIP } from "node:net";
import type { TestNetns } from "@calico/kernel/testing";

/** Looks a name up at once, so that the socket is made before the call returns; addresses stay what they are. */
const literally = (address: string) => (host: string, _: unknown, done: (error: null, address: string, family: number) => void): void => {
  const found = isIP(host) === 0 ? address : host;
  done(null, found, isIP(found));
};
const PATIENCE_MS = 400;

export type Closable = { close(): void };

/** Takes connections on a port of every address, and says to each datagram what it said. */
export function serve(at: TestNetns, ...ports: readonly number[]): Closable[] {
  return at.run(() => ports.flatMap((port) => {
    const tcp = createServer((socket) => socket.on("error", () => {}).end("hello")).listen(port);
    const udp = createSocket({ type: "udp6", lookup: literally("::") }).on("error", () => {});
    udp.on("message", (message, { address, port: to }) => udp.send(message, to, address));
    udp.bind(port);
    return [tcp, udp];
  }));
}

/** True when the server at that address and port said hello. */
export function reaches(from: TestNetns, address: string, port: number, localPort?: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = from.run(() => connect({ host: "server", port, lookup: literally(address), autoSelectFamily: false, ...(localPort === undefined ? {} : { localPort }) }));
    const finish = (result: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => finish(false), PATIENCE_MS);
    socket.on("error", () => finish(false)).on("data", () => finish(true)).on("close", () => finish(false));
  });
}

/** True when a datagram came back. */
export function echoes(from: TestNetns, address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const family = address.includes(":") ? 6 : 4;
    const socket = createSocket({ type: `udp${family}`, lookup: literally(address) });
    const finish = (result: boolean): void => {
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish(false), PATIENCE_MS);
    socket.on("error", () => finish(false)).on("message", () => finish(true));
    from.run(() => socket.connect(port, "server", () => socket.send("hello")));
  });
}
