/** Network namespaces: made, named, entered. */
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { CLONE_NEWNET, MNT_DETACH, MS_BIND } from "../sys/constants.ts";
import { SysError, type Sys } from "../sys/sys.ts";

/** Where named namespaces are bound, as iproute2 does. */
export const NETNS_DIR = "/run/netns";

let poolIsWarm: Promise<unknown> | undefined;

/**
 * Starts the threads of libuv's pool. A thread inherits the namespace of the thread that creates it, and the pool is
 * created by the first asynchronous file operation: were that inside a section of `withNetns`, the pool would stay in the
 * other namespace for good.
 */
export function warmThreadPool(): Promise<unknown> {
  const size = Number(process.env["UV_THREADPOOL_SIZE"] ?? 4) || 4;
  return (poolIsWarm ??= Promise.all(Array.from({ length: size * 4 }, () => stat("/proc/self"))));
}

// Begun when this module is loaded: the threads are created when the work is queued, which happens before this returns.
void warmThreadPool();

/**
 * Runs `fn` with the calling thread in the network namespace at `path` and returns what it returns. `fn` must not await.
 * Sockets opened inside stay there. When the thread cannot come back the process is aborted: it would act on the wrong network.
 */
export function withNetns<T>(sys: Sys, path: string, fn: () => T): T {
  void warmThreadPool();
  const own = sys.open("/proc/thread-self/ns/net");
  try {
    const target = sys.open(path);
    try {
      sys.setns(target, CLONE_NEWNET);
    } finally {
      sys.close(target);
    }
    try {
      const result = fn();
      if (result instanceof Promise) throw new TypeError("withNetns: fn must not be asynchronous");
      return result;
    } finally {
      comeBack(sys, own);
    }
  } finally {
    sys.close(own);
  }
}

function comeBack(sys: Sys, own: number): void {
  try {
    sys.setns(own, CLONE_NEWNET);
  } catch (error) {
    process.stderr.write(`cannot return to the own network namespace: ${String(error)}\n`);
    process.abort();
  }
}

/** Makes a namespace and binds it to /run/netns/<name>. Throws a SysError EEXIST when the name is taken. */
export function createNetns(sys: Sys, name: string): string {
  const path = netnsPath(name);
  mkdirSync(NETNS_DIR, { recursive: true, mode: 0o755 });
  if (existsSync(path)) throw new SysError(`create network namespace ${name}`, 17);
  void warmThreadPool();
  const own = sys.open("/proc/thread-self/ns/net");
  writeFileSync(path, "", { mode: 0o444 });
  try {
    sys.unshare(CLONE_NEWNET);
    try {
      sys.mount("/proc/thread-self/ns/net", path, "none", MS_BIND);
    } finally {
      comeBack(sys, own);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    sys.close(own);
  }
  return path;
}

/** Unbinds a named namespace; it ends with its last process and socket. One that is not there is fine. */
export function deleteNetns(sys: Sys, name: string): void {
  const path = netnsPath(name);
  try {
    sys.umount(path, MNT_DETACH);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
  rmSync(path, { force: true });
}

export function netnsPath(name: string): string {
  if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a network namespace`);
  return join(NETNS_DIR, name);
}

/** True when both paths lead to one namespace. */
export function isSameNetns(a: string, b: string): boolean {
  const [left, right] = [statSync(a), statSync(b)];
  return left.ino === right.ino && left.dev === right.dev;
}

/**
 * Where a container has the host's /proc/sys/net: its own /proc/sys is read-only, and the runtime mounts nothing inside /proc.
 * What one finds there is, as in /proc, the namespace of the calling thread.
 */
const MOUNTED_SYSCTLS = "/host/proc/sys/net";

/** Reads /proc/sys/net/<name> in the namespace of the calling thread. */
export function readSysctl(name: string): string {
  return readFileSync(sysctlPath(name), "utf8").trim();
}

/** Writes /proc/sys/net/<name> in the namespace of the calling thread when it is something else. True when it was. */
export function writeSysctl(name: string, value: string): boolean {
  const path = sysctlPath(name);
  if (readFileSync(path, "utf8").trim() === value) return false;
  writeFileSync(path, value);
  return true;
}

/** "ipv4/conf/eth0/forwarding"; slashes, because interface names may have dots. */
function sysctlPath(name: string): string {
  if (name.split("/").some((part) => part === "" || part === "." || part === "..")) throw new RangeError(`${name} is no sysctl`);
  return join(existsSync(MOUNTED_SYSCTLS) ? MOUNTED_SYSCTLS : "/proc/sys/net", name);
}
