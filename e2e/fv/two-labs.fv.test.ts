import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { attach, createPod } from "../bench/sandboxes.ts";
import { startLab } from "../lab/lab.ts";
import type { NodeHost } from "../lab/node-host.ts";
import { processesOf } from "../lab/sweep.ts";
import { denyInto, startDemoLab, stopLab, untilReach } from "./cluster.ts";

it("two labs on one machine leave each other alone", async () => {
  const first = await startDemoLab("fvone", 16);
  try {
    const second = await startDemoLab("fvtwo", 31, { nodes: 2 });
    try {
      await second.apply([denyInto("shop")]);
      await untilReach(second, (_, to) => !to.startsWith("shop/"));
      await untilReach(first, () => true);
    } finally {
      expect(await stopLab(second)).toEqual([]);
    }
    // One with the first one's addresses cannot start; it says so and leaves nothing but its folder with the logs.
    const dir = mkdtempSync(join(tmpdir(), "fvthree-"));
    try {
      await expect(startLab({ name: "fvthree", octet: 16, nodes: 1, dir })).rejects.toThrow(/File exists/);
      expect([readdirSync("/run/netns").filter((name) => name.startsWith("fvthree-")), processesOf("fvthree"), readdirSync(dir)]).toEqual([[], [], expect.arrayContaining(["logs"]) as string[]]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    await attach(first.hosts[0] as NodeHost, await createPod(first, first.hosts[0] as NodeHost, "later"));
    await untilReach(first, () => true);
  } finally {
    expect(await stopLab(first)).toEqual([]);
  }
});
