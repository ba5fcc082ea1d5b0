/** Network namespaces for tests: made with unique names, removed whatever happens. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createNetns, deleteNetns, netnsPath, warmThreadPool, withNetns } from "../netns/netns.ts";
import { CLONE_NEWNET } from "../sys/constants.ts";
import { openSys, type Sys } from "../sys/sys.ts";

export interface TestNetns extends Disposable {
  readonly name: string;
  readonly path: string;
  readonly sys: Sys;
  /** Runs synchronously inside. */
  run<T>(fn: () => T): T;
  /** The calling thread is inside until the work is done; one at a time. */
  runAsync<T>(work: () => Promise<T>): Promise<T>;
  /** Runs a program inside and returns what it printed: the independent judge. */
  exec(program: string, ...args: readonly string[]): string;
}

/** A fresh namespace; dispose removes it. */
export function createTestNetns(prefix = "ct"): TestNetns {
  const sys = openSys();
  const name = `${prefix}-${randomBytes(4).toString("hex")}`;
  const path = createNetns(sys, name);
  return {
    name, path, sys,
    run: (fn) => withNetns(sys, netnsPath(name), fn),
    async runAsync(work) {
      await warmThreadPool();
      const [own, target] = [sys.open("/proc/thread-self/ns/net"), sys.open(path)];
      try {
        sys.setns(target, CLONE_NEWNET);
        try {
          return await work();
        } finally {
          sys.setns(own, CLONE_NEWNET);
        }
      } finally {
        for (const file of [own, target]) sys.close(file);
      }
    },
    exec: (program, ...args) => execFileSync("nsenter", [`--net=${path}`, "--", program, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 20_000 }),
    [Symbol.dispose]: () => deleteNetns(sys, name),
  };
}
