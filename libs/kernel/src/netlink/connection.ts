/** A netlink socket: requests with an answer each, dumps, multicast events. */
import { AF_NETLINK, EINTR, ENOBUFS, EAGAIN, errnoName, MSG_DONTWAIT, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK, SO_RCVBUFFORCE, SO_RCVTIMEO, SO_SNDBUFFORCE, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOL_NETLINK, SOL_SOCKET } from "../sys/constants.ts";
import { watchReadable } from "../sys/readable.ts";
import { SysError, type Sys } from "../sys/sys.ts";
import { readAttributes, readText } from "./reader.ts";
import { NetlinkWriter, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST } from "./writer.ts";

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI_INTERRUPTED = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;

/** What the kernel refused. `errno` 0 never occurs. */
export class KernelError extends Error {
  readonly errno: number;
  /** "ENOENT", ... */
  readonly code: string;
  /** What was asked for, in words. */
  readonly operation: string;

  constructor(operation: string, errno: number, detail = "") {
    super(`${operation}: ${errnoName(errno)}${detail === "" ? "" : ` (${detail})`}`);
    this.name = "KernelError";
    this.operation = operation;
    this.errno = errno;
    this.code = errnoName(errno);
  }
}

/** One request of a batch. `write` writes what follows the header. */
export type NetlinkRequest = { readonly type: number; readonly flags: number; readonly write: (writer: NetlinkWriter) => void; /** For errors. */ readonly what: string };
export type NetlinkEvent = { readonly type: number; readonly payload: Buffer; readonly portId: number };

/** Requests sent at a time. */
const BATCH = 256;
const ANSWER_TIMEOUT_S = 10;
const DUMP_RETRIES = 10;

export class NetlinkConnection implements Disposable {
  readonly fd: number;
  readonly #sys: Sys;
  readonly #writer = new NetlinkWriter();
  readonly #buffer = Buffer.alloc(64 * 1024);
  #sequence = 1;
  #closed = false;

  /** Opens a socket in the network namespace of the calling thread; it stays there. */
  constructor(sys: Sys, protocol: number, { nonBlocking = false, bufferBytes = 8 << 20 }: { nonBlocking?: boolean; bufferBytes?: number } = {}) {
    this.#sys = sys;
    this.fd = sys.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (nonBlocking ? SOCK_NONBLOCK : 0), protocol);
    const address = Buffer.alloc(12);
    address.writeUInt16LE(AF_NETLINK, 0);
    sys.bind(this.fd, address);
    const one = int(1);
    this.#try(() => sys.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, int(bufferBytes)));
    this.#try(() => sys.setsockopt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, int(bufferBytes)));
    this.#try(() => sys.setsockopt(this.fd, SOL_NETLINK, NETLINK_EXT_ACK, one));
    this.#try(() => sys.setsockopt(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, one));
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(BigInt(ANSWER_TIMEOUT_S));
    sys.setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, timeout);
  }

  /** Carries out requests in order; for each, null or what the kernel said. A failure does not stop those after it. */
  batch(requests: readonly NetlinkRequest[]): (KernelError | null)[] {
    const results: (KernelError | null)[] = requests.map(() => null);
    for (let from = 0; from < requests.length; from += BATCH) this.#sendBatch(requests, from, Math.min(from + BATCH, requests.length), results);
    return results;
  }

  /** One request. Throws a KernelError. */
  request(request: NetlinkRequest): void {
    const [error] = this.batch([request]);
    if (error !== null && error !== undefined) throw error;
  }

  /** Every object of a kind: type and payload of each message. An interrupted dump is taken again. Throws a KernelError. */
  dump(request: Omit<NetlinkRequest, "flags">): { type: number; payload: Buffer }[] {
    for (let attempt = 0; attempt < DUMP_RETRIES; attempt += 1) {
      const found = this.#dumpOnce(request);
      if (found !== null) return found;
    }
    throw new KernelError(request.what, EINTR, "the objects changed during every attempt to read them");
  }

  /** One request that is answered by messages (a get by key). Throws a KernelError. */
  get(request: NetlinkRequest): { type: number; payload: Buffer }[] {
    const first = (this.#sequence += 1);
    this.#writer.reset().begin(request.type, request.flags | NLM_F_REQUEST | NLM_F_ACK, first);
    request.write(this.#writer);
    this.#writer.end();
    this.send(this.#writer);
    const found: { type: number; payload: Buffer }[] = [];
    for (;;) {
      for (const message of this.receive()) {
        if (message.sequence !== first) continue;
        if (message.type !== NLMSG_ERROR) {
          found.push({ type: message.type, payload: Buffer.from(message.payload) });
          continue;
        }
        const error = errorOf(message.payload, message.flags, request.what);
        if (error !== null) throw error;
        return found;
      }
    }
  }

  /** Joins a multicast group and calls back for each event; `onOverflow` when the kernel had to drop some. Wants a non-blocking connection. */
  subscribe(groups: readonly number[], onEvent: (event: NetlinkEvent) => void, onOverflow: () => void): Disposable {
    for (const group of groups) this.#sys.setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, int(group));
    return watchReadable(this.fd, () => {
      for (;;) {
        let length: number;
        try {
          length = this.#sys.recv(this.fd, this.#buffer, MSG_DONTWAIT);
        } catch (error) {
          if (error instanceof SysError && error.errno === EINTR) continue;
          if (error instanceof SysError && error.errno === ENOBUFS) {
            onOverflow();
            continue;
          }
          if (error instanceof SysError && error.errno === EAGAIN) return;
          throw error;
        }
        for (const message of messagesOf(this.#buffer.subarray(0, length))) onEvent({ type: message.type, payload: Buffer.from(message.payload), portId: message.portId });
      }
    });
  }

  /** Sends what a writer holds as one datagram. Throws a SysError. */
  send(writer: NetlinkWriter): void {
    for (;;) {
      try {
        this.#sys.send(this.fd, writer.buffer, writer.length, 0);
        return;
      } catch (error) {
        if (!(error instanceof SysError) || error.errno !== EINTR) throw error;
      }
    }
  }

  /** Waits for one datagram and takes it apart. Payloads are valid until the next call. */
  receive(): { type: number; flags: number; sequence: number; portId: number; payload: Buffer }[] {
    for (;;) {
      try {
        return [...messagesOf(this.#buffer.subarray(0, this.#sys.recv(this.fd, this.#buffer, 0)))];
      } catch (error) {
        if (!(error instanceof SysError) || error.errno !== EINTR) throw error;
      }
    }
  }

  nextSequence(): number {
    return (this.#sequence += 1);
  }

  /** Grows the send buffer for a datagram of this size. */
  ensureSendBuffer(bytes: number): void {
    this.#try(() => this.#sys.setsockopt(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, int(Math.min(bytes * 2, 0x7fffffff))));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sys.close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #sendBatch(requests: readonly NetlinkRequest[], from: number, to: number, results: (KernelError | null)[]): void {
    const first = this.#sequence + 1;
    this.#writer.reset();
    for (let i = from; i < to; i += 1) {
      const request = requests[i];
      if (request === undefined) continue;
      this.#writer.begin(request.type, request.flags | NLM_F_REQUEST | (i === to - 1 ? NLM_F_ACK : 0), (this.#sequence += 1));
      request.write(this.#writer);
      this.#writer.end();
    }
    const last = this.#sequence;
    this.send(this.#writer);
    for (;;) {
      for (const message of this.receive()) {
        if (message.type !== NLMSG_ERROR || message.sequence < first) continue;
        const index = from + message.sequence - first;
        results[index] = errorOf(message.payload, message.flags, requests[index]?.what ?? "");
        if (message.sequence === last) return;
      }
    }
  }

  #dumpOnce({ type, write, what }: Omit<NetlinkRequest, "flags">): { type: number; payload: Buffer }[] | null {
    const sequence = (this.#sequence += 1);
    this.#writer.reset().begin(type, NLM_F_REQUEST | NLM_F_DUMP, sequence);
    write(this.#writer);
    this.#writer.end();
    this.send(this.#writer);
    const found: { type: number; payload: Buffer }[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of this.receive()) {
        if (message.sequence !== sequence) continue;
        interrupted ||= (message.flags & NLM_F_MULTI_INTERRUPTED) !== 0;
        if (message.type === NLMSG_DONE) return interrupted ? null : found;
        if (message.type === NLMSG_ERROR) {
          const error = errorOf(message.payload, message.flags, what);
          if (error?.errno === EINTR) return null;
          if (error !== null) throw error;
          return found;
        }
        found.push({ type: message.type, payload: Buffer.from(message.payload) });
      }
    }
  }

  /** For options that older kernels or missing rights refuse and that only make things better. */
  #try(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
    }
  }
}

function* messagesOf(data: Buffer): Generator<{ type: number; flags: number; sequence: number; portId: number; payload: Buffer }> {
  let at = 0;
  while (at + 16 <= data.length) {
    const length = data.readUInt32LE(at);
    if (length < 16 || at + length > data.length) return;
    yield { type: data.readUInt16LE(at + 4), flags: data.readUInt16LE(at + 6), sequence: data.readUInt32LE(at + 8), portId: data.readUInt32LE(at + 12), payload: data.subarray(at + 16, at + length) };
    at += (length + 3) & ~3;
  }
}

/** The error in an acknowledgement, with the kernel's own words when it gave some; null for success. */
export function errorOf(payload: Buffer, flags: number, what: string): KernelError | null {
  if (payload.length < 4) return new KernelError(what, 71, "a malformed acknowledgement");
  const errno = -payload.readInt32LE(0);
  if (errno === 0) return null;
  let detail = "";
  if ((flags & NLM_F_ACK_TLVS) !== 0 && payload.length >= 20) {
    const skipped = (flags & NLM_F_CAPPED) !== 0 ? 20 : 4 + ((payload.readUInt32LE(4) + 3) & ~3);
    detail = readText(readAttributes(payload.subarray(skipped)).get(NLMSGERR_ATTR_MSG)) ?? "";
  }
  return new KernelError(what, errno, detail);
}

function int(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
}
