/** Asks, from inside a network namespace, whether an address can be reached. */
import { SysError, type Sys } from "@calico/kernel";
import type { Protocol } from "./arguments.ts";
import type { PodNetwork } from "./kubelet/pod-network.ts";
import * as s from "./kubelet/sockets.ts";

export type ProbeResult = {
  readonly reached: boolean;
  readonly milliseconds: number;
  /** What came back: "connected", "refused", "echo", "no answer within 1000 ms", ... */
  readonly because: string;
};

const POLL_MS = 1;
let echoIdentifier = 1;

/**
 * One probe. TCP: the connection is made (a refused one reached its target, but nobody listens: not
 * reached). UDP: the same bytes come back. ICMP: an echo reply. SCTP: any answer to an INIT.
 */
export async function probe(network: PodNetwork, netnsPath: string, target: { address: string; port: number; protocol: Protocol }, timeoutMs: number): Promise<ProbeResult> {
  const started = performance.now();
  const attempt = network.inside(netnsPath, (sys) => startAttempt(sys, target));
  const milliseconds = (): number => Math.round((performance.now() - started) * 10) / 10;
  try {
    if (attempt.failed !== null) return { reached: false, milliseconds: milliseconds(), because: attempt.failed };
    while (performance.now() - started < timeoutMs) {
      const verdict = attempt.check();
      if (verdict) return { ...verdict, milliseconds: milliseconds() };
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return { reached: false, milliseconds: milliseconds(), because: `no answer within ${timeoutMs} ms` };
  } finally {
    attempt.close();
  }
}

type Attempt = { failed: string | null; check(): { reached: boolean; because: string } | null; close(): void };

function startAttempt(sys: Sys, target: { address: string; port: number; protocol: Protocol }): Attempt {
  const raw = target.protocol === "icmp" || target.protocol === "sctp";
  const { family, bytes } = s.socketAddress(target.address, raw ? 0 : target.port);
  const [type, protocol] = socketKind(target.protocol, family);
  const fd = sys.socket(family, type | s.SOCK_FLAGS, protocol);
  const close = (): void => sys.close(fd);
  try {
    connect(sys, fd, bytes);
    const message = messageFor(target, family);
    if (message) sys.send(fd, message, message.length, 0);
    return { failed: null, check: () => check(sys, fd, target.protocol, family, message), close };
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return { failed: wordsOf(error.errno), check: () => null, close };
  }
}

function connect(sys: Sys, fd: number, address: Buffer): void {
  try {
    sys.connect(fd, address);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== s.EINPROGRESS) throw error;
  }
}

function socketKind(protocol: Protocol, family: number): [type: number, protocol: number] {
  switch (protocol) {
    case "tcp": return [s.SOCK_STREAM, s.IPPROTO_TCP];
    case "udp": return [s.SOCK_DGRAM, s.IPPROTO_UDP];
    case "sctp": return [s.SOCK_RAW, s.IPPROTO_SCTP];
    case "icmp": return [s.SOCK_RAW, family === s.AF_INET ? s.IPPROTO_ICMP : s.IPPROTO_ICMPV6];
  }
}

function messageFor(target: { port: number; protocol: Protocol }, family: number): Buffer | null {
  if (target.protocol === "tcp") return null;
  if (target.protocol === "udp") return Buffer.from(`probe ${Math.random()}`);
  if (target.protocol === "sctp") return s.sctpPacket(40_000 + Math.floor(Math.random() * 10_000), target.port, 0, 1);
  const echo = Buffer.alloc(16);
  echo[0] = family === s.AF_INET ? 8 : 128;
  echo.writeUInt16BE(echoIdentifier = (echoIdentifier % 65_535) + 1, 4);
  if (family === s.AF_INET) echo.writeUInt16BE(s.internetChecksum(echo), 2); // the kernel fills in ICMPv6's
  return echo;
}

function check(sys: Sys, fd: number, protocol: Protocol, family: number, message: Buffer | null): { reached: boolean; because: string } | null {
  const events = sys.poll(fd, protocol === "tcp" ? s.POLLOUT : s.POLLIN, 0);
  if (events === 0) return null;
  const error = sys.getsockopt(fd, s.SOL_SOCKET, s.SO_ERROR, Buffer.alloc(4)).readInt32LE(0);
  if (error !== 0) return { reached: false, because: wordsOf(error) };
  if (protocol === "tcp") return (events & s.POLLOUT) !== 0 ? { reached: true, because: "connected" } : null;
  return checkAnswer(sys, fd, protocol, family, message);
}

function checkAnswer(sys: Sys, fd: number, protocol: Protocol, family: number, message: Buffer | null): { reached: boolean; because: string } | null {
  const buffer = Buffer.alloc(2048);
  let length: number;
  try {
    length = sys.recv(fd, buffer, 0);
  } catch (error) {
    if (error instanceof SysError) return error.errno === s.EAGAIN ? null : { reached: false, because: wordsOf(error.errno) };
    throw error;
  }
  const payload = buffer.subarray(family === s.AF_INET && protocol !== "udp" ? ((buffer[0] ?? 0) % 16) * 4 : 0, length);
  if (protocol === "udp") return message && payload.equals(message) ? { reached: true, because: "echo" } : null;
  if (protocol === "sctp") return message && payload.readUInt16BE(2) === message.readUInt16BE(0) ? { reached: true, because: "answer to INIT" } : null;
  const reply = payload[0] === (family === s.AF_INET ? 0 : 129) && message !== null && payload.readUInt16BE(4) === message.readUInt16BE(4);
  return reply ? { reached: true, because: "echo reply" } : null;
}

const WORDS: Record<number, string> = { 101: "network unreachable", 110: "timed out", 111: "refused", 113: "no route to host", 1: "not permitted", 13: "prohibited", 104: "reset" };

const wordsOf = (errno: number): string => WORDS[errno] ?? `error ${errno}`;
