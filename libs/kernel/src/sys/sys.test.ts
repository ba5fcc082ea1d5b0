import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, it } from "vitest";
import { openSys } from "./sys.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const POLLIN = 1;

it("takes a signal during poll for nothing yet", async () => {
  const sys = openSys();
  const fd = sys.socket(AF_UNIX, SOCK_DGRAM, 0);
  try {
    // Its end is a signal to this process, which waits in the kernel by then.
    const child = spawn("sleep", ["0.2"]);
    await once(child, "spawn");
    const began = performance.now();
    expect(sys.poll(fd, POLLIN, 5_000)).toBe(0);
    expect(performance.now() - began).toBeLessThan(4_000);
    await once(child, "exit");
  } finally {
    sys.close(fd);
  }
});
