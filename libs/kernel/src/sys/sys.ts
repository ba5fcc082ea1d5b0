/** The system calls that are needed, through the C library in this process. */
import { createRequire } from "node:module";
import { EINTR, errnoName } from "./constants.ts";

/** A system call that failed. */
export class SysError extends Error {
  readonly errno: number;
  /** "EPERM", ... */
  readonly code: string;
  readonly call: string;

  constructor(call: string, errno: number) {
    super(`${call}: ${errnoName(errno)}`);
    this.name = "SysError";
    this.call = call;
    this.errno = errno;
    this.code = errnoName(errno);
  }
}

/** Every call throws a SysError. Addresses are struct sockaddr as bytes. */
export interface Sys {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Buffer): void;
  connect(fd: number, address: Buffer): void;
  listen(fd: number, backlog: number): void;
  /** The new socket; flags as SOCK_NONBLOCK | SOCK_CLOEXEC. */
  accept(fd: number, flags: number): number;
  /** Bytes sent. */
  send(fd: number, data: Buffer, length: number, flags: number): number;
  /** Bytes received into `buffer`. */
  recv(fd: number, buffer: Buffer, flags: number): number;
  setsockopt(fd: number, level: number, option: number, value: Buffer): void;
  /** Fills and returns `value`. */
  getsockopt(fd: number, level: number, option: number, value: Buffer): Buffer;
  /** The events of `fd` that hold; 0 after `timeoutMs`, or when a signal came first. */
  poll(fd: number, events: number, timeoutMs: number): number;
  /** Opens a file for reading with O_CLOEXEC: a handle on a namespace. */
  open(path: string): number;
  close(fd: number): void;
  /** `data` is read and filled by the kernel. */
  ioctl(fd: number, request: number, data: Buffer): void;
  /** Where a buffer is, for structures that point at others. Valid as long as the buffer is held. */
  addressOf(buffer: Buffer): bigint;
  setns(fd: number, type: number): void;
  unshare(flags: number): void;
  mount(source: string, target: string, type: string, flags: number): void;
  umount(target: string, flags: number): void;
}

type Koffi = typeof import("koffi");
/** koffi's functions are typed by their C declarations, which TypeScript cannot see. */
type Native = (...args: readonly unknown[]) => number;

let loaded: { koffi: Koffi; sys: Sys } | undefined;

/** koffi, loaded once per process. */
export function loadKoffi(): Koffi {
  return load().koffi;
}

/** The calls of this process. */
export function openSys(): Sys {
  return load().sys;
}

function load(): { koffi: Koffi; sys: Sys } {
  if (loaded !== undefined) return loaded;
  const koffi = createRequire(import.meta.url)("koffi") as Koffi;
  const libc = koffi.load("libc.so.6");
  const native = (declaration: string): Native => libc.func(declaration) as unknown as Native;
  const check = (call: string, result: number): number => {
    if (result < 0) throw new SysError(call, koffi.errno());
    return result;
  };
  const socket = native("int socket(int, int, int)");
  const bind = native("int bind(int, void*, uint32_t)");
  const connect = native("int connect(int, void*, uint32_t)");
  const listen = native("int listen(int, int)");
  const accept4 = native("int accept4(int, void*, void*, int)");
  const send = native("int64_t send(int, void*, size_t, int)");
  const recv = native("int64_t recv(int, void*, size_t, int)");
  const setsockopt = native("int setsockopt(int, int, int, void*, uint32_t)");
  const getsockopt = native("int getsockopt(int, int, int, void*, void*)");
  const poll = native("int poll(void*, unsigned long, int)");
  const open = native("int open(const char*, int)");
  const close = native("int close(int)");
  const ioctl = native("int ioctl(int, unsigned long, void*)");
  const setns = native("int setns(int, int)");
  const unshare = native("int unshare(int)");
  const mount = native("int mount(const char*, const char*, const char*, unsigned long, void*)");
  const umount2 = native("int umount2(const char*, int)");
  const O_CLOEXEC = 0o2000000;

  const sys: Sys = {
    socket: (domain, type, protocol) => check("socket", socket(domain, type, protocol)),
    bind: (fd, address) => void check("bind", bind(fd, address, address.length)),
    connect: (fd, address) => void check("connect", connect(fd, address, address.length)),
    listen: (fd, backlog) => void check("listen", listen(fd, backlog)),
    accept: (fd, flags) => check("accept", accept4(fd, null, null, flags)),
    send(fd, data, length, flags) {
      if (length > data.length) throw new RangeError("send: the buffer is shorter than its length");
      return check("send", send(fd, data, length, flags));
    },
    recv: (fd, buffer, flags) => check("recv", recv(fd, buffer, buffer.length, flags)),
    setsockopt: (fd, level, option, value) => void check("setsockopt", setsockopt(fd, level, option, value, value.length)),
    getsockopt(fd, level, option, value) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(value.length);
      check("getsockopt", getsockopt(fd, level, option, value, length));
      return value;
    },
    poll(fd, events, timeoutMs) {
      const request = Buffer.alloc(8);
      request.writeInt32LE(fd, 0);
      request.writeInt16LE(events, 4);
      const ready = poll(request, 1, timeoutMs);
      // A signal came first (a child ended); the handler's SA_RESTART does not count for this call.
      if (ready < 0 && koffi.errno() === EINTR) return 0;
      return check("poll", ready) === 0 ? 0 : request.readInt16LE(6);
    },
    open: (path) => check(`open ${path}`, open(path, O_CLOEXEC)),
    close: (fd) => void check("close", close(fd)),
    ioctl: (fd, request, data) => void check("ioctl", ioctl(fd, request, data)),
    addressOf: (buffer) => koffi.address(buffer) as bigint,
    setns: (fd, type) => void check("setns", setns(fd, type)),
    unshare: (flags) => void check("unshare", unshare(flags)),
    mount: (source, target, type, flags) => void check(`mount ${target}`, mount(source, target, type, flags, null)),
    umount: (target, flags) => void check(`umount ${target}`, umount2(target, flags)),
  };
  loaded = { koffi, sys };
  return loaded;
}
