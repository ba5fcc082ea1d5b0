import { expect, it } from "vitest";
import { attach, createPod } from "../bench/sandboxes.ts";
import type { NodeHost } from "../lab/node-host.ts";
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
    await attach(first.hosts[0] as NodeHost, await createPod(first, first.hosts[0] as NodeHost, "later"));
    await untilReach(first, () => true);
  } finally {
    expect(await stopLab(first)).toEqual([]);
  }
}, 90_000);
