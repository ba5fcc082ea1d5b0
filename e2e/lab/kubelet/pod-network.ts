/**
 * The network side of a pod in the lab: its namespace, small servers on its declared ports, and probes
 * that start inside it. Sockets keep the namespace they were opened in, so one process serves all pods.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { closeSync } from "node:fs";
import { createNetns, deleteNetns, openSys, withNetns, SysError, type Sys } from "@calico/kernel";
import type { PodPort } from "./pod-view.ts";
import * as s from "./sockets.ts";

export type PodServers = { close(): void };

export type PodNetwork = {
  /** Makes /run/netns/<name> and returns its path. */
  createNamespace(name: string): string;
  removeNamespace(name: string): void;
  /** TCP: one HTTP answer with the banner; UDP: echo; SCTP: an ABORT for each INIT. Both families. */
  serve(netnsPath: string, ports: readonly PodPort[], banner: string): PodServers;
  /** Runs inside a namespace; the function may not be asynchronous. */
  inside<T>(netnsPath: string, open: (sys: Sys) => T): T;
};

export function createPodNetwork(): PodNetwork {
  const sys = openSys();

  function inside<T>(netnsPath: string, open: (sys: Sys) => T): T {
    return withNetns(sys, netnsPath, () => open(sys));
  }

  return {
    createNamespace(name) {
      createNetns(sys, name);
      return `/run/netns/${name}`;
    },
    removeNamespace(name) {
      deleteNetns(sys, name);
    },
    serve(netnsPath, ports, banner) {
      const servers = ports.map((port) => {
        if (port.protocol === "TCP") return serveTcp(inside(netnsPath, () => listenTcp(sys, port.port)), banner);
        if (port.protocol === "UDP") return serveUdp(inside(netnsPath, () => bindSocket(sys, s.SOCK_DGRAM, port.port)));
        return serveSctp(sys, (open) => inside(netnsPath, open));
      });
      return { close: () => servers.forEach((server) => server.close()) };
    },
    inside,
  };
}

/** A dual-stack socket bound to a port of all addresses; IPv4 alone where IPv6 is off. */
function bindSocket(sys: Sys, type: number, port: number): number {
  for (const address of ["::", "0.0.0.0"]) {
    const { family, bytes } = s.socketAddress(address, port);
    try {
      const fd = sys.socket(family, type | s.SOCK_FLAGS, 0);
      const on = Buffer.alloc(4);
      on.writeInt32LE(1);
      sys.setsockopt(fd, s.SOL_SOCKET, s.SO_REUSEADDR, on);
      if (family === s.AF_INET6) sys.setsockopt(fd, s.IPPROTO_IPV6, s.IPV6_V6ONLY, Buffer.alloc(4));
      sys.bind(fd, bytes);
      return fd;
    } catch (error) {
      if (address === "0.0.0.0") throw error;
    }
  }
  throw new Error("unreachable");
}

function listenTcp(sys: Sys, port: number): number {
  const fd = bindSocket(sys, s.SOCK_STREAM, port);
  sys.listen(fd, 128);
  return fd;
}

function serveTcp(fd: number, banner: string): PodServers {
  const body = `${banner}\n`;
  const answer = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", () => socket.end(answer));
    socket.setTimeout(10_000, () => socket.destroy());
  });
  server.on("error", () => undefined);
  server.listen({ fd });
  return { close: () => void server.close() };
}

function serveUdp(fd: number): PodServers {
  const socket = createSocket({ type: "udp6" });
  socket.on("message", (message, peer) => socket.send(message, peer.port, peer.address, () => undefined));
  socket.on("error", () => undefined);
  socket.bind({ fd });
  return { close: () => void socket.close() };
}

/** The kernel has no SCTP: a raw socket hears the INIT, another one answers it. */
function serveSctp(sys: Sys, inside: <T>(open: (sys: Sys) => T) => T): PodServers {
  const fd = inside(() => sys.socket(s.AF_INET, s.SOCK_RAW | s.SOCK_FLAGS, s.IPPROTO_SCTP));
  const buffer = Buffer.alloc(2048);
  const timer = setInterval(() => {
    for (let length = receive(sys, fd, buffer); length > 0; length = receive(sys, fd, buffer)) answerInit(sys, inside, buffer.subarray(0, length));
  }, 5);
  return {
    close: () => {
      clearInterval(timer);
      closeSync(fd);
    },
  };
}

function receive(sys: Sys, fd: number, buffer: Buffer): number {
  try {
    return sys.recv(fd, buffer, 0);
  } catch (error) {
    if (error instanceof SysError && error.errno === s.EAGAIN) return 0;
    throw error;
  }
}

function answerInit(sys: Sys, inside: <T>(open: (sys: Sys) => T) => T, packet: Buffer): void {
  const header = (packet[0] ?? 0) % 16 * 4;
  const sctp = packet.subarray(header);
  if (sctp.length < 20 || sctp[12] !== 1) return;
  const peer = [...packet.subarray(12, 16)].join(".");
  const answer = sctpPacketAnswering(sctp);
  const reply = inside(() => sys.socket(s.AF_INET, s.SOCK_RAW | s.SOCK_FLAGS, s.IPPROTO_SCTP));
  try {
    sys.connect(reply, s.socketAddress(peer, 0).bytes);
    sys.send(reply, answer, answer.length, 0);
  } finally {
    sys.close(reply);
  }
}

const sctpPacketAnswering = (init: Buffer): Buffer => s.sctpPacket(init.readUInt16BE(2), init.readUInt16BE(0), init.readUInt32BE(16), 6);
